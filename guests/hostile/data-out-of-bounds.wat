;; Begins with data outside of its memory
(component
  (core module $m
    (memory 1)
    (data (i32.const 0xfffffff0) "outside")
    (func $start (export "start") )
    (func (export "run"))
    (start $start))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
