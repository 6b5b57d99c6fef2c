#!/usr/bin/env bash
# The end-to-end tests on a real model, with llama.cpp on Apple's Metal.
# Arguments go to the test program. Exits 3 where this version has no such engine.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

command -v cmake >/dev/null || setup_fail "cmake was not found; llama.cpp is built with it" \
    "macOS: brew install cmake" "Debian: apt-get install cmake" "Fedora: dnf install cmake"

if ! compgen -G "engine/cortex/src/brain*" >/dev/null; then
    echo "error: the llama.cpp engine is not part of this version; ./scripts/pinky.sh tests the rest" >&2
    exit 3
fi
exec cargo test -p rusty-genius--teaser \
    --features "rusty-genius--cortex/real-engine rusty-genius--cortex/metal" -- --nocapture "$@"
