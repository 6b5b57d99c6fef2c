;; Is made of 20 modules with a memory each
(component
  (core module $m (memory 1))
  ;; repeat 20
  (core instance (instantiate $m))
  ;; end
)
