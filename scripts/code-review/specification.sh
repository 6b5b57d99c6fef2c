# shellcheck shell=bash
# Sourced by code-review.sh: what the house promises of itself.
# shellcheck disable=SC2154  # work is code-review.sh's

# --- everything temporary is below target/tmp

# temporary PATTERN…    of files of one kind, which temporary.awk tells by their names
temporary() {
    files "$@" | tr '\n' '\0' | xargs -0 awk -f scripts/code-review/temporary.awk | unless_allowed
}

check "scripts and workflows write below target/tmp" temporary '*.sh' '*.py' '.ci/*' '.github/*'
check "Rust writes below target/tmp" temporary '*.rs'

# --- what is there

required_files() {
    local path all
    all=$(files)
    for path in Cargo.toml Cargo.lock rust-toolchain.toml deny.toml README.md CHANGELOG.md \
        LICENSE-MIT LICENSE-APACHE .ci/run .github/workflows/ci.yml .github/workflows/code-review.yml \
        scripts/setup.sh scripts/run.sh scripts/test.sh scripts/pinky.sh scripts/metal.sh \
        scripts/bench.sh scripts/check-deps.sh; do
        grep -qxF "$path" <<<"$all" || echo "$path:1: is missing, or ignored by git; the house needs it"
    done
    for path in wit facecrab engine host guests fixtures; do
        grep -q "^$path/" <<<"$all" || echo "$path:1: is empty, or missing; the house needs it"
    done
}

# The crates that others name, and where they live.
required_crates() {
    local manifest crate
    while read -r manifest crate; do
        grep -qx "name = \"$crate\"" "$manifest" 2>/dev/null || echo "$manifest:1: is not the crate $crate"
    done <<'END'
wit/Cargo.toml rusty-genius-core
facecrab/Cargo.toml facecrab
engine/cortex/Cargo.toml rusty-genius--cortex
host/stem/Cargo.toml rusty-genius--stem
host/genius/Cargo.toml rusty-genius
host/teaser/Cargo.toml rusty-genius--teaser
END
}

# llama.cpp takes a C++ compiler and minutes: who does not ask for it does not get it.
real_engine() {
    local manifest
    for manifest in engine/cortex host/genius host/teaser; do
        manifest=$manifest/Cargo.toml
        [ -f "$manifest" ] || continue
        awk -v file="$manifest" '
            # Each feature: its line, and what it switches on. A list may go over lines.
            /^\[/ { in_features = $0 ~ /^\[features\]/; open = 0 }
            in_features && !/^[ \t]*#/ {
                text = $0
                if (!open && match(text, /^[A-Za-z0-9_-]+ *= *\[/)) {
                    name = text
                    sub(/ *=.*/, "", name)
                    line[name] = NR
                    sub(/^[^\[]*/, "", text)
                    open = 1
                }
                if (open) {
                    list[name] = list[name] " " text
                    if (text ~ /\]/) open = 0
                }
            }
            function reaches(from, seen,    parts, count, i, next_) {
                if (from ~ /(^|\/)(real-engine|metal|cuda)$/ || from ~ /^(dep:)?llama-cpp/) return 1
                if (index(seen, " " from " ")) return 0
                count = split(list[from], parts, /"/)
                for (i = 2; i <= count; i += 2) {
                    next_ = parts[i]
                    if (reaches(next_, seen " " from " ")) return 1
                }
                return 0
            }
            END {
                if (!("real-engine" in line)) print file ":1: has no feature real-engine"
                if (reaches("default", "")) print file ":" line["default"] ": llama.cpp is in the default features; take real-engine out"
            }' "$manifest"
    done
    # A dependency can switch it on as well.
    look -e '(^|[^-])features *= *\[[^]]*"(real-engine|metal|cuda)"' -- '*Cargo.toml' |
        awk -F: '{ print $1 ":" $2 ": switches llama.cpp on for everybody; leave that to a feature" }'
}

documented() {
    files 'wit/*lib.rs' 'facecrab/*lib.rs' 'engine/*lib.rs' 'host/*lib.rs' 'guests/bundle/*lib.rs' |
        grep '/src/lib\.rs$' | while IFS= read -r file; do
        grep -qE '^#!\[(deny|forbid)\(missing_docs\)\]' "$file" ||
            echo "$file:1: lets things go without documentation; add #![deny(missing_docs)]"
    done
}

check "what the house needs is there" required_files
check "the crates have their names" required_crates
check "real-engine is a feature, and not a default one" real_engine
check "libraries deny missing documentation" documented

# --- dependencies, package by package: check-deps.sh in the words of this review

dependencies() {
    local out rc=0 fault rest package at
    out=$(./scripts/check-deps.sh 2>"$work/check-deps") || rc=$?
    while IFS= read -r fault; do
        rest=${fault#FAULT  }
        if [[ $rest =~ ^[^\ ]+:[0-9]+:\  ]]; then
            echo "${rest%%: *}: names what is banned; async-std and surf are what there is: ${rest#*: }"
        else
            package=${rest%% *}
            at=$(look -e "^name = \"$package\"\$" -- '*Cargo.toml' | head -n 1)
            at=${at%:*}
            echo "${at:-Cargo.toml:1}: ${rest%:}; ./scripts/check-deps.sh shows through what"
        fi
    done < <(grep '^FAULT' <<<"$out")
    if [ "$rc" != 0 ] && ! grep -q '^FAULT' <<<"$out"; then
        cat "$work/check-deps" >&2
        echo "scripts/check-deps.sh:1: failed, see above"
    fi
}

check "no tokio, no reqwest${GENIUS_DEPS:+, in $GENIUS_DEPS alone}" dependencies
