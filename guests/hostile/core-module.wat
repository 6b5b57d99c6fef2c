;; A core module, which is no component
;; not a component
(module (func (export "run")))
