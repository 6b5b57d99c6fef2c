#!/usr/bin/env bash
# The benchmarks: what the sandbox costs, what the command and a fixture take, how fast a model
# is fetched, how fast a byte-level model decodes beside what memory allows. Each compares
# within one run; figures of different machines or moments say little.
# Arguments go to criterion, a filter for instance: ./scripts/bench.sh instantiate
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

cargo bench --locked -p rusty-genius--sandbox --bench sandbox -- "$@"
# A thousand guests that wait, one that spins beside one that is served, and counting.
cargo bench --locked -p rusty-genius--sandbox --bench isolation
# A policy's step as a guest beside the native one, and a million requests.
cargo bench --locked -p rusty-genius--sandbox --bench policy
cargo bench --locked -p rusty-genius --bench command -- "$@"
# A thousand fixtures through the command.
cargo bench --locked -p rusty-genius --bench fixtures -- "$@"
cargo bench --locked -p rusty-genius--bytelm --no-default-features --bench decode
# llama.cpp through the whole house, beside a bare loop over it.
if setup_llama_quietly; then
    cargo bench --locked -p rusty-genius --features real-engine --bench brain
fi
# 1 GiB over loopback, against curl and Hugging Face's own client.
./scripts/facecrab-python.sh
cargo bench --locked -p facecrab --bench download
