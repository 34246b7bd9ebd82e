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
__attribute__((target("sse4.2"))) static uint32_t crc_sse(uint32_t crc, struct slice s)
{
    uint64_t c = crc;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        uint64_t word;
        memcpy(&word, s.p + i, sizeof word);
        c = __builtin_ia32_crc32di(c, word);
    }
    for (; i < s.n; i++)
        c = __builtin_ia32_crc32qi((uint32_t)c, (uint8_t)s.p[i]);
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
