;; Exports nothing
(component)
