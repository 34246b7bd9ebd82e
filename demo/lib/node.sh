# Pieces of a running city, for the story and for measurements: build, node, daemon, providers, people. Source it.
#
# They need: STATE (the folder of this city), SLUICE_TOP, BIN (folder of sluiced and sluice), the PORT_* below.
# shellcheck shell=bash

TRUST_DOMAIN=xinghe.example
NODE=gateway-1

# ports_set "DATA CONTROL OPERATIONS HUKOU ESTATE PERMIT"
ports_set() {
    read -r PORT_DATA PORT_CONTROL PORT_OPERATIONS PORT_HUKOU PORT_ESTATE PORT_PERMIT _ <<<"$1 "
    [[ "$PORT_DATA $PORT_CONTROL $PORT_OPERATIONS $PORT_HUKOU $PORT_ESTATE $PORT_PERMIT" =~ ^([0-9]+ ){5}[0-9]+$ ]]
}

# --- Building -------------------------------------------------------------------------------------

# build_release FOLDER LOG: the release preset in FOLDER/release, both programs then in FOLDER/bin.
build_release() {
    local build=$1/release log=$2 began=$SECONDS
    mkdir -p "$1/bin"
    # A build of another checkout cannot be continued.
    if [ -e "$build/CMakeCache.txt" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$SLUICE_TOP" "$build/CMakeCache.txt"; then
        rm -rf "$build"
    fi
    if ! { compile "$build" 2>&1 | tee "$log" | progress "$(text building)"; }; then
        tail -n 40 "$log" >&2
        text build_failed "$log" >&2
        return 1
    fi
    text built $((SECONDS - began)) >&3
    install -m 755 "$build/gateway/sluiced" "$build/cli/sluice" "$1/bin/"
}

compile() {
    { [ -e "$1/build.ninja" ] || (cd "$SLUICE_TOP" && cmake --preset release -B "$1"); } &&
        NINJA_STATUS='[%f/%t] ' cmake --build "$1" --target sluiced sluice
}

# progress TITLE: one line on a terminal, from ninja's [n/m]; nothing elsewhere.
progress() {
    local line
    while IFS= read -r line; do
        if [ "$TERMINAL" = yes ] && [[ $line =~ ^\[([0-9]+/[0-9]+)\] ]]; then
            printf '\r%s %s ' "$1" "${BASH_REMATCH[1]}" >&3
        fi
    done
    if [ "$TERMINAL" = yes ]; then printf '\r\033[K' >&3; fi
}

# --- The daemon -----------------------------------------------------------------------------------

# daemon_start: returns when every listener is there.
daemon_start() {
    local i
    rm -f "$STATE/ready.json"
    process_start sluiced "$STATE/sluiced.log" "$BIN/sluiced" -c "$STATE/node/sluice.yaml" --ready-file "$STATE/ready.json"
    for ((i = 0; i < 200; i++)); do
        [ ! -s "$STATE/ready.json" ] || return 0
        process_alive "$STATE/sluiced.pid" || break
        sleep 0.05
    done
    tail -n 20 "$STATE/sluiced.log" >&2
    return 1
}

# --- The providers --------------------------------------------------------------------------------

# provider_ca: the police's own authority and the server certificates of its two systems, in $STATE/police. They are
# not Sluice's: the node is given its anchor to trust and nothing else.
provider_ca() {
    local dir=$STATE/police name
    mkdir -p "$dir"
    (
        cd "$dir" || exit
        umask 077
        openssl req -x509 -utf8 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/O=星河市公安局/CN=police-ca' \
            -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' \
            -keyout ca.key -out ca.pem
        for name in hukou permit; do
            openssl req -utf8 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/O=星河市公安局/CN=$name" \
                -keyout "$name.key" -out "$name.csr"
            openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -days 30 -out "$name.pem" -extfile <(
                printf '%s\n' subjectAltName=IP:127.0.0.1,DNS:localhost extendedKeyUsage=serverAuth \
                    basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature \
                    authorityKeyIdentifier=keyid subjectKeyIdentifier=hash
            )
        done
        openssl rand -hex 24 >permit.secret
    ) >"$STATE/police.log" 2>&1
}

# providers_trusted: what the node needs to call them: the anchor and the bearer secret.
providers_trusted() {
    install -m 644 "$STATE/police/ca.pem" "$STATE/node/providers/public-security.pem"
    install -m 600 "$STATE/police/permit.secret" "$STATE/node/secrets/residence-permit"
}

# city_database FOLDER: made once for each version of what makes it; prints its path.
city_database() {
    local providers=$SLUICE_TOP/demo/providers name
    name=$1/city-$(cat "$providers/make-city.php" "$providers/story-people.php" "$providers/shared/id-number.php" | cksum | tr ' ' -).db
    mkdir -p "$1"
    if [ ! -s "$name" ]; then
        rm -f "$1"/city-*.db
        php "$providers/make-city.php" "$name" >/dev/null
    fi
    printf '%s' "$name"
}

# providers_start DATABASE: the household register knows the gateway by its certificate, and only it.
providers_start() {
    env CITY_DB="$1" HUKOU_PORT="$PORT_HUKOU" ESTATE_PORT="$PORT_ESTATE" PERMIT_PORT="$PORT_PERMIT" \
        HUKOU_CERT="$STATE/police/hukou.pem" HUKOU_KEY="$STATE/police/hukou.key" \
        HUKOU_CLIENT_CA="$STATE/node/ca/chain.pem" HUKOU_CLIENT_URI="spiffe://$TRUST_DOMAIN/gateway/$NODE" \
        PERMIT_CERT="$STATE/police/permit.pem" PERMIT_KEY="$STATE/police/permit.key" \
        PERMIT_SECRET_FILE="$STATE/police/permit.secret" \
        "$SLUICE_TOP/demo/providers/run" "$STATE/providers" 3>&- 9>&-
}

# city_manifests: the manifests of demo/city in $STATE/city, with the ports of this run.
city_manifests() {
    mkdir -p "$STATE/city"
    cp "$SLUICE_TOP"/demo/city/*.yaml "$STATE/city/"
    sed -i "s/127\.0\.0\.1:7443/127.0.0.1:$PORT_HUKOU/; s/127\.0\.0\.1:7080/127.0.0.1:$PORT_ESTATE/; s/127\.0\.0\.1:7444/127.0.0.1:$PORT_PERMIT/" \
        "$STATE"/city/*.yaml
}

# city_end: everything that runs in $STATE.
city_end() {
    local result=0
    [ -d "$STATE" ] || return 0
    process_end "$STATE/sluiced.pid" || result=1
    if [ -d "$STATE/providers" ]; then "$SLUICE_TOP/demo/providers/stop" "$STATE/providers" || result=1; fi
    return "$result"
}
