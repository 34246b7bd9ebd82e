#pragma once
/* Files of private keys; base/crypto only. Invariants: a key file is PKCS#8 PEM, 0600, and never overwritten; buffers
 * that held a private key are wiped before they are freed; an encrypted key file is refused instead of asking a
 * terminal for its pass phrase. */
#include "base/crypto/crypto.h"
#include <openssl/evp.h>

/* `kind`: as OpenSSL names it, "ED25519" or "SM2". ERR_EXISTS rather than overwrite. */
enum err key_file_generate(const char *path, const char *kind, struct diags *d) MUST_CHECK;
enum err key_file_load(const char *path, EVP_PKEY **ret, struct diags *d) MUST_CHECK; /* the caller owns *ret */
const char *crypto_why(void); /* OpenSSL's reason for the last failure; static text */
