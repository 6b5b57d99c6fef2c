#!/usr/bin/env bash
# The benchmarks: what the sandbox costs, and what the command takes. Each compares within
# one run; figures of different machines or moments say little.
# Arguments go to criterion, a filter for instance: ./scripts/bench.sh instantiate
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

cargo bench --locked -p rusty-genius--sandbox --bench sandbox -- "$@"
cargo bench --locked -p rusty-genius --bench command -- "$@"
