;; Has one function of a hundred thousand steps to compile
(component
  (core module (func (param i64 i64) (result i64)
    ;; repeat 100000
    (local.set 0 (i64.rotl (i64.add (local.get 0) (local.get 1)) (i64.const {n})))
    ;; end
    (local.get 0)
)))
