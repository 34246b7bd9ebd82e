#pragma once
/* CRC-32C (Castagnoli, RFC 3720 appendix B.4) over pieces: tells a torn write from a whole one; no defence against
 * people. */
#include "base/core/core.h"

/* Start with 0; pass the last result to go on. */
uint32_t crc32c(uint32_t crc, struct slice s);
uint32_t crc32c_plain(uint32_t crc, struct slice s); /* the portable form; tests compare the two */
