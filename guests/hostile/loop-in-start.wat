;; Loops for ever in a start function, before anything is called
(component
  (core module $m
    (func $start (export "start") (loop $for-ever (br $for-ever)))
    (func (export "run"))
    (start $start))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
