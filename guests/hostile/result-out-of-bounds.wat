;; Leaves its result outside of its memory
(component
  ;; include ../crowbar/workflow.wat
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "run") (param i32 i32) (result i32)
      (i32.const 0x7ffffff0)))
  (core instance $i (instantiate $m))
  (func (export "run") (type $run) (canon lift (core func $i "run")
    (memory $i "memory") (realloc (func $i "realloc")))))
