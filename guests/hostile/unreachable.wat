;; Traps in a start function
(component
  (core module $m
    (func $start (export "start") unreachable)
    (func (export "run"))
    (start $start))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
