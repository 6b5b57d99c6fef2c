#!/usr/bin/env bash
# The sandbox's benchmarks: instantiation, the event stream, the interrupts.
# Arguments go to criterion, a filter for instance: ./scripts/bench.sh stream
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

exec cargo bench -p rusty-genius--sandbox --bench sandbox -- "$@"
