;; Begins with 256 TiB of memory, of 64 bits
(component
  (core module $m
    (memory i64 0x100000000)
    (func $start (export "start") )
    (func (export "run"))
    (start $start))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
