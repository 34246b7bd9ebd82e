/* The reading thread: one list under one mutex. Invariant: `waiting` jobs are in the list, at most LOG_WAITING_MAX. */
#include "gateway/log_reader.h"
#include "gateway/bounds.h"

#include <pthread.h>
#include <signal.h>

struct log_reader {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct log_job *first, **tail;
    unsigned waiting;
    bool stop;
};

static void job_run(struct log_job *j)
{
    buf_init(&j->out, j->proof ? AUDIT_PROOF_MAX : AUDIT_RESOURCE_MAX);
    j->e = j->proof ? audit_prove_exchange(j->log, &j->ask, &j->out)
                    : audit_resource(j->log, j->path, j->entries, &j->out);
}

static struct log_job *job_next(struct log_reader *r)
{
    struct log_job *j;

    pthread_mutex_lock(&r->lock);
    while (r->first == NULL && !r->stop)
        pthread_cond_wait(&r->more, &r->lock);
    j = r->first;
    if (j != NULL) {
        r->first = j->next;
        if (r->first == NULL)
            r->tail = &r->first;
        r->waiting--;
    }
    pthread_mutex_unlock(&r->lock);
    return j;
}

static void go_home(void *arg)
{
    struct log_job *j = arg;

    j->done(j);
}

static void *reader_main(void *arg)
{
    struct log_job *j;
    sigset_t all;

    sigfillset(&all); /* signals are the control thread's */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    while ((j = job_next(arg)) != NULL) {
        job_run(j);
        j->home = (struct loop_msg){ .fn = go_home, .arg = j };
        loop_post(j->back, &j->home);
    }
    return NULL;
}

struct log_reader *log_reader_new(void)
{
    struct log_reader *r = mem_zalloc(sizeof *r);

    if (r == NULL)
        return NULL;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->more, NULL);
    r->tail = &r->first;
    if (pthread_create(&r->thread, NULL, reader_main, r) == 0)
        return r;
    pthread_cond_destroy(&r->more);
    pthread_mutex_destroy(&r->lock);
    return mem_free(r);
}

struct log_reader *log_reader_free(struct log_reader *r)
{
    if (r == NULL)
        return NULL;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->more);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    pthread_cond_destroy(&r->more);
    pthread_mutex_destroy(&r->lock);
    return mem_free(r);
}

enum err log_reader_put(struct log_reader *r, struct log_job *j)
{
    enum err e = ERR_BUSY;

    pthread_mutex_lock(&r->lock);
    if (r->waiting < LOG_WAITING_MAX && !r->stop) {
        j->next = NULL;
        *r->tail = j;
        r->tail = &j->next;
        r->waiting++;
        e = ERR_OK;
        pthread_cond_signal(&r->more);
    }
    pthread_mutex_unlock(&r->lock);
    return e;
}
