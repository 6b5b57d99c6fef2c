  ;; The journal as a workflow imports it.
  (import "rusty-genius:genius/journal@0.2.0" (instance $journal
    (alias outer 1 $error (type $outer-error))
    (type $l (enum "debug" "info" "warn"))
    (export "level" (type $level (eq $l)))
    (export "append" (func
      (param "level" $level) (param "text" string) (result (result (error $outer-error)))))))
