/* An HTTP/1 connection: the input is what a client says, in pieces whose size the first byte chooses. Besides what
 * http_front.h holds: answers come back whole and in order, never more than requests, and whatever the pieces. */
#include "http_front.h"

static size_t count_heads(const struct front *f)
{
    static const char mark[] = "HTTP/1.1 ";
    size_t found = 0;

    for (size_t i = 0; i + sizeof mark - 1 <= f->output; i++)
        found += memcmp(f->last + i, mark, sizeof mark - 1) == 0 && memcmp(f->last + i + 9, "100", 3) != 0;
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct front whole, pieces;

    if (n < 1 || n > 65536)
        return 0;
    front_run(&whole, slice_make(data + 1, n - 1), 65536, false);
    must(count_heads(&whole) <= whole.n);
    if (data[0] >= 128 && n < 512) {
        front_run(&pieces, slice_make(data + 1, n - 1), (size_t)data[0] - 127, false);
        must(count_heads(&pieces) <= pieces.n);
    }
    return 0;
}
