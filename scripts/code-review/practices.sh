# shellcheck shell=bash
# Sourced by code-review.sh: what makes workflows easy to live with.

check "workflows, jobs and steps have names" workflow_faults names
check "jobs have time limits" workflow_faults timeouts
check "artifacts have a day on which they go" workflow_faults retention
check "pinned actions say which version they are" workflow_faults versions
check "runs of one branch make way for each other" workflow_faults concurrency
