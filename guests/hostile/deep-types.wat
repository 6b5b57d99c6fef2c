;; Has a type of lists, ten thousand deep
(component
  (type $t0 u8)
  ;; repeat 10000
  (type $t{n} (list $t{m}))
  ;; end
)
