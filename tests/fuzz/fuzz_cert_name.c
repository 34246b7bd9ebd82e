/* Names of certificates: what is read lies inside the input, and writing its parts gives the input again. */
#include <stdlib.h>
#include "certs/certs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must_lie_in(struct slice all, struct slice part)
{
    if (part.n > 0 && (part.p < all.p || part.p + part.n > all.p + all.n))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice uri = slice_make(data, n);
    struct certs_name name;
    struct buf again = BUF_INIT(1024);

    if (!certs_name_read(uri, &name))
        return 0;
    must_lie_in(uri, name.domain);
    must_lie_in(uri, name.department);
    must_lie_in(uri, name.id);
    certs_name_put(&again, name.kind, name.domain, name.department, name.id);
    if (again.failed != ERR_OK || !slice_eq(buf_slice(&again), uri))
        abort();
    buf_done(&again);
    return 0;
}
