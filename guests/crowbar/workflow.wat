  ;; What a workflow's `run` is made of, for attacks in WebAssembly text.
  (import "rusty-genius:genius/types@0.2.0" (instance $types
    (type $p (variant
      (case "invalid-config" string) (case "invalid-turns") (case "invalid-spec") (case "busy")))
    (export "protocol-error" (type $protocol (eq $p)))
    (type $a (enum "not-granted" "not-found" "invalid"))
    (export "asset-error" (type $asset (eq $a)))
    (type $e (enum "load-failed" "context-overflow" "memory-exceeded" "invalid-constraint"
      "unsupported" "rejected" "deadline-passed" "backend-failed"))
    (export "engine-error" (type $engine (eq $e)))
    (type $r (enum "wall-time" "memory" "sessions" "inferences" "history" "prompt" "reply"
      "journal" "cpu-time" "prompt-tokens" "completion-tokens" "generations" "handles"
      "scratch" "scratch-files" "stdout" "tool-calls"))
    (export "budget-resource" (type $resource (eq $r)))
    (type $b (record (field "resource" $resource) (field "limit" u64)))
    (export "budget-error" (type $budget (eq $b)))
    (type $t (enum "not-granted" "broken"))
    (export "tool-error" (type $tool (eq $t)))
    (type $any (variant (case "protocol" $protocol) (case "asset" $asset)
      (case "engine" $engine) (case "budget" $budget) (case "tool" $tool)))
    (export "error" (type $error (eq $any)))
    (type $f (variant (case "usage" string) (case "failed" string) (case "host" $error)))
    (export "failure" (type $failure (eq $f)))))
  (alias export $types "error" (type $error))
  (alias export $types "failure" (type $failure))
  (type $run (func (param "args" (list string)) (result (result (error $failure)))))
