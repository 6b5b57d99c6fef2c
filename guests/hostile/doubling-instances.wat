;; Instantiates a component that instantiates two, twenty times
(component
  (core module $m (memory 1))
  (component $c0 (core instance (instantiate $m)))
  ;; repeat 20
  (component $c{n}
    (alias outer 1 $c{m} (component $c))
    (instance (instantiate $c))
    (instance (instantiate $c)))
  ;; end
  (instance (instantiate $c20))
)
