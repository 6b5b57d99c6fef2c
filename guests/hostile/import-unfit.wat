;; Imports a granted interface with a function of another type
(component
  (import "rusty-genius:genius/reply@0.2.0" (instance (export "emit" (func (param "all" u64)))))
)
