#!/usr/bin/env bash
# Builds the workflow and runs it on Pinky, the stub engine: no model, no network.
# Setting: GENIUS, the command, if it is not `genius` on the PATH; an absolute path.
set -euo pipefail
CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")"
genius=${GENIUS:-genius}
component=./build/{{name}}.wasm

fail() {
    echo "error: $1" >&2
    exit 1
}
command -v "$genius" >/dev/null || fail "$genius was not found; GENIUS names it elsewhere"

./build.sh
{{unit-test}}
# Runs leave their files here.
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
