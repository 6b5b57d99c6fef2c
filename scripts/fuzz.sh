#!/usr/bin/env bash
# Looks for inputs that break a reader, with libFuzzer. Usage:
#
#   ./scripts/fuzz.sh [TARGET…] [SECONDS]    default: every target, 600 seconds each
#
# The targets are those of host/fuzz. Each starts from its seeds in fixtures/fuzz and from
# what earlier runs found in target/fuzz/corpus. When it ends, the seeds are made anew: the
# ones with a name of their own, and of what was found small ones that reach something else,
# 100 and 300 KiB at most. Commit them if they are worth it. An input that breaks
# something is left in target/fuzz/artifacts, and the script fails.
#
# It takes no nightly toolchain: RUSTC_BOOTSTRAP lets the pinned one take the flags of a
# nightly one. The address sanitizer is used where the toolchain has it. Settings:
#
#   GENIUS_FUZZ_RSS=2048      most MiB a target may take.
#   GENIUS_FUZZ_TIMEOUT=120   most seconds for one input, however busy the machine is.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

package=host/fuzz
home="${CARGO_TARGET_DIR:-$PWD/target}/fuzz"
most_seeds=100 most_bytes=$((300 << 10)) longest=$((16 << 10))

known=()
for file in "$package"/fuzz/fuzz_targets/*.rs; do
    known+=("$(basename "$file" .rs)")
done
seconds=600 targets=()
for word in "$@"; do
    if [[ $word =~ ^[0-9]+$ ]]; then
        seconds=$word
    elif [[ " ${known[*]} " == *" $word "* ]]; then
        targets+=("$word")
    else
        setup_fail "there is no target $word" "the targets: ${known[*]}"
    fi
done
[ ${#targets[@]} != 0 ] || targets=("${known[@]}")

if ! command -v cargo-fuzz >/dev/null; then
    [ -z "${GENIUS_NO_INSTALL:-}" ] || setup_fail "cargo-fuzz is not installed" \
        "cargo install cargo-fuzz --locked"
    echo "setup: cargo install cargo-fuzz" >&2
    cargo install cargo-fuzz --locked --quiet
fi

host=$(rustc -vV | sed -n 's/^host: //p')
sanitizer=none
! compgen -G "$setup_sysroot/lib/rustlib/$host/lib/*asan*" >/dev/null || sanitizer=address

RUSTC_BOOTSTRAP=1 cargo fuzz build --fuzz-dir "$package/fuzz" --sanitizer "$sanitizer" \
    --target "$host" --target-dir "$home"

# An input named by its sha1 was found, not made.
found() { [[ $(basename "$1") =~ ^[0-9a-f]{40}$ ]]; }

shopt -s nullglob

# Makes the seeds of a target anew.
keep() {
    local seeds=$1 corpus=$2 binary=$3 merged=$home/merged file count=0 bytes=0 size
    rm -rf "$merged" && mkdir -p "$merged"
    for file in "$seeds"/*; do
        found "$file" || cp "$file" "$merged/"
    done
    # What edges it reaches, not how often: far fewer inputs, and all of them matter.
    "$binary" -merge=1 -use_counters=0 -max_len=$longest -rss_limit_mb="$rss" \
        "$merged" "$seeds" "$corpus" >"$TMPDIR/fuzz-merge.log" 2>&1
    for file in "$seeds"/*; do
        ! found "$file" || rm "$file"
    done
    for file in "$seeds"/*; do
        count=$((count + 1)) bytes=$((bytes + $(wc -c <"$file")))
    done
    # Of too many, evenly: the smallest alone would all be refused at their first bytes.
    while read -r size file; do
        [ $((bytes + size)) -le $most_bytes ] || break
        count=$((count + 1)) bytes=$((bytes + size))
        cp "$merged/$file" "$seeds/"
    done < <(cd "$merged" && wc -c -- * | sort -n | awk -v room=$((most_seeds - count)) '
        length($2) == 40 && $2 ~ /^[0-9a-f]+$/ { lines[++n] = $0 }
        END {
            if (room > n) room = n
            for (i = 1; i <= room; i++) print lines[int(i * n / room)]
        }')
    echo "$count seeds, $bytes bytes"
}

rss=${GENIUS_FUZZ_RSS:-2048} failed=()
for target in "${targets[@]}"; do
    seeds=fixtures/fuzz/$target corpus=$home/corpus/$target artifacts=$home/artifacts/$target
    log=$home/$target.log binary=$home/$host/release/$target
    mkdir -p "$seeds" "$corpus" "$artifacts"
    dictionary=()
    [ ! -f "$package/fuzz/dictionaries/$target" ] ||
        dictionary=("-dict=$package/fuzz/dictionaries/$target")
    printf '%-14s ' "$target"
    if "$binary" "$corpus" "$seeds" ${dictionary[@]+"${dictionary[@]}"} \
        -max_total_time="$seconds" -max_len=$longest -rss_limit_mb="$rss" \
        -timeout="${GENIUS_FUZZ_TIMEOUT:-120}" -artifact_prefix="$artifacts/" \
        -print_final_stats=1 >"$log" 2>&1; then
        executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        echo "ok  $executions inputs, $(keep "$seeds" "$corpus" "$binary")"
    else
        failed+=("$target")
        echo "FAILED  $log"
        grep -E "panicked|ERROR|SUMMARY|Test unit written" "$log" >&2 || tail -n 20 "$log" >&2
    fi
done
[ ${#failed[@]} = 0 ] || setup_fail "a promise was broken: ${failed[*]}" \
    "the input is in $home/artifacts; give it a name and put it into fixtures/fuzz"
