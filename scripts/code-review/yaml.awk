# Lays a workflow flat: each key, item and line of text of a YAML file on a line of its own,
#
#     LINE <tab> PATH <tab> TEXT <tab> COMMENT        12  jobs.test.steps.#2.run  ./scripts/test.sh
#
# It reads the YAML that people write by hand: blocks of keys and items, text over several
# lines in every way YAML has. What it does not read, it says: the path !unreadable. Nothing
# passes a check because it was written in another way.

function columns(line) {
    match(line, /^ */)
    return RLENGTH
}

function emit(path, text, note) {
    gsub(/\t/, " ", text)
    print NR "\t" path "\t" text "\t" note
}

function push(column, kind, name) {
    depth++
    at[depth] = column
    kinds[depth] = kind
    paths[depth] = (depth > 1 ? paths[depth - 1] "." : "") name
    if (kind == "key") items[paths[depth]] = 0
}

# The text after a key or a dash at this column.
function value(column, text,    note, quote, rest, end) {
    open = column
    note = ""
    if (text ~ /^#/) {
        note = text
        text = ""
    }
    if (text ~ /^[|>][-+0-9]* *(#.*)?$/) {
        block = column
        text = ""
    } else if (text ~ /^["']/) {
        quote = substr(text, 1, 1)
        rest = substr(text, 2)
        # An escape could spell what the checks look for.
        if (quote == "\"" && rest ~ /\\[xuU]/) emit("!unreadable", text)
        end = index(rest, quote)
        if (end && substr(rest, end + 1) ~ /^ *(#.*)?$/) {
            note = substr(rest, end + 1)
            text = substr(rest, 1, end - 1)
        } else {
            text = rest
        }
    } else if (text ~ /^[&*!{]/ && text !~ /^[{][}] *(#.*)?$/) {
        # Anchors, aliases, tags; keys in braces.
        emit("!unreadable", text)
    } else {
        if (match(text, / #/)) {
            note = substr(text, RSTART + 1)
            text = substr(text, 1, RSTART - 1)
        }
        if (text ~ /^\[/ && (text !~ /\] *$/ || text ~ /[{&*]/)) emit("!unreadable", text)
        sub(/ *$/, "", text)
    }
    filled = text != "" || block >= 0
    emit(paths[depth], text, note)
}

BEGIN { block = -1; open = -1 }

{ sub(/\r$/, "") }

# Lines of a | or > text: all that are further to the right.
block >= 0 {
    if ($0 ~ /^ *$/) next
    if (columns($0) > block) {
        emit(paths[depth], $0)
        next
    }
    block = -1
}

/^ *(#|$)/ || /^---( |$)/ { next }

# The text of the last key or item goes on.
filled && open >= 0 && columns($0) > open {
    emit(paths[depth], $0)
    next
}

{
    column = columns($0)
    line = substr($0, column + 1)
    filled = 0

    # Dashes: an item each. A list may stand in the column of its key.
    while (line ~ /^-( |$)/) {
        while (depth && (at[depth] > column || (at[depth] == column && kinds[depth] == "item"))) depth--
        push(column, "item", "#" (++items[paths[depth]]))
        match(line, /^- */)
        line = substr(line, RLENGTH + 1)
        if (line == "" || line !~ /^(-( |$)|[A-Za-z0-9_.\/-]+ *:( |$)|"[^"]*" *:( |$)|'[^']*' *:( |$))/) {
            value(column, line)
            next
        }
        emit(paths[depth], "")
        column += RLENGTH
    }

    if (match(line, /^([A-Za-z0-9_.\/-]+|"[^"]*"|'[^']*') *:( |$)/)) {
        name = substr(line, 1, RLENGTH)
        rest = substr(line, RLENGTH + 1)
        sub(/ *: *$/, "", name)
        gsub(/["']/, "", name)
        sub(/^ */, "", rest)
        while (depth && at[depth] >= column) depth--
        push(column, "key", name)
        value(column, rest)
    } else if (open >= 0 && column > open) {
        # The text of a key that had none on its own line.
        sub(/ #.*/, "", line)
        if (line ~ /^[&*!{[?]/) emit("!unreadable", line)
        filled = 1
        emit(paths[depth], line)
    } else {
        emit("!unreadable", line)
    }
}
