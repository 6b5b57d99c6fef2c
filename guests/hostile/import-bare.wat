;; Imports a function that belongs to no interface
(component (import "open-sesame" (func)))
