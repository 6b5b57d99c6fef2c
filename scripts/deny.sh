#!/usr/bin/env bash
# Checks what the dependencies are allowed to be, as deny.toml says: licences, bans, sources,
# and known advisories. Installs cargo-deny into target/tools where it is missing; that takes
# some minutes.
#
# The advisories are a repository on GitHub. Where it is out of reach, the rest is checked
# and the advisories are said to be left out; in CI that is a failure. Settings:
#
#   GENIUS_NO_INSTALL=1   installs nothing. Default: install.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

version=0.20.2
export PATH="$PWD/target/tools/bin:$PATH"
if [ "$(cargo deny --version 2>/dev/null)" != "cargo-deny $version" ]; then
    [ -z "${GENIUS_NO_INSTALL:-}" ] || setup_fail "cargo-deny $version is not installed" \
        "cargo install cargo-deny --version $version --locked --root target/tools"
    echo "setup: cargo install cargo-deny $version" >&2
    cargo install cargo-deny --version "$version" --locked --quiet --root target/tools
fi

what=(licenses bans sources) left_out=
if cargo deny fetch db 2>"$TMPDIR/deny-fetch.log"; then
    what+=(advisories)
elif [ -n "${GITHUB_ACTIONS:-}" ]; then
    cat "$TMPDIR/deny-fetch.log" >&2
    setup_fail "the advisory database was not fetched" "run the job again"
else
    left_out=1
fi

failed=0
for manifest in Cargo.toml guests/Cargo.toml host/fuzz/fuzz/Cargo.toml; do
    # What one of the three lacks of the list is no news.
    if found=$(cargo deny --log-level error --locked --manifest-path "$manifest" --config deny.toml \
        check --hide-inclusion-graph --allow unused-wrapper --allow advisory-not-detected "${what[@]}" 2>&1); then
        echo "ok  $manifest: ${what[*]}"
    else
        failed=1
        echo "FAULT  $manifest"
    fi
    printf '%s\n' "$found" | grep -vE '^$|^(advisories|bans|licenses|sources) (ok|FAILED)' >&2 || true
done

if [ -n "$left_out" ]; then
    echo "the advisories were left out: github.com/RustSec/advisory-db is out of reach" >&2
fi
exit "$failed"
