;; Grows a table until it is refused, and traps then
(component
  (core module $m
    (table $t 1 funcref)
    (func $start (export "start") 
      (loop $more
        (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))
      unreachable)
    (func (export "run"))
    (start $start))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
