;; Has one function of ten thousand steps to compile
(component
  (core module (func (param i64 i64) (result i64)
    ;; repeat 10000
    (local.set 0 (i64.rotl (local.get 0) (local.get 1)))
    ;; end
    (local.get 0)
)))
