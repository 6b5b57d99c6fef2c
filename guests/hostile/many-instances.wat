;; Is made of 80 instances of a module that has nothing
(component
  (core module $m )
  ;; repeat 80
  (core instance (instantiate $m))
  ;; end
)
