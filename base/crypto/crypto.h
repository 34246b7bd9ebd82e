#pragma once
/* base/crypto: digests, keyed digests, signatures, random bytes; OpenSSL's types stay inside.
 * Digests allocate nothing and cannot fail (decision 004). Thread rule: functions may be called by any thread at once;
 * a struct digest and a struct ed25519 belong to one thread at a time. */
#include "base/core/core.h"

enum err crypto_init(struct diags *d) MUST_CHECK; /* once, before threads */

enum { SHA256_LEN = 32, ED25519_SIG = 64, ED25519_PUB = 32, KEY_LEN = 32 };
struct sha256 {
    uint8_t b[SHA256_LEN];
};
struct sha256 sha256_of(struct slice s);
struct sha256 sha256_of2(struct slice a, struct slice b);                    /* of a ‖ b */
struct sha256 hmac_sha256(struct slice key, struct slice a, struct slice b); /* HMAC(key, a ‖ b), RFC 2104 */

/* A key that is used often: its two padded blocks are digested once. Holds what the key would give away: wipe it. */
struct hmac_key {
    uint64_t state[2][14]; /* inner and outer */
};
void hmac_key_init(struct hmac_key *k, struct slice key);
struct sha256 hmac_with(const struct hmac_key *k, struct slice a, struct slice b); /* HMAC(key, a ‖ b) */

/* Incremental SHA-256; digest_new begins, digest_end begins anew, digest_begin drops what was added. */
struct digest;
struct digest *digest_new(void); /* NULL: no memory */
struct digest *digest_free(struct digest *g);
void digest_begin(struct digest *g);
void digest_add(struct digest *g, struct slice s);
struct sha256 digest_end(struct digest *g);

enum err random_bytes(void *out, size_t n) MUST_CHECK;
bool crypto_equal(const void *a, const void *b, size_t n); /* constant time */

/* Something that signs: the log's key here, or a process that holds it. Thread rule: one caller at a time. */
struct signer {
    void *self;
    enum err (*sign)(void *self, struct slice message, uint8_t sig[ED25519_SIG]);
    uint8_t public_key[ED25519_PUB];
};
/* Ed25519 (RFC 8032). Key files: PKCS#8 PEM, mode 0600. */
struct ed25519;
enum err ed25519_generate(const char *path, struct diags *d) MUST_CHECK; /* ERR_EXISTS rather than overwrite */
enum err ed25519_load(const char *path, struct ed25519 **ret, struct diags *d) MUST_CHECK;
struct ed25519 *ed25519_free(struct ed25519 *k);
struct signer ed25519_signer(struct ed25519 *k); /* borrows k */
bool ed25519_verify(const uint8_t public_key[ED25519_PUB], struct slice message, struct slice sig);

/* SM2 with SM3 (GB/T 32918.2, GB/T 32905) under the id that is used everywhere. A public key is 0x04, x and y; a
 * signature is r and s, 32 bytes each, big endian, not DER. Key files as above. */
enum { SM2_SIG = 64, SM2_PUB = 65 };
#define SM2_ID "1234567812345678"
struct sm2;
enum err sm2_generate(const char *path, struct diags *d) MUST_CHECK;
enum err sm2_load(const char *path, struct sm2 **ret, struct diags *d) MUST_CHECK;
struct sm2 *sm2_free(struct sm2 *k);
const uint8_t *sm2_public(const struct sm2 *k); /* SM2_PUB bytes; bor: as long as k */
enum err sm2_sign(struct sm2 *k, struct slice message, uint8_t sig[SM2_SIG]) MUST_CHECK;
bool sm2_verify(const uint8_t public_key[SM2_PUB], struct slice message, const uint8_t sig[SM2_SIG]);
