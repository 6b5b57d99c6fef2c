# Judges a workflow, or an action of this repository's own, that yaml.awk laid flat. A fault
# is a line
#
#     CHECK <tab> LINE <tab> what, and what to do

BEGIN { FS = "\t" }

function fault(check, line, text) { print check "\t" line "\t" text }

function is_hex(text, length_) { return length(text) == length_ && text !~ /[^0-9a-f]/ }

{ line = $1; path = $2; text = $3; note = $4 }

NR == 1 { first = line }

path == "!unreadable" {
    fault("readable", line, "this review does not read `" text "`; write it as plain blocks of keys and items")
}

# --- what another repository decides

path ~ /(^|\.)uses$/ && text != "" {
    job_or_step = path
    sub(/\.?uses$/, "", job_or_step)
    uses[job_or_step] = text
    uses_line[job_or_step] = line
    pin = text
    sub(/.*[@:]/, "", pin)
    if (text ~ /^\.\//) {
        # Of this repository, at this commit.
    } else if (text ~ /^docker:\/\//) {
        if (text !~ /@sha256:/ || !is_hex(pin, 64)) fault("pinned", line, text " is not pinned; name the image by @sha256:…")
    } else if (!is_hex(pin, 40)) {
        fault("pinned", line, text " is not pinned; name the commit (40 hex digits), with the version as a comment")
    } else if (note !~ /# *v?[0-9]/) {
        fault("versions", line, "nobody sees which version this commit is; add it as a comment: # v1.2.3")
    }
}

# --- what the token may do

path == "permissions" { permissions = 1 }
path ~ /^(jobs\.[^.]+\.)?permissions$/ && text ~ /-all/ {
    fault("permissions", line, text " is more than any job needs; name what is needed: contents: read")
}
path ~ /^(jobs\.[^.]+\.)?permissions\.[^.]+$/ && text !~ /^(read|none)$/ {
    name = path
    sub(/.*\./, "", name)
    fault("permissions", line, name ": " text " lets the token change things; a reader is enough, or say why: # code-review: allow …")
}

# --- what starts it: others' code beside this repository's secrets

path ~ /^on(\.|$)/ && (path " " text) ~ /(pull_request_target|workflow_run)/ {
    # Each of them once, whatever stands below it.
    if (path !~ /(pull_request_target|workflow_run)\./)
        fault("triggers", line, "runs with this repository's rights for what others send; use pull_request")
}

# --- what becomes part of a program: GitHub pastes an expression in before the shell reads it

path ~ /\.(run|script)$/ && index(text, "${{") {
    name = substr(text, index(text, "${{"))
    if (match(name, /[}][}]/)) name = substr(name, 1, RSTART + 1)
    fault("expressions", line, name " becomes part of the script; put it into env and write \"$NAME\"")
}

# --- jobs and steps

path ~ /^jobs\.[^.]+$/ {
    jobs[path] = line
    job_order[++job_count] = path
}
path ~ /^jobs\.[^.]+\.steps\.#[0-9]+$/ {
    steps[path] = line
    step_order[++step_count] = path
}
{ has[path] = has[path] text }
path == "runs" { action = 1 }

END {
    if (!first) fault("readable", 1, "there is nothing in it")
    if (action) exit
    if (!permissions) fault("permissions", 1, "no permissions at the top level; add permissions: contents: read")
    if (!("name" in has)) fault("names", 1, "the workflow has no name")
    if (!("concurrency" in has)) fault("concurrency", 1, "runs of one branch do not make way for each other; add concurrency")
    for (i = 1; i <= job_count; i++) {
        job = job_order[i]
        short = job
        sub(/^jobs\./, "", short)
        if (!((job ".name") in has)) fault("names", jobs[job], "the job " short " has no name")
        # A job that calls a workflow has the limits of that one.
        if (!(job in uses) && !((job ".timeout-minutes") in has))
            fault("timeouts", jobs[job], "the job " short " may run for six hours; add timeout-minutes")
    }
    for (i = 1; i <= step_count; i++) {
        step = step_order[i]
        if (!((step ".name") in has)) fault("names", steps[step], "the step has no name")
        if (uses[step] ~ /^actions\/checkout@/ && has[step ".with.persist-credentials"] != "false")
            fault("credentials", uses_line[step], "the token stays in .git/config for every later step; add persist-credentials: false")
        if (uses[step] ~ /^actions\/upload-artifact@/ && has[step ".with.retention-days"] !~ /^[1-9]/)
            fault("retention", uses_line[step], "the artifact stays as long as GitHub likes; add retention-days")
    }
}
