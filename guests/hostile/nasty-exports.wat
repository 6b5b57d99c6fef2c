;; Exports a name that clears the screen and turns the line around
(component
  (core module $m (func (export "f")))
  (core instance $i (instantiate $m))
  (func (export "\1b[2J\1b[31m\0d\0a\e2\80\aetxt.exe") (canon lift (core func $i "f"))))
