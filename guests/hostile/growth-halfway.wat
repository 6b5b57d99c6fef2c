;; Asks for more memory than it may have, then for less, and ends well if that counts right
(component
  ;; include ../crowbar/workflow.wat
  (core module $other
    (memory 1 4)
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))
  (core instance $other (instantiate $other))
  (core module $m
    (import "other" "grow" (func $grow-other (param i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "run") (param i32 i32) (result i32)
      ;; Past the other's own maximum, past all there is, and then what there is room for.
      (if (i32.ne (call $grow-other (i32.const 1000)) (i32.const -1)) (then unreachable))
      (if (i32.ne (memory.grow (i32.const 65535)) (i32.const -1)) (then unreachable))
      (if (i32.ne (memory.size) (i32.const 1)) (then unreachable))
      (if (i32.ne (memory.grow (i32.const 16)) (i32.const 1)) (then unreachable))
      (if (i32.ne (call $grow-other (i32.const 1)) (i32.const 1)) (then unreachable))
      (i32.const 0)))
  (core instance $i (instantiate $m (with "other" (instance $other))))
  (func (export "run") (type $run) (canon lift (core func $i "run")
    (memory $i "memory") (realloc (func $i "realloc")))))
