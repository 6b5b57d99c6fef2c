;; Begins with memory that threads share
(component
  (core module $m
    (memory 1 1 shared)
    (func $start (export "start") )
    (func (export "run"))
    (start $start))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
