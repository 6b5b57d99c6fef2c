#!/usr/bin/env bash
# The main job: asks the default model, through the workflow `ask`.
#
#   ./scripts/run.sh "Why is the sky blue?"
#
# The answer is on stdout, everything else on stderr. Exits as `genius` does.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

if [ $# = 0 ]; then
    echo 'usage: ./scripts/run.sh "PROMPT…"' >&2
    exit 2
fi
if [ ! -x "${CARGO_TARGET_DIR:-target}/release/genius" ]; then
    echo "run: the first build takes some minutes" >&2
fi
exec cargo run --quiet --release --locked -p rusty-genius --bin genius -- run ask -- "$@"
