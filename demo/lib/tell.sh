# Telling the story: texts in two languages, commands shown as they are run, and what must come of them. Source it.
#
# Everything a reader sees goes to descriptor 3: the terminal, or with --check a transcript. An expectation that does
# not hold ends the run with what was expected and what was seen; it is the same with and without --check.
# shellcheck shell=bash

# language_of WORD: zh or en, from --lang (WORD, may be empty), LC_ALL, LC_MESSAGES, LANG; the first that is set decides.
language_of() {
    local value
    for value in "$1" "${LC_ALL:-}" "${LC_MESSAGES:-}" "${LANG:-}"; do
        case $value in
        '') ;;
        zh*) echo zh && return ;;
        *) echo en && return ;;
        esac
    done
    echo en
}

declare -A TEXT=()

# text KEY [VALUE...]: the text of that name in the reader's language; %s are the values in order.
text() {
    local key=$1
    shift
    [ -n "${TEXT[$key]:-}" ] || die "no text named $key"
    # shellcheck disable=SC2059
    printf "${TEXT[$key]}" "$@"
}

die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

bold() { if [ "$COLOUR" = yes ]; then printf '\033[1m%s\033[0m\n' "$1"; else printf '%s\n' "$1"; fi; }
dim() { if [ "$COLOUR" = yes ]; then sed $'s/^.*$/\033[2m&\033[0m/'; else cat; fi; }

# tell KEY [VALUE...]: a paragraph.
tell() { printf '\n%s\n' "$(text "$@")" >&3; }

# --- Steps ----------------------------------------------------------------------------------------

step_number='' step_title=''

# step NUMBER: a heading; the step before it held.
step() {
    step_done
    step_number=$1 step_title=$(text "step$1")
    if [ -n "${PAUSE:-}" ] && [ "$1" != 1 ]; then
        read -r -t "$PAUSE" _ || true
    fi
    printf '\n' >&3
    bold "== $step_number. $step_title" >&3
}

step_done() {
    [ -n "$step_number" ] || return 0
    if [ "$CHECK" = yes ]; then printf 'ok      %s %s\n' "$step_number" "$step_title"; fi
    step_number=
}

# fail WHAT EXPECTED SEEN: the step does not hold.
fail() {
    {
        if [ -n "$step_number" ]; then printf 'FAILED  %s %s\n' "$step_number" "$step_title"; fi
        printf '  %s\n  %s: %s\n  %s: %s\n' "$1" "$(text expected)" "$2" "$(text seen)" "$3"
        printf '  %s\n' "$(text logs "$STATE")"
    } | if [ "$CHECK" = yes ]; then cat; else cat >&2; fi
    exit 1
}

# same WHAT EXPECTED SEEN: to the byte.
same() { [ "$2" = "$3" ] || fail "$1" "$2" "$3"; }

# holds WHAT PART WHOLE: PART stands somewhere in WHOLE.
holds() { [[ $3 == *"$2"* ]] || fail "$1" "… $2 …" "$3"; }

# --- Commands -------------------------------------------------------------------------------------

out='' err='' status=0

# quoted WORD...: as one would type it.
quoted() {
    local word line=
    for word in "$@"; do
        if [[ $word =~ ^[A-Za-z0-9_./:=@%+,-]+$ ]]; then
            line+=" $word"
        else
            line+=" '${word//\'/\'\\\'\'}'"
        fi
    done
    printf '%s' "${line# }"
}

# attempt COMMAND...: shows it, runs it, shows what it said (at most $LINES_SHOWN lines); sets out, err, status.
attempt() {
    attempt_as "$(quoted "$@")" "$@"
}

# attempt_as SHOWN COMMAND...: the same with another wording of the command line.
attempt_as() {
    local shown=$1
    shift
    bold "\$ $shown" >&3
    status=0
    "$@" >"$STATE/tmp/out" 2>"$STATE/tmp/err" || status=$?
    out=$(<"$STATE/tmp/out") err=$(<"$STATE/tmp/err")
    show_output
}

LINES_SHOWN=12

show_output() {
    local lines
    cat "$STATE/tmp/err" "$STATE/tmp/out" >"$STATE/tmp/all"
    [ -s "$STATE/tmp/all" ] || return 0
    if [ -n "$(tail -c 1 "$STATE/tmp/all")" ]; then printf '\n' >>"$STATE/tmp/all"; fi
    lines=$(wc -l <"$STATE/tmp/all")
    head -n "$LINES_SHOWN" "$STATE/tmp/all" | dim >&3
    [ "$lines" -le "$LINES_SHOWN" ] || text more $((lines - LINES_SHOWN)) | dim >&3
}

# done_with STATUS: how the last attempt must have ended.
done_with() { [ "$status" = "$1" ] || fail "$(text exit_of)" "$1" "$status: $err$out"; }

# must COMMAND...: an attempt that must succeed.
must() {
    attempt "$@"
    done_with 0
}

# shell LINE: a line of shell, run as shown; it must succeed.
shell() {
    attempt_as "$1" bash -eu -o pipefail -c "$1"
    done_with 0
}
