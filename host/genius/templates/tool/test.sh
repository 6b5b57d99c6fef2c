#!/usr/bin/env bash
# Builds the tool and calls it: no model, no network.
{{test-head}}answer=$("$genius" guest call "$component" '{"text":"one two"}')
[ "$answer" = '{"words":2}' ] || fail "it answered: $answer"

if "$genius" guest call "$component" '{"txet":"one two"}' >/dev/null 2>&1; then
    fail "it took arguments that have no text"
fi

echo "ok  $component"
