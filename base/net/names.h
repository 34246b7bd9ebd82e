#pragma once
/* Names of hosts, and where they are. getaddrinfo blocks for as long as it likes, so nobody calls it but threads of its
 * own, which are never waited for: whoever needs an address takes the ones that the last answer had, and does without
 * when there are none. Names are counted and shared: all who ask for one host and port have one name, and it is looked
 * up once for all of them: at once when it is new, every so often while anybody has it, soon after nobody could be
 * reached there, and again after a failure, later each time. Thread rule: any thread, nothing blocks, but for
 * names_settle. */
#include "base/net/loop.h"

struct sockaddr_storage;
struct names;
struct name;

enum { NAME_ADDRESSES = 8, NAME_PATIENCE_MS = 5000 };
enum name_state {
    NAME_ASKED,   /* no answer yet */
    NAME_SILENT,  /* nor within NAME_PATIENCE_MS */
    NAME_FAILS,   /* the name service cannot tell */
    NAME_MISSING, /* it says that there is no such host */
    NAME_KNOWN    /* there is an address; it stays, whatever becomes of the name service, until an answer has others */
};

/* `every`: ms between two lookups of a name that is known. NULL: no memory, or no thread. */
struct names *names_new(int64_t every);
/* Waits for no lookup. Names may outlive it, and keep what they know; a loop that it tells may run no more. Returns
 * NULL. */
struct names *names_stop(struct names *r);
/* fn(arg) runs in this loop, once after any number of changes, when some name's state has become another one. l NULL:
 * never again; to be called before the loop is freed. */
void names_tell(struct names *r, struct loop *l, void (*fn)(void *arg), void *arg);
/* Waits until each name has been answered for, or ms are over: for the start. */
void names_settle(struct names *r, int64_t ms);

/* The name in "host", "host:port" or "[v6]:port"; the caller owns one reference. One that is an address already is
 * never looked up. r NULL: there is no name service, every other name is missing. ERR_INVALID: it is none of these. */
enum err name_get(struct names *r, struct slice host_port, unsigned default_port, struct name **ret,
                  struct diags *d) MUST_CHECK;
/* One that is never looked up; a NULL: a missing one. NULL: no memory. */
struct name *name_of_address(const struct sockaddr_storage *a);
struct name *name_unref(struct name *n); /* NULL is taken; returns NULL */
enum name_state name_state(const struct name *n);
/* Where to connect now; how many addresses it has. 0: none is known. */
unsigned name_address(struct name *n, struct sockaddr_storage *ret);
/* No connection came about there: the next is another one of its addresses, if it has any, and it is looked up soon.
 * How many it has. */
unsigned name_unreachable(struct name *n, const struct sockaddr_storage *at);
uint32_t name_generation(const struct name *n); /* another number whenever its addresses have become others */
bool name_has(struct name *n, const struct sockaddr_storage *at);
