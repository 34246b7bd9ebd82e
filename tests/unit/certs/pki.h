#pragma once
/* A small authority of the tests' own: certificates and lists with any single property wrong, made with OpenSSL
 * directly and not by the code under test; and a folder in which a real authority was made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include "certs/certs.h"

#define PKI_DOMAIN "data.city.example"
#define PKI_APP    "URI:spiffe://data.city.example/dept/education/app/admission"
#define HOUR       ((int64_t)3600000)
#define DAY        ((int64_t)86400000)
#define PKI_NOW    ((int64_t)1795000000000) /* November 2026, whole seconds */

enum pki_key { PKI_P256, PKI_P384, PKI_P521, PKI_SPELT_OUT, PKI_ED25519, PKI_RSA1024, PKI_RSA2048, PKI_KEYS };
EVP_PKEY *pki_key(enum pki_key kind); /* one of each kind a program; bor: for ever */

struct pki_spec { /* "" leaves an extension out, NULL takes the default of a good leaf */
    const char *cn, *san, *san2, *eku, *ku, *bc, *akid, *skid;
    const char *serial; /* decimal, may be negative */
    int64_t from, to;   /* 0: a day ago, in 30 days */
    enum pki_key key;
    EVP_PKEY *own_key; /* instead */
    bool sha1;
};
X509 *pki_cert(const struct pki_spec *s, X509 *issuer, EVP_PKEY *issuer_key); /* issuer NULL: self-signed */
X509 *pki_ca(const char *cn, enum pki_key key, X509 *issuer, EVP_PKEY *issuer_key);

struct pki_list {
    int64_t from, to; /* 0: an hour ago, in a day; to -1: does not say */
    const char *revoked[4];
    const char *extension; /* OpenSSL's name of one more extension */
    const char *value;
    const char *entry_extension; /* DER of one critical extension of each entry */
    bool sha1;
};
char *pki_list(const struct pki_list *s, X509 *issuer, EVP_PKEY *key); /* PEM; the caller frees with mem_free */
char *pki_pem(X509 *const *certs, size_t n);                           /* the same */
const char *pki_serial(const X509 *x);                                 /* decimal; until the next call */

struct pki {
    char dir[64];
    struct arena a;
    struct diags d;
    X509 *root, *ca;
    EVP_PKEY *root_key, *ca_key;
};
int pki_open(void **state);
int pki_close(void **state);
const char *pki_path(struct pki *p, const char *name);
void pki_write(struct pki *p, const char *name, const char *text);
char *pki_read(struct pki *p, const char *name); /* mem_free */
X509 *pki_first(struct slice pem);
STACK_OF(X509) * pki_chain(X509 *first, ...) __attribute__((sentinel)); /* borrows; free with sk_X509_free */
/* The trust of the made authority: its chain, and the lists in the file `lists`. */
struct certs_trust *pki_trust(struct pki *p, const char *lists);
void pki_say(struct pki *p); /* prints what the diags hold */
