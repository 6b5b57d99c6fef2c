;; A tool that wants to call tools itself
(component
  (import "rusty-genius:genius/tools@0.2.0" (instance (export "describe" (func))))
  (core module $m (func (export "f")))
  (core instance $i (instantiate $m))
  (func (export "describe") (canon lift (core func $i "f")))
  (func (export "call") (canon lift (core func $i "f"))))
