/* An HTTP/2 connection from the client's preface on: the input is what follows it, frames and rubbish, in pieces whose
 * size the first byte chooses. Besides what http_front.h holds: what comes back is whole frames, no stream ends twice,
 * and none goes on after its end. */
#include "http_front.h"

enum { STREAMS = 1024 };

static uint32_t u32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void check_output(const unsigned char *p, size_t left)
{
    static uint8_t ended[STREAMS]; /* 1: END_STREAM; 2: reset */

    memset(ended, 0, sizeof ended);
    while (left >= 9) {
        size_t n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        uint32_t id = u32(p + 5) & 0x7fffffff, slot = id / 2 % STREAMS;
        if (left < 9 + n)
            break;
        must(n <= 16384 && p[3] <= 9);
        if (id < 2 * STREAMS && (p[3] == 0 || p[3] == 1)) {
            must(id % 2 == 1 && ended[slot] == 0);
            ended[slot] = p[4] & 1 ? 1 : 0;
        } else if (id < 2 * STREAMS && p[3] == 3) {
            must((ended[slot] & 2) == 0 || u32(p + 9) != 0);
            ended[slot] |= 2;
        }
        p += 9 + n;
        left -= 9 + n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    static struct front f;
    struct buf text = BUF_INIT(1 << 20);

    if (n < 1 || n > 65536)
        return 0;
    buf_put(&text, slice_make(preface, sizeof preface - 1));
    buf_put(&text, slice_make(data + 1, n - 1));
    front_run(&f, buf_slice(&text), data[0] < 128 ? 65536 : (size_t)data[0] - 127, true);
    check_output((const unsigned char *)f.last, f.output);
    buf_done(&text);
    return 0;
}
