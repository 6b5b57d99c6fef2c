;; Has five thousand functions to compile
(component
  (core module
    ;; repeat 5000
    (func (param i32) (result i32) (i32.mul (local.get 0) (i32.const {n})))
    ;; end
))
