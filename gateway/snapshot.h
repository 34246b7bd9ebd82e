#pragma once
/* The snapshot: what the data path knows, immutable. A root over sharded maps of counted objects; a change copies the
 * shards it touches and the root (base/core/smap.h). Made and changed by the control thread only; each worker holds one
 * reference and swaps it by message. Exchanges never hold a snapshot: they hold the objects they use. */
#include "catalog/catalog.h"
#include "certs/certs.h"
#include "connectors/connectors.h"
#include "policies/policies.h"
#include "translate/translate.h"

/* One version of a resource, ready to be called: catalog, translate and connector parts compiled over one tree. */
struct service {
    struct counted counted;
    struct arena arena; /* own: everything below */
    const struct catalog_resource *resource;
    uint64_t version;
    const struct translate_plan *plan; /* NULL: listed but not callable */
    struct connector_target *target;   /* ref; NULL: not callable */
    _Atomic bool long_answers;         /* the last one was more than what is held back; workers write it */
};
/* All versions of one resource that are published, and what new calls meet. */
struct resource_head {
    struct counted counted;
    bool suspended;
    uint64_t latest; /* newest published version; 0: none */
    size_t n;
    struct service *versions[]; /* ref; ascending */
};
struct principal { /* an application */
    struct counted counted;
    bool active;
};
/* The grants of one application for one resource. Nearly always there is one, which then needs no list of its own. */
struct grant_set {
    size_t n;
    const struct policy_grant *one;         /* n == 1 */
    const struct policy_grant *const *many; /* n > 1 */
};
struct snapshot {
    _Atomic uint32_t refs;
    uint64_t generation;
    struct smap *resources;    /* "department/resource" -> struct resource_head */
    struct smap *apps;         /* "department/app" -> struct principal */
    struct smap *grants;       /* grant id -> struct policy_grant */
    struct smap *pairs;        /* "department/app department/resource" -> struct policy_grant, or a list of them */
    struct certs_trust *trust; /* ref */
    uint64_t trust_generation;
};
struct snapshot *snapshot_new(void); /* empty; NULL: no memory */
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s);
/* A copy that shares every shard, with the next generation: to be changed, then given to the workers. */
struct snapshot *snapshot_next(const struct snapshot *s);

/* Reading; all borrowed for as long as the caller's reference on s. NULL: none. */
const struct resource_head *snapshot_resource(const struct snapshot *s, struct slice id);
struct service *resource_version(const struct resource_head *h, uint64_t version);
/* Each version of each resource that can be called, until fn says false. */
void snapshot_services(const struct snapshot *s, bool (*fn)(void *arg, const struct service *v), void *arg);
const struct principal *snapshot_app(const struct snapshot *s, struct slice id);
const struct policy_grant *snapshot_grant(const struct snapshot *s, struct slice id);
/* None: n is 0. */
struct grant_set snapshot_pair(const struct snapshot *s, struct slice app, struct slice resource);
const struct policy_grant *const *grant_set_all(const struct grant_set *set); /* bor: as long as set; n of them */

/* Put a compiled grant (a new reference is taken) in place of its older self. */
enum err snapshot_put_grant(struct snapshot *s, struct policy_grant *g) MUST_CHECK;

/* Changing one that nobody else has seen yet: reload one object from the state as it is there now. */
enum snapshot_kind { SNAPSHOT_RESOURCE, SNAPSHOT_APP, SNAPSHOT_GRANT };
struct snapshot_source {
    struct sql_tx *tx;
    const struct connector_world *world;
    int64_t now;
    bool renew;  /* versions whose target is stale (connector_stale) are made anew */
    bool recode; /* so are those with an item that has a code table */
};
enum err snapshot_reload(struct snapshot *s, enum snapshot_kind kind, struct slice id,
                         const struct snapshot_source *from, struct diags *d) MUST_CHECK;
enum err snapshot_load_all(struct snapshot *s, const struct snapshot_source *from, struct diags *d) MUST_CHECK;

/* Has it an item whose codes are this table's (empty: any table's)? */
bool service_has_codes(const struct service *s, struct slice table);
/* Run every checker over one Resource manifest: catalog shape, translate's mapping, the connector's binding.
 * `check_only`: nothing is resolved and no secret is read. Code tables come from `tx` (NULL: references are not
 * followed). */
enum err service_check(const struct doc *manifest, const struct connector_world *world, bool check_only,
                       struct sql_tx *tx, struct diags *d) MUST_CHECK;
/* The same for a stored manifest (JSON text), into a new service that owns all it points to. ERR_TOO_LARGE: more than
 * one may hold. */
enum err service_load(struct slice manifest, uint64_t version, const struct connector_world *world, struct sql_tx *tx,
                      struct service **ret, struct diags *d) MUST_CHECK;
