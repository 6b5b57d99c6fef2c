#!/usr/bin/env bash
# Everything CI does, a line a step; stops at the first step that fails and shows what it
# said. Logs: target/tmp/test/.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
# A backtrace of every failed test buries what failed.
export RUST_BACKTRACE=0
setup_component clippy
setup_component rustfmt

logs=target/tmp/test
mkdir -p "$logs"
guests_target="${CARGO_TARGET_DIR:-$PWD/target}/guests"

# step NAME COMMAND…
step() {
    local name=$1 start=$SECONDS
    shift
    printf '%-14s ' "$name"
    if "$@" >"$logs/$name.log" 2>&1; then
        echo "ok  $((SECONDS - start)) s"
    else
        echo "FAILED  $((SECONDS - start)) s"
        cat "$logs/$name.log" >&2
        echo "error: the step $name failed: $*" >&2
        exit 1
    fi
}

step fmt cargo fmt --all --check
step fmt-guests cargo fmt --all --check --manifest-path guests/Cargo.toml
step clippy cargo clippy --workspace --all-targets --locked -- -D warnings
# For this machine's own target: clippy needs no compiler for WASI to read the guests.
step clippy-guests cargo clippy --workspace --all-targets --locked \
    --manifest-path guests/Cargo.toml --target-dir "$guests_target" -- -D warnings
step python ./scripts/facecrab-python.sh
# The tests that share a cache with Hugging Face's client fail without it, here.
step test env FACECRAB_PYTHON=required cargo test --workspace --locked --no-fail-fast
step doc env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
step pinky ./scripts/pinky.sh
step check-deps ./scripts/check-deps.sh

awk '/^test result:/ { passed += $4; failed += $6 }
    END { printf "%d passed, %d failed\n", passed, failed }' "$logs/test.log" "$logs/pinky.log"
echo "all steps passed in $SECONDS s"
