;; Is made of 10 modules with 40 MiB each, of which none is too large
(component
  (core module $m (memory 640))
  ;; repeat 10
  (core instance (instantiate $m))
  ;; end
)
