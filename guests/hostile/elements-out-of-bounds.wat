;; Begins with functions outside of its table
(component
  (core module $m
    (table 1 funcref)
    (elem (i32.const 7) $start)
    (func $start (export "start") )
    (func (export "run"))
    (start $start))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
