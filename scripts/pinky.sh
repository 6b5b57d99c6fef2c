#!/usr/bin/env bash
# The end-to-end tests on Pinky, the built-in stub engine: no model, no network.
# Arguments go to the test program. Settings:
#
#   GENIUS_PACKAGES   which packages cargo selects, and with them the features of what they
#                     share. Default: the test runner alone, without what it does not need.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

read -ra packages <<<"${GENIUS_PACKAGES:--p rusty-genius--teaser --no-default-features}"
exec cargo test --locked "${packages[@]}" --test fixtures --test hostile_fixtures --test liar --test narf -- --nocapture "$@"
