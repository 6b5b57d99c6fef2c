;; Has one function of three thousand blocks, each of which may be left
(component
  (core module (func (param i32) (result i32) (local i32)
    ;; repeat 3000
    block
    ;; end
    ;; repeat 3000
    (br_if {m} (local.get 0)) (local.set 1 (i32.add (local.get 1) (local.get 0)))
    ;; end
    ;; repeat 3000
    end (local.set 1 (i32.mul (local.get 1) (i32.const {n})))
    ;; end
    (local.get 1)
)))
