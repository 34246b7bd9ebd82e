/* Lines of a log, as an attacker may have left them: what the index takes from each, the quick way with what the lines
 * before have said, must be what it takes the other way. The input is lines with LF between them; one that does not
 * begin like a record gets the beginning of one. */
#include "audit/terms.h"

#include <stdio.h>
#include <stdlib.h>

#define must(holds) ((holds) ? (void)0 : (fprintf(stderr, "line %d\n", __LINE__), abort()))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void same(struct terms *quick, struct terms *slow, struct slice line)
{
    struct term_facts a, b;
    uint64_t index;
    bool is = terms_of_line(quick, line, &a);

    must(is == terms_of_line(slow, line, &b));
    (void)!logline_check(line, &index);
    if (!is)
        return;
    terms_flat(quick);
    qsort(quick->hash, quick->n, sizeof quick->hash[0], order);
    qsort(slow->hash, slow->n, sizeof slow->hash[0], order);
    must(quick->n == slow->n && memcmp(quick->hash, slow->hash, quick->n * sizeof quick->hash[0]) == 0);
    must(a.kind == b.kind && a.at == b.at && a.exchange == b.exchange && a.part == b.part && a.result == b.result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct terms quick, slow;
    static struct term_memo memo;
    struct slice rest = slice_make(data, n);

    quick.memo = &memo;
    terms_begin(&slow, slow.seed + 1); /* what another input said is not known any more */
    terms_begin(&quick, slow.seed);
    while (rest.n > 0) {
        struct slice tail = slice_cut(&rest, '\n');
        struct slice head =
            slice_starts(tail, SLICE("{\"v\":1,")) ? SLICE("") : slice_make(logline_blank, LOGLINE_KIND);
        char *line = mem_alloc(head.n + tail.n + 1); /* exact: a step behind the end is seen */

        must(line != NULL);
        if (head.n > 0)
            memcpy(line, head.p, head.n);
        if (tail.n > 0)
            memcpy(line + head.n, tail.p, tail.n);
        line = mem_grow(line, head.n + tail.n);
        same(&quick, &slow, slice_make(line, head.n + tail.n));
        mem_free(line);
    }
    return 0;
}
