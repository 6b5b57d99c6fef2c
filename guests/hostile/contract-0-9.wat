;; Was built against version 0.9.0 of the contract
(component
  (import "rusty-genius:genius/reply@0.9.0" (instance (export "emit" (func))))
)
