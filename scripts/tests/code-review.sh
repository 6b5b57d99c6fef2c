#!/usr/bin/env bash
# Plants one fault at a time into a copy of the tree and demands that the code review finds
# it, in its place; of the tree as it is, that it finds none.
#
#   ./scripts/tests/code-review.sh [FAULT…]    default: all of them, and the clean tree
#
# The copy is target/tmp/code-review-test/tree, put back after each fault; where one was missed,
# what was reviewed stays beside it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../setup.sh"

tests=target/tmp/code-review-test
tree=$PWD/$tests/tree
rm -rf "$tests"
mkdir -p "$tree"
only=" $* " planted=0 missed=()

# What CI tells its scripts is not for the reviews in here.
unset GITHUB_STEP_SUMMARY
# To judge every package takes half a minute; one tells whether the review listens.
export GENIUS_DEPS=rusty-genius-core

git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ ! -f "$file" ] || printf '%s\0' "$file"
done | tar -c --null -T - -f - | tar -x -C "$tree" -f -
git -C "$tree" init -q

# What is there now is what each fault starts from.
keep() {
    git -C "$tree" add -A
    git -C "$tree" -c user.name=test -c user.email=test@localhost -c commit.gpgsign=false \
        commit -q --no-verify -m "$1"
}

indented() { awk '{ print "    " $0 }' <<<"$1"; }

# fault NAME SECTION WHERE WHAT    Its commands, which plant it, come on stdin. The review must
# fail, and with a line that begins FAULT WHERE and holds WHAT.
fault() {
    local name=$1 section=$2 where=$3 what=$4 plant said rc=0
    plant=$(cat)
    [ "$only" = "  " ] || [[ $only == *" $name "* ]] || return 0
    planted=$((planted + 1))
    (cd "$tree" && eval "$plant") || setup_fail "the fault $name was not planted" "its commands are in $0"
    [ -n "$(git -C "$tree" status --porcelain)" ] ||
        setup_fail "the fault $name changed nothing" "its commands are in $0"
    said=$("$tree/scripts/code-review.sh" "$section" 2>&1) || rc=$?
    if [ "$rc" = 1 ] && awk -v where="FAULT  $where" -v what="$what" '
        index($0, where ":") == 1 && index($0, what) { found = 1 }
        END { exit !found }' <<<"$said"; then
        echo "ok  $name: $(grep -F "FAULT  $where:" <<<"$said" | head -n 1)"
    else
        missed+=("$name")
        echo "MISSED  $name: exit $rc, wanted FAULT  $where: …$what"
        indented "$said"
        cp -R "$tree" "$tests/$name"
    fi
    git -C "$tree" reset -q --hard
    git -C "$tree" clean -xfdq
}

# --- the clean tree, which git does not know yet: that must make no difference

if [ "$only" = "  " ]; then
    if ! said=$("$tree/scripts/code-review.sh" 2>&1); then
        missed+=(clean)
        echo "MISSED  the clean tree has faults:"
        indented "$said"
    else
        echo "ok  the clean tree has no fault"
    fi
fi

# --- a workflow that is right, into which faults are planted: line numbers stay

workflow=.github/workflows/planted.yml
cat >"$tree/$workflow" <<'END'
name: Planted
on:
  pull_request:
permissions:
  contents: read
concurrency:
  group: planted
jobs:
  planted:
    name: Planted
    runs-on: ubuntu-24.04
    timeout-minutes: 10
    steps:
      - name: Check out
        uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2
        with:
          persist-credentials: false
      - name: Say hello
        run: echo hello
      - name: Keep it
        uses: actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2
        with:
          path: hello
          retention-days: 7
END
keep planted

# edit SED…: of the workflow. Sed edits files in place in two ways, on Linux and on macOS.
edit() {
    sed "$@" "$workflow" >edited && mv edited "$workflow"
}

fault unpinned-tag security $workflow:15 "is not pinned" <<<"edit '15s/@.*/@v4/'"
fault unpinned-short security $workflow:15 "is not pinned" <<<"edit '15s/@.*/@11bd719/'"
fault missing-permissions security $workflow:1 "no permissions" <<<"edit '/permissions:/,+1d'"
fault write-all security $workflow:4 "write-all" <<<"edit -e '4s/.*/permissions: write-all/;5s/.*/# contents/'"
fault write-permission security $workflow:5 "contents: write" <<<"edit '5s/read/write/'"
fault pull-request-target security $workflow:3 "rights" <<<"edit '3s/.*/  pull_request_target:/'"
fault pull-request-target-list security $workflow:2 "rights" <<<"edit '2s/.*/on: [push, pull_request_target]/;3s/.*/#/'"
fault kept-token security $workflow:15 "persist-credentials" <<<"edit '16,17s/.*/ /'"

# shellcheck disable=SC2016  # for GitHub to expand
title='${{ github.event.pull_request.title }}'
# shellcheck disable=SC2016  # it is expanded where it is planted
fault injection-one-line security $workflow:19 "$title" <<<'edit "19s/hello/\"$title\"/"'
fault injection-block security $workflow:21 "$title" <<'END'
awk -v title="$title" 'NR == 19 { print "        run: |\n          echo hello\n          echo \"" title "\""; next } { print }' \
    "$workflow" >edited && mv edited "$workflow"
END
fault injection-folded security $workflow:21 "$title" <<'END'
awk -v title="$title" 'NR == 19 { print "        run: >-\n          echo\n          \"" title "\""; next } { print }' \
    "$workflow" >edited && mv edited "$workflow"
END
fault injection-next-line security $workflow:20 "$title" <<'END'
awk -v title="$title" 'NR == 19 { print "        run: echo\n          " title; next } { print }' \
    "$workflow" >edited && mv edited "$workflow"
END
fault injection-in-braces security $workflow:18 "does not read" <<'END'
awk -v title="$title" 'NR == 18 { print "      - { name: Say hello, run: \"echo " title "\" }"; next } NR != 19 { print }' \
    "$workflow" >edited && mv edited "$workflow"
END
fault injection-in-an-action security .github/actions/planted/action.yml:6 "$title" <<'END'
mkdir -p .github/actions/planted
printf '%s\n' 'name: Planted' 'runs:' '  using: composite' '  steps:' '    - shell: bash' \
    "      run: echo $title" >.github/actions/planted/action.yml
END

fault missing-timeout practices $workflow:9 "timeout-minutes" <<<"edit '12d'"
fault missing-retention practices $workflow:21 "retention-days" <<<"edit '24d'"
fault missing-step-name practices $workflow:18 "no name" <<<"edit '18d;19s/  run/- run/'"

# --- secrets; put together here, so that this file holds none

fault secret-token security facecrab/src/planted.rs:2 "GitHub token" <<'END'
printf '//! Planted.\nconst T: &str = "%s%s";\n' ghp_ 0123456789abcdefghijABCDEFGHIJ012345 >facecrab/src/planted.rs
END
fault secret-key security fixtures/planted.txt:1 "private key" <<'END'
printf -- '-----BEGIN %s KEY-----\nMIIE\n' "RSA PRIVATE" >fixtures/planted.txt
END
fault secret-literal security scripts/planted.sh:1 "looks like a secret" <<'END'
printf '%s="%s"\n' api_key q7Zt1mW0pR4sVx9K >scripts/planted.sh
END

# --- the specification

# code-review: allow the fault that is planted
fault temporary-in-a-script specification scripts/bench.sh:2 "system's directory" <<<"sed '2s,.*,echo >/tmp/planted,' scripts/bench.sh >edited && mv edited scripts/bench.sh"
fault temporary-by-mktemp specification scripts/planted.sh:2 "system's directory" <<'END'
printf '#!/usr/bin/env bash\nmktemp\n' >scripts/planted.sh
END
fault temporary-in-rust specification wit/src/planted.rs:2 "system's directory" <<'END'
printf 'fn planted() {\n    std::env::temp_dir();\n}\n' >wit/src/planted.rs
END
fault missing-file specification CHANGELOG.md:1 "is missing" <<<"rm CHANGELOG.md"
fault ignored-lock specification Cargo.lock:1 "ignored by git" <<<"echo /Cargo.lock >>.gitignore; git rm -q --cached Cargo.lock"
default=$(grep -n '^default = ' host/genius/Cargo.toml)
fault real-engine-default specification "host/genius/Cargo.toml:${default%%:*}" "default features" <<'END'
sed 's/^default = \["narf"\]/default = ["narf", "real-engine"]/' host/genius/Cargo.toml >edited && mv edited host/genius/Cargo.toml
END
fault undocumented specification wit/src/lib.rs:1 "missing_docs" <<'END'
grep -v 'deny(missing_docs)' wit/src/lib.rs >edited && mv edited wit/src/lib.rs
END
# Cargo would not read a manifest that names what it cannot fetch; a comment will not do.
fault tokio-in-a-manifest specification wit/Cargo.toml:4 "names what is banned" <<'END'
awk 'NR == 4 { print "metadata.planted = \"tokio\"" } { print }' wit/Cargo.toml >edited && mv edited wit/Cargo.toml
END
# Two crates further on, in places that no search of the tree's text reaches.
fault tokio-through-a-crate specification wit/Cargo.toml:2 "depends on tokio" <<'END'
for crate in between tokio; do
    mkdir -p "target/planted/$crate/src"
    touch "target/planted/$crate/src/lib.rs"
    printf '[package]\nname = "%s"\nversion = "1.0.0"\nedition = "2024"\n' "$crate" >"target/planted/$crate/Cargo.toml"
done
printf '[dependencies]\ntokio = { path = "../tokio" }\n' >>target/planted/between/Cargo.toml
awk '{ print } /^\[dependencies\]/ { print "between = { path = \"../target/planted/between\" }" }' \
    wit/Cargo.toml >edited && mv edited wit/Cargo.toml
# As whoever adds a crate does, and without the network.
cargo metadata --offline --format-version 1 >/dev/null
END

if [ ${#missed[@]} != 0 ]; then
    setup_fail "the review missed: ${missed[*]}" "what was reviewed is in $tests"
fi
rm -rf "$tests"
echo "faults planted and found: $planted, in $SECONDS s"
