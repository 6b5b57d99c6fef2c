#!/usr/bin/env bash
# Everything CI does, a line a step; stops at the first step that fails and shows what it
# said. Logs: target/tmp/test/. Settings:
#
#   GENIUS_LLAMA=required|no   whether llama.cpp is built and tested. Default: where what it
#                              is built with is installed, or can be.
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
    printf '%-16s ' "$name"
    if "$@" >"$logs/$name.log" 2>&1; then
        echo "ok  $((SECONDS - start)) s"
    else
        echo "FAILED  $((SECONDS - start)) s"
        cat "$logs/$name.log" >&2
        echo "error: the step $name failed: $*" >&2
        exit 1
    fi
}

# --- llama.cpp: one build of it serves all steps

llama=()
case ${GENIUS_LLAMA:-} in
required) setup_llama ;;
"" | no) ;;
*) setup_fail "GENIUS_LLAMA is $GENIUS_LLAMA" "say required or no, or nothing" ;;
esac
if [ "${GENIUS_LLAMA:-}" != no ] && setup_llama_quietly; then
    llama=(--features "rusty-genius--cortex/real-engine,rusty-genius/real-engine,rusty-genius--teaser/real-engine")
fi

step fmt cargo fmt --all --check
step fmt-guests cargo fmt --all --check --manifest-path guests/Cargo.toml
step clippy cargo clippy --workspace --all-targets --locked -- -D warnings
[ ${#llama[@]} = 0 ] ||
    step clippy-llama cargo clippy --workspace --all-targets --locked ${llama[@]+"${llama[@]}"} -- -D warnings
# For this machine's own target: clippy needs no compiler for WASI to read the guests.
step clippy-guests cargo clippy --workspace --all-targets --locked \
    --manifest-path guests/Cargo.toml --target-dir "$guests_target" -- -D warnings
# What of the guests is plain Rust, for this machine.
step test-guests cargo test --locked --manifest-path guests/Cargo.toml \
    --target-dir "$guests_target" -p ask -p calc -p fixture -p fs-search
step python ./scripts/facecrab-python.sh
step examples-test ./scripts/examples.sh --test
step examples ./scripts/examples.sh
# The tests that share a cache with Hugging Face's client, and those of guests in other
# languages, fail without what they need, here.
# Fixtures of models that are not here go to Pinky; those of narf-1m to both its engines.
step test env FACECRAB_PYTHON=required GENIUS_EXAMPLES=required RUSTY_GENIUS_ENGINE=pinky \
    cargo test --workspace --locked --no-fail-fast ${llama[@]+"${llama[@]}"}
# Of the command that the tests were built with. In the other languages it takes minutes,
# which is for .github/workflows/ci.yml.
step guest-new ./scripts/tests/guest-new.sh rust
step doc env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked ${llama[@]+"${llama[@]}"}
# The build without llama.cpp. The whole workspace has the packages built already.
step pinky env GENIUS_PACKAGES="--workspace" ./scripts/pinky.sh
step workflows ./scripts/lint-workflows.sh
# With check-deps.sh in it.
step code-review ./scripts/code-review.sh
step code-review-test ./scripts/tests/code-review.sh

awk '/^test result:/ { passed += $4; failed += $6 }
    END { printf "%d passed, %d failed\n", passed, failed }' "$logs/test-guests.log" "$logs/test.log" "$logs/pinky.log"
[ ${#llama[@]} != 0 ] || echo "llama.cpp was not tested: cmake, a C++ compiler or libclang is missing"
echo "all steps passed in $SECONDS s"
