/* The control thread's parts: opened in order, freed in the opposite one. Nothing of the data path is here: workers are
 * told by messages. */
#include "gateway/control_internal.h"

#include <stdio.h>
#include <unistd.h>

enum { SECOND_MS = 1000 };

/* ---- what handlers may reach ---- */
struct certs_ca *control_ca(struct control *c)
{
    return c->ca;
}

enum keeper_state control_keeper_state(const struct control *c)
{
    return c->keeper ? keeper_state(c->keeper) : KEEPER_SIGNS;
}

struct audit_log *control_log(struct control *c)
{
    return c->log;
}

const struct settings *control_settings(const struct control *c)
{
    return c->settings;
}

const struct connector_world *control_world(const struct control *c)
{
    return &c->world;
}

struct snapshot *control_snapshot(const struct control *c)
{
    return c->snapshot;
}

int64_t control_now(const struct control *c)
{
    (void)c;
    return clock_wall_ms();
}

/* ---- opening ---- */
static const struct state_part {
    const char *prefix;
    const struct sql_migration *list;
    const size_t *n;
} state_parts[] = {
    { "certs", certs_migrations, &certs_migrations_n },
    { "catalog", catalog_migrations, &catalog_migrations_n },
    { "policy", policy_migrations, &policy_migrations_n },
    { "audit", audit_migrations, &audit_migrations_n },
};

static enum err open_state(struct control *c, struct diags *d)
{
    char path[4200];
    enum err e;

    snprintf(path, sizeof path, "%s/state.db", c->state_dir);
    e = sql_open(path, &c->sql, d);
    for (size_t i = 0; e == ERR_OK && i < sizeof state_parts / sizeof state_parts[0]; i++)
        e = sql_migrate(c->sql, state_parts[i].prefix, state_parts[i].list, *state_parts[i].n, d);
    if (e == ERR_OK)
        reserve_keep(c);
    return e;
}

static void on_keeper(void *arg)
{
    struct control *c = arg;

    keeper_look(c->keeper);
    if (keeper_state(c->keeper) == KEEPER_GONE)
        c->keeper_watch = watch_free(c->keeper_watch); /* its end would be readable for ever */
}

static enum err watch_keeper(struct control *c)
{
    if (c->keeper == NULL)
        return ERR_OK;
    c->keeper_watch = watch_new(c->loop, keeper_fd(c->keeper), on_keeper, c);
    return c->keeper_watch ? ERR_OK : ERR_NOMEM;
}

static void note_expiry(struct control *c)
{
    if (certs_file_expiry(c->settings->tls.certificate.p, &c->certificate_until, NULL) != ERR_OK)
        c->certificate_until = 0;
}

static void set_world(struct control *c)
{
    const struct settings *s = c->settings;

    snprintf(c->secrets_dir, sizeof c->secrets_dir, "%s/secrets", c->state_dir);
    c->world = (struct connector_world){ .secrets_dir = c->secrets_dir,
                                         .trust_dir = s->tls.providers.p,
                                         .cert_file = s->tls.certificate.p,
                                         .key_file = s->tls.key.p,
                                         .workers = (unsigned)s->workers,
                                         .names = c->names };
}

/* A list that ran out while the daemon was down would keep everybody out: it is signed anew before it is loaded. */
static enum err open_trust(struct control *c, struct diags *d)
{
    struct certs_trust *t = NULL;
    enum err e;

    if (c->ca)
        e = control_crl_write(c, d);
    else
        e = ERR_OK;
    if (e == ERR_OK || e == ERR_FULL)
        e = control_trust_load(c, false, &t, d);
    if (e != ERR_OK)
        return e;
    c->fault_of_trust = c->trust_lacks;
    if (c->trust_lacks > 0)
        control_reload_found(c, d);
    c->snapshot->trust = t;
    c->snapshot->trust_generation = 1;
    trust_swap(&c->trust, t);
    return ERR_OK;
}

static enum err load_snapshot(struct control *c, struct diags *d)
{
    struct snapshot_source from = { .world = &c->world, .now = control_now(c) };
    struct diags found;
    struct arena a;
    enum err e;

    arena_init(&a, 4 << 20);
    diags_init(&found, &a); /* resources that no longer compile are left out and named; the rest serves */
    e = sql_begin(c->sql, false, &from.tx, d);
    if (e == ERR_OK)
        e = snapshot_load_all(c->snapshot, &from, &found);
    sql_rollback(from.tx);
    for (const struct diag *at = found.first; at; at = at->next)
        log_event(LOG_ERROR, "snapshot-object", "what", at->what[LANG_EN], NULL);
    if (e != ERR_OK)
        diag_add(d, e, 0, 0, "the state cannot be loaded: %s%.0s", "无法载入状态：%.0s%s", err_text(e), err_name(e));
    arena_done(&a);
    return e;
}

static enum err open_parts(struct control *c, struct diags *d)
{
    enum err e = open_state(c, d);

    if (e == ERR_OK)
        e = audit_index_open(audit_dir(c->log), c->log, &c->index, d);
    if (e == ERR_OK)
        e = act_init(c);
    api_init(c);
    if (e == ERR_OK)
        e = act_replay(c, d);
    if (e == ERR_OK)
        e = open_trust(c, d);
    if (e == ERR_OK)
        e = load_snapshot(c, d);
    if (e != ERR_OK)
        return e;
    providers_begin(c);
    c->queue_watch = watch_new(c->loop, audit_queue_fd(c->queue), act_on_log, c);
    return c->queue_watch ? watch_keeper(c) : ERR_NOMEM;
}

static void on_turn(void *arg)
{
    struct control *c = arg;

    audit_kick(c->queue);
    ops_tell(c);
}

/* A turn each second, by which others see that this thread is not held. */
static void on_second(struct alarm *a)
{
    struct control *c = (struct control *)((char *)a - offsetof(struct control, second));

    c->log_free = control_disk_free(audit_dir(c->log));
    c->state_free = control_disk_free(c->state_dir);
    providers_second(c);
    alarm_set(c->loop, a, SECOND_MS);
}

enum err control_new(const struct control_config *cfg, struct control **ret, struct diags *d)
{
    struct control *c = mem_zalloc(sizeof *c);
    enum err e;

    if (c == NULL) {
        certs_ca_free(cfg->ca);
        return ERR_NOMEM;
    }
    c->ca = cfg->ca;
    c->keeper = cfg->keeper;
    c->gate = cfg->gate;
    c->witnesses = cfg->witnesses;
    c->names = cfg->names;
    c->cosigner = cfg->cosigner;
    c->settings_path = cfg->settings_path;
    c->settings = cfg->settings;
    c->log = cfg->log;
    c->reader = cfg->reader;
    c->guard = cfg->guard;
    c->signal_fd = c->control_fd = c->operations_fd = -1;
    c->started = clock_wall_ms();
    c->began = clock_mono_ms();
    snprintf(c->state_dir, sizeof c->state_dir, "%.*s", SLICE_ARG(cfg->settings->state.dir));
    set_world(c);
    note_expiry(c);
    c->loop = loop_new();
    door_init_yielding(&c->control_door, c->loop, (unsigned)cfg->settings->limits.control_strangers);
    c->snapshot = snapshot_new();
    e = c->loop && c->snapshot ? open_parts(c, d) : ERR_NOMEM;
    if (e != ERR_OK) {
        control_free(c);
        return e;
    }
    pressure_init(&c->pressure, c->loop, cfg->settings->limits.memory);
    loop_on_turn(c->loop, on_turn, c);
    alarm_init(&c->second, on_second);
    on_second(&c->second);
    *ret = c;
    return ERR_OK;
}

struct pressure *control_pressure(struct control *c)
{
    return &c->pressure;
}

void control_quiet(struct control *c)
{
    ops_stop(c);
}

void control_workers(struct control *c, struct worker *const *workers, unsigned n, struct tls_sessions *sessions)
{
    c->sessions = sessions ? tls_sessions_ref(sessions) : NULL;
    c->n_workers = n < SETTINGS_WORKERS ? n : SETTINGS_WORKERS;
    memcpy(c->workers, workers, c->n_workers * sizeof *workers);
}

/* ---- listening ---- */
struct http_limits control_limits(const struct control *c)
{
    const struct settings *s = c->settings;

    return (struct http_limits){ .handshake = s->limits.handshake_ms,
                                 .head = s->limits.head_ms,
                                 .body = s->limits.body_ms,
                                 .idle = s->limits.idle_ms,
                                 .write = s->limits.write_ms,
                                 .rate = (uint32_t)s->limits.rate,
                                 .requests = (uint32_t)s->limits.requests,
                                 .head_bytes = (uint32_t)s->limits.head_bytes,
                                 .head_fields = (uint32_t)s->limits.head_fields };
}

static void on_control(void *arg, int fd)
{
    struct control *c = arg;
    struct http_limits limits = control_limits(c);

    if (http_serve(c->loop, fd, c->tls, &limits, &api_service, c) != ERR_OK)
        log_event(LOG_WARN, "accept-failed", NULL);
}

static enum err listen_at(struct slice address, int *fd, struct diags *d)
{
    char host[SETTINGS_HOST];
    unsigned port;

    if (!settings_address(address, host, &port))
        return ERR_INVALID;
    return net_listen(host, port, false, fd, d);
}

enum err control_tls_load(struct control *c, struct diags *d)
{
    const struct tls_settings *t = &c->settings->tls;
    struct tls_server s = { .cert_file = t->certificate.p,
                            .key_file = t->key.p,
                            .ca_files = t->authorities,
                            .verify = trust_verify,
                            .arg = &c->trust,
                            .door = &c->control_door };
    struct tls_context *next = NULL;
    enum err e = tls_server_new(&s, &next, d);

    if (e != ERR_OK)
        return e;
    if (c->tls)
        tls_unref(c->tls);
    c->tls = next;
    note_expiry(c);
    return ERR_OK;
}

enum err control_listen(struct control *c, struct diags *d)
{
    enum err e = control_tls_load(c, d);

    if (e == ERR_OK)
        e = listen_at(c->settings->listen.control, &c->control_fd, d);
    if (e == ERR_OK)
        e = listen_at(c->settings->listen.operations, &c->operations_fd, d);
    if (e != ERR_OK)
        return e;
    c->control_acceptor = acceptor_new(c->loop, c->control_fd, on_control, c);
    if (c->control_acceptor == NULL)
        return ERR_NOMEM;
    acceptor_yields(c->control_acceptor, &c->control_door);
    return ops_start(c);
}

unsigned control_port(const struct control *c)
{
    return net_port(c->control_fd);
}

unsigned control_operations_port(const struct control *c)
{
    return net_port(c->operations_fd);
}

/* ---- the end ---- */
static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

struct control *control_free(struct control *c)
{
    if (c == NULL)
        return NULL;
    ops_stop(c);
    c->control_acceptor = acceptor_free(c->control_acceptor);
    close_fd(&c->control_fd);
    close_fd(&c->operations_fd);
    c->signal_watch = watch_free(c->signal_watch);
    c->stop_watch = watch_free(c->stop_watch);
    close_fd(&c->signal_fd);
    if (c->loop) {
        door_done(&c->control_door);
        api_connections_abort(c);
    }
    if (c->sql)
        act_flush_done(c);
    act_free_all(c);
    alarm_clear(&c->second);
    c->queue_watch = watch_free(c->queue_watch);
    c->keeper_watch = watch_free(c->keeper_watch);
    c->queue = audit_queue_free(c->queue);
    c->ca = c->ca ? certs_ca_free(c->ca) : NULL;
    tls_sessions_unref(c->sessions);
    c->index = audit_index_close(c->index);
    c->sql = c->sql ? sql_close(c->sql) : NULL;
    if (c->tls)
        tls_unref(c->tls);
    trust_swap(&c->trust, NULL);
    snapshot_unref(c->snapshot);
    pressure_done(&c->pressure);
    providers_end(c);
    c->loop = c->loop ? loop_free(c->loop) : NULL;
    if (c->reloaded) {
        settings_done(c->reloaded);
        mem_free(c->reloaded);
    }
    mem_free(c);
    return NULL;
}
