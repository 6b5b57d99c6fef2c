;; Is a core module, and no component
;; not a component
(module (func (export "run")))
