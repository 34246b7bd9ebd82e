/* What a start needs around the threads. Invariant: nothing is listened on before the log is open and its open intents
 * are closed. */
#include "gateway/start.h"
#include "gateway/cosigner.h"
#include "gateway/trust.h"
#include "base/net/net.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DESCRIPTORS_OWN = 128 }; /* log, state, index, listeners, loops */

void start_process(void)
{
    struct rlimit files, none = { 0, 0 };

    mem_settle();
    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_CORE, &none); /* a core would hold citizens' data and keys */
    prctl(PR_SET_DUMPABLE, 0);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

void start_descriptors(const struct settings *s)
{
    const struct limit_settings *l = &s->limits;
    uint64_t wanted = l->connections + l->exchanges + l->control_connections +
                      DESCRIPTORS_OWN; /* one to a provider for each exchange */
    struct rlimit files;
    char has[24], wants[24];

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= wanted)
        return;
    snprintf(has, sizeof has, "%llu", (unsigned long long)files.rlim_cur);
    snprintf(wants, sizeof wants, "%llu", (unsigned long long)wanted);
    log_event(LOG_WARN, "descriptors-few", "limit", has, "wanted", wants, "remedy",
              "raise LimitNOFILE= of the service (or ulimit -n), or lower limits.connections and limits.exchanges",
              NULL);
}

/* ---- evidence ---- */
static enum err read_key(const struct settings *s, struct arena *a, const char *name, uint8_t key[KEY_LEN],
                         struct diags *d)
{
    struct buf text = BUF_INIT(4096);
    const char *path = arena_printf(a, "%.*s/keys/%s", SLICE_ARG(s->state.dir), name);
    enum err e = path ? file_check_private(path, d) : ERR_NOMEM;

    if (e == ERR_OK)
        e = file_read(path, &text, d);
    if (e == ERR_OK) {
        struct slice hex = buf_slice(&text);
        while (hex.n > 0 && (hex.p[hex.n - 1] == '\n' || hex.p[hex.n - 1] == '\r'))
            hex.n--;
        if (!hex_read(hex, key, KEY_LEN))
            e = diag_add(d, ERR_INVALID, 0, 0, "%s is no key: 64 hexadecimal digits", "%s 不是密钥：应为 64 位十六进制",
                         path);
    }
    if (text.p)
        mem_wipe(text.p, text.n);
    buf_done(&text);
    return e;
}

static void on_state(void *arg, bool available, enum err why)
{
    (void)arg;
    if (available)
        log_event(LOG_INFO, "evidence-available", NULL);
    else
        log_event(LOG_ERROR, "evidence-unavailable", "why", err_name(why), NULL);
}

static struct slice origin_of(const struct settings *s, struct arena *a)
{
    return slice_of(arena_printf(a, "%.*s/log/%.*s", SLICE_ARG(s->trust_domain), SLICE_ARG(s->node)));
}

enum err start_keeper(const struct settings *s, struct gate *gate, struct keeper **ret, struct diags *d)
{
    struct keeper_config c = { .gate = gate, .sm2 = s->evidence.sm2 };
    struct slice *observed;
    struct arena a;
    enum err e;

    arena_init(&a, 1 << 16);
    c.state_dir = arena_str(&a, s->state.dir);
    c.log_dir = arena_str(&a, s->evidence.dir);
    c.trust_domain = arena_str(&a, s->trust_domain);
    c.certificate = s->tls.certificate.p;
    c.origin = origin_of(s, &a);
    c.witness = slice_of(arena_printf(&a, "%.*s/witness/%.*s", SLICE_ARG(s->trust_domain), SLICE_ARG(s->node)));
    observed = arena_array(&a, s->evidence.n_observed + 1, sizeof *observed);
    for (size_t i = 0; observed && i < s->evidence.n_observed; i++)
        observed[i] = s->evidence.observed[i].log;
    c.observed = observed;
    c.n_observed = observed ? s->evidence.n_observed : 0;
    e = observed && c.witness.p && c.state_dir && c.log_dir && c.trust_domain && c.origin.p ? keeper_start(&c, ret, d)
                                                                                            : ERR_NOMEM;
    arena_done(&a);
    return e;
}

enum err start_authority(const struct settings *s, struct keeper *k, struct certs_ca **ret, struct diags *d)
{
    const struct certs_hand *hand = keeper_hand(k);
    char domain[256];

    snprintf(domain, sizeof domain, "%.*s", SLICE_ARG(s->trust_domain));
    return hand ? certs_ca_open_without_key(s->state.dir.p, domain, hand, ret, d) : ERR_OK;
}

static enum err open_log(const struct settings *s, struct arena *a, struct audit_config *c, struct audit_log **ret,
                         struct diags *d)
{
    enum err e = read_key(s, a, "salt.key", c->salt_key, d);

    if (e == ERR_OK)
        e = read_key(s, a, "name.key", c->name_key, d);
    if (e != ERR_OK)
        return e;
    c->dir = arena_str(a, s->evidence.dir);
    c->origin = origin_of(s, a);
    if (c->dir == NULL || c->origin.p == NULL)
        return ERR_NOMEM;
    return audit_open(c, ret, d);
}

enum err start_log(const struct settings *s, struct keeper *k, struct audit_log **ret, struct diags *d)
{
    struct audit_config c = { .signer = keeper_public_key(k),
                              .notary = keeper_notary(k),
                              .epoch = 1,
                              .segment_bytes = s->evidence.segment_bytes,
                              .reserve_bytes = s->evidence.reserve_bytes,
                              .on_state = on_state };
    struct arena a;
    enum err e;

    arena_init(&a, 1 << 16);
    e = open_log(s, &a, &c, ret, d);
    if (e == ERR_OK)
        e = audit_start(*ret);
    mem_wipe(c.salt_key, sizeof c.salt_key);
    mem_wipe(c.name_key, sizeof c.name_key);
    arena_done(&a);
    return e;
}

/* ---- sockets ---- */
enum err start_listen(const struct settings *s, int *fds, unsigned n, struct diags *d)
{
    char host[SETTINGS_HOST];
    unsigned port;

    if (!settings_address(s->listen.data, host, &port))
        return diag_add(d, ERR_INVALID, 0, 0, "listen.data is not an address and a port", "listen.data 不是地址加端口");
    for (unsigned i = 0; i < n; i++) {
        enum err e = net_listen(host, port, true, &fds[i], d);
        if (e != ERR_OK)
            return e;
        port = net_port(fds[i]); /* port 0: the first one's choice is everyone's */
    }
    return ERR_OK;
}

/* ---- telling the outside ---- */
static void put_address(struct json *j, const char *key, struct slice address, unsigned port)
{
    char host[SETTINGS_HOST], text[SETTINGS_HOST + 16];
    unsigned configured;

    if (!settings_address(address, host, &configured))
        return;
    snprintf(text, sizeof text, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    json_pair(j, key, slice_of(text));
}

enum err start_ready_file(const char *path, const struct settings *s, unsigned data, unsigned control,
                          unsigned operations, unsigned witness, struct diags *d)
{
    struct buf out = BUF_INIT(4096);
    struct json j;
    enum err e;

    json_init(&j, &out);
    json_open(&j, '{');
    json_pair_u64(&j, "pid", (uint64_t)getpid());
    put_address(&j, "data", s->listen.data, data);
    put_address(&j, "control", s->listen.control, control);
    put_address(&j, "operations", s->listen.operations, operations);
    if (witness != 0)
        put_address(&j, "witness", s->listen.witness, witness);
    json_close(&j, '}');
    buf_putc(&out, '\n');
    e = out.failed == ERR_OK ? file_write(path, buf_slice(&out), 0644, d) : out.failed;
    buf_done(&out);
    return e;
}

void start_notify(const char *state)
{
    const char *where = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t n = where ? strlen(where) : 0;
    int fd;

    if (n == 0 || n >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, where, n);
    if (to.sun_path[0] == '@')
        to.sun_path[0] = '\0'; /* an abstract address */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
        log_event(LOG_WARN, "notify-failed", NULL);
    close(fd);
}

/* The keys that the log and the authority need, as a start would find them. */
static enum err check_keys(const struct settings *s, struct diags *d)
{
    static const char *const names[] = { "salt.key", "name.key" };
    struct ed25519 *log = NULL;
    struct sm2 *sm2 = NULL;
    struct certs_ca *ca = NULL;
    uint8_t key[KEY_LEN];
    const char *log_file, *sm2_file, *ca_file, *domain;
    struct arena a;
    enum err e = ERR_OK, e2;

    arena_init(&a, 1 << 16);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        e2 = read_key(s, &a, names[i], key, d);
        e = e != ERR_OK ? e : e2;
    }
    mem_wipe(key, sizeof key);
    log_file = arena_printf(&a, "%.*s/keys/log.key", SLICE_ARG(s->state.dir));
    sm2_file = arena_printf(&a, "%.*s/keys/log.sm2.key", SLICE_ARG(s->state.dir));
    ca_file = arena_printf(&a, "%.*s/ca/ca.key", SLICE_ARG(s->state.dir));
    domain = arena_str(&a, s->trust_domain);
    e2 = log_file && ca_file && domain ? ed25519_load(log_file, &log, d) : ERR_NOMEM;
    e = e != ERR_OK ? e : e2;
    e2 = ca_file && domain && access(ca_file, F_OK) == 0 ? certs_ca_open(s->state.dir.p, domain, &ca, d) : ERR_OK;
    e = e != ERR_OK ? e : e2;
    if (sm2_file && s->evidence.sm2 && access(sm2_file, F_OK) == 0) { /* else the first start makes it */
        e2 = sm2_load(sm2_file, &sm2, d);
        e = e != ERR_OK ? e : e2;
    }
    sm2_free(sm2);
    ed25519_free(log);
    certs_ca_free(ca);
    arena_done(&a);
    return e;
}

enum err start_check(const struct settings *s, struct diags *d)
{
    struct trust_holder nobody = { 0 };
    struct tls_server server = { .cert_file = s->tls.certificate.p,
                                 .key_file = s->tls.key.p,
                                 .ca_files = s->tls.authorities,
                                 .verify = trust_verify,
                                 .arg = &nobody };
    struct tls_context *tls = NULL;
    struct certs_trust *peers = NULL;
    enum err e = tls_server_new(&server, &tls, d), e2 = check_keys(s, d);

    tls_unref(tls);
    e = e == ERR_OK ? e2 : e;
    e2 = s->evidence.n_observed > 0 ? cosigner_trust(s, &peers, d) : ERR_OK;
    if (peers)
        certs_trust_unref(peers);
    return e != ERR_OK ? e : e2;
}

void start_warn(const struct settings *s, enum lang lang, struct buf *out)
{
    char key[4200];

    snprintf(key, sizeof key, "%.*s/root/root.key", SLICE_ARG(s->state.dir));
    if (access(key, F_OK) != 0)
        return;
    if (lang == LANG_ZH)
        buf_printf(out, "注意：%s 仍在本节点：根密钥可签出新的签发机构，请移到离线介质保存\n", key);
    else
        buf_printf(out,
                   "warning: %s is still on this node: the root key makes new authorities, take it to offline media\n",
                   key);
}
