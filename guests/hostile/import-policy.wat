;; Imports what only policies get
(component
  (import "rusty-genius:genius/brainstem@0.2.0" (instance (export "decide" (func))))
)
