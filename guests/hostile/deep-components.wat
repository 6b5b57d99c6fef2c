;; Is a component in a component, ninety times
(component
  ;; repeat 90
  (component
  ;; end
  ;; repeat 90
  )
  ;; end
)
