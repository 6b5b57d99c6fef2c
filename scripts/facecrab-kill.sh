#!/usr/bin/env bash
# Kills downloads at random moments (SIGKILL) and looks at what is left.
#
#   ./scripts/facecrab-kill.sh [KILLS] [SEED]      default: 300 kills, seed 1
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

export FACECRAB_KILLS=${1:-300} FACECRAB_KILL_SEED=${2:-1}
exec cargo test --locked -p facecrab --test kill -- --ignored --nocapture \
    a_download_survives_being_killed_hundreds_of_times
