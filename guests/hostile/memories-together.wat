;; Is made of 10 modules with 40 MiB each, of which none is too large
(component
  (core module $m (memory 640) (func (export "run")))
  ;; repeat 10
  (core instance $i{n} (instantiate $m))
  ;; end
  (func (export "run") (canon lift (core func $i10 "run"))))
