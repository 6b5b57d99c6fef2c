;; Takes memory until it is refused, and traps then
(component
  (core module $m
    (memory 1)
    (func $start (export "start") 
      (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
      unreachable)
    (func (export "run"))
    (start $start))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
