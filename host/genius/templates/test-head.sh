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
