/* Writes the result; field names are the ones tests/bench/run reads. */
#include "report.h"

#include <inttypes.h>

#include "clock.h"

static const struct quantile {
    const char *name;
    double q;
} quantiles[] = { { "p50", 0.50 }, { "p90", 0.90 }, { "p99", 0.99 }, { "p999", 0.999 } };

static const char *const fail_names[FAIL_COUNT_] = {
#define X(sym, text) [FAIL_##sym] = text,
    FAIL_TABLE(X)
#undef X
};

static void latency_print(FILE *out, const struct histogram *h)
{
    fprintf(out, ",\"latency_ns\":{\"count\":%" PRIu64 ",\"min\":%" PRId64 ",\"mean\":%" PRId64, h->count, h->min,
            histogram_mean(h));
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        fprintf(out, ",\"%s\":%" PRId64, quantiles[i].name, histogram_quantile(h, quantiles[i].q));
    fprintf(out, ",\"max\":%" PRId64 "}", h->max);
}

static void fails_print(FILE *out, const struct result *r)
{
    const char *comma = "";

    fprintf(out, ",\"errors\":%" PRIu64 ",\"errors_by_kind\":{", r->failed);
    for (size_t i = 0; i < FAIL_COUNT_; i++) {
        if (r->fails[i] == 0)
            continue;
        fprintf(out, "%s\"%s\":%" PRIu64, comma, fail_names[i], r->fails[i]);
        comma = ",";
    }
    fputc('}', out);
}

void report_print(FILE *out, const struct options *o, const struct result *r)
{
    double seconds = (double)r->window_ns / NS_PER_S;

    fprintf(out, "{\"connections\":%" PRIu64 ",\"opened_ns\":%" PRId64 ",\"requests\":%" PRIu64 ",\"seconds\":%.6f",
            o->connections, r->opened_ns, r->requests, seconds);
    fprintf(out, ",\"rate\":%.1f,\"body_bytes\":%" PRIu64, seconds > 0 ? (double)r->requests / seconds : 0.0,
            r->body_bytes);
    fprintf(out, ",\"handshakes\":{\"full\":%" PRIu64 ",\"resumed\":%" PRIu64 "},\"lost_idle\":%" PRIu64,
            r->handshakes_full, r->handshakes_resumed, r->lost);
    if (r->watched)
        fprintf(out, ",\"cpu\":{\"ns\":%" PRId64 ",\"user_ticks\":%" PRIu64 ",\"system_ticks\":%" PRIu64 "}",
                r->used.cpu_ns, r->used.user_ticks, r->used.system_ticks);
    if (r->latency.count > 0)
        latency_print(out, &r->latency);
    fails_print(out, r);
    fputs("}\n", out);
}
