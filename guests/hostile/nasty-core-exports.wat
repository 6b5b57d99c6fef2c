;; Exports such a name twice from a module within
(component
  (core module
    (func (export "\1b[2J\1b[31m\0d\0a\e2\80\aetxt.exe"))
    (func (export "\1b[2J\1b[31m\0d\0a\e2\80\aetxt.exe"))))
