# shellcheck shell=bash
# Sourced by code-review.sh: what an attacker could use.

# --- secrets. A fault names the place and never the secret.

# secret_shapes: WHAT and the shape nothing but a secret has
secret_shapes() {
    local what shape
    while read -r what shape; do
        look -e "$shape" |
            awk -F: -v what="${what//_/ }" '{ print $1 ":" $2 ": this looks like " what "; take it out, and have it revoked" }'
    done <<'END' | unless_allowed
a_private_key -----BEGIN ([A-Z]+ )*PRIVATE KEY( BLOCK)?-----
an_AWS_key (^|[^A-Za-z0-9])(AKIA|ASIA)[0-9A-Z]{16}([^A-Za-z0-9]|$)
a_GitHub_token (gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22})
a_Hugging_Face_token (^|[^A-Za-z0-9_])hf_[A-Za-z0-9]{30}
a_Slack_token xox[abeprs]-[A-Za-z0-9-]{10}
a_Google_key AIza[A-Za-z0-9_-]{35}
an_API_key (^|[^A-Za-z0-9_-])sk-[A-Za-z0-9_-]{32}
a_registry_token (^|[^A-Za-z0-9_])(npm_[A-Za-z0-9]{36}|pypi-AgEI[A-Za-z0-9_-]{16}|cio[A-Za-z0-9]{32})
a_bearer_token [Bb]earer [A-Za-z0-9._~+/-]{24}
END
}

# secret_literals: a name that says secret, and a long word in quotes beside it
secret_literals() {
    # Not the end of a path.
    local name='(^|[^/])(passw(or)?d|secret|token|api[_-]?key)' quote="[\"']"
    local literal="(Some\()?${quote}[^\"'[:space:]]{12,}$quote"
    {
        look -io -e "$name$quote?[[:space:]]*(:|=|:=|=>)[[:space:]]*$literal"
        look -io -e "$name${quote}[[:space:]]*,[[:space:]]*$literal"
        look -o -e "(PASSW(OR)?D|SECRET|TOKEN|API_?KEY)=[A-Za-z0-9+/_.-]{16,}"
    } | awk '{
        value = $0
        sub(/^[^:]*:[0-9]+:/, "", value)
        # What follows the name.
        sub(/^[^:=,]*[:=,]/, "", value)
        # Words that only a stand-in has, and values that are put in later.
        if (tolower(value) !~ /example|dummy|fake|placeholder|hf_secret|[$][{(A-Za-z]/) {
            split($0, at, ":")
            print at[1] ":" at[2] ": this looks like a secret; take it out, or give it a word that says it is none: example"
        }
    }' | unless_allowed
}

secret_files() {
    files | awk '/(^|\/)(\.env|\.netrc|id_rsa|id_ecdsa|id_ed25519|[^\/]*\.(pem|key|p12|pfx|jks))$/ {
        print $0 ":1: files of this name hold secrets; take it out" }'
}

check "no text that has the shape of a secret" secret_shapes
check "no long word where a secret is named" secret_literals
check "no file that keeps secrets" secret_files

# --- workflows

check "workflows are written so that this review reads them" workflow_faults readable
check "actions are pinned by commit" workflow_faults pinned
workflow_permissions() { workflow_faults permissions | unless_allowed; }
check "workflows have the permissions of a reader" workflow_permissions
check "workflows give others' code no rights" workflow_faults triggers
check "no expression becomes part of a script" workflow_faults expressions
check "checkouts do not keep the token" workflow_faults credentials
