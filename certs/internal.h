#pragma once
/* What the files of certs/ share: reading and making X.509 objects, and the inside of the authority and of the trust.
 * Functions here leave errors in OpenSSL's queue; the public functions clear what they added. */
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include "certs/certs.h"

enum {
    CERTS_URI_MAX = 255,
    CERTS_SERIAL_MAX = 20,      /* octets, RFC 5280 section 4.1.2.2 */
    CERTS_LEEWAY_MS = 300000,   /* how far another node's clock may be behind */
    CERTS_PEM_MAX = 1 << 20,    /* certificates of an anchor, of the authority */
    CERTS_LIST_MAX = 256 << 20, /* revocation lists */
    CERTS_CSR_MAX = 65536,
};

/* ---- names (name.c) ---- */
bool certs_domain_valid(struct slice s); /* 1..64 of [a-z0-9._-], begins and ends with a letter or digit, no ".." */

/* ---- reading (read.c) ---- */
struct certs_serial { /* magnitude, big endian, no leading zero octet */
    uint8_t n, b[CERTS_SERIAL_MAX];
};
bool certs_serial_read(const ASN1_INTEGER *from, struct certs_serial *ret); /* false: not positive, or too long */
int certs_serial_cmp(const void *a, const void *b);                         /* for qsort and bsearch */
void certs_hex(const uint8_t *bytes, size_t n, char *out);                  /* lower case, NUL-terminated */
bool certs_digest(const X509 *x, struct sha256 *ret);                       /* of the DER; false: no memory */
bool certs_time_read(const ASN1_TIME *t, int64_t *ret_wall_ms);
/* RSA from 2048 bits, P-256, P-384 (named, not spelt out), Ed25519. NULL is no. */
bool certs_key_ok(const EVP_PKEY *key);
bool certs_signature_ok(X509 *x); /* SHA-256, -384, -512 or Ed25519 */
/* The one URI among the alternative names; false: none, several, too long, or an extension that cannot be read. */
bool certs_uri_read(const X509 *x, char out[CERTS_URI_MAX + 1]);
/* Its DNS names and IP addresses, joined by ','; false: it cannot be read, or there is no room. */
bool certs_hosts_read(const X509 *x, struct buf *out);
/* OpenSSL's reason for the last failure, which is then cleared; static text. */
const char *certs_why(void);
/* All certificates of a PEM text (`path` names it in messages) or file, at least one; the caller frees the stack with
 * its members. */
enum err certs_pem_parse(struct slice text, const char *path, STACK_OF(X509) * *ret, struct diags *d) MUST_CHECK;
enum err certs_pem_read(const char *path, STACK_OF(X509) * *ret, struct diags *d) MUST_CHECK;
/* The next list in a PEM text; *ret NULL at its end. */
enum err certs_list_next(BIO *pem, const char *path, X509_CRL **ret, struct diags *d) MUST_CHECK;

/* ---- making (make.c) ---- */
struct certs_extension {
    int nid; /* 0 ends a table */
    const char *value;
};
struct certs_make {
    X509 *issuer; /* NULL: itself */
    EVP_PKEY *issuer_key, *key;
    struct slice organisation, common_name, uri;
    struct slice names; /* DNS names and IP addresses joined by ',', already checked */
    int64_t from, to;   /* wall ms */
    const struct certs_extension *extensions;
};
enum err certs_make(const struct certs_make *m, X509 **ret) MUST_CHECK;
bool certs_common_name_put(X509_NAME *to, struct slice text); /* cut at 64 characters */
bool certs_host_valid(struct slice name);                     /* one DNS name or IP address */
const EVP_MD *certs_md(const EVP_PKEY *key);                  /* what its signatures hash with */
void certs_pem_put(struct buf *out, X509 *x);                 /* failure is in out->failed */
/* Written whole and durable with mode 0600, never over another file: ERR_EXISTS. */
enum err certs_key_store(const char *path, EVP_PKEY *key, struct diags *d) MUST_CHECK;

/* ---- revocation lists (list.c) ---- */
enum err certs_list_new(X509 *issuer, uint64_t number, int64_t from, int64_t to, X509_CRL **ret) MUST_CHECK;
enum err certs_list_add(X509_CRL *list, struct slice serial_hex, int64_t at) MUST_CHECK;
uint64_t certs_list_number(const X509_CRL *list); /* 0: it has none */
/* What the last list of this authority holds: read once, when its key is opened. No such file: nothing. */
enum err certs_listed_load(struct certs_ca *ca, struct diags *d) MUST_CHECK;
/* Sign and append as PEM. */
enum err certs_list_put(X509_CRL *list, EVP_PKEY *key, struct buf *out) MUST_CHECK;

/* ---- the authority (authority.c) ---- */
struct certs_ca {
    struct arena arena;
    const char *domain, *list_path; /* in the arena */
    EVP_PKEY *key;                  /* own; NULL: in other hands */
    const struct certs_hand *hand;  /* bor: whose they are */
    X509 *cert;                     /* own; the issuing CA */
    X509 *gateway;                  /* own; may be made anew; NULL: none is known */
    struct certs_serial *listed;    /* own: what its last list holds, sorted */
    size_t n_listed;
    uint64_t list_number; /* of that list; 0: none yet */
    int64_t not_before, not_after;
};

/* ---- the trust (trust.c) ---- */
struct certs_list {
    int64_t this_update, next_update;
    size_t n;
    struct certs_serial *serials; /* sorted */
};
struct certs_authority {
    X509 *cert; /* own */
    struct sha256 digest;
    struct certs_serial serial;
    struct slice file;             /* the first that holds it */
    const struct certs_list *list; /* NULL: none */
    struct certs_authority *next;
};
struct certs_vouch { /* an anchor and what it may say */
    const struct certs_authority *anchor;
    struct slice file, domain, departments;
    bool no_crl, enrolled;
    struct certs_vouch *next;
};
struct certs_trust {
    _Atomic uint32_t refs;
    struct arena arena; /* all but the X509 objects and the store */
    X509_STORE *store;  /* own */
    struct certs_authority *authorities;
    struct certs_vouch *vouches, **vouches_tail;
    struct certs_enrolled *enrolled; /* sorted by digest */
    size_t n_enrolled;
    int64_t this_update; /* the latest of all lists; 0: none */
};
/* Read the lists of a file and hang each on its issuer (revocation.c). */
enum err certs_lists_load(struct certs_trust *t, const char *path, struct diags *d) MUST_CHECK;
/* Is the leaf or one of the authorities on the peer's path revoked? REASON_GRANTED: none (revocation.c). */
enum reason certs_path_revoked(const struct certs_trust *t, const struct certs_peer *p, const struct certs_serial *leaf,
                               int64_t now);
const struct certs_authority *certs_authority_find(const struct certs_trust *t, const struct sha256 *digest);
/* The first anchor entry for this root that vouches for the name, in a certificate or of an enrolment; NULL: none does.
 */
const struct certs_vouch *certs_vouch_find(const struct certs_trust *t, const struct sha256 *root,
                                           const struct certs_name *name, bool enrolled);
bool certs_root_enrols(const struct certs_trust *t, const struct sha256 *root); /* is it an outside authority's? */

/* ---- judging (verify.c) ---- */
/* certs_peer_verify, as if `as` were enrolled; NULL: what is. */
void certs_judge(const struct certs_trust *t, X509 *leaf, STACK_OF(X509) * chain, int64_t now,
                 const struct certs_enrolled *as, struct certs_peer *ret);
