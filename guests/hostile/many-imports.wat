;; Imports ten thousand types
(component
  ;; repeat 10000
  (import "t{n}" (type (sub resource)))
  ;; end
)
