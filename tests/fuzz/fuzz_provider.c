/* The provider's side of an exchange, whole: the real connector on a real socket (of this host alone), the translation
 * and the exchange between a consumer and a log that behave. The input is what a provider says, over one connection or
 * two, for an exchange and for one more on the connection that was kept.
 *
 * Byte 0: bits 0-1 the manifest, 2-3 the form, 4 not safe, 5 records late, 6 a slow consumer, 7 a second exchange. Byte
 * 1: the size of pieces, 0: whole. Byte 2: how the provider goes when all is said. Bytes 3-4: where the second answer
 * begins. Must hold: one intent and one outcome each, nothing released before the first is durable, nothing whole
 * before the second, granted means 200 and whole, what was counted is what was given, no exchange is left, and the
 * pieces make no difference. */
#define WORLD_HAS_PROVIDER
#include "tests/unit/gateway/exchange_world.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>
#include "connectors/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define ITEMS                                                                                                          \
    "{\"kind\":\"Resource\",\"id\":\"provider/people\",\"code\":\"101001/1\",\"title\":{\"zh\":\"测\",\"en\":\"T\"}," \
    "\"abstract\":\"a\",\"class\":\"base/population\",\"share\":{\"type\":\"conditional\",\"condition\":\"t\","        \
    "\"mode\":\"interface\"},\"open\":\"none\",\"update\":\"daily\",\"contact\":{\"person\":\"provider/pat\","         \
    "\"phone\":\"0543-0000000\"},\"items\":["                                                                          \
    "{\"name\":\"id_no\",\"title\":\"i\",\"type\":\"C\",\"length\":18,\"level\":4,\"key\":true,\"mask\":\"id-card\"}," \
    "{\"name\":\"name\",\"title\":\"n\",\"type\":\"C\",\"length\":50,\"level\":3},"                                    \
    "{\"name\":\"age\",\"title\":\"a\",\"type\":\"I\"}],"                                                              \
    "\"connector\":{\"endpoint\":\"http://127.0.0.1:9/p\",\"tls\":{\"mode\":\"none\",\"reason\":\"a test\"},"          \
    "\"timeout\":\"5s\","
#define MANIFESTS_BUT(safe)                                                                                            \
    ITEMS                                                                                                              \
    "\"kind\":\"http\"},\"format\":{\"class\":\"interface\",\"type\":\"json\"},"                                       \
    "\"request\":{\"safe\":" safe ",\"params\":[{\"param\":\"age\",\"to\":\"json:/age\"}]},"                           \
    "\"response\":{\"success\":{\"at\":\"/code\",\"ok\":[\"0\"],\"not_found\":[\"1\"]},\"records\":\"/rows\","         \
    "\"map\":{\"id_no\":\"id\",\"name\":\"name\",\"age\":\"age\"}}}",                                                  \
        ITEMS "\"kind\":\"http\"},\"format\":{\"class\":\"interface\",\"type\":\"xml\"},"                              \
              "\"request\":{\"safe\":" safe ",\"params\":[{\"param\":\"age\",\"to\":\"query:age\"}]},"                 \
              "\"response\":{\"records\":\"/a/r\",\"map\":{\"id_no\":\"@i\",\"name\":\"n\",\"age\":\"f[@k='a']\"}}}",  \
        ITEMS "\"kind\":\"soap\",\"operation\":{\"namespace\":\"urn:h\",\"name\":\"Q\",\"soap\":\"1.1\"}},"            \
              "\"format\":{\"class\":\"interface\",\"type\":\"soap\"},"                                                \
              "\"request\":{\"safe\":" safe ",\"params\":[{\"param\":\"age\",\"to\":\"/h:Q/h:a\"}]},"                  \
              "\"response\":{\"namespaces\":{\"h\":\"urn:h\"},\"nested\":[\"/h:R/h:r\"],"                              \
              "\"success\":{\"at\":\"/P/C\",\"ok\":[\"0\"],\"not_found\":[\"1\"]},\"records\":\"/P/D/R\","             \
              "\"map\":{\"id_no\":\"@i\",\"name\":\"n\",\"age\":\"a\"}}}",                                             \
        "{\"kind\":\"Resource\",\"id\":\"provider/people\",\"code\":\"101001/1\",\"title\":{\"zh\":\"测\",\"en\":"    \
        "\"T\"},\"abstract\":\"a\",\"class\":\"base/population\",\"share\":{\"type\":\"conditional\",\"condition\":"   \
        "\"t\",\"mode\":\"file\"},\"open\":\"none\",\"update\":\"daily\",\"contact\":{\"person\":\"provider/pat\","    \
        "\"phone\":\"0543-0000000\"},\"items\":[{\"name\":\"id_no\",\"title\":\"i\",\"type\":\"G\",\"level\":4}],"     \
        "\"connector\":{\"endpoint\":\"http://127.0.0.1:9/p\",\"tls\":{\"mode\":\"none\",\"reason\":\"a test\"},"      \
        "\"timeout\":\"5s\",\"kind\":\"http\"},\"format\":{\"class\":\"file\",\"type\":\"txt\"},"                      \
        "\"request\":{\"safe\":" safe "},\"response\":{\"whole\":\"id_no\",\"types\":[\"application/json\","           \
        "\"application/x-ndjson\",\"application/xml\",\"text/xml\"]}}"
static const char *const manifests[] = { MANIFESTS_BUT("true"), MANIFESTS_BUT("false") };
enum { MANIFESTS = sizeof manifests / sizeof *manifests / 2, INPUT_MAX = 65536, HEAD = 5, NARROW = 512, STILL = 4 };
enum { GO_NEVER, GO_CLOSE, GO_HALF, GO_UNREAD }; /* byte 2: stays; closes; says its last word; closes without reading */

struct way {
    unsigned manifest, form, go;
    bool unsafe, late, narrow;
    size_t step;
};
static struct {
    int listener, fd; /* fd -1: nobody is connected */
    struct slice part, left;
    unsigned go;
    size_t step;
} peer;
struct result {
    int status;
    bool granted, whole;
    struct buf body;
};
static bool world_file; /* the resource is one whose bytes nobody reads */
static struct service *services[2 * MANIFESTS];
static struct resource_head *resource;

#define must(holds) must_at(holds, __LINE__)
static void must_at(bool holds, int line)
{
    if (holds)
        return;
    fprintf(stderr, "line %d does not hold\n", line);
    abort();
}

/* ---- the world, made once ---- */
static void listen_here(void)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    struct sockaddr_storage to = { 0 };
    socklen_t n = sizeof(struct sockaddr_in); /* what a stream says of any address that is not IPv6's */

    snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "sluice%07u", (unsigned)getpid());
    peer.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    peer.fd = -1;
    must(peer.listener >= 0 && bind(peer.listener, (struct sockaddr *)&a, n) == 0 && listen(peer.listener, 8) == 0);
    memcpy(&to, &a, n);
    for (size_t i = 0; i < 2 * MANIFESTS; i++) {
        name_unref(services[i]->target->where);
        services[i]->target->where = name_of_address(&to);
        must(services[i]->target->where != NULL);
    }
}

static void make_world(void)
{
    world_begin(true);
    world.w->pool = connector_pool_new(world.w->loop, 0, 24);
    must(world.w->pool != NULL);
    for (size_t i = 0; i < 2 * MANIFESTS; i++)
        services[i] = service_of(slice_of(manifests[i]), 1);
    resource = (struct resource_head *)snapshot_resource(world.w->snapshot, SLICE("provider/people"));
    counted_unref(resource->versions[0]);
    listen_here();
}

/* ---- the provider ---- */
static void peer_gone(void)
{
    if (peer.fd >= 0)
        close(peer.fd);
    peer.fd = -1;
}

static void peer_hear(void)
{
    char sink[4096];

    while (peer.fd >= 0 && peer.go != GO_UNREAD && recv(peer.fd, sink, sizeof sink, MSG_DONTWAIT) > 0)
        continue;
}

/* True: something was said. */
static bool peer_turn(void)
{
    int fd = accept4(peer.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct slice now;
    ssize_t n;

    if (fd >= 0) { /* the first, or again after a connection that was of no use */
        peer_gone();
        peer.fd = fd;
        peer.left = peer.part;
    }
    peer_hear();
    if (peer.fd < 0 || peer.left.n == 0)
        return fd >= 0;
    now = slice_sub(peer.left, 0, peer.step ? peer.step : peer.left.n);
    n = send(peer.fd, now.p, now.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        peer.left = slice_sub(peer.left, (size_t)n, peer.left.n);
    return n > 0 || fd >= 0;
}

static void peer_go(void)
{
    if (peer.go == GO_HALF && peer.fd >= 0)
        shutdown(peer.fd, SHUT_WR);
    else if (peer.go != GO_NEVER)
        peer_gone();
}

/* ---- one exchange ---- */
static void stop_now(void *loop)
{
    loop_stop(loop);
}

static void turn(void)
{
    struct loop_msg m = { .fn = stop_now, .arg = world.w->loop };

    loop_post(world.w->loop, &m);
    loop_run(world.w->loop);
}

static bool is_durable(enum audit_kind k)
{
    const struct logged *l = last(k);

    return l != NULL && l->told;
}

static void check_order(void)
{
    must(consumer.heads <= 1 && consumer.ends + consumer.aborts <= 1);
    must(consumer.heads == 0 || is_durable(AUDIT_INTENT) || is_durable(AUDIT_REFUSED));
    must(consumer.ends == 0 || is_durable(AUDIT_OUTCOME) || is_durable(AUDIT_REFUSED));
}

static bool tell_new(void)
{
    bool any = false;

    for (size_t i = 0; i < n_logged; i++)
        if (!logged[i].told) {
            tell(&logged[i], ERR_OK);
            any = true;
        }
    return any;
}

static bool consumer_turn(const struct way *w)
{
    bool moved = w->narrow && consumer.room < NARROW && consumer.heads > 0;

    if (moved) {
        consumer.room = NARROW;
        if (world.w->exchanges)
            exchange_resume(world.w->exchanges);
    }
    if (consumer.ends > 0 && world.w->exchanges && world.w->exchanges->call)
        exchange_consumer_sent(world.w->exchanges);
    return moved;
}

/* Nothing moves any more: the provider goes, then the log answers, then the consumer goes. */
static void escalate(unsigned how)
{
    if (how == 1)
        peer_go();
    else if (how == 2)
        tell_new();
    else if (how == 3 && world.w->exchanges->call)
        exchange_consumer_gone(world.w->exchanges, REASON_CONSUMER_GONE);
    else if (how > 3)
        must(tell_new()); /* else it is stuck */
}

static void drive(const struct way *w)
{
    for (unsigned still = 0, how = 0; world.w->exchanges;) {
        bool moved = peer_turn();
        turn();
        check_order();
        if (!w->late || how > 1)
            moved = tell_new() || moved;
        moved = consumer_turn(w) || moved;
        check_order();
        still = moved ? 0 : still + 1;
        if (still > STILL && world.w->exchanges) {
            escalate(++how);
            still = 0;
        }
    }
    turn();
}

static void settle(struct result *r)
{
    unsigned intents = 0, outcomes = 0, cuts = 0;
    const struct logged *o = last(AUDIT_OUTCOME);

    for (size_t i = 0; i < n_logged; i++) {
        intents += logged[i].r.kind == AUDIT_INTENT;
        outcomes += logged[i].r.kind == AUDIT_OUTCOME;
        cuts += logged[i].r.kind == AUDIT_CUT;
    }
    must(intents == 1 && outcomes == 1 && o != NULL);
    r->granted = o->r.reason == REASON_GRANTED;
    r->whole = consumer.ends == 1;
    r->status = consumer.status;
    r->body = consumer.body;
    if (r->granted)
        must(r->whole ? r->status == 200 && o->r.bytes_out == r->body.n && cuts == 0 : cuts == 1);
    else
        must(r->status != 200 || !r->whole);
    must(!r->whole || world_file || utf8_valid(buf_slice(&r->body)));
    must(!r->granted || !r->whole || !world_file || o->r.bytes_in == r->body.n);
}

/* r->body is a new one, the caller's. */
static void exchange_once(const struct way *w, struct slice part, struct result *r)
{
    static const char *const accepts[] = { "application/json", "application/x-ndjson", "application/xml" };
    char text[128];

    n_logged = 0;
    memset(&consumer, 0, sizeof consumer);
    consumer.body = BUF_INIT(8 << 20);
    consumer.room = w->narrow ? NARROW : 8 << 20;
    peer.part = peer.left = part;
    peer.step = w->step;
    peer.go = w->go;
    snprintf(text, sizeof text, "GET /x/provider/people HTTP/1.1\r\nAccept: %s\r\n", accepts[w->form]);
    ask(text);
    world.x->body_done = true;
    exchange_resume(world.x);
    drive(w);
    settle(r);
}

static void begin(const struct way *w)
{
    world_file = w->manifest == MANIFESTS - 1;
    resource->versions[0] = services[w->manifest + (w->unsafe ? MANIFESTS : 0)];
    memset(&world.conn.found, 0, sizeof world.conn.found); /* what was asked for last is not what it was */
    world.conn.checked = loop_now(world.w->loop);          /* the certificate is not what is looked at here */
}

static void end(void)
{
    connector_pool_reload(world.w->pool); /* closes what was kept */
    peer_gone();
    turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static bool ready;
    struct result first, other;

    if (!ready)
        make_world();
    ready = true;
    if (n < HEAD || n > INPUT_MAX)
        return 0;
    struct way w = { .manifest = (data[0] & 3u) % MANIFESTS,
                     .form = (data[0] >> 2 & 3u) % 3,
                     .unsafe = data[0] & 16,
                     .late = data[0] & 32,
                     .narrow = data[0] & 64,
                     .go = data[2] & 3u,
                     .step = data[1] };
    struct slice all = slice_make(data + HEAD, n - HEAD);
    size_t second = (size_t)data[3] << 8 | data[4];

    begin(&w);
    exchange_once(&w, slice_sub(all, 0, data[0] & 128 ? second : all.n), &first);
    if (data[0] & 128) {
        exchange_once(&w, slice_sub(all, second, all.n), &other);
        buf_done(&other.body);
    }
    end();
    if (w.step > 0) {
        w.step = 0;
        begin(&w);
        exchange_once(&w, slice_sub(all, 0, data[0] & 128 ? second : all.n), &other);
        end();
        must(first.granted == other.granted && (first.whole == other.whole || !first.granted));
        must(!first.whole || !other.whole || first.status == other.status); /* else one had begun when it failed */
        must(!first.granted || slice_eq(buf_slice(&first.body), buf_slice(&other.body)));
        buf_done(&other.body);
    }
    buf_done(&first.body);
    return 0;
}
