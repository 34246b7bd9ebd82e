/* CRC-32C: the SSE4.2 instruction where the processor has it, else a byte table.
 * Owns the table, which is built once before its first use; both forms give the same value for all inputs. */
#include "audit/crc32c.h"
#include <pthread.h>
#include <stdatomic.h>

static uint32_t crc_table[256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void crc_build(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = (c & 1) ? (c >> 1) ^ 0x82F63B78u : c >> 1;
        crc_table[i] = c;
    }
}

uint32_t crc32c_plain(uint32_t crc, struct slice s)
{
    pthread_once(&crc_once, crc_build);
    crc = ~crc;
    for (size_t i = 0; i < s.n; i++)
        crc = crc_table[(crc ^ (uint8_t)s.p[i]) & 0xFF] ^ (crc >> 8);
    return ~crc;
}

#if defined(__x86_64__)
enum { STRIDE = 64 };

__attribute__((target("sse4.2"))) static inline uint64_t crc_word(uint64_t c, const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return __builtin_ia32_crc32di(c, word);
}

__attribute__((target("sse4.2"))) static uint32_t crc_sse(uint32_t crc, struct slice s)
{
    uint64_t c = ~crc;
    const char *p = s.p;
    size_t left = s.n;
    for (; left >= STRIDE; left -= STRIDE, p += STRIDE) {
#pragma GCC unroll 8
        for (size_t i = 0; i < STRIDE; i += 8)
            c = crc_word(c, p + i);
    }
    for (; left >= 8; left -= 8, p += 8)
        c = crc_word(c, p);
    if (left & 4) {
        uint32_t half;
        memcpy(&half, p, sizeof half);
        c = __builtin_ia32_crc32si((uint32_t)c, half);
        p += sizeof half;
    }
    for (left &= 3; left > 0; left--, p++)
        c = __builtin_ia32_crc32qi((uint32_t)c, (uint8_t)*p);
    return ~(uint32_t)c;
}
#endif

/* The form that this processor has, found at the first call; two threads may both find it. */
static uint32_t crc_choose(uint32_t crc, struct slice s);
static uint32_t (*_Atomic crc_form)(uint32_t crc, struct slice s) = crc_choose;

static uint32_t crc_choose(uint32_t crc, struct slice s)
{
    uint32_t (*form)(uint32_t, struct slice) = crc32c_plain;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        form = crc_sse;
#endif
    atomic_store_explicit(&crc_form, form, memory_order_relaxed);
    return form(crc, s);
}

uint32_t crc32c(uint32_t crc, struct slice s)
{
    return atomic_load_explicit(&crc_form, memory_order_relaxed)(crc, s);
}
