#pragma once
/* The witnesses of this gateway's log: a thread of its own asks them to co-sign the newest checkpoint, about each
 * second while records arrive (C2SP tlog-witness). No exchange waits for them; when the quorum is late and the settings
 * say so, the gate is closed until it is back. Thread rule: start and stop on the main thread; witnesses_status any
 * thread. */
#include "audit/audit.h"
#include "gateway/gate.h"
#include "gateway/settings.h"

struct names;
struct witnesses;
/* Everything is borrowed until witnesses_stop. *ret stays NULL when the settings name none. */
enum err witnesses_start(const struct settings *s, struct audit_log *log, struct gate *gate, struct names *names,
                         struct witnesses **ret, struct diags *d) MUST_CHECK;
struct witnesses *witnesses_stop(struct witnesses *w); /* before the log is closed */

enum witness_state { WITNESS_NEW, WITNESS_SIGNS, WITNESS_UNREACHABLE, WITNESS_REFUSES };
struct witnesses_status {
    size_t n;
    uint64_t quorum, size; /* size: records under the newest checkpoint that the quorum has signed */
    bool late, stops;
    int64_t behind_ms; /* since when records are without the quorum; 0: none are */
    struct {
        char name[AUDIT_NAME_MAX + 1];
        enum witness_state state;
        int64_t signed_at; /* wall ms; 0: not since the start */
    } at[SETTINGS_WITNESSES];
};
void witnesses_status(struct witnesses *w, struct witnesses_status *ret);
