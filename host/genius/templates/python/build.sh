#!/usr/bin/env bash
# Builds build/{{name}}.wasm.
# Setting: VENV, a virtual environment with what requirements.txt names, made if it is not there.
# Default: build/venv.
set -euo pipefail
CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")"
venv=${VENV:-build/venv}

mkdir -p build
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
[ -x "$venv/bin/componentize-py" ] ||
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt
"$venv/bin/componentize-py" --quiet --wit-path wit --world {{world}} \
    componentize app --output "build/{{name}}.wasm"
