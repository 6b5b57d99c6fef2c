#!/usr/bin/env bash
# tokio is nobody's runtime here, and reqwest is nowhere:
#
#   1. no Rust source and no manifest names either, comments apart;
#   2. no package depends on them, in any build, test or feature, except on tokio
#      through wasmtime-wasi, which brings its own;
#   3. Burn, which trains models, is below bytelm alone, and fetches nothing; llama.cpp is
#      for whoever asks for it.
#
# Judged from cargo's tree for this machine's target, package by package: Cargo.lock also
# lists what only other targets and unused features would need. Settings:
#
#   GENIUS_DEPS="PACKAGE…"   judges these packages of the host alone, and says so; for whoever
#                            is at work on one. Default: everything.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

faults=0

# --- 1. sources and manifests; what git does not know yet will be committed next

found=$({ git grep --no-color --untracked -nE 'tokio|reqwest' -- '*.rs' '*Cargo.toml' || [ $? = 1 ]; } |
    awk -F: '{
        comment = $1 ~ /\.rs$/ ? "(^|[ \t])//.*" : "(^|[ \t])#.*"
        at = $1 ":" $2 ":"
        code = text = substr($0, length(at) + 1)
        sub(comment, "", code)
        if (code ~ /tokio|reqwest/) print "FAULT  " at " " text
    }')
if [ -n "$found" ]; then
    faults=1
    printf '%s\n' "$found"
else
    echo "ok  $(git ls-files --cached --others --exclude-standard -- '*.rs' '*Cargo.toml' | wc -l) sources and manifests"
fi

# --- 2. the packages

# check_workspace MANIFEST TARGET [PACKAGES]
check_workspace() {
    local manifest=$1 target=$2 packages=${3:-} package
    local tree=(cargo tree --quiet --locked --manifest-path "$manifest" --target "$target"
        --all-features --edges "normal,build,dev")
    [ -n "$packages" ] ||
        packages=$("${tree[@]}" --workspace --depth 0 --prefix none | awk 'NF { print $1 }' | sort -u)
    for package in $packages; do
        check_package "$package"
    done
}

# check_package PACKAGE, with `tree` of check_workspace
check_package() {
    local package=$1 found name pruned=("${tree[@]}" -p "$1")
    found=$("${pruned[@]}" --prefix none)
    # cargo refuses to prune what is not there.
    if grep -q "^wasmtime-wasi v" <<<"$found"; then
        pruned+=(--prune wasmtime-wasi)
        found=$("${pruned[@]}" --prefix none)
    fi
    found=$(awk '$1 ~ /^(tokio|reqwest)(-|$)/ { print $1 }' <<<"$found" | sort -u)
    if [ -z "$found" ]; then
        echo "ok  $package"
        return
    fi
    faults=1
    for name in $found; do
        echo "FAULT  $package depends on $name:"
        # `-i` refuses a name of which there are two versions; the line above still stands.
        "${pruned[@]}" -i "$name" || true
    done
}

# --- 3. what is large stays where it is

# check_absent PACKAGE NAME CARGO_TREE_OPTIONS…
check_absent() {
    local package=$1 name=$2 found
    shift 2
    found=$(cargo tree --quiet --locked --target "$host" -p "$package" --prefix none "$@" |
        awk -v name="$name" '$1 ~ "^" name "(-|$)" { print $1 }' | sort -u)
    if [ -n "$found" ]; then
        faults=1
        echo "FAULT  $package depends on ${found//$'\n'/ }"
    else
        echo "ok  $package without $name"
    fi
}

host=$(rustc -vV | sed -n 's/^host: //p')
if [ -n "${GENIUS_DEPS:-}" ]; then
    check_workspace Cargo.toml "$host" "$GENIUS_DEPS"
    echo "only these packages were judged: $GENIUS_DEPS"
    exit "$faults"
fi
check_workspace Cargo.toml "$host"
check_workspace guests/Cargo.toml wasm32-wasip2
# Burn can fetch datasets and compilers, by ureq; what is used of it here fetches nothing.
check_absent rusty-genius--bytelm ureq --all-features --edges normal,build
# Whoever builds the command does not build Burn.
check_absent rusty-genius burn --edges normal,build
# Nor llama.cpp, which takes a C++ compiler.
check_absent rusty-genius llama-cpp --edges normal,build

exit "$faults"
