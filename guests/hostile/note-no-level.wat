;; Writes a note of a level that there is not
(component
  ;; include ../crowbar/workflow.wat
  ;; include ../crowbar/journal.wat
  (core module $libc
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
  (core instance $libc (instantiate $libc))
  (core func $append (canon lower (func $journal "append")
    (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core module $m
    (import "libc" "memory" (memory 1))
    (import "host" "append" (func $append (param i32 i32 i32 i32)))
    (func (export "run") (param i32 i32) (result i32)
      ;; Level, text, its length, and where the result goes.
      (call $append (i32.const 99) (i32.const 64) (i32.const 0) (i32.const 512))
      (i32.const 0)))
  (core instance $i (instantiate $m
    (with "libc" (instance $libc))
    (with "host" (instance (export "append" (func $append))))))
  (func (export "run") (type $run) (canon lift (core func $i "run")
    (memory $libc "memory") (realloc (func $libc "realloc")))))
