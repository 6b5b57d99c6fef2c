;; Exports a `run` that is an instance
(component
  (component $c)
  (instance $i (instantiate $c))
  (export "run" (instance $i)))
