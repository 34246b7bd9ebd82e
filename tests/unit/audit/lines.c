#include "tests/unit/audit/lines.h"
#include "audit/render.h"

static unsigned random_state = 7;

unsigned lines_any(unsigned n)
{
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 8) % n;
}
#define any lines_any

static struct slice pick(const char *const *from, unsigned n)
{
    return slice_of(from[any(n)]);
}
#define PICK(list) pick(list, sizeof(list) / sizeof((list)[0]))

static const char *const subjects[] = { "spiffe://a.example/dept/tax/app/one",    "spiffe://a.example/dept/tax/app/on",
                                        "spiffe://a.example/dept/tax/person/ann", "spiffe://a.example/node/gw1",
                                        "spiffe://a.example/dept/\"\\/app/x",     "" };
static const char *const resources[] = { "health/dose", "health/doses", "no-slash", "a\"b/c", "" };
static const char *const purposes[] = { "check", "check\",\"items\":[", "checks", "\\", "" };
static const char *const items[] = { "name,relation", "name", "", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t",
                                     "a]b,\"}" };
static const char *const grants[] = { "g1", "g2", "" };
static const char *const operators[] = { "", "clerk-0001", "clerk \"two\"", "\xff\xfe", "张三", "ab\\" };
static const int statuses[] = { 200, 200, 200, 403, 2004, 0 };
static const char *const cases[] = { "", "2026-1", "2026-00000000000000000000000000000000001" };

size_t lines_of(const struct audit_record *r, char *out, uint64_t index)
{
    size_t n = render_record(r, out) - 1;
    logline_stamp(out, n, index);
    return n;
}

size_t lines_make(char *out, uint64_t index)
{
    static char certificate[65];
    struct audit_param p[2] = { { SLICE("id_no"), SLICE("0123456789abcdef0123456789abcdef"), any(4) != 0 },
                                { SLICE("year"), SLICE("20,26}"), false } };
    memset(certificate, 'a' + (int)any(2), 64);
    struct audit_record r = { .kind = (enum audit_kind)any(AUDIT_ACT + 1),
                              .at = 1764115200000 + (int64_t)any(3000) + (any(9) == 0 ? -86400000 : 0),
                              .exchange.b = { (uint8_t)any(256), 1 },
                              .part = any(8) == 0 ? any(3) : 0,
                              .subject = PICK(subjects),
                              .via = any(9) == 0 ? SLICE("gw1 gw2") : SLICE(""),
                              .origin_exchange = any(9) == 0 ? SLICE("0001-0002") : SLICE(""),
                              .peer = any(3) ? SLICE("10.0.0.1") : SLICE(""),
                              .certificate = slice_of(certificate),
                              .resource = PICK(resources),
                              .resource_version = any(2),
                              .grant = PICK(grants),
                              .grant_version = any(2),
                              .purpose = PICK(purposes),
                              .operator_ = PICK(operators),
                              .case_ = PICK(cases),
                              .trace = any(3) == 0 ? SLICE("4bf92f3577b34da6a3ce929d0e0e4736") : SLICE(""),
                              .snapshot = any(3),
                              .debit_rows = any(3),
                              .debit_bytes = any(3) == 0 ? 1000000 : 0,
                              .items = PICK(items),
                              .params = p,
                              .n_params = any(3),
                              .has_reason = any(9) != 0,
                              .reason = (enum reason)any(REASON_COUNT_),
                              .status = statuses[any(6)],
                              .rows = any(2) };
    if (r.kind == AUDIT_REFUSED && any(2)) {
        r.verb = SLICE("grant.approve");
        r.object = SLICE("g1");
    }
    if (r.kind >= AUDIT_PROGRESS && r.kind <= AUDIT_CUT &&
        any(8) != 0) { /* as they are: little that an intent has said */
        r.subject = r.via = r.origin_exchange = r.peer = r.certificate = r.resource = r.grant = r.purpose =
            r.operator_ = r.case_ = r.trace = r.items = SLICE("");
        r.resource_version = r.grant_version = r.snapshot = r.debit_rows = r.debit_bytes = r.n_params = 0;
    }
    if (r.kind == AUDIT_ACT) {
        r.act = 1;
        r.author = PICK(subjects);
        r.verb = any(2) ? SLICE("grant.revoke") : SLICE("resource.publish");
        r.object = PICK(resources);
        r.content = any(2) ? SLICE("{\"resource\":\"health/dose\"}") : SLICE("");
    }
    return lines_of(&r, out, index);
}
