#pragma once
/* An immutable map in shards: string key -> counted object. A change copies one shard and the root; everything else is
 * shared with the version before. Readers of a version need no lock; reference counts are atomic.
 * Thread rule: a struct smap is changed by its one writer; smap_ref'd versions may be read and unreferenced by any
 * thread. */
#include "base/core/err.h"
#include "base/core/slice.h"

struct smap;

/* Objects start with this header. The object is destroyed by `free` when the last version that holds it goes. */
struct counted {
    _Atomic uint32_t refs;
    void (*free)(struct counted *);
};
void counted_init(struct counted *c, void (*free)(struct counted *)); /* refs = 1 */
void *counted_ref(void *object);  /* object begins with struct counted; returns it */
void counted_unref(void *object); /* NULL is ok */

enum { SMAP_SHARDS_MAX = 65536 };
struct smap *smap_new(unsigned shards); /* a power of two, 1..SMAP_SHARDS_MAX; refs = 1; NULL: no memory */
/* The same, but no key is stored: `is` says whether an object is the one of that key, which the object itself tells.
 * Saves the bytes of the keys, and a look-up a line of cold memory. Any thread; it must not fail. smap_each then shows
 * empty keys. */
struct smap *smap_new_by(unsigned shards, bool (*is)(const void *object, struct slice key));
struct smap *smap_ref(struct smap *m);
void smap_unref(struct smap *m);
/* The object under `key`, borrowed until the caller's reference on m ends; NULL: none. */
void *smap_find(const struct smap *m, struct slice key);
size_t smap_count(const struct smap *m);
/* A new version with `key` -> object (takes a reference on it; NULL removes the key). The key is copied.
 * *m is replaced by the new version and the old one unreferenced; when nobody else holds *m it is changed in place.
 * On failure *m is unchanged. */
enum err smap_put(struct smap **m, struct slice key, void *object) MUST_CHECK;
/* Bulk building at start-up: as smap_put, but changes shards that only this version holds in place. */
enum err smap_load(struct smap *m, struct slice key, void *object) MUST_CHECK;
/* Calls fn for every entry, in no order, until it returns false. */
void smap_each(const struct smap *m, bool (*fn)(void *arg, struct slice key, void *object), void *arg);
