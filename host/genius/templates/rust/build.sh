#!/usr/bin/env bash
# Builds build/{{name}}.wasm.
# Setting: CARGO_TARGET_DIR, where cargo keeps what it makes. Default: build/target.
set -euo pipefail
CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")"
target=${CARGO_TARGET_DIR:-build/target}

mkdir -p build
cargo build --release --target wasm32-wasip2 --target-dir "$target"
cp "$target/wasm32-wasip2/release/{{crate}}.wasm" "build/{{name}}.wasm"
