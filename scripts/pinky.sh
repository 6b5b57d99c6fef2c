#!/usr/bin/env bash
# The end-to-end tests on Pinky, the built-in stub engine: no model, no network.
# Arguments go to the test program.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

exec cargo test -p rusty-genius--teaser --no-default-features -- --nocapture "$@"
