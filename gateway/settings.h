#pragma once
/* The daemon's settings: constant after reading. One table makes the parser, the defaults, the reload rule and the
 * help. */
#include "base/doc/doc.h"
#include "gateway/bounds.h"

struct settings_anchor {                       /* a further trust anchor: vouches for its domain and departments only */
    struct slice ca, crl, domain, departments; /* departments joined by ','; empty: all */
    bool no_crl, enrolled;                     /* enrolled: an outside authority, `domain` is our own */
};
struct settings_observed { /* another operator's log that this gateway witnesses; texts end in NUL */
    struct slice log, ca;  /* its vkey; file of the authority of its gateways */
    struct slice origin, domain;
};
struct settings_witness {
    struct slice key;  /* its vkey, as written */
    struct slice host; /* "host:port" of its URL */
    struct slice path; /* of its URL, without a '/' at the end: may be empty */
    struct slice ca;   /* file of the authority of its certificate */
    bool tls;
};
enum { SETTINGS_WORKERS = 256, SETTINGS_ANCHORS = 64, SETTINGS_WITNESSES = 16, WITNESS_WARN = 0, WITNESS_STOP = 1 };
enum { SETTINGS_SECTIONS = 6 };
struct settings {
    struct arena arena;                           /* own: all text */
    const struct doc *section[SETTINGS_SECTIONS]; /* as written; the first is the whole */
    struct slice node, trust_domain;
    int language;           /* enum lang: of messages where nobody said otherwise */
    int zone;               /* minutes east of UTC */
    struct slice time_zone; /* as written: "+08:00" */
    uint64_t workers;       /* at least 1: 0 in the file means one a processor */
    struct listen_settings {
        struct slice data, control, operations; /* "host:port" */
        struct slice witness;                   /* "": closed */
    } listen;
    struct tls_settings {
        struct slice certificate, key; /* of the gateway */
        struct slice ca;               /* anchors and intermediates for clients */
        struct slice crl;
        const struct doc *anchors; /* further ones, as written */
        const struct settings_anchor *anchor;
        size_t n_anchors;
        const char *const *authorities; /* files: `ca`, then of each anchor; NULL ends them */
        struct slice providers;         /* folder of anchors for providers */
        uint64_t remind;                /* days before the gateway's certificate ends */
    } tls;
    struct state_settings {
        struct slice dir; /* state.db, keys/, secrets/, ca/ */
    } state;
    struct evidence_settings {
        struct slice dir;
        uint64_t segment_bytes, reserve_bytes, queue_bytes, strangers_bytes;
        uint64_t retain_exchanges, retain_operations; /* days; 0: for ever */
        const struct doc *witnesses;                  /* as written */
        const struct settings_witness *witness;
        size_t n_witnesses;
        const struct doc *witness_for; /* as written */
        const struct settings_observed *observed;
        size_t n_observed;
        uint64_t quorum; /* of them; in the file 0 is all */
        bool sm2;
        int witness_late;
        int64_t witness_bound_ms;
    } evidence;
    struct limit_settings {
        uint64_t requests, connections, connections_each, exchanges, exchanges_each, memory, body, upload,
            strangers_source, strangers_all, refusals, sessions, handshakes, control_connections, control_each,
            control_strangers, control_bodies;
        uint64_t head_bytes, head_fields, bodies, bodies_each, begun_each, rate, provider_rate, http2_streams,
            http2_resets, http2_frames, log_reads;
        int64_t handshake_ms, head_ms, body_ms, idle_ms, write_ms, drain_ms, names_ms;
    } limits;
};
enum { SETTINGS_HOST = 64 };
/* "host:port" or "[::1]:port" in parts; the host is an address. */
bool settings_address(struct slice address, char host[SETTINGS_HOST], unsigned *port);
/* Read and check a whole file; relative paths are relative to the file's folder. Every problem is reported. */
enum err settings_read(const char *path, struct settings *ret, struct diags *d) MUST_CHECK;
void settings_done(struct settings *s);
/* settings_limits.c: the section `limits`, each row with its reason; settings_fixed.c: what no setting changes. Both
 * end with a row without a name. */
struct settings_fixed {
    const char *name;
    uint64_t value;
    bool time;           /* ms; else a number, or bytes */
    const char *help[2]; /* by enum lang; as those of limits: what it is, a colon, and why */
};
extern const struct doc_key settings_limits[];
extern const struct settings_fixed settings_fixed[];
/* Every setting with its value, default, meaning and, of limits, the reason, and the limits that stand fast, for
 * --check -v. */
void settings_print(const struct settings *s, enum lang lang, struct buf *out);
/* ERR_CONFLICT, each named, when `next` differs from `now` in a setting that a reload may not change. */
enum err settings_may_reload(const struct settings *now, const struct settings *next, struct diags *d) MUST_CHECK;
/* The file that `sluice init` writes. */
void settings_write(struct slice node, struct slice trust_domain, const char *dir, unsigned data_port,
                    unsigned control_port, unsigned operations_port, struct buf *out);
/* settings_anchors.c, settings_witness.c: the lists tls.anchors and evidence.witnesses, for settings.c only. */
enum err settings_anchors_read(struct settings *s, struct slice folder, struct diags *d) MUST_CHECK;
enum err settings_witnesses_read(struct settings *s, struct slice folder, struct diags *d) MUST_CHECK;
bool settings_witnesses_same(const struct settings *a, const struct settings *b);
/* And evidence.witness_for. */
enum err settings_observed_read(struct settings *s, struct slice folder, struct diags *d) MUST_CHECK;
bool settings_observed_same(const struct settings *a, const struct settings *b);
/* A relative path becomes one below the file's folder. */
enum err settings_path(struct settings *s, struct slice folder, struct slice *path) MUST_CHECK;
