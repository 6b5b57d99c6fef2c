;; Has a type of two of a type of two, sixty times
(component
  (type $t0 u8)
  ;; repeat 60
  (type $t{n} (tuple $t{m} $t{m}))
  ;; end
)
