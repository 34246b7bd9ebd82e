/* The command line, one table: reader, limits and help come from the same rows. */
#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

enum option_type { OPT_COUNT, OPT_TIME, OPT_TEXT, OPT_FLAG, OPT_OTHER };

struct option_row {
    const char *name;
    enum option_type type;
    size_t off;
    uint64_t min, max;                                 /* OPT_COUNT: as is; OPT_TIME: ms */
    bool (*read)(struct options *o, const char *text); /* OPT_OTHER */
    const char *arg, *doc;
};

static bool read_header(struct options *o, const char *text)
{
    if (o->header_count == HEADERS_MAX || strchr(text, ':') == NULL || strpbrk(text, "\r\n") != NULL)
        return false;
    o->headers[o->header_count++] = text;
    return true;
}

static bool read_fresh(struct options *o, const char *text)
{
    o->fresh = strcmp(text, "full") == 0 ? FRESH_FULL : FRESH_RESUMED;
    return o->fresh == FRESH_FULL || strcmp(text, "resumed") == 0;
}

static bool read_tls(struct options *o, const char *text)
{
    o->tls12 = strcmp(text, "1.2") == 0;
    return o->tls12 || strcmp(text, "1.3") == 0;
}

static bool count_read(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    char *end = NULL;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || n < min || n > max)
        return false;
    *ret = n;
    return true;
}

static bool read_length(struct options *o, const char *text)
{
    o->has_expect_length = true;
    return count_read(text, 0, UINT64_C(1) << 40, &o->expect_length);
}

static bool read_watch(struct options *o, const char *text)
{
    while (*text != '\0') {
        char *end = NULL;
        unsigned long pid = strtoul(text, &end, 10);
        if (end == text || pid == 0 || pid > INT32_MAX || o->watch_count == WATCH_MAX || (*end != ',' && *end != '\0'))
            return false;
        o->watch[o->watch_count++] = (pid_t)pid;
        text = *end == ',' ? end + 1 : end;
    }
    return o->watch_count > 0;
}

#define COUNT(n, field, lo, hi, d)                                                                                     \
    {                                                                                                                  \
        .name = n, .type = OPT_COUNT, .off = offsetof(struct options, field), .min = lo, .max = hi, .arg = "N",        \
        .doc = d                                                                                                       \
    }
#define TIME(n, field, lo, hi, d)                                                                                      \
    {                                                                                                                  \
        .name = n, .type = OPT_TIME, .off = offsetof(struct options, field), .min = lo, .max = hi, .arg = "SECONDS",   \
        .doc = d                                                                                                       \
    }
#define TEXT(n, field, a, d)                                                                                           \
    {                                                                                                                  \
        .name = n, .type = OPT_TEXT, .off = offsetof(struct options, field), .arg = a, .doc = d                        \
    }
#define FLAG(n, field, d)                                                                                              \
    {                                                                                                                  \
        .name = n, .type = OPT_FLAG, .off = offsetof(struct options, field), .arg = "", .doc = d                       \
    }
#define OTHER(n, f, a, d)                                                                                              \
    {                                                                                                                  \
        .name = n, .type = OPT_OTHER, .read = f, .arg = a, .doc = d                                                    \
    }

static const struct option_row rows[] = {
    COUNT("connections", connections, 1, 100000, "connections kept busy, or held (default 64)"),
    COUNT("opening", opening, 1, 4096, "handshakes at the same time while opening (default 32)"),
    COUNT("requests", requests, 1, UINT64_C(1) << 40, "stop after this many answers"),
    COUNT("rate", rate, 1, 10000000,
          "send on a schedule of N a second; latency counts from the scheduled time (default: flat out)"),
    TIME("duration", duration_ns, 1, 86400000,
         "length of the measured window (default 10; with --requests a limit, default 600)"),
    TIME("warmup", warmup_ns, 0, 3600000, "load before the window (default 0)"),
    TIME("timeout", timeout_ns, 1, 3600000, "for one answer, and for opening one connection (default 10)"),
    TIME("hold", hold_ns, 1, 86400000, "open the connections, hold them idle so long, send no load"),
    FLAG("prime", prime, "with --hold: one exchange on each connection first"),
    OTHER("fresh", read_fresh, "full|resumed", "a new connection for each request, with a full or a resumed handshake"),
    COUNT("read-rate", read_rate, 1, UINT64_C(1) << 40, "read only so many bytes a second on each connection"),
    TEXT("method", method, "NAME", "GET, HEAD, POST (default GET, with --body POST)"),
    TEXT("body", body_file, "FILE", "request body"),
    OTHER("header", read_header, "'NAME: VALUE'", "one more request header; may be given 32 times"),
    COUNT("expect-status", expect_status, 100, 599, "any other status is an error (default 200)"),
    OTHER("expect-length", read_length, "BYTES", "any other length of the body is an error"),
    TEXT("cert", cert_file, "PEM", "client certificate, with its chain"),
    TEXT("key", key_file, "PEM", "its private key"),
    TEXT("ca", ca_file, "PEM", "trust anchors for the server; required for https"),
    TEXT("server-name", server_name, "NAME",
         "sent as SNI and checked against the certificate (default: no SNI, chain checked only)"),
    OTHER("tls", read_tls, "1.3|1.2", "protocol version (default 1.3)"),
    TEXT("groups", groups, "LIST", "key exchange groups, as OpenSSL names them"),
    TEXT("suites", suites, "LIST", "TLS 1.3 suites (default TLS_AES_256_GCM_SHA384)"),
    OTHER("watch", read_watch, "PID,...", "report the CPU time of these processes over the window"),
    COUNT("max-errors", max_errors, 0, UINT64_C(1) << 40, "stop when exceeded (default 1000)"),
    FLAG("gate", gate, "when all connections are open, wait for the end of standard input, then send"),
    FLAG("announce", announce,
         "a line of JSON on stdout when all connections are open, when the window begins, when holding"),
};

static void help_print(void)
{
    fputs("Usage: sluice-load [options] URL\n\n"
          "Loads an HTTP/1.1 server over mutual TLS and prints one line of JSON. URL is http[s]://IPv4[:port]/path.\n\n"
          "  sluice-load --cert app.pem --key app.key --ca ca.pem --duration 5 https://127.0.0.1:8443/1k\n"
          "  sluice-load ... --rate 5000 --warmup 1 --expect-length 1024 https://127.0.0.1:8443/1k\n\n",
          stdout);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s %s", rows[i].name, rows[i].arg);
        printf("  %-28s %s\n", left, rows[i].doc);
    }
    puts("  --help                       this text\n\nExit status: 0 no errors, 1 errors counted, 2 usage, 3 the load "
         "could not be set up.");
}

/* Seconds with up to three decimals, to ns. */
static bool time_read(const char *text, uint64_t min_ms, uint64_t max_ms, int64_t *ret)
{
    char *end = NULL;

    if (*text < '0' || *text > '9')
        return false;
    double s = strtod(text, &end);
    if (*end != '\0' || s * 1000 < (double)min_ms || s * 1000 > (double)max_ms)
        return false;
    *ret = (int64_t)(s * NS_PER_S);
    return true;
}

static bool row_read(const struct option_row *row, struct options *o, const char *text)
{
    void *at = (char *)o + row->off;

    switch (row->type) {
    case OPT_COUNT:
        return count_read(text, row->min, row->max, at);
    case OPT_TIME:
        return time_read(text, row->min, row->max, at);
    case OPT_TEXT:
        *(const char **)at = text;
        return true;
    case OPT_FLAG:
        *(bool *)at = true;
        return true;
    case OPT_OTHER:
        return row->read(o, text);
    }
    return false;
}

static const struct option_row *row_find(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0)
            return &rows[i];
    return NULL;
}

static bool url_read(struct options *o, const char *url)
{
    static char host[INET_ADDRSTRLEN];
    bool tls = strncmp(url, "https://", 8) == 0;
    static char authority[INET_ADDRSTRLEN + 8];
    uint64_t port = tls ? 443 : 80;

    if (!tls && strncmp(url, "http://", 7) != 0)
        return false;
    const char *from = url + (tls ? 8 : 7);
    size_t whole = strcspn(from, "/");
    size_t name = strcspn(from, ":/");
    if (name >= sizeof host || whole >= sizeof authority || strpbrk(url, " \r\n") != NULL)
        return false;
    memcpy(host, from, name);
    memcpy(authority, from, whole);
    if (name < whole && !count_read(authority + name + 1, 1, 65535, &port))
        return false;
    o->tls = tls;
    o->authority = authority;
    o->path = from[whole] == '/' ? from + whole : "/";
    o->address.sin_family = AF_INET;
    o->address.sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, host, &o->address.sin_addr) == 1;
}

/* What only all options together can tell; NULL when they agree. */
static const char *options_check(struct options *o)
{
    if (o->authority == NULL)
        return "no URL given";
    if (o->tls && o->ca_file == NULL)
        return "https needs --ca: the server's certificate is always checked";
    if ((o->cert_file == NULL) != (o->key_file == NULL))
        return "--cert and --key go together";
    if (o->fresh != FRESH_NO && (!o->tls || o->hold_ns != 0))
        return "--fresh needs https and does not go with --hold";
    if (o->gate && (o->fresh != FRESH_NO || o->hold_ns != 0))
        return "--gate does not go with --fresh or --hold";
    if (o->rate != 0 && (o->requests != 0 || o->hold_ns != 0))
        return "--rate does not go with --requests or --hold";
    if (o->requests != 0 && o->warmup_ns != 0)
        return "--requests counts every answer: no --warmup";
    if (o->method == NULL)
        o->method = o->body_file != NULL ? "POST" : "GET";
    if (o->duration_ns == 0)
        o->duration_ns = (int64_t)(o->requests != 0 ? 600 : 10) * NS_PER_S;
    return NULL;
}

static bool argument_read(int argc, char **argv, int *i, struct options *o)
{
    const char *arg = argv[*i];

    if (strncmp(arg, "--", 2) != 0)
        return o->authority == NULL && url_read(o, arg);
    size_t len = strcspn(arg + 2, "=");
    const struct option_row *row = row_find(arg + 2, len);
    if (row == NULL)
        return false;
    if (row->type == OPT_FLAG)
        return arg[2 + len] == '\0' && row_read(row, o, "");
    if (arg[2 + len] == '=')
        return row_read(row, o, arg + 3 + len);
    if (*i + 1 >= argc)
        return false;
    ++*i;
    return row_read(row, o, argv[*i]);
}

enum options_outcome options_read(int argc, char **argv, struct options *ret)
{
    struct options o = { .connections = 64,
                         .opening = 32,
                         .expect_status = 200,
                         .timeout_ns = (int64_t)10 * NS_PER_S,
                         .max_errors = 1000,
                         .suites = "TLS_AES_256_GCM_SHA384" };

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            help_print();
            return OPTIONS_HELP;
        }
        int at = i;
        if (!argument_read(argc, argv, &i, &o)) {
            fprintf(stderr, "sluice-load: %s%s%s: not understood, or out of range; see --help\n", argv[at],
                    i > at ? " " : "", i > at ? argv[i] : "");
            return OPTIONS_WRONG;
        }
    }
    const char *wrong = options_check(&o);
    if (wrong != NULL) {
        fprintf(stderr, "sluice-load: %s; see --help\n", wrong);
        return OPTIONS_WRONG;
    }
    *ret = o;
    return OPTIONS_OK;
}
