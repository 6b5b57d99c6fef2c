#!/usr/bin/env bash
# Builds the tool and calls it: no model, no network.
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
answer=$("$genius" guest call "$component" '{"text":"one two"}')
[ "$answer" = '{"words":2}' ] || fail "it answered: $answer"

if "$genius" guest call "$component" '{"txet":"one two"}' >/dev/null 2>&1; then
    fail "it took arguments that have no text"
fi

echo "ok  $component"
