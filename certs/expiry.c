/* When the certificates of a file run out: for health and status, nothing is verified here. */
#include "certs/internal.h"

#include <openssl/err.h>

enum err certs_file_expiry(const char *pem_file, int64_t *ret, struct diags *d)
{
    STACK_OF(X509) *list = NULL;
    int64_t earliest = INT64_MAX, at;
    enum err e = certs_pem_read(pem_file, &list, d);

    for (int i = 0; e == ERR_OK && i < sk_X509_num(list); i++) {
        if (!certs_time_read(X509_get0_notAfter(sk_X509_value(list, i)), &at))
            e = diag_add(d, ERR_INVALID, 0, 0, "%s has a certificate without a readable end",
                         "%s 含有效期无法读取的证书", pem_file);
        else if (at < earliest)
            earliest = at;
    }
    sk_X509_pop_free(list, X509_free);
    ERR_clear_error();
    if (e == ERR_OK)
        *ret = earliest;
    return e;
}
