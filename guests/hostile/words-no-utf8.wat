;; Fails with words that are no UTF-8
(component
  ;; include ../crowbar/workflow.wat
  (core module $m
    (memory (export "memory") 1)
    (data (i32.const 64) "\ff\fe\c0\af")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "run") (param i32 i32) (result i32)
      ;; `failed`, and its words.
      (i32.store8 (i32.const 0) (i32.const 1))
      (i32.store8 (i32.const 8) (i32.const 1))
      (i32.store (i32.const 16) (i32.const 64))
      (i32.store (i32.const 20) (i32.const 4))
      (i32.const 0)))
  (core instance $i (instantiate $m))
  (func (export "run") (type $run) (canon lift (core func $i "run")
    (memory $i "memory") (realloc (func $i "realloc")))))
