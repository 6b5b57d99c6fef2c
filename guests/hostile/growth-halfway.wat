;; Asks for more memory than it may have, then for less, and ends well if that counts right
(component
  ;; include ../crowbar/workflow.wat
  (core module $m
    (memory (export "memory") 1)
    (memory $own 1 4)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "run") (param i32 i32) (result i32)
      ;; Past its own maximum, past all there is, and then what there is room for.
      (if (i32.ne (memory.grow $own (i32.const 1000)) (i32.const -1)) (then unreachable))
      (if (i32.ne (memory.grow (i32.const 65535)) (i32.const -1)) (then unreachable))
      (if (i32.ne (memory.size) (i32.const 1)) (then unreachable))
      (if (i32.ne (memory.grow (i32.const 16)) (i32.const 1)) (then unreachable))
      (if (i32.ne (memory.grow $own (i32.const 1)) (i32.const 1)) (then unreachable))
      (i32.const 0)))
  (core instance $i (instantiate $m))
  (func (export "run") (type $run) (canon lift (core func $i "run")
    (memory $i "memory") (realloc (func $i "realloc")))))
