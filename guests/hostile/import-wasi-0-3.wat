;; Imports files as WASI 0.3 has them
(component
  (import "wasi:filesystem/preopens@0.3.0" (instance (export "get-directories" (func))))
)
