# The story's words in English; text.zh.sh has the same names. %s are values, in order.
# shellcheck shell=bash disable=SC2034
TEXT=(
    [opening]='Sluice stands in front of the systems that departments already have. This is a small city on your
machine, with people who do not exist, and one morning in it: a child is to be admitted to school,
and nobody carries paper from office to office.
Lines with $ are commands, run as shown; what follows is their output.'
    [step1]='A node, its people and its resources'
    [step2]='Three provider systems, as departments have them'
    [step3]='Request and approval'
    [step4]='The exchange'
    [step5]='Refused, each with its own reason'
    [step6]='The provider revokes'
    [step7]='The auditor'
    [bureau]='Data Bureau of Xinghe'
    [agreed]='agreed'
    [agreed_bureau]='the basis is sound and the items are needed: agreed'
    [admission_over]='admission is over'

    [go_there]='Everything happens in one folder; each person has a context of their own on the command line.'
    [administrators]='Three administrators, and no one above them: system (li) registers, security (hua) activates, gives
roles and signs certificates, audit (lin) looks after the log. Each makes a key; only the request
for a certificate leaves its owner.'
    [root_apart]='The root of the authority leaves the node: the gateway signs with the authority below it.'
    [started]='The node trusts the police'\''s own authority for calls to the police'\''s systems, and holds the
secret one of them wants, in files of its own: never in the catalog, the API or the log. The
gateway starts.'
    [registers]='li registers departments, people, applications and the code tables that the resources refer to.'
    [separated]='Registering is all li can do: activating is not li'\''s to decide.'
    [activates]='hua activates them and gives each person their roles.'
    [own_keys]='Everyone makes a key of their own; hua signs. The name in a certificate comes from the register,
never from the request.'
    [own_keys_others]='The others, people and applications, do the same.'
    [resources]='The officers of the provider departments describe their resources: what they hold, how they are
reached, and which XML or JSON of theirs is which item. zhang answers for two at the police, sun
for one at the registry.'
    [published]='wang, of the data bureau, publishes. The registry speaks plain HTTP: allowed with a written
reason, and listed as weak.'

    [providers]='Each runs on its own nginx and PHP, shares no code with Sluice, and reads a database of 100 000
people who do not exist.'
    [provider_household]='Household register (police): SOAP over mutual TLS. Its answer is an XML document inside an XML
document, labelled GB2312 though it is UTF-8. Its only caller is this gateway, known by its
certificate.'
    [provider_estate]='Real-estate registry (natural resources): XML over plain HTTP, labelled GBK while its bytes are
GB18030.'
    [provider_permit]='Residence permits (police): JSON over TLS; the caller is known by a secret.'

    [requests]='zhao, of the education bureau, asks for what admission needs, which is far less than these systems
could give. The request says why, on which legal basis, and for how long.'
    [four_eyes]='zhao is also an officer for what education provides. Still: nobody approves their own request.'
    [approves]='Each provider department decides on its own part (zhang, sun), then the data bureau (wang). Only
then there are grants.'

    [asks_household]='The admission application asks about the child. It sends JSON, whatever the provider speaks, and
gets the granted items only: name (masked, for nobody granted it unmasked), relation to the head
of the household (30: daughter), division.'
    [received_household]='The register'\''s own log: it was asked by the gateway'\''s certificate, and told which teacher
stands behind it.'
    [asks_estate]='Her mother'\''s home. The number ends in X; the registry is asked in GB18030.'
    [asks_nothing]='The child owns nothing. An empty answer is the registry'\''s own word, never a failure in
disguise.'
    [asks_permit]='Since when the child has lived here. The secret is in the provider'\''s request and nowhere in
Sluice'\''s answers.'

    [refuse_no_grant]='1. The relief application of civil affairs is registered, active and certified, but has no grant
for this.'
    [refuse_other]='2. So it names the grant of another, %s: a grant belongs to the certificate it was made for.'
    [refuse_purpose]='3. The admission application, for a purpose it was not granted.'
    [refuse_window]='4. Civil affairs gets a grant of its own, whose window begins tomorrow. Today is too early.'
    [refuse_item]='5. An item that exists but was not granted.'
    [refuse_url]='6. An identity number in the URL, which ends up in everybody'\''s access logs.'
    [refuse_stranger]='7. A certificate with the right name in it, from an authority nobody here knows.'

    [revokes]='Admission is over. zhang revokes; the command returns when every worker of the gateway has
confirmed.'
    [revoked]='The next call:'

    [searches]='qian may read the log, never the data. Who asked for the household register, under which grant,
why, and what came of it?'
    [searches_exchange]='What came of that one: an intent and an outcome, both on disk before the answer was complete.'
    [searches_person]='And who asked about this child? The search takes the number from the standard input (without
echo it asks, and no shell history keeps the answer); the log knows only a pseudonym of it.'
    [searches_refused]='Refusals are on record as well, strangers included.'
    [verifies]='The log holds no personal value. It is a Merkle tree with signed checkpoints; verifying it needs
no gateway and no trust in its operator, only the key that qian keeps.'
    [alters]='Now one byte of a copy: in record %s the purpose school-admission becomes school-admissioN. (The
log goes on meanwhile: the checkpoint is copied first.)'

    [closing]='That was the story, in %s s. The gateway and the three providers keep running.'
    [closing_check]='All seven steps held, in %s s.'
    [addresses]='  data           https://127.0.0.1:%s/x/{department}/{resource}
  administration https://127.0.0.1:%s/v1
  operations     http://127.0.0.1:%s/readyz?verbose
  certificates   %s/{people,apps}/NAME/{cert,key}.pem
'
    [next]='Three things to try next:'
    [stopping]='To end it: %s'

    [expected]='expected'
    [seen]='seen'
    [logs]='logs and everything else: %s'
    [more]='… and %s more lines\n'
    [code]='the reason code'
    [exit_of]='the exit code'
    [running]='a running daemon'
    [weak]='the list names weak connections'
    [request_id]='the request'\''s id'
    [grants]='grants'
    [answer]='the answer, to the byte'
    [provider_log]='what the provider received'
    [records]='records of it'
    [no_value]='personal values in the log'
    [refusals]='refusals on record'
    [verifier]='the verifier names the record'
    [building]='Building'
    [built]='Built in %s s.\n'
    [build_failed]='The build failed; see %s\n'
    [port_taken]='Port %s is taken: %s.\n'
    [port_process]='%s, process %s'
    [port_user]='a process of user %s'
    [port_other]='End what uses it, or choose six other ports: SLUICE_DEMO_PORTS="data control operations hukou estate permit".\n'
    [busy]='Another demo/run is at work in %s.\n'
)
