# Starting, finding again and ending processes of our own, and the ports they need. Source it; call the functions.
#
# A process is known by its number and the time it was started (field 22 of /proc/PID/stat): after a crash the number
# may belong to someone else, who must not be ended.
# shellcheck shell=bash

# started_at PID: in clock ticks since boot; empty when there is no such process.
started_at() {
    local stat
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
    # The name in brackets may hold anything: count from behind the last bracket. Field 3 is the first there.
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    printf '%s' "${20:-}"
}

# process_start NAME LOG COMMAND...: in a session of its own; noted in $STATE/NAME.pid.
process_start() {
    local name=$1 log=$2
    shift 2
    setsid "$@" </dev/null >>"$log" 2>&1 3>&- 9>&- &
    printf '%s %s\n' "$!" "$(started_at $!)" >"$STATE/$name.pid"
    disown
}

# process_alive FILE: is the process noted there still the same one?
process_alive() {
    local pid='' since=''
    [ -s "$1" ] || return 1
    read -r pid since <"$1" || return 1
    [[ $pid =~ ^[0-9]+$ ]] && [ -n "$since" ] && [ "$(started_at "$pid")" = "$since" ]
}

# process_end FILE: asks it to end and waits (a drain takes 30 s at most). One that must be killed makes it fail.
process_end() {
    local pid i result=0
    if process_alive "$1"; then
        read -r pid _ <"$1"
        kill -TERM "$pid" 2>/dev/null || true
        for ((i = 0; i < 700; i++)); do
            process_alive "$1" || break
            sleep 0.05
        done
        if process_alive "$1"; then
            kill -KILL "$pid" 2>/dev/null || true
            echo "demo: process $pid ($1) did not end when asked, and was killed" >&2
            result=1
        fi
    fi
    rm -f "$1"
    return "$result"
}

# port_owner PORT: who listens there, as far as we may know (a process, or its user); empty when the port is free.
port_owner() {
    local line uid
    line=$(ss -Hltnpe "sport = :$1" 2>/dev/null | head -n 1)
    [ -n "$line" ] || return 0
    if [[ $line =~ users:\(\(\"([^\"]*)\",pid=([0-9]+) ]]; then
        text port_process "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
    else
        uid=0
        if [[ $line =~ uid:([0-9]+) ]]; then uid=${BASH_REMATCH[1]}; fi
        text port_user "$(getent passwd "$uid" | cut -d: -f1 || true)"
    fi
}

# ports_free PORT...: says which are taken, by whom and what to do; fails if any is.
ports_free() {
    local port owner taken=0
    for port in "$@"; do
        owner=$(port_owner "$port")
        [ -n "$owner" ] || continue
        text port_taken "$port" "$owner" >&2
        taken=1
    done
    [ "$taken" = 0 ] || text port_other >&2
    return "$taken"
}

# ports_find N: N ports that nobody listens on, below those the kernel gives to outgoing connections.
ports_find() {
    local found=() port
    while [ "${#found[@]}" -lt "$1" ]; do
        port=$((20000 + RANDOM % 12000))
        if [[ " ${found[*]} " != *" $port "* ]] && [ -z "$(port_owner "$port")" ]; then found+=("$port"); fi
    done
    printf '%s\n' "${found[*]}"
}
