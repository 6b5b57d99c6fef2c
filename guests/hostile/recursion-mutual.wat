;; Calls through a table, with many locals, until the stack is full
(component
  (core module $m
    (table 1 funcref)
    (elem (i32.const 0) $start)
    (func $start (export "start") 
      (local i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)
      (call_indirect (i32.const 0)))
    (func (export "run"))
    (start $start))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
