;; Fills 64 MiB again and again, each time in one instruction
(component
  (core module $m
    (memory 1024)
    (func $start (export "start") 
      (loop $for-ever
        (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x4000000))
        (br $for-ever)))
    (func (export "run"))
    (start $start))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
