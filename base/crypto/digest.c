/* SHA-256 and HMAC-SHA-256, random bytes, comparison in constant time.
 * Invariants: no digest here can fail and none but digest_new allocates: the state is a plain struct on the caller's
 * stack. That is why OpenSSL's low-level SHA256 functions are used although 3.0 marks them deprecated: an EVP context
 * is an allocation that may fail where sha256_of has no way to say so, and costs twice as much for short inputs
 * (decision 004). The compression function is the same assembly. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/crypto/crypto.h"
#include <endian.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/random.h>

enum { HMAC_BLOCK = SHA256_CBLOCK };

struct digest {
    SHA256_CTX state;
};

/* What does not fill a block is only copied: most of what is added are prefixes, salts and digests. */
static void add(SHA256_CTX *c, struct slice s)
{
    size_t at = c->num % SHA256_CBLOCK; /* it is always less; the compiler cannot know */

    if (s.n >= SHA256_CBLOCK - at) {
        SHA256_Update(c, s.p, s.n);
        return;
    }
    if (s.n == 0)
        return;
    memcpy((uint8_t *)c->data + at, s.p, s.n);
    c->num += (unsigned)s.n;
    c->Nh += c->Nl > UINT32_MAX - 8 * (SHA_LONG)s.n;
    c->Nl += 8 * (SHA_LONG)s.n;
}

/* The padding of FIPS 180-4 section 5.1.1. SHA256_Final takes twice the instructions around the same blocks: it knows
 * shorter digests, and wipes a buffer, which here is done where something is secret. */
static struct sha256 end(SHA256_CTX *c)
{
    uint8_t *data = (uint8_t *)c->data;
    uint64_t length = htobe64((uint64_t)c->Nh << 32 | c->Nl);
    size_t n = c->num;
    struct sha256 out;

    data[n++] = 0x80;
    memset(data + n, 0, SHA256_CBLOCK - n);
    if (n > SHA256_CBLOCK - sizeof length) {
        SHA256_Transform(c, data);
        memset(data, 0, SHA256_CBLOCK);
    }
    memcpy(data + SHA256_CBLOCK - sizeof length, &length, sizeof length);
    SHA256_Transform(c, data);
    size_t i = 0;
    do { /* two words at once */
        uint64_t two = htobe64((uint64_t)c->h[i / 4] << 32 | c->h[i / 4 + 1]);
        memcpy(out.b + i, &two, sizeof two);
    } while ((i += 8) < sizeof out.b);
    return out;
}

struct sha256 sha256_of(struct slice s)
{
    return sha256_of2(s, (struct slice){ NULL, 0 });
}

struct sha256 sha256_of2(struct slice a, struct slice b)
{
    SHA256_CTX c;

    SHA256_Init(&c);
    add(&c, a);
    add(&c, b);
    return end(&c);
}

/* The key as one block, xor'ed with `with`; keys longer than a block stand for their digest (RFC 2104 section 2). */
static void pad_key(struct slice key, uint8_t with, uint8_t block[HMAC_BLOCK])
{
    struct sha256 short_key;

    memset(block, with, HMAC_BLOCK);
    if (key.n > HMAC_BLOCK) {
        short_key = sha256_of(key);
        key = slice_make(short_key.b, SHA256_LEN);
    }
    for (size_t i = 0; i < key.n; i++)
        block[i] ^= (uint8_t)key.p[i];
    mem_wipe(&short_key, sizeof short_key);
}

static void begin_with(SHA256_CTX *c, struct slice key, uint8_t with)
{
    uint8_t block[HMAC_BLOCK];

    pad_key(key, with, block);
    SHA256_Init(c);
    SHA256_Update(c, block, sizeof block);
    mem_wipe(block, sizeof block);
}

_Static_assert(sizeof(SHA256_CTX) <= sizeof((struct hmac_key){ 0 }.state[0]), "SHA256_CTX outgrew its place");

void hmac_key_init(struct hmac_key *k, struct slice key)
{
    SHA256_CTX c;

    begin_with(&c, key, 0x36);
    memcpy(k->state[0], &c, sizeof c);
    begin_with(&c, key, 0x5c);
    memcpy(k->state[1], &c, sizeof c);
    mem_wipe(&c, sizeof c);
}

struct sha256 hmac_with(const struct hmac_key *k, struct slice a, struct slice b)
{
    struct sha256 inner, out;
    SHA256_CTX c;

    memcpy(&c, k->state[0], sizeof c);
    add(&c, a);
    add(&c, b);
    inner = end(&c);
    memcpy(&c, k->state[1], sizeof c);
    add(&c, slice_make(inner.b, sizeof inner.b));
    out = end(&c);
    mem_wipe(&c, sizeof c);
    return out;
}

struct sha256 hmac_sha256(struct slice key, struct slice a, struct slice b)
{
    struct hmac_key k = { 0 };
    struct sha256 out;

    hmac_key_init(&k, key);
    out = hmac_with(&k, a, b);
    mem_wipe(&k, sizeof k);
    return out;
}

struct digest *digest_new(void)
{
    struct digest *g = mem_alloc(sizeof *g);

    if (g)
        digest_begin(g);
    return g;
}

struct digest *digest_free(struct digest *g)
{
    if (g)
        mem_wipe(g, sizeof *g);
    return mem_free(g);
}

void digest_begin(struct digest *g)
{
    SHA256_Init(&g->state);
}

void digest_add(struct digest *g, struct slice s)
{
    add(&g->state, s);
}

struct sha256 digest_end(struct digest *g)
{
    struct sha256 out;

    out = end(&g->state);
    digest_begin(g);
    return out;
}

enum err random_bytes(void *out, size_t n)
{
    uint8_t *at = out;

    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);

        if (got < 0 && errno != EINTR)
            return ERR_SYS;
        if (got > 0) {
            at += got;
            n -= (size_t)got;
        }
    }
    return ERR_OK;
}

bool crypto_equal(const void *a, const void *b, size_t n)
{
    return n == 0 || CRYPTO_memcmp(a, b, n) == 0;
}
