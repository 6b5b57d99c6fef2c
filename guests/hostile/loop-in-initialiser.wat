;; Loops for ever in the start function of a component within, while another waits for it
(component
  (component $inner
    (core module $m
      (func $start (loop $for-ever (br $for-ever)))
      (func (export "f"))
      (start $start))
    (core instance $i (instantiate $m))
    (func (export "f") (canon lift (core func $i "f"))))
  (instance $inner (instantiate $inner))
  (core func $f (canon lower (func $inner "f")))
  (core module $m
    (import "inner" "f" (func $f))
    (func (export "run") (call $f)))
  (core instance $i (instantiate $m (with "inner" (instance (export "f" (func $f))))))
  (func (export "run") (canon lift (core func $i "run"))))
