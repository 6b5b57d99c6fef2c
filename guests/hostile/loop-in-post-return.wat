;; Loops for ever when the host is done with the result
(component
  ;; include ../crowbar/workflow.wat
  (core module $m
    (memory (export "memory") 1)
    (func (export "post") (param i32) (loop $for-ever (br $for-ever)))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "run") (param i32 i32) (result i32)
      (i32.const 0)))
  (core instance $i (instantiate $m))
  (func (export "run") (type $run) (canon lift (core func $i "run")
    (memory $i "memory") (realloc (func $i "realloc"))
    (post-return (func $i "post")))))
