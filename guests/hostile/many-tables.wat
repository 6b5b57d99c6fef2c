;; Is made of 40 modules with a table each
(component
  (core module $m (table 1 funcref))
  ;; repeat 40
  (core instance (instantiate $m))
  ;; end
)
