;; Imports an interface that nobody knows
(component
  (import "acme:door/key@1.0.0" (instance (export "open" (func))))
)
