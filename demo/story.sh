# The story: school admission without paper (S01). Each step is told, done with the real commands, and must hold.
# Source it; needs lib/tell.sh, lib/process.sh, lib/node.sh. Paths are relative to $STATE, where the story takes place.
#
# People: bureau/li, hua, lin are the system, security and audit administrators; bureau/wang approves; bureau/qian audits;
# public-security/zhang and natural-resources/sun answer for resources; education/zhao and civil-affairs/liu ask.
# shellcheck shell=bash
# shellcheck disable=SC2153,SC2154 # set by attempt and by who sources this

CHILD=990221202005209020  # 周小满
MOTHER=99022119900819902X # 沈䶮: the number ends in X, the name needs GB18030

DEPARTMENTS=(public-security natural-resources education civil-affairs)
PEOPLE=(public-security/zhang natural-resources/sun education/zhao civil-affairs/liu bureau/wang bureau/qian)
APPS=(education/admission civil-affairs/relief)
ROLES=('public-security/zhang provider-officer' 'natural-resources/sun provider-officer' 'education/zhao consumer-officer'
    'education/zhao provider-officer' 'civil-affairs/liu consumer-officer' 'bureau/wang bureau-approver' 'bureau/qian auditor')

HOUSEHOLD=public-security/household
ESTATE=natural-resources/real-estate
PERMIT=public-security/residence-permit

# --- 1: the node, its people, its resources -------------------------------------------------------

# context_of NAME PLACE: how this person reaches the gateway.
context_of() {
    sluice context set "$1" --server "https://127.0.0.1:$PORT_CONTROL" --data-server "https://127.0.0.1:$PORT_DATA" \
        --ca node/ca/chain.pem --cert "$2/cert.pem" --key "$2/key.pem"
}

story_node() {
    local who
    step 1
    tell go_there
    printf '$ %s\n' "cd $STATE" "export PATH=$BIN:\$PATH XDG_CONFIG_HOME=$STATE/config" >&3
    tell administrators
    for who in li hua lin; do
        key_place people/$who
        must sluice cert request --key-out people/$who/key.pem --csr people/$who/request.csr --name bureau/$who
    done
    must sluice init --dir node --node "$NODE" --trust-domain "$TRUST_DOMAIN" --names 127.0.0.1,localhost \
        --data-port "$PORT_DATA" --control-port "$PORT_CONTROL" --operations-port "$PORT_OPERATIONS" \
        --bureau "bureau=$(text bureau)" --bureau-code 11990100MB0000019L --admin system=bureau/li:people/li/request.csr \
        --admin security=bureau/hua:people/hua/request.csr --admin audit=bureau/lin:people/lin/request.csr
    for who in li:system hua:security lin:audit; do
        cp "node/admins/${who#*:}/cert.pem" "people/${who%:*}/cert.pem"
    done
    tell root_apart
    must mv node/root root-kept-apart
    providers_trusted
    tell started
    printf '$ %s\n' 'sluiced -c node/sluice.yaml --ready-file ready.json &' >&3
    daemon_start || fail sluiced "$(text running)" "$(tail -n 3 sluiced.log)"
    jq -c . ready.json | dim >&3
    for who in li hua lin; do context_of $who people/$who >>tmp/quiet; done
}

story_people() {
    local who role
    tell registers
    must sluice --context li apply -f city/departments.yaml -f city/people.yaml -f city/apps.yaml -f city/code-tables.yaml
    tell separated
    attempt sluice --context li department activate education
    done_with 4
    holds "$(text code)" '[role-missing]' "$err"
    tell activates
    shell "for id in ${DEPARTMENTS[*]}; do sluice --context hua department activate \$id; done"
    shell "for id in ${PEOPLE[*]}; do sluice --context hua person activate \$id; done"
    shell "for id in ${APPS[*]}; do sluice --context hua app activate \$id; done"
    for role in "${ROLES[@]}"; do
        # shellcheck disable=SC2086
        must sluice --context hua person grant-role $role
    done
    tell own_keys
    key_place people/zhang
    must sluice cert request --key-out people/zhang/key.pem --csr people/zhang/request.csr --name public-security/zhang
    must sluice --context hua cert sign --person public-security/zhang --csr people/zhang/request.csr --out people/zhang/cert.pem
    tell own_keys_others
    certificates_for person people "${PEOPLE[@]:1}"
    certificates_for app apps "${APPS[@]}"
    for who in "${PEOPLE[@]}"; do context_of "${who#*/}" "people/${who#*/}" >>tmp/quiet; done
}

# key_place FOLDER: where somebody keeps a key.
key_place() {
    mkdir -p "$1"
    chmod 700 "$1"
}

# certificates_for KIND FOLDER ID...: each makes key and request, the security administrator signs.
certificates_for() {
    local kind=$1 folder=$2 id
    shift 2
    for id in "$@"; do key_place "$folder/${id#*/}"; done
    LINES_SHOWN=4 shell "for id in $*; do
    cd $folder/\${id#*/}
    sluice cert request --key-out key.pem --csr request.csr --name \$id
    sluice --context hua cert sign --$kind \$id --csr request.csr --out cert.pem
    cd ../..
done"
}

story_resources() {
    local resource
    tell resources
    must sluice --context zhang apply -f city/household.yaml -f city/residence-permit.yaml
    must sluice --context sun apply -f city/real-estate.yaml
    must sluice --context zhang resource submit $HOUSEHOLD
    must sluice --context zhang resource submit $PERMIT
    must sluice --context sun resource submit $ESTATE
    tell published
    for resource in $HOUSEHOLD $PERMIT $ESTATE; do must sluice --context wang resource publish "$resource"; done
    must sluice --context wang resource list -o table
    holds "$(text weak)" none "$out"
}

# --- 2: the providers -----------------------------------------------------------------------------

story_providers() {
    step 2
    tell providers
    attempt_as "demo/providers/run $STATE/providers" providers_start "$CITY_DATABASE"
    done_with 0
    tell provider_household
    tell provider_estate
    tell provider_permit
}

# --- 3: request and approval ----------------------------------------------------------------------

# day OFFSET: a date in the gateway's zone.
day() { TZ=UTC-8 date -d "$1 days" +%F; }

story_request() {
    local request
    step 3
    cat >request.yaml <<YAML
app: education/admission
resources:
  - {resource: $HOUSEHOLD, items: [name, relation, division]}
  - {resource: $ESTATE, items: [status, is_owner]}
  - {resource: $PERMIT, items: [since]}
purposes: [school-admission]
basis: 《义务教育法》第十二条；《星河市义务教育阶段学校招生办法》第九条
scenario: 新生入学报名时核对户籍、房产与居住证，家长无需提交纸质证明
window: {from: '$(day 0)', to: '$(day 90)'}
YAML
    tell requests
    must cat request.yaml
    must sluice --context zhao request create -f request.yaml
    request=$out
    same "$(text request_id)" r1 "$request"
    tell four_eyes
    attempt sluice --context zhao request approve "$request" --note ok
    done_with 4
    holds "$(text code)" '[four-eyes]' "$err"
    tell approves
    must sluice --context zhang request approve "$request" --note "$(text agreed)"
    must sluice --context sun request approve "$request" --note "$(text agreed)"
    must sluice --context wang request approve "$request" --note "$(text agreed_bureau)"
    must sluice --context zhao grant list -o table
    GRANT_HOUSEHOLD=$(grant_of education/admission $HOUSEHOLD)
    [ -n "$GRANT_HOUSEHOLD" ] || fail "$(text grants)" g1 "$out"
    same "$(text grants)" 3 "$(sluice --context wang grant list -o json | jq '.items | length')"
}

# grant_of APP RESOURCE: its newest grant.
grant_of() { sluice --context wang grant list --app "$1" --resource "$2" -o json | jq -r '.items | max_by(.created) | .id'; }

# --- 4: the exchange ------------------------------------------------------------------------------

# ask_of APP RESOURCE PARAMETERS CURL-OPTION...: the command line of a POST with the application's certificate.
ask_of() {
    local app=$1 resource=$2 parameters=$3
    shift 3
    quoted curl -sS --cacert node/ca/chain.pem --cert "apps/$app/cert.pem" --key "apps/$app/key.pem" "$@" \
        --json "$parameters" "https://127.0.0.1:$PORT_DATA/x/$resource"
}

# asks ...: the same, done; the body as it came.
asks() { shell "$(ask_of "$@")"; }

# answered WANTED: the last body, to the byte.
answered() {
    printf '%s' "$1" | cmp -s - tmp/out || fail "$(text answer)" "$1" "$out"
}

# received SYSTEM FILTER WANTED: what the provider's own log says of its last request.
received() {
    shell "tail -n 1 providers/$1/requests.log | jq -c $(quoted "$2")"
    same "$(text provider_log)" "$3" "$out"
}

story_exchange() {
    local head=(-H 'Sluice-Purpose: school-admission' -H 'Sluice-Operator: teacher-0731' -H 'Sluice-Case: 2026-000123')
    step 4
    tell asks_household
    asks admission $HOUSEHOLD "{\"id_no\":\"$CHILD\"}" "${head[@]}"
    answered '{"resource":"public-security/household","records":[{"name":"周*满","relation":"30","division":"990221004002"}],"count":1}'
    tell received_household
    received hukou '{x_user, client: .client.uri, sfzh: (.body | capture("<h:sfzh>(?<n>[^<]*)") | .n)}' \
        "{\"x_user\":\"teacher-0731\",\"client\":\"spiffe://$TRUST_DOMAIN/gateway/$NODE\",\"sfzh\":\"$CHILD\"}"
    tell asks_estate
    asks admission $ESTATE "{\"id_no\":\"$MOTHER\"}" "${head[@]}"
    answered '{"resource":"natural-resources/real-estate","records":[{"status":"1","is_owner":true}],"count":1}'
    received estate '{method, content_type, body}' \
        "{\"method\":\"POST\",\"content_type\":\"application/xml; charset=gb18030\",\"body\":\"<?xml version=\\\"1.0\\\" encoding=\\\"GB18030\\\"?><q:Query xmlns:q=\\\"urn:estate:query:1.0\\\"><q:Owner><q:IdNo>$MOTHER</q:IdNo></q:Owner></q:Query>\"}"
    tell asks_nothing
    asks admission $ESTATE "{\"id_no\":\"$CHILD\"}" "${head[@]}"
    answered '{"resource":"natural-resources/real-estate","records":[],"count":0}'
    tell asks_permit
    asks admission $PERMIT "{\"id_no\":\"$CHILD\"}" "${head[@]}"
    answered '{"resource":"public-security/residence-permit","records":[{"since":"2020-09-01"}],"count":1}'
    received permit '{authorization, body}' "{\"authorization\":\"Bearer ***\",\"body\":\"{\\\"idNo\\\":\\\"$CHILD\\\"}\"}"
}

# --- 5: refusals ----------------------------------------------------------------------------------

# asks_in_vain ...: as asks; of the problem in the answer, what a reader wants to see.
asks_in_vain() { shell "$(ask_of "$@") | $WHY"; }
WHY="jq '{status, code, title, detail, remedy} | del(..|nulls)'"

# refused CODE: the last answer is a problem with this reason.
refused() {
    same "$(text code)" "$1" "$(jq -r .code tmp/out 2>/dev/null || cat tmp/out)"
    REFUSED+=("$1")
}
REFUSED=()

# request_tomorrow: the relief application may ask for property, from tomorrow.
request_tomorrow() {
    # A window that begins tomorrow must not begin while we ask.
    if [ "$(TZ=UTC-8 date +%H%M)" = 2359 ]; then sleep 61; fi
    must sluice --context liu request create --app civil-affairs/relief --resource "$ESTATE:status,is_owner" \
        --purpose relief-check --basis 《社会救助暂行办法》第五十八条 --scenario 核对申请人名下不动产 \
        --from "$(day 1)" --to "$(day 30)"
    local request=$out
    must sluice --context sun request approve "$request" --note "$(text agreed)"
    must sluice --context wang request approve "$request" --note "$(text agreed)"
}

# stranger: a certificate that says the right name, from an authority that nobody here knows.
stranger() {
    mkdir -p apps/stranger
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=admission \
        -addext "subjectAltName=URI:spiffe://$TRUST_DOMAIN/dept/education/app/admission" -addext extendedKeyUsage=clientAuth \
        -keyout apps/stranger/key.pem -out apps/stranger/cert.pem
}

story_refusals() {
    local child="{\"id_no\":\"$CHILD\"}" purpose=(-H 'Sluice-Purpose: school-admission')
    local language=(-H "Accept-Language: $SPEAKS")
    step 5
    tell refuse_no_grant
    asks_in_vain relief $HOUSEHOLD "$child" "${language[@]}"
    refused no-grant
    tell refuse_other "$GRANT_HOUSEHOLD"
    asks_in_vain relief $HOUSEHOLD "$child" "${language[@]}" -H "Sluice-Grant: $GRANT_HOUSEHOLD"
    refused grant-of-another
    tell refuse_purpose
    asks_in_vain admission $HOUSEHOLD "$child" "${language[@]}" -H 'Sluice-Purpose: marketing'
    refused purpose-not-granted
    tell refuse_window
    request_tomorrow
    asks_in_vain relief $ESTATE "$child" "${language[@]}"
    refused outside-window
    tell refuse_item
    asks_in_vain admission $HOUSEHOLD "{\"id_no\":\"$CHILD\",\"_items\":\"name,address\"}" "${language[@]}" "${purpose[@]}"
    refused item-not-granted
    tell refuse_url
    shell "$(quoted curl -sS --cacert node/ca/chain.pem --cert apps/admission/cert.pem --key apps/admission/key.pem "${language[@]}" \
        "https://127.0.0.1:$PORT_DATA/x/$HOUSEHOLD?id_no=$CHILD") | $WHY"
    refused parameter-in-url
    tell refuse_stranger
    stranger >>tmp/quiet 2>&1
    asks_in_vain stranger $HOUSEHOLD "$child" "${language[@]}"
    refused certificate-unknown
}

# --- 6: revocation --------------------------------------------------------------------------------

story_revoke() {
    step 6
    tell revokes
    must sluice --context zhang grant revoke "$GRANT_HOUSEHOLD" --note "$(text admission_over)"
    tell revoked
    asks_in_vain admission $HOUSEHOLD "{\"id_no\":\"$CHILD\"}" -H "Accept-Language: $SPEAKS" -H 'Sluice-Purpose: school-admission'
    refused revoked
}

# --- 7: the auditor -------------------------------------------------------------------------------

# byte_of DIR INDEX TEXT: "FILE OFFSET" of the last byte of TEXT in the record of that index.
byte_of() {
    local file line
    for file in "$1"/*.seg; do
        line=$(LC_ALL=C grep -a -b -m 1 "\"index\": *$2," "$file" | LC_ALL=C grep -a -o "^[0-9]*:.*$3") || continue
        line=${line/:/ }
        printf '%s %s\n' "$file" $((${line%% *} + $(printf '%s' "${line#* }" | wc -c) - 1))
        return 0
    done
    return 1
}

story_audit() {
    local reason index exchange found file offset
    step 7
    tell searches
    LINES_SHOWN=30 must sluice --context qian audit search --resource $HOUSEHOLD -o table
    read -r index exchange < <(sluice --context qian audit search --kind intent --resource $HOUSEHOLD --oldest-first -o json |
        jq -r '.rows[0].record | "\(.index) \(.exchange)"')
    tell searches_exchange
    must sluice --context qian audit search --exchange "$exchange" -o table
    same "$(text records)" 'intent outcome' "$(sluice --context qian audit search --exchange "$exchange" --oldest-first -o json |
        jq -r '[.rows[] | .record.kind, .outcome.kind] | join(" ")')"
    tell searches_person
    LINES_SHOWN=30 shell "echo $CHILD | sluice --context qian audit search --person - -o table"
    holds "$(text records)" "$PERMIT" "$out"
    tell searches_refused
    LINES_SHOWN=30 must sluice --context qian audit search --kind refused -o table
    found=$(sluice --context qian audit search --kind refused -o json | jq -r '.rows[].record.reason')
    for reason in "${REFUSED[@]}"; do holds "$(text refusals)" "$reason" "$found"; done
    tell verifies
    must cp node/keys/log.vkey people/qian/
    must sluice audit verify node/log --vkey people/qian/log.vkey
    same "$(text no_value)" 0 "$(cat node/log/*.seg | grep -a -c -e $CHILD -e $MOTHER -e 周小满 || true)"
    # The checkpoint first: what it signs must be in the copy, for the log goes on.
    tell alters "$index"
    must mkdir forged
    shell 'cp node/log/checkpoint forged/; cp -rn node/log/. forged/'
    must sluice audit verify forged --vkey people/qian/log.vkey
    read -r file offset < <(byte_of forged "$index" school-admission)
    shell "printf N | dd of=$file bs=1 seek=$offset conv=notrunc status=none"
    attempt sluice audit verify forged --vkey people/qian/log.vkey
    done_with 7
    same "$(text verifier)" "altered $index" "$(sluice audit verify forged -o json | jq -r '"\(.bad) \(.bad_index)"')"
}

# --- the whole ------------------------------------------------------------------------------------

story() {
    story_node
    story_people
    story_resources
    story_providers
    story_request
    story_exchange
    story_refusals
    story_revoke
    story_audit
    step_done
}
