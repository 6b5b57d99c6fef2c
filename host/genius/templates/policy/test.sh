#!/usr/bin/env bash
# Builds the policy and lets it decide a short trial: no model, no network.
{{test-head}}# The trial ends with 1 if the policy trapped, took too long, or broke a rule.
found=$("$genius" policy check "$component")
grep -qx "policy   {{name}}" <<<"$found" || fail "it does not call itself {{name}}: $found"
grep -q "^trial .* 0 failed$" <<<"$found" || fail "requests failed: $found"

if "$genius" policy check "$component:colour=red" >/dev/null 2>&1; then
    fail "it took a setting that it does not have"
fi

echo "ok  $component"
