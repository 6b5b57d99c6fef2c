;; Has a type of lists, a thousand deep
(component
  (type $t0 u8)
  ;; repeat 1000
  (type $t{n} (list $t{m}))
  ;; end
)
