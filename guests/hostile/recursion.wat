;; Calls itself until the stack is full
(component
  (core module $m
    (func $start (export "start") (call $start))
    (func (export "run"))
    (start $start))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
