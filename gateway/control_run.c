/* The control thread at work: signals, reload, the jobs of each minute, and the drain. */
#include "gateway/control_internal.h"
#include "gateway/retention.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { MINUTE_MS = 60000, CHECK_MS = 50 };

static void our_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

static void reload_signal(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGHUP);
}

enum err control_signals_block(void)
{
    sigset_t set;

    our_signals(&set);
    return sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? ERR_OK : ERR_SYS;
}

/* ---- reload ---- */
static void say(const char *event, const struct diags *d)
{
    for (const struct diag *at = d->first; at; at = at->next) {
        char *place = at->line ? arena_printf(d->arena, "%.*s:%u:%u", SLICE_ARG(at->file), at->line, at->col)
                               : arena_str(d->arena, at->file);
        log_event(LOG_ERROR, event, "place", place ? place : "", "what", at->what[LANG_EN], NULL);
    }
}

/* Whole characters: the API tells it as JSON. */
static void keep_text(char *to, size_t room, const char *what)
{
    size_t n;

    snprintf(to, room, "%s", what);
    n = strlen(to);
    while (n > 0 && !utf8_valid((struct slice){ to, n }))
        to[--n] = '\0';
}

void control_reload_found(struct control *c, const struct diags *d)
{
    static const char unknown[] = "out of memory";

    c->reload_fault[LANG_EN][0] = c->reload_fault[LANG_ZH][0] = '\0';
    if (d->count == 0)
        return;
    for (unsigned l = 0; l < 2; l++)
        keep_text(c->reload_fault[l], sizeof c->reload_fault[l], d->first ? d->first->what[l] : unknown);
}

static void reload(struct control *c);

static void on_reloaded(struct worker_note *n)
{
    struct control_note *note = (struct control_note *)(void *)n;

    if (--note->control->reloads_out == 0 && note->control->reload_again)
        reload(note->control);
}

/* The settings that were in force; `own` when they came with a reload themselves. */
struct settings_before {
    const struct settings *settings;
    struct settings *own;
};

static void settings_free(struct settings *s)
{
    if (s)
        settings_done(s);
    mem_free(s);
}

static enum err reload_settings(struct control *c, struct settings_before *before, struct diags *d)
{
    struct settings *next = mem_zalloc(sizeof *next);
    enum err e = next ? settings_read(c->settings_path, next, d) : ERR_NOMEM;

    if (e == ERR_OK)
        e = settings_may_reload(c->settings, next, d);
    if (e != ERR_OK) {
        settings_free(next);
        return e;
    }
    *before = (struct settings_before){ c->settings, c->reloaded };
    c->settings = c->reloaded = next;
    return ERR_OK;
}

/* Whoever loads trust later, an act that revokes a certificate too, loads it as the settings say: with such that it
 * cannot be loaded by, nothing would be revoked any more. */
static enum err reload_trust(struct control *c, struct settings_before *before, struct certs_trust **ret,
                             struct diags *d)
{
    enum err e = control_trust_load(c, false, ret, d);

    if (e == ERR_OK) {
        settings_free(before->own);
        guard_allow(c->guard, c->settings->limits.drain_ms);
    } else {
        settings_free(c->reloaded);
        c->settings = before->settings;
        c->reloaded = before->own;
    }
    return e;
}

static void reload_tls(struct control *c, struct diags *d)
{
    if (control_tls_load(c, d) != ERR_OK)
        return;
    for (unsigned i = 0; i < c->n_workers; i++) {
        c->reload_notes[i].control = c;
        c->reloads_out++;
        worker_reload_tls(c->workers[i], &c->reload_notes[i].note, &c->settings->tls, c->loop, on_reloaded);
    }
}

/* What is wrong leaves what is in force as it is. */
static void reload(struct control *c)
{
    struct settings_before before = { NULL, NULL };
    struct certs_trust *t = NULL;
    struct diags d;
    struct arena a;
    enum err e;

    c->reload_again = c->reloads_out > 0;
    if (c->reload_again)
        return; /* the workers have their hands full; then again */
    arena_init(&a, 1 << 20);
    diags_init(&d, &a);
    if (reload_settings(c, &before, &d) == ERR_OK) {
        e = reload_trust(c, &before, &t, &d);
        reload_tls(c, &d);
        if (e == ERR_OK)
            act_publish_trust(c, t);
    }
    providers_look(c, true);
    retention_look(c, true);
    say("reload-failed", &d);
    control_reload_found(c, &d);
    c->fault_of_trust = 0;
    log_event(LOG_INFO, "reloaded", "problems", d.count ? "yes" : "no", NULL);
    arena_done(&a);
}

void control_certificate_changed(struct control *c)
{
    struct diags d;
    struct arena a;

    if (c->reloads_out > 0) {
        c->reload_again = true;
        return;
    }
    arena_init(&a, 1 << 20);
    diags_init(&d, &a);
    reload_tls(c, &d);
    say("reload-failed", &d);
    control_reload_found(c, &d);
    arena_done(&a);
}

/* ---- drain ---- */
static void on_drained(struct worker_note *n)
{
    struct control_note *note = (struct control_note *)(void *)n;

    note->control->drains_out--;
}

/* Everything that runs may end by itself; after limits.drain only what still points here is waited for, searches
 * and records of refusals, and the record of what was counted. */
static void on_drain_check(struct alarm *a)
{
    struct control *c = (struct control *)((char *)a - offsetof(struct control, drain));
    bool late = loop_now(c->loop) >= c->drain_until;

    api_write_counted(c);
    if (flood_settled(&c->flood) && c->searches == 0 && !c->retention.reading && c->log_reads == 0 &&
        c->refusals_out == 0 && (late || (c->drains_out == 0 && c->jobs == NULL && c->n_connections == 0)))
        loop_stop(c->loop);
    else
        alarm_set(c->loop, a, CHECK_MS);
}

static void drain(struct control *c)
{
    if (c->draining) { /* asked twice: now */
        c->drain_until = loop_now(c->loop);
        return;
    }
    c->draining = true;
    atomic_store(&c->retention.stop, true);
    c->drain_until = loop_now(c->loop) + c->settings->limits.drain_ms;
    log_event(LOG_INFO, "draining", NULL);
    c->control_acceptor = acceptor_free(c->control_acceptor);
    api_connections_drain(c);
    for (unsigned i = 0; i < c->n_workers; i++) {
        c->drain_notes[i].control = c;
        c->drains_out++;
        worker_drain(c->workers[i], &c->drain_notes[i].note, c->loop, on_drained);
    }
    alarm_set(c->loop, &c->drain, CHECK_MS);
}

/* ---- signals ---- */
static void on_signal(void *arg)
{
    struct control *c = arg;
    struct signalfd_siginfo info;

    while (read(c->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        reload(c);
}

static void on_stop(void *arg)
{
    struct control *c = arg;
    uint64_t one;

    while (read(c->guard->asked, &one, sizeof one) == (ssize_t)sizeof one)
        drain(c);
}

static void on_minute(struct alarm *a)
{
    struct control *c = (struct control *)((char *)a - offsetof(struct control, minute));

    control_minute(c);
    alarm_set(c->loop, a, MINUTE_MS);
}

enum err control_run(struct control *c)
{
    sigset_t set;

    reload_signal(&set);
    c->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (c->signal_fd >= 0)
        c->signal_watch = watch_new(c->loop, c->signal_fd, on_signal, c);
    c->stop_watch = watch_new(c->loop, c->guard->asked, on_stop, c);
    if (c->signal_watch == NULL || c->stop_watch == NULL) {
        log_event(LOG_ERROR, "no-signals", NULL);
        return ERR_SYS;
    }
    alarm_init(&c->minute, on_minute);
    alarm_init(&c->drain, on_drain_check);
    alarm_set(c->loop, &c->minute, MINUTE_MS);
    loop_run(c->loop);
    return ERR_OK;
}
