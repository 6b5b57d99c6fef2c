#!/usr/bin/env bash
# Builds the workflow and runs it on Pinky, the stub engine: no model, no network.
{{test-head}}# Runs leave their files here.
export RUSTY_GENIUS_TMP=$PWD/build/tmp

# Pinky answers the same words the same way each time, whoever asks.
run() {
    "$genius" run "$1" --engine pinky --no-record --quiet -- hello
}
answer=$(run "$component")
expected=$(run ask)
[ "$answer" = "$expected" ] || fail "it answered: $answer
but the built-in workflow \`ask\`: $expected"

# 2 is how a guest's `usage` ends.
code=0
"$genius" run "$component" --engine pinky --no-record --quiet 2>/dev/null || code=$?
[ "$code" = 2 ] || fail "without arguments it ended with $code, not 2"

echo "ok  $component"
