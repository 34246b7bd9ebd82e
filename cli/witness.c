/* sluice witness: a small daemon that co-signs checkpoints of other operators' logs (C2SP tlog-witness), and the making
 * of its key. It answers POST <any prefix>/add-checkpoint and nothing else. Plain HTTP on loopback addresses only;
 * elsewhere TLS with --cert and --key. Nobody is authenticated but by the log's signature on the checkpoint, as the
 * standard says, unless --client-ca names whose gateways may ask: then only they are answered. Everything is bounded:
 * connections, bytes of a request, time; a request holds no state between its callbacks but its body. */
#include "audit/audit.h"
#include "base/net/net.h"
#include "certs/certs.h"
#include "cli/run.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 64,
    STRANGERS_MAX = 256,
    LOGS_MAX = AUDIT_ORIGINS_MAX,
    CLIENTS_MAX = 64,
    HOST_MAX = 64,
    TEXT_MAX = 4096
};

struct witness {
    struct cli *cli;
    const char *dir;
    struct ed25519 *key; /* own */
    struct slice name;
    struct audit_observer *observer; /* own */
    struct loop *loop;
    struct tls_context *tls;
    struct door door;            /* of `tls` */
    struct certs_trust *clients; /* ref; NULL: anybody may ask */
    struct http_small *service;  /* own */
    struct watch *signals;
    int fd, signal_fd;
    struct slice logs[LOGS_MAX]; /* their vkeys */
    size_t n_logs;
};

/* ---- one request ---- */
static int on_head(void *owner, const struct http_conn *http, const struct http_head *h, const char **text)
{
    const struct witness *w = owner;
    enum reason why =
        w->clients ? certs_gateway_judge(w->clients, http_conn_peer(http), clock_wall_ms()) : REASON_GRANTED;

    *text = why != REASON_GRANTED ? reason_info(why)->code : "POST /add-checkpoint\n";
    if (why != REASON_GRANTED)
        return 403;
    if (!slice_ends(h->path, SLICE("/add-checkpoint")))
        return 404;
    return slice_is(h->method, "POST") ? 0 : 405;
}

static void on_ask(void *owner, struct http_small_ask *a)
{
    struct witness *w = owner;
    struct buf out = BUF_INIT(TEXT_MAX);
    const char *type = "text/plain";
    enum audit_fault fault;
    int status = audit_observer_add(w->observer, buf_slice(&a->body), clock_wall_ms() / 1000, &out, &type, &fault);

    bool forked = fault == AUDIT_FAULT_FORKED;

    for (size_t i = 0; fault != AUDIT_FAULT_NONE && i < w->n_logs; i++)
        if (audit_fault_keep(w->dir, w->logs[i], buf_slice(&a->body), fault))
            log_event(forked ? LOG_ERROR : LOG_WARN, forked ? "log-misbehaved" : "log-unproved", "what",
                      forked ? "the log signed two histories; kept as .conflict and .cosigned"
                             : "no proof came that what the log signed continues what was co-signed; kept as .unproved",
                      NULL);
    http_small_answer(a, status, type, buf_slice(&out));
    buf_done(&out);
}

static void on_signal(void *arg)
{
    loop_stop(((struct witness *)arg)->loop);
}

/* ---- starting ---- */
/* The key and the name that it was made for: <dir>/witness.key and .vkey. */
static enum err key_open(struct witness *w)
{
    struct cli *c = w->cli;
    struct buf text = BUF_INIT(TEXT_MAX);
    struct audit_witness known;
    struct slice line;
    enum err e = ed25519_load(path_join(&c->arena, w->dir, "witness.key"), &w->key, &c->diags);

    if (e == ERR_OK)
        e = file_read(path_join(&c->arena, w->dir, "witness.vkey"), &text, &c->diags);
    line = buf_slice(&text);
    line = slice_trim(slice_cut(&line, '\n'));
    if (e == ERR_OK && (audit_witness_read(line, &known) != ERR_OK ||
                        memcmp(known.key, ed25519_signer(w->key).public_key, ED25519_PUB) != 0))
        e = diag_add(&c->diags, ERR_INVALID, 0, 0, "%s/witness.vkey does not belong to witness.key",
                     "%s/witness.vkey 与 witness.key 不匹配", w->dir);
    if (e == ERR_OK)
        w->name = slice_of(arena_str(&c->arena, slice_of(known.name)));
    buf_done(&text);
    return e;
}

/* --log: a verifier key, or a file that holds one. */
static enum err logs_read(struct cli *c, struct slice logs[LOGS_MAX], size_t *n)
{
    const char *v;
    enum err e = ERR_OK;

    for (*n = 0; e == ERR_OK && (v = cli_nth(c, "log", *n)) != NULL; ++*n) {
        struct buf text = BUF_INIT(TEXT_MAX);
        struct slice line = slice_of(v);
        struct stat st;
        if (*n == LOGS_MAX)
            return diag_add(&c->diags, ERR_INVALID, 0, 0, "at most %d logs", "至多 %d 个日志", LOGS_MAX);
        if (stat(v, &st) == 0) {
            e = file_read(v, &text, &c->diags);
            line = buf_slice(&text);
        }
        logs[*n] = arena_dup(&c->arena, slice_trim(slice_cut(&line, '\n')));
        buf_done(&text);
    }
    return e;
}

static bool loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

/* "127.0.0.1:8444" or "[::1]:8444" in parts. */
static bool address_read(struct slice text, char host[HOST_MAX], unsigned *port)
{
    size_t colon = text.n;
    struct slice name;
    uint64_t number;

    while (colon > 0 && text.p[colon - 1] != ':')
        colon--;
    if (colon < 2 || !slice_u64(slice_sub(text, colon, text.n), 0, 65535, &number))
        return false;
    name = slice_sub(text, 0, colon - 1);
    if (name.n > 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
        name = slice_sub(name, 1, name.n - 2);
    if (name.n >= HOST_MAX)
        return false;
    memcpy(host, name.p, name.n);
    host[name.n] = '\0';
    *port = (unsigned)number;
    return true;
}

/* Without --client-ca nobody is known, and nobody need be. */
static struct tls_peer *peer_of(void *arg, struct x509_st **leaf, struct stack_st_X509 *chain)
{
    struct certs_trust *t = ((struct witness *)arg)->clients;
    struct x509_st *none = NULL;
    struct certs_shared *p = certs_known_verify(NULL, t, leaf && t ? leaf : &none, chain, clock_wall_ms());

    return p ? &p->head : NULL;
}

/* --client-ca DOMAIN=FILE: this authority vouches for gateways of this trust domain. */
static enum err clients_read(struct witness *w, const char *files[CLIENTS_MAX + 1])
{
    struct cli *c = w->cli;
    struct certs_anchor anchors[CLIENTS_MAX];
    const char *v;
    size_t n = 0;

    for (; (v = cli_nth(c, "client-ca", n)) != NULL; n++) {
        struct slice rest = slice_of(v), domain = slice_cut(&rest, '=');
        if (n == CLIENTS_MAX || domain.n == 0 || rest.n == 0)
            return diag_add(&c->diags, ERR_INVALID, 0, 0,
                            "--client-ca is a trust domain and a file, at most %d of them",
                            "--client-ca 应为 信任域=文件，至多 %d 个", CLIENTS_MAX);
        anchors[n] = (struct certs_anchor){ .ca_file = arena_str(&c->arena, rest),
                                            .crl_file = "",
                                            .domain = arena_str(&c->arena, domain),
                                            .departments = "",
                                            .no_crl = true };
        files[n] = anchors[n].ca_file;
        if (anchors[n].ca_file == NULL || anchors[n].domain == NULL)
            return ERR_NOMEM;
    }
    files[n] = NULL;
    return n > 0 ? certs_trust_load(anchors, n, &w->clients, &c->diags) : ERR_OK;
}

static enum err listen_open(struct witness *w, const char **scheme)
{
    struct cli *c = w->cli;
    const char *address = cli_value(c, "listen"), *cert = cli_value(c, "cert"), *key = cli_value(c, "key");
    const char *clients[CLIENTS_MAX + 1] = { NULL };
    struct tls_server server = {
        .cert_file = cert, .key_file = key, .ca_files = clients, .verify = peer_of, .arg = w, .door = &w->door
    };
    char host[HOST_MAX];
    unsigned port;
    enum err e = ERR_OK;

    if (!address_read(slice_of(address ? address : "127.0.0.1:8444"), host, &port))
        return diag_add(&c->diags, ERR_INVALID, 0, 0, "--listen is an address and a port, as 127.0.0.1:8444",
                        "--listen 应为地址与端口，如 127.0.0.1:8444");
    if ((cert == NULL) != (key == NULL) || (cert == NULL && !loopback(host)))
        return diag_add(&c->diags, ERR_INVALID, 0, 0,
                        "on an address that others can reach it takes TLS: give --cert and --key, or listen on "
                        "127.0.0.1 behind a terminator",
                        "在他人可达的地址上须使用 TLS：请给出 --cert 与 --key，或仅监听 127.0.0.1 并置于 TLS 终端之后");
    if (cert == NULL && cli_has(c, "client-ca"))
        return diag_add(&c->diags, ERR_INVALID, 0, 0, "--client-ca takes TLS: give --cert and --key",
                        "--client-ca 须使用 TLS：请给出 --cert 与 --key");
    e = clients_read(w, clients);
    if (clients[0] == NULL)
        server.ca_files = NULL;
    if (e == ERR_OK && cert != NULL)
        e = tls_server_new(&server, &w->tls, &c->diags);
    *scheme = cert != NULL ? "https" : "http";
    return e == ERR_OK ? net_listen(host, port, false, &w->fd, &c->diags) : e;
}

static enum err start(struct witness *w)
{
    struct cli *c = w->cli;
    struct signer signer;
    sigset_t set;
    enum err e = crypto_init(&c->diags);

    if (e == ERR_OK)
        e = key_open(w);
    if (e == ERR_OK)
        e = logs_read(c, w->logs, &w->n_logs);
    if (e != ERR_OK)
        return e;
    signer = ed25519_signer(w->key);
    e = audit_observer_open(w->dir, w->name, &signer, w->logs, w->n_logs, &w->observer, &c->diags);
    if (e != ERR_OK)
        return e;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    w->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    w->loop = loop_new();
    if (w->signal_fd < 0 || w->loop == NULL)
        return ERR_NOMEM;
    door_init_yielding(&w->door, w->loop, STRANGERS_MAX);
    w->signals = watch_new(w->loop, w->signal_fd, on_signal, w);
    return w->signals ? ERR_OK : ERR_NOMEM;
}

static void stop(struct witness *w)
{
    w->service = http_small_free(w->service);
    w->signals = watch_free(w->signals);
    if (w->loop) {
        door_done(&w->door);
        loop_free(w->loop);
    }
    if (w->fd >= 0)
        close(w->fd);
    if (w->signal_fd >= 0)
        close(w->signal_fd);
    tls_unref(w->tls);
    if (w->clients)
        certs_trust_unref(w->clients);
    audit_observer_close(w->observer);
    ed25519_free(w->key);
}

int run_witness(struct cli *c)
{
    struct witness w = { .cli = c, .dir = cli_value(c, "dir"), .fd = -1, .signal_fd = -1 };
    struct http_small_config service = {
        .body_max = AUDIT_ADD_MAX, .connections = CONNECTIONS_MAX, .head = on_head, .ask = on_ask, .owner = &w
    };
    const char *scheme = "";
    enum err e = start(&w);

    if (e == ERR_OK)
        e = listen_open(&w, &scheme);
    service.door = w.tls != NULL ? &w.door : NULL;
    if (e == ERR_OK && (w.service = http_small_new(w.loop, w.fd, w.tls, &service)) == NULL)
        e = ERR_NOMEM;
    if (e == ERR_OK) {
        fprintf(c->out,
                c->lang == LANG_ZH ? "见证 %.*s 正在端口 %u 服务（%s）\n" : "witness %.*s serves on port %u (%s)\n",
                SLICE_ARG(w.name), net_port(w.fd), scheme);
        fflush(c->out);
        loop_run(w.loop);
    }
    stop(&w);
    return cli_error(c, e);
}

/* ---- its key ---- */
int run_witness_init(struct cli *c)
{
    const char *dir = cli_value(c, "dir"), *name = cli_value(c, "name");
    char *key_file = path_join(&c->arena, dir, "witness.key"), *vkey_file = path_join(&c->arena, dir, "witness.vkey");
    struct buf vkey = BUF_INIT(TEXT_MAX);
    struct ed25519 *key = NULL;
    enum err e = key_file && vkey_file ? crypto_init(&c->diags) : ERR_NOMEM;

    /* The name first: a key that was made for a bad one would stand in the way. */
    if (e == ERR_OK && audit_witness_vkey(slice_of(name), (const uint8_t[ED25519_PUB]){ 0 }, &vkey) != ERR_OK)
        e = diag_add(&c->diags, ERR_INVALID, 0, 0, "a witness's name holds no space and no '+': audit.city.example/w1",
                     "见证名称不得含空格或加号，例如 audit.city.example/w1");
    buf_clear(&vkey);
    if (e == ERR_OK)
        e = dir_make(dir, 0700, &c->diags);
    if (e == ERR_OK)
        e = ed25519_generate(key_file, &c->diags);
    if (e == ERR_OK)
        e = ed25519_load(key_file, &key, &c->diags);
    if (e == ERR_OK)
        e = audit_witness_vkey(slice_of(name), ed25519_signer(key).public_key, &vkey);
    buf_putc(&vkey, '\n');
    if (e == ERR_OK)
        e = file_write(vkey_file, buf_slice(&vkey), 0644, &c->diags);
    ed25519_free(key);
    if (e == ERR_OK) {
        fwrite(vkey.p, 1, vkey.n, c->out);
        cli_say(c,
                "give this line to the operators of the logs (evidence.witnesses), and to those who verify (--witness)",
                "请将此行交给各日志的运维方（evidence.witnesses）与核验人员（--witness）");
    }
    buf_done(&vkey);
    return cli_error(c, e);
}
