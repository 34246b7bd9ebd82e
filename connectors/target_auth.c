/* A target's credential: read from the folder of secrets when the target is compiled, kept as the header's value, wiped
 * when the target goes. Never in a diag, a log or a record. */
#include "connectors/internal.h"

enum { SECRET_MAX = 8192 };

struct auth_form {
    const struct doc *bearer, *header, *basic;
};
struct secret_form {
    struct slice secret, name, user;
};
#define AT(member) offsetof(struct auth_form, member)
static const struct doc_key auth_keys[] = {
    { .name = "bearer", .kind = DOC_K_MAP, .offset = AT(bearer), .help = { "{secret: name}", "{secret: 凭据名}" } },
    { .name = "header",
      .kind = DOC_K_MAP,
      .offset = AT(header),
      .help = { "{name: X-Api-Key, secret: name}", "{name: X-Api-Key, secret: 凭据名}" } },
    { .name = "basic",
      .kind = DOC_K_MAP,
      .offset = AT(basic),
      .help = { "{user: name, secret: name}", "{user: 用户名, secret: 凭据名}" } },
    { .name = NULL },
};
#undef AT
#define SECRET_KEY                                                                                                     \
    {                                                                                                                  \
        .name = "secret", .kind = DOC_K_IDENT, .offset = offsetof(struct secret_form, secret), .flags = DOC_REQUIRED,  \
        .help = { "name of a file in secrets/", "secrets/ 目录中的文件名" },                                           \
    }
static const struct doc_key bearer_keys[] = { SECRET_KEY, { .name = NULL } };
static const struct doc_key header_keys[] = {
    SECRET_KEY,
    { .name = "name",
      .kind = DOC_K_STR,
      .offset = offsetof(struct secret_form, name),
      .min = 1,
      .max = 64,
      .flags = DOC_REQUIRED,
      .help = { "of the header", "请求头名称" } },
    { .name = NULL },
};
static const struct doc_key basic_keys[] = {
    SECRET_KEY,
    { .name = "user",
      .kind = DOC_K_STR,
      .offset = offsetof(struct secret_form, user),
      .min = 1,
      .max = 256,
      .flags = DOC_REQUIRED,
      .help = { "user name", "用户名" } },
    { .name = NULL },
};

#define NAME(lit)                                                                                                      \
    {                                                                                                                  \
        lit, sizeof(lit) - 1                                                                                           \
    }
bool header_reserved(struct slice name)
{
    static const struct slice names[] = {
        NAME("host"),       NAME("content-length"), NAME("content-type"),    NAME("content-encoding"),
        NAME("connection"), NAME("accept"),         NAME("accept-encoding"), NAME("transfer-encoding"),
        NAME("keep-alive"), NAME("authorization"),  NAME("soapaction"),      NAME("user-agent"),
        NAME("te"),         NAME("trailer"),        NAME("upgrade"),         NAME("expect")
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].n == name.n && slice_eq_nocase(name, names[i]))
            return true;
    return false;
}
#undef NAME

static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        if (ch <= 0x20 || ch >= 0x7F || strchr("\"(),/:;<=>?@[\\]{}", ch) != NULL)
            return false;
    }
    return s.n > 0;
}

/* What may stand in a header: visible ASCII, blanks inside. */
static bool is_visible(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || (unsigned char)s.p[i] >= 0x7F)
            return false;
    return s.n > 0;
}

static struct slice without_line_end(struct slice s)
{
    while (s.n > 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
        s.n--;
    return s;
}

static bool read_secret(struct target_compile *c, const struct doc *at, struct slice name, struct buf *out)
{
    char *path = arena_printf(&c->t->arena, "%s/%.*s", c->w->secrets_dir ? c->w->secrets_dir : ".", SLICE_ARG(name));
    enum err e;

    if (path == NULL) {
        c->nomem = true;
        return false;
    }
    c->t->secret_file = path;
    c->secret = target_file(path);
    e = file_check_private(path, c->d);
    if (e == ERR_OK)
        e = file_read(path, out, c->d);
    if (e != ERR_OK)
        target_lacks(c, at,
                     arena_printf(c->scratch, "the secret %.*s cannot be used: put it into %s, mode 0600",
                                  SLICE_ARG(name), path),
                     arena_printf(c->scratch, "凭据 %.*s 不可用：请存入 %s，权限 0600", SLICE_ARG(name), path));
    return e == ERR_OK;
}

static void take(struct target_compile *c, struct buf *value)
{
    c->t->auth = value->failed == ERR_OK ? mem_dup(buf_slice(value)) : NULL;
    c->nomem = c->nomem || c->t->auth == NULL;
}

static void wipe(struct buf *b)
{
    if (b->p)
        mem_wipe(b->p, b->room);
    buf_done(b);
}

/* The header's value from the secret's file. */
static void load(struct target_compile *c, const struct doc *at, const struct secret_form *f, bool bearer)
{
    struct buf file = BUF_INIT(SECRET_MAX), pair = BUF_INIT(2 * SECRET_MAX), value = BUF_INIT(4 * SECRET_MAX);
    struct slice secret;

    if (read_secret(c, at, f->secret, &file)) {
        secret = without_line_end(buf_slice(&file));
        if (!is_visible(secret))
            target_lacks(c, at,
                         arena_printf(c->scratch, "the secret %.*s is empty or not one line of visible ASCII",
                                      SLICE_ARG(f->secret)),
                         arena_printf(c->scratch, "凭据 %.*s 为空，或不是单行可见 ASCII", SLICE_ARG(f->secret)));
        buf_reserve(&value, 3 * SECRET_MAX); /* so that growing leaves no copy behind */
        buf_reserve(&pair, SECRET_MAX + 1024);
        buf_put(&pair, f->user);
        buf_putc(&pair, ':');
        buf_put(&pair, secret);
        buf_puts(&value, bearer ? "Bearer " : f->user.n > 0 ? "Basic " : "");
        if (f->user.n > 0)
            base64_put(&value, buf_slice(&pair));
        else
            buf_put(&value, secret);
        take(c, &value);
    }
    wipe(&file);
    wipe(&pair);
    wipe(&value);
}

void target_auth(struct target_compile *c, const struct doc *auth)
{
    struct auth_form f = { 0 };
    struct secret_form s = { 0 };
    const struct doc *at;
    const struct doc_key *keys;

    if (auth == NULL || !target_bind(c, auth, auth_keys, &f))
        return;
    if ((f.bearer != NULL) + (f.header != NULL) + (f.basic != NULL) != 1) {
        TARGET_BAD(c, auth, "auth has exactly one of bearer, header and basic",
                   "auth 须且只能含 bearer、header、basic 之一");
        return;
    }
    at = f.bearer ? f.bearer : f.header ? f.header : f.basic;
    keys = f.bearer ? bearer_keys : f.header ? header_keys : basic_keys;
    if (!target_bind(c, at, keys, &s))
        return;
    c->t->auth_name = target_copy(c, f.header ? s.name : SLICE("Authorization"));
    if (f.header &&
        (!is_token(s.name) || (header_reserved(s.name) && !slice_eq_nocase(s.name, SLICE("authorization")))))
        TARGET_BAD(c, doc_get(at, "name"), "%.*s is no header for a credential: choose another, X-Api-Key for example",
                   "%.*s 不能作为凭据请求头：请改用其他名称，例如 X-Api-Key", SLICE_ARG(s.name));
    if (f.basic && (!is_visible(s.user) || slice_find(s.user, ':') < s.user.n))
        TARGET_BAD(c, doc_get(at, "user"), "user is visible ASCII without a colon", "user 须为不含冒号的可见 ASCII");
    if (!c->check_only && c->w)
        load(c, at, &s, f.bearer != NULL);
}
