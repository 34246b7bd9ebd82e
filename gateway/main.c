/* sluiced: reads its settings, forks the keeper, opens the log, then the state, then the listeners; serves until told
 * to stop; ends in the reverse order. */
#include "gateway/control.h"
#include "gateway/log_reader.h"
#include "gateway/guard.h"
#include "gateway/flood.h"
#include "gateway/start.h"
#include "gateway/tally.h"
#include "gateway/witnesses.h"
#include "gateway/cosigner.h"
#include "gateway/worker.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct options {
    const char *settings, *ready_file;
    bool check, verbose;
    enum lang lang;
};

static const char *const usage[2] = {
    [LANG_EN] =
        "sluiced: the data-sharing gateway's daemon\n"
        "  sluiced -c sluice.yaml            serve until SIGTERM (drains) or SIGINT; SIGHUP reloads\n"
        "  sluiced -c sluice.yaml --check    check the settings and the files they name; -v lists every setting\n"
        "  --ready-file FILE                 write pid and addresses as JSON once everything listens\n"
        "  --version, --help\n",
    [LANG_ZH] = "sluiced：数据共享交换网关守护进程\n"
                "  sluiced -c sluice.yaml            提供服务，直到 SIGTERM（先排空）或 SIGINT；SIGHUP 重新载入设置\n"
                "  sluiced -c sluice.yaml --check    检查设置及其所指文件；-v 列出全部设置项\n"
                "  --ready-file 文件                 全部端口就绪后写入进程号与地址（JSON）\n"
                "  --version、--help\n",
};

static enum lang language(void)
{
    static const char *const names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *v = getenv(names[i]);
        if (v && *v)
            return strncmp(v, "zh", 2) == 0 ? LANG_ZH : LANG_EN;
    }
    return LANG_EN;
}

/* Exit code to end with, or -1 to go on. */
static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = { { "config", required_argument, NULL, 'c' },
                                           { "check", no_argument, NULL, 'k' },
                                           { "verbose", no_argument, NULL, 'v' },
                                           { "ready-file", required_argument, NULL, 'r' },
                                           { "version", no_argument, NULL, 'V' },
                                           { "help", no_argument, NULL, 'h' },
                                           { NULL, 0, NULL, 0 } };
    int c;

    o->lang = language();
    while ((c = getopt_long(argc, argv, "c:vh", longs, NULL)) != -1) {
        if (c == 'c')
            o->settings = optarg;
        else if (c == 'k')
            o->check = true;
        else if (c == 'v')
            o->verbose = true;
        else if (c == 'r')
            o->ready_file = optarg;
        else if (c == 'V')
            return puts("sluiced " SLUICE_VERSION) < 0;
        else
            return fputs(usage[o->lang], c == 'h' ? stdout : stderr) < 0 || c != 'h' ? 2 : 0;
    }
    if (o->settings == NULL || optind < argc)
        return fputs(usage[o->lang], stderr) < 0 ? 1 : 2;
    return -1;
}

static int complain(const struct diags *d, enum lang lang, enum err e)
{
    struct buf out = BUF_INIT(1 << 20);

    diags_print(d, lang, &out);
    if (out.n == 0)
        buf_printf(&out, "sluiced: %s\n", err_text(e));
    fwrite(out.p, 1, out.n, stderr);
    buf_done(&out);
    return 1;
}

static int check(const struct options *o, const struct settings *s, struct diags *d)
{
    struct buf out = BUF_INIT(1 << 20);
    enum err e = start_check(s, d);

    if (e != ERR_OK)
        return complain(d, o->lang, e);
    if (o->verbose)
        settings_print(s, o->lang, &out);
    fwrite(out.p ? out.p : "", 1, out.n, stdout);
    buf_clear(&out);
    start_warn(s, o->lang, &out);
    fwrite(out.p ? out.p : "", 1, out.n, stderr);
    buf_done(&out);
    puts(o->lang == LANG_ZH ? "设置无误" : "the settings are good");
    return 0;
}

/* Everything that runs, in the order of starting. */
struct daemon {
    const struct settings *settings;
    struct guard guard;
    struct audit_log *log;
    struct log_reader *reader;
    struct keeper *keeper;
    struct gate gate;
    struct names *names;
    struct witnesses *witnesses;
    struct cosigner *cosigner;
    struct control *control;
    struct tls_sessions *sessions;
    struct running running, connections;
    struct flood_each each;
    struct worker *workers[SETTINGS_WORKERS];
    int fds[SETTINGS_WORKERS];
    unsigned n, listening;
};

static enum err start_workers(struct daemon *m, struct diags *d)
{
    const struct limit_settings *l = &m->settings->limits;
    uint64_t seed;

    if (m->settings->limits.sessions > 0 && (m->sessions = tls_sessions_new(m->settings->limits.sessions)) == NULL)
        return ERR_NOMEM;
    if (random_bytes(&seed, sizeof seed) != ERR_OK)
        seed = 1;
    m->each.seed = seed;
    running_init(&m->running, seed, l->exchanges, l->exchanges_each);
    running_init(&m->connections, seed, l->connections, l->connections_each);
    for (m->n = 0; m->n < m->listening; m->n++) {
        struct worker_config c = { .number = m->n,
                                   .workers = m->listening,
                                   .settings = m->settings,
                                   .log = m->log,
                                   .reader = m->reader,
                                   .gate = &m->gate,
                                   .running = &m->running,
                                   .connections = &m->connections,
                                   .each = &m->each,
                                   .snapshot = control_snapshot(m->control),
                                   .data_fd = m->fds[m->n],
                                   .pressure = control_pressure(m->control),
                                   .sessions = m->sessions };
        enum err e = worker_start(&c, &m->workers[m->n], d);
        if (e != ERR_OK)
            return e;
    }
    control_workers(m->control, m->workers, m->n, m->sessions);
    return ERR_OK;
}

static enum err start(struct daemon *m, const struct options *o, struct diags *d)
{
    struct control_config c = {
        .settings_path = o->settings, .settings = m->settings, .guard = &m->guard, .gate = &m->gate
    };
    enum err e = start_keeper(m->settings, &m->gate, &m->keeper, d); /* it forks, so it comes before all threads */

    if (e == ERR_OK)
        e = guard_start(&m->guard, m->settings->limits.drain_ms, d);
    if (e == ERR_OK)
        e = start_log(m->settings, m->keeper, &m->log, d);
    if (e == ERR_OK && (c.reader = m->reader = log_reader_new()) == NULL)
        e = ERR_NOMEM;
    if (e == ERR_OK && (c.names = m->names = names_new(m->settings->limits.names_ms)) == NULL)
        e = ERR_NOMEM;
    if (e == ERR_OK)
        e = witnesses_start(m->settings, m->log, &m->gate, m->names, &m->witnesses, d);
    c.witnesses = m->witnesses;
    if (e == ERR_OK)
        e = cosigner_start(m->settings, m->keeper, m->log, &m->cosigner, d);
    c.cosigner = m->cosigner;
    if (e == ERR_OK)
        e = start_authority(m->settings, m->keeper, &c.ca, d);
    c.log = m->log;
    c.keeper = m->keeper;
    if (e == ERR_OK)
        e = control_new(&c, &m->control, d);
    if (e != ERR_OK)
        return e;
    for (unsigned i = 0; i < SETTINGS_WORKERS; i++)
        m->fds[i] = -1;
    m->listening = m->settings->workers < SETTINGS_WORKERS ? (unsigned)m->settings->workers : SETTINGS_WORKERS;
    e = start_listen(m->settings, m->fds, m->listening, d);
    if (e == ERR_OK)
        e = start_workers(m, d);
    if (e == ERR_OK)
        e = control_listen(m->control, d);
    if (e == ERR_OK && o->ready_file)
        e = start_ready_file(o->ready_file, m->settings, net_port(m->fds[0]), control_port(m->control),
                             control_operations_port(m->control), m->cosigner ? cosigner_port(m->cosigner) : 0, d);
    return e;
}

static void stop(struct daemon *m)
{
    if (m->control)
        control_quiet(m->control);
    for (unsigned i = 0; i < m->n; i++)
        m->workers[i] = worker_stop(m->workers[i]);
    tls_sessions_unref(m->sessions);
    m->sessions = NULL;
    m->reader = log_reader_free(m->reader); /* its last jobs come home to the control loop */
    m->control = control_free(m->control);  /* after the workers: their last notes come home to its loop */
    for (unsigned i = 0; i < m->listening; i++)
        if (m->fds[i] >= 0)
            close(m->fds[i]);
    m->cosigner = cosigner_stop(m->cosigner);
    m->witnesses = witnesses_stop(m->witnesses);
    m->names = names_stop(m->names);
    m->log = audit_close(m->log);
    m->keeper = keeper_stop(m->keeper); /* the log's last checkpoint is signed */
    guard_end(&m->guard);
}

static int serve(const struct options *o, const struct settings *s, struct diags *d)
{
    struct daemon *m = mem_zalloc(sizeof *m);
    enum err e = m ? control_signals_block() : ERR_NOMEM;
    int result;

    if (m == NULL)
        return 1;
    m->settings = s;
    if (e == ERR_OK)
        e = crypto_init(d);
    start_descriptors(s);
    if (e == ERR_OK)
        e = start(m, o, d);
    if (e == ERR_OK) {
        log_event(LOG_INFO, "started", "version", SLUICE_VERSION, NULL);
        start_notify("READY=1");
        e = control_run(m->control);
        start_notify("STOPPING=1");
    }
    result = e == ERR_OK ? 0 : complain(d, o->lang, e);
    stop(m);
    if (result == 0)
        log_event(LOG_INFO, "stopped", NULL);
    mem_free(m);
    return result;
}

int main(int argc, char **argv)
{
    struct options o = { 0 };
    struct settings *s;
    struct arena a;
    struct diags d;
    enum err e;
    int result = read_options(argc, argv, &o);

    if (result >= 0)
        return result;
    start_process();
    arena_init(&a, 4 << 20);
    diags_init(&d, &a);
    s = mem_zalloc(sizeof *s);
    e = s ? settings_read(o.settings, s, &d) : ERR_NOMEM;
    if (e != ERR_OK) {
        result = complain(&d, o.lang, e);
    } else {
        clock_set_zone(s->zone);
        result = o.check ? check(&o, s, &d) : serve(&o, s, &d);
    }
    if (s)
        settings_done(s);
    mem_free(s);
    arena_done(&a);
    return result;
}
