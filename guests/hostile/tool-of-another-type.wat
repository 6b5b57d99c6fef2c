;; A tool whose functions are of other types
(component
  (core module $m (func (export "f")))
  (core instance $i (instantiate $m))
  (func (export "describe") (canon lift (core func $i "f")))
  (func (export "call") (canon lift (core func $i "f"))))
