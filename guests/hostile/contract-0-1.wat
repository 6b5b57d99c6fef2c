;; Was built against version 0.1.0 of the contract
(component
  (import "rusty-genius:genius/reply@0.1.0" (instance (export "emit" (func))))
)
