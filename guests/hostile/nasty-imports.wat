;; Imports such a name
(component (import "\1b[2J\1b[31m\0d\0a\e2\80\aetxt.exe" (func)))
