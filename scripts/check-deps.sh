#!/usr/bin/env bash
# tokio is nobody's runtime here, and reqwest is nowhere:
#
#   1. no Rust source and no manifest names either, comments apart;
#   2. no package depends on them, in any build, test or feature, except on tokio
#      through wasmtime-wasi, which brings its own;
#   3. Burn, which trains models, is below bytelm alone, and fetches nothing.
#
# Judged from cargo's tree for this machine's target, package by package: Cargo.lock also
# lists what only other targets and unused features would need.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

faults=0

# --- 1. sources and manifests; what git does not know yet will be committed next

files=$(git ls-files --cached --others --exclude-standard -- '*.rs' '*Cargo.toml')
while IFS= read -r file; do
    # A file may be deleted and not yet committed so.
    [ -f "$file" ] || continue
    case $file in
    *.rs) comment='(^|[ \t])//.*' ;;
    *) comment='(^|[ \t])#.*' ;;
    esac
    if ! awk -v comment="$comment" -v file="$file" '
        { code = $0; sub(comment, "", code) }
        code ~ /tokio|reqwest/ { print "FAULT  " file ":" NR ": " $0; found = 1 }
        END { exit found }' "$file"; then
        faults=1
    fi
done <<<"$files"
[ "$faults" = 0 ] && echo "ok  $(wc -l <<<"$files") sources and manifests"

# --- 2. the packages

# check_workspace MANIFEST TARGET
check_workspace() {
    local manifest=$1 target=$2 packages package
    local tree=(cargo tree --quiet --locked --manifest-path "$manifest" --target "$target"
        --all-features --edges "normal,build,dev")
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

# --- 3. training stays where it is

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
check_workspace Cargo.toml "$host"
check_workspace guests/Cargo.toml wasm32-wasip2
# Burn can fetch datasets and compilers, by ureq; what is used of it here fetches nothing.
check_absent rusty-genius--bytelm ureq --all-features --edges normal,build
# Whoever builds the command does not build Burn.
check_absent rusty-genius burn --edges normal,build

exit "$faults"
