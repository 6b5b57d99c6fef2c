;; Begins with 4 GiB of memory
(component
  (core module $m
    (memory 65536)
    (func $start (export "start") )
    (func (export "run"))
    (start $start))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
