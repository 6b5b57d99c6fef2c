#!/usr/bin/env bash
# Builds build/{{name}}.wasm.
# Setting: NODE_MODULES, a folder with the packages of package.json; an absolute path.
# Default: node_modules, made if it is not there.
set -euo pipefail
CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")"

mkdir -p build
# node looks for packages beside what imports them, and nowhere else.
[ -z "${NODE_MODULES:-}" ] || [ -e node_modules ] || ln -s "$NODE_MODULES" node_modules
[ -d node_modules/@bytecodealliance/componentize-js ] ||
    npm install --no-fund --no-audit --loglevel=error
node build.mjs
