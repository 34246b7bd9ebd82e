#pragma once
/* What snapshot.c and snapshot_grants.c share; nobody else. */
#include "gateway/snapshot.h"

/* Empty maps for about so many, in place of empty ones; false: no memory. */
bool snapshot_grants_size(struct snapshot *s, uint64_t grants);
enum err snapshot_reload_grant(struct snapshot *s, struct slice id, const struct snapshot_source *from) MUST_CHECK;
/* Grants on this resource that met none of its versions, and so have no items: compiled anew. */
enum err snapshot_reload_grants_of(struct snapshot *s, struct slice resource,
                                   const struct snapshot_source *from) MUST_CHECK;
enum err snapshot_load_grants(struct snapshot *s, const struct snapshot_source *from) MUST_CHECK;
