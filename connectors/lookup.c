/* Looking for the address of a target that lacks it. A thread that ends by itself: it holds the target's memory and
 * nothing else, so that nobody need wait for a name service that does not answer. */
#include "connectors/internal.h"

#include <pthread.h>
#include <signal.h>

enum { LOOKERS_MAX = 4 };
static _Atomic unsigned lookers;

static void *look(void *arg)
{
    struct connector_target *t = arg;
    struct sockaddr_storage address;

    if (net_resolve(t->address_text, t->default_port, &address, NULL) == ERR_OK)
        atomic_store(&t->found, true);
    atomic_store(&t->looking, false);
    target_drop(t);
    atomic_fetch_sub(&lookers, 1);
    return NULL;
}

static bool begin(struct connector_target *t)
{
    sigset_t all, before;
    pthread_t thread;
    bool ok;

    sigfillset(&all); /* signals are for others */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ok = pthread_create(&thread, NULL, look, t) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (ok)
        pthread_detach(thread);
    return ok;
}

void connector_look(struct connector_target *t)
{
    if (t->lacks[LANG_EN] == NULL || t->address.ss_family != AF_UNSPEC || atomic_exchange(&t->looking, true))
        return;
    target_keep(t);
    if (atomic_fetch_add(&lookers, 1) < LOOKERS_MAX && begin(t))
        return;
    atomic_fetch_sub(&lookers, 1); /* at the next look */
    atomic_store(&t->looking, false);
    target_drop(t);
}
