#pragma once
/* catalog: departments, applications, people and their roles, data resources with their items, code tables, the policy
 * of approval; their manifests, life cycles and versions (tables catalog_*). Knows nothing of grants, mappings or
 * transports: those parts of a manifest are left as a tree for their owners. Invariants: what is stored has passed the
 * shape check; a published version never changes (a change is a new version); no person holds two of the three
 * administrator roles; a classified resource is refused. Thread rule: the thread that owns SQL; reading functions over
 * trees anywhere. */
#include "base/doc/doc.h"
#include "base/sql/sql.h"

enum catalog_kind {
    CATALOG_DEPARTMENT,
    CATALOG_APP,
    CATALOG_PERSON,
    CATALOG_RESOURCE,
    CATALOG_CODE_TABLE,
    CATALOG_POLICY,
    CATALOG_KINDS_
};
const char *
catalog_kind_name(enum catalog_kind k); /* "Department", "App", "Person", "Resource", "CodeTable", "Policy" */
bool catalog_kind_of(struct slice name, enum catalog_kind *ret);

/* ---- manifests as structs; slices and trees live as long as the manifest's ---- */
struct catalog_item {
    struct slice name;
    struct doc_title title;
    char type;     /* C N Y D T L M G B I F, or 'A' for `list` */
    uint8_t level; /* 1..4; default 2 */
    bool key, required;
    uint32_t length, precision;
    struct slice mask, check, codes; /* codes: id of a CodeTable */
    struct doc_strs format_in, empty_as;
    const struct catalog_item *items; /* of a list */
    size_t n_items;
};
struct catalog_resource {
    struct slice id, department; /* "public-security/household"; its part before the slash */
    struct slice code;           /* official resource code */
    struct doc_title title, abstract;
    struct slice class_; /* "base/population", "theme/…", "department/…" */
    struct slice format_class, format_type;
    struct slice share; /* unconditional, conditional, none */
    struct slice share_condition, share_basis, share_mode;
    struct slice open, open_condition, update, contact_person, contact_phone;
    bool callable; /* has a connector and is shared at all */
    const struct catalog_item *items;
    size_t n_items;
    const struct doc *connector, *request, *response; /* left to their owners; NULL when absent */
};
enum { CATALOG_CODES_MAX = 20000 }; /* of a code table; those of every table that a resource uses are in memory */
struct catalog_code {
    struct slice code, title;
};
struct catalog_manifest {
    enum catalog_kind kind;
    struct slice id;
    struct doc_title title;
    const struct doc *doc;            /* the whole tree */
    struct slice department;          /* of an app, person, resource; its part before the slash */
    struct slice code;                /* unified social credit code of a department, official code of a resource */
    bool bureau;                      /* a department: the data bureau's own */
    bool administration;              /* an app: may use the control listener */
    const struct catalog_code *codes; /* CATALOG_CODE_TABLE */
    size_t n_codes;
    const struct catalog_resource *resource; /* CATALOG_RESOURCE only */
};
/* Shape check of one manifest: required keys, types, values from code tables, the cross rules of DOMAIN.md section 8
 * (share none needs a legal basis, unconditional has no condition, database resources are not shared as files, …),
 * unknown keys, `page`, `parts` and `compare` refused by name. All problems are reported. The result lives in `a`. */
enum err catalog_read(const struct doc *doc, struct arena *a, struct diags *d, struct catalog_manifest *ret) MUST_CHECK;
/* The same check, for those who go on looking for faults: *ret is the resource as far as it could be read, also when
 * the result is not ERR_OK (items may lack names and types); NULL for other kinds. Never to be stored. */
enum err catalog_read_loose(const struct doc *doc, struct arena *a, struct diags *d,
                            const struct catalog_resource **ret) MUST_CHECK;
int catalog_item_index(const struct catalog_resource *r, struct slice name); /* top-level position, or -1 */

/* ---- the store ---- */
extern const struct sql_migration catalog_migrations[];
extern const size_t catalog_migrations_n;

struct catalog_entry {
    enum catalog_kind kind;
    struct slice id, department, state, title_zh, title_en;
    struct slice
        submitter;    /* of a resource's version: who submitted it last; of a policy's: who applied it; or empty */
    uint64_t version; /* resources and policies: 1, 2, …; others: number of changes */
    int64_t created, changed;
    struct slice json; /* the manifest, canonical */
};
enum catalog_put { CATALOG_UNCHANGED, CATALOG_CREATED, CATALOG_CHANGED };
/* Store a checked manifest; the same one again is CATALOG_UNCHANGED. Apps, people and resources need their department;
 * resources need their code tables (ERR_NOT_FOUND). Codes of resources and departments, and titles inside a provider,
 * are used once, and there is one bureau (ERR_EXISTS); a new or changed department code must have the right check digit
 * (ERR_INVALID). A changed resource becomes a new draft version when the last one is beyond draft, and a
 * draft that the bureau returned takes a new number with the change: what was once submitted under a number stays the
 * only content of it. A retired resource takes no change (ERR_CONFLICT). New departments,
 * applications and people are `registered` until activated; one that becomes the bureau, or gains administration, is
 * `registered` again. Code tables are `active` and have no moves. A changed policy is a new version, `registered`: the
 * one that is active stays so until it is activated, one that was still to be activated is `replaced`. `by`: who acts;
 * kept of policies. */
enum err catalog_put(struct sql_tx *tx, const struct catalog_manifest *m, struct slice by, int64_t now,
                     enum catalog_put *ret, uint64_t *version, struct diags *d) MUST_CHECK;
/* version 0: the newest. Slices in `a`. */
enum err catalog_find(struct sql_tx *tx, enum catalog_kind k, struct slice id, uint64_t version, struct arena *a,
                      struct catalog_entry *ret) MUST_CHECK;
struct catalog_filter {
    struct slice department, state, text; /* empty: any; text: part of id or titles, case folded for ASCII */
    struct slice id;                      /* empty: any */
    bool all_versions;                    /* each version, else the newest (with `state`: the newest in that state) */
};
/* In order of id and version, with few of them in memory at once: the entry lives until fn returns, which may use SQL
 * itself. */
enum err catalog_each(struct sql_tx *tx, enum catalog_kind k, const struct catalog_filter *f,
                      enum err (*fn)(void *arg, const struct catalog_entry *e), void *arg) MUST_CHECK;

/* Life cycle, one table of moves: registered -activate-> active -disable-> disabled -activate-> active for departments,
 * applications and people; registered -activate-> active for versions of a policy, which makes the one that was active
 * `replaced`; draft -submit-> submitted -publish-> published -suspend-> suspended -resume-> published;
 * submitted -return-> draft; draft, submitted, published or suspended -retire-> retired, for good. */
enum catalog_move {
    CATALOG_ACTIVATE,
    CATALOG_DISABLE,
    CATALOG_SUBMIT,
    CATALOG_RETURN,
    CATALOG_PUBLISH,
    CATALOG_SUSPEND,
    CATALOG_RESUME,
    CATALOG_RETIRE
};
bool catalog_move_of(struct slice verb, enum catalog_move *ret); /* "activate", "publish", … */
bool catalog_move_narrows(enum catalog_move m);                  /* disable, suspend, retire */
struct catalog_act {
    enum catalog_move move;
    uint64_t version; /* publish, activate a policy: this one and no other; 0: the newest that may move */
    struct slice by;  /* person */
    int64_t now;
};
/* ERR_CONFLICT: not from this state (d says which states allow it). ERR_DENIED: publishing what one submitted
 * oneself, activating the policy that one applied oneself (d says who may). Resources: suspend, resume and retire move
 * every version that is in a state to move from; the others the newest such version, and submit the newest of all. *ret
 * is the (newest) one that moved, afterwards. */
enum err catalog_move(struct sql_tx *tx, enum catalog_kind k, struct slice id, const struct catalog_act *act,
                      struct arena *a, struct catalog_entry *ret, struct diags *d) MUST_CHECK;

/* ---- the policy of approval ---- */
/* The whole check of a Policy manifest before it is stored: that of catalog_read, and that every department it names is
 * registered and active (ERR_CONFLICT). All problems are reported. */
enum err catalog_policy_check(struct sql_tx *tx, const struct doc *doc, struct arena *a, struct diags *d) MUST_CHECK;
/* The steps, joined by ',' as "provider,department:finance,bureau", that the active policy gives resources of this
 * sharing attribute; empty: there is no active policy, or it does not list the attribute. In `a`. */
enum err catalog_policy_steps(struct sql_tx *tx, struct slice share, struct arena *a, struct slice *ret) MUST_CHECK;

/* ---- roles of people ---- */
enum catalog_role {
    ROLE_PROVIDER_OFFICER = 1,
    ROLE_CONSUMER_OFFICER = 2,
    ROLE_BUREAU_APPROVER = 4,
    ROLE_AUDITOR = 8,
    ROLE_SYSTEM_ADMIN = 16,
    ROLE_SECURITY_ADMIN = 32,
    ROLE_AUDIT_ADMIN = 64
};
bool catalog_role_of(struct slice name, unsigned *ret);                   /* "provider-officer", … "system-admin" */
const char *catalog_role_name(unsigned role, enum lang lang, bool title); /* title false: the code */
enum err catalog_roles(struct sql_tx *tx, struct slice person, unsigned *ret) MUST_CHECK;
/* ERR_NOT_FOUND: no such person. ERR_CONFLICT when that would join two of the three administrator roles, auditor or
 * administrator with an operational role, or auditor with system or security administrator (auditor and audit
 * administrator may be one person), make somebody of another department an approver of the bureau, or leave no security
 * administrator that can act (neither does catalog_move, nor catalog_put). */
enum err catalog_role_set(struct sql_tx *tx, struct slice person, unsigned role, bool on, struct diags *d) MUST_CHECK;
