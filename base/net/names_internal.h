#pragma once
/* names.c and names_look.c. Everything that changes is under the one lock, which nobody holds while he asks the name
 * service, or waits; only `state` and `generation` are read without it. */
#include "base/net/internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

enum {
    NAME_BUCKETS = 256,
    NAME_HOST = 256,
    NAME_OUT_MAX = 2,        /* lookups of one name at once: one that hangs, and one that is waited for */
    NAMES_WAITED = 8,        /* lookups at once that are waited for */
    NAMES_LOOKERS = 32,      /* threads: those, and the ones that hang */
    NAMES_RETRY_MS = 1000,   /* after a lookup that failed; then twice that, and so on */
    NAMES_RETRY_DOUBLED = 5, /* times */
    NAMES_SOON_MS = 2000     /* between two lookups for the sake of connects that fail */
};

struct addresses { /* each once */
    unsigned n;
    struct sockaddr_storage at[NAME_ADDRESSES];
};
struct names {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something is due, has been answered, or is over */
    pthread_t thread;
    unsigned refs; /* its owner's, and one of each name */
    bool stop;
    int64_t every, patience, retry, soon; /* ms; as the constants say, but in tests */
    unsigned waited, lookers;             /* lookups that are waited for; all threads that look */
    uint64_t serial;                      /* of the last lookup */
    struct name *bucket[NAME_BUCKETS];
    struct loop *loop; /* bor: until names_tell says otherwise */
    void (*fn)(void *arg);
    void *arg;
    struct loop_msg msg;
    bool told; /* msg is on its way */
};
/* Invariants: it stands in the table until its last reference goes; `out` threads hold a reference each; while
 * `looking` the lookup `serial` is waited for, since `began`. */
struct name {
    struct names *all; /* ref; NULL: it is never looked up, and nothing of it changes but `refs` */
    struct name *next;
    _Atomic unsigned refs; /* written under the lock, if there is one */
    _Atomic uint8_t state; /* enum name_state */
    _Atomic uint32_t generation;
    struct addresses a;
    unsigned first;         /* of a.at: where to connect */
    unsigned out, failures; /* failures: in a row */
    bool looking;
    int64_t began, due, ended; /* mono ms */
    uint64_t serial, heard;    /* heard: of the lookup whose answer was taken last */
    unsigned port;
    char host[NAME_HOST];
};

bool addresses_have(const struct addresses *a, const struct sockaddr_storage *one);
/* names.c; all under the lock */
void name_answered(struct name *n, const struct addresses *found, enum name_state otherwise);
void name_changes(struct name *n, enum name_state state);
/* Its reference and, with the last, its memory; the lock is not held. */
void names_leave(struct names *r);
/* names_look.c: the thread that has names looked up when they are due */
void *names_main(void *names);
