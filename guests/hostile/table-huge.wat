;; Begins with a table of a hundred million
(component
  (core module $m
    (table 100000000 funcref)
    (func $start (export "start") )
    (func (export "run"))
    (start $start))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
