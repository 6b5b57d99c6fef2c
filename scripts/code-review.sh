#!/usr/bin/env bash
# Reviews the tree: what git knows of it, or would add. A line for each check, with its
# faults; a report in Markdown in target/tmp/code-review. Exits with 1 if there is a fault.
#
#   ./scripts/code-review.sh [security|practices|specification]…     default: all three
#
# A line that does what a check looks for, and should, says so on itself or in a comment of
# its own right above: `code-review: allow REASON`. Where a check takes that, the report lists it.
#
# Settings: GENIUS_DEPS of scripts/check-deps.sh.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

sections=("$@")
[ ${#sections[@]} != 0 ] || sections=(security practices specification)
for section in "${sections[@]}"; do
    case $section in
    security | practices | specification) ;;
    *) setup_fail "there is no section $section" "the sections: security practices specification" ;;
    esac
done

# A check that breaks must not look like one that found nothing.
shopt -s inherit_errexit 2>/dev/null || true

home=target/tmp/code-review
mkdir -p "$home"
work=$(mktemp -d "$home/work-XXXXXX")
trap 'rm -rf "$work"' EXIT
touch "$work/report" "$work/allowed"
git -c core.quotePath=off ls-files --deleted | LC_ALL=C sort -u >"$work/deleted"
faults=0

# --- what the checks are made of

# The files of the tree, those that match if patterns are given. One that was deleted is still
# known to git.
files() {
    git -c core.quotePath=off ls-files --cached --others --exclude-standard -- "$@" |
        LC_ALL=C sort -u | LC_ALL=C comm -23 - "$work/deleted"
}

# Lines of the tree's text files, as FILE:LINE:TEXT. Arguments are git grep's.
look() {
    local rc=0
    LC_ALL=C git -c core.quotePath=off grep --no-color --untracked -nIE "$@" || rc=$?
    [ "$rc" -le 1 ]
}

# Of faults on stdin passes on those that no comment allows; notes the others.
unless_allowed() {
    local fault file line reason
    while IFS= read -r fault; do
        file=${fault%%:*} line=${fault#*:} line=${line%%:*}
        reason=$(awk -v line="$line" '
            (NR == line || (NR == line - 1 && /^[ \t]*(#|\/\/)/)) &&
                match($0, /code-review: allow [^ ].*/) { print substr($0, RSTART + 19) }' "$file")
        if [ -n "$reason" ]; then
            printf '%s:%s: %s\n' "$file" "$line" "$reason" >>"$work/allowed"
        else
            printf '%s\n' "$fault"
        fi
    done
}

# check TITLE COMMAND…    The command prints a fault a line: FILE:LINE: what, and what to do.
check() {
    local title=$1 found fault
    shift
    # Not in an `if`, where a command that breaks would go on.
    found=$("$@")
    if [ -z "$found" ]; then
        echo "ok  $title"
        echo "* ok: $title" >>"$work/report"
        return
    fi
    echo "* **fault**: $title" >>"$work/report"
    while IFS= read -r fault; do
        faults=$((faults + 1))
        echo "FAULT  $fault"
        echo "    * \`${fault%%: *}\`: ${fault#*: }" >>"$work/report"
    done <<<"$found"
}

# What workflow.awk has to say of this.
workflow_faults() {
    awk -F'\t' -v check="$1" '$2 == check { print $1 ":" $3 ": " $4 }' "$work/workflows"
}

# --- the workflows, judged once for two of the sections: FILE, check, line, text

workflows=$(files '.github/workflows/*.yml' '.github/workflows/*.yaml' '*action.yml' '*action.yaml')
while IFS= read -r file; do
    [ -n "$file" ] || continue
    awk -f scripts/code-review/yaml.awk "$file" >"$work/flat"
    awk -f scripts/code-review/workflow.awk "$work/flat" |
        awk -v file="$file" '{ print file "\t" $0 }'
done <<<"$workflows" >"$work/workflows"

# --- the sections

for section in "${sections[@]}"; do
    echo "== $section"
    printf '\n## %s\n\n' "$section" >>"$work/report"
    # shellcheck source=/dev/null  # one of the three beside this
    source "scripts/code-review/$section.sh"
done

# --- the report

now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
report=$home/report-$(tr -d ':-' <<<"$now").md
commit=$(git rev-parse --verify --quiet HEAD) || commit="none yet"
changed=$(git status --porcelain | wc -l | tr -d ' ')
{
    echo "# Code review"
    echo
    if [ "$faults" = 0 ]; then
        echo "No fault."
    else
        echo "**Faults: $faults.**"
    fi
    echo
    echo "* Time: $now"
    echo "* Commit: $commit"
    [ "$changed" = 0 ] || echo "* Files that differ from it: $changed"
    echo "* Sections: ${sections[*]}"
    cat "$work/report"
    if [ -s "$work/allowed" ]; then
        printf '\n## allowed, by a comment in place\n\n'
        awk '{ at = $1; sub(/:$/, "", at); sub(/^[^ ]* /, ""); print "* `" at "`: " $0 }' "$work/allowed"
    fi
} >"$report"
[ -z "${GITHUB_STEP_SUMMARY:-}" ] || cat "$report" >>"$GITHUB_STEP_SUMMARY"

echo "report: $report"
if [ "$faults" != 0 ]; then
    echo "error: the review found faults: $faults" >&2
    exit 1
fi
