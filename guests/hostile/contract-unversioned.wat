;; Was built against no version of the contract
(component
  (import "rusty-genius:genius/reply" (instance (export "emit" (func))))
)
