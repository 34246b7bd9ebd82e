/* CRC-32C: the SSE4.2 instruction where the processor has it, else a byte table.
 * Owns the table, which is built once before first use; both forms give the same value for all inputs. */
#include "audit/crc32c.h"
#include <pthread.h>

static uint32_t crc_table[256];
static bool crc_fast;
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void crc_build(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = (c & 1) ? (c >> 1) ^ 0x82F63B78u : c >> 1;
        crc_table[i] = c;
    }
#if defined(__x86_64__)
    crc_fast = __builtin_cpu_supports("sse4.2");
#endif
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
    uint64_t c = crc;
    const char *p = s.p;
    size_t left = s.n;
    for (; left >= STRIDE; left -= STRIDE, p += STRIDE) {
#pragma GCC unroll 8
        for (size_t i = 0; i < STRIDE; i += 8)
            c = crc_word(c, p + i);
    }
    for (; left >= 8; left -= 8, p += 8)
        c = crc_word(c, p);
    for (; left > 0; left--, p++)
        c = __builtin_ia32_crc32qi((uint32_t)c, (uint8_t)*p);
    return (uint32_t)c;
}
#endif

uint32_t crc32c_plain(uint32_t crc, struct slice s)
{
    pthread_once(&crc_once, crc_build);
    crc = ~crc;
    for (size_t i = 0; i < s.n; i++)
        crc = crc_table[(crc ^ (uint8_t)s.p[i]) & 0xFF] ^ (crc >> 8);
    return ~crc;
}

uint32_t crc32c(uint32_t crc, struct slice s)
{
    pthread_once(&crc_once, crc_build);
#if defined(__x86_64__)
    if (crc_fast)
        return ~crc_sse(~crc, s);
#endif
    return crc32c_plain(crc, s);
}
