;; Takes memory whenever the host asks where to put something, until there is none
(component
  ;; include ../crowbar/workflow.wat
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) 
      (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
      unreachable)
    (func (export "run") (param i32 i32) (result i32)
      (i32.const 0)))
  (core instance $i (instantiate $m))
  (func (export "run") (type $run) (canon lift (core func $i "run")
    (memory $i "memory") (realloc (func $i "realloc")))))
