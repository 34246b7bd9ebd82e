/* Reads clock_getcpuclockid() clocks and /proc/PID/stat. */
#include "watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

enum { STAT_MAX = 1024, FIELDS_BEFORE_UTIME = 11 };

/* utime and stime are fields 14 and 15; counting starts behind the name in parentheses, which may hold spaces. */
static bool ticks_read(pid_t pid, struct watch *sum)
{
    char path[64];
    char text[STAT_MAX + 1];

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    text[fread(text, 1, STAT_MAX, f)] = '\0';
    fclose(f);
    char *p = strrchr(text, ')');
    if (p == NULL)
        return false;
    p++;
    for (int i = 0; i < FIELDS_BEFORE_UTIME; i++) {
        p = strchr(p + 1, ' ');
        if (p == NULL)
            return false;
    }
    sum->user_ticks += strtoull(p, &p, 10);
    sum->system_ticks += strtoull(p, &p, 10);
    return true;
}

static bool process_read(pid_t pid, struct watch *sum)
{
    clockid_t id;
    struct timespec t;

    if (clock_getcpuclockid(pid, &id) != 0 || clock_gettime(id, &t) != 0)
        return false;
    sum->cpu_ns += (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
    return ticks_read(pid, sum);
}

bool watch_read(const struct options *o, struct watch *ret)
{
    struct watch sum = { 0 };

    for (size_t i = 0; i < o->watch_count; i++) {
        if (!process_read(o->watch[i], &sum)) {
            fprintf(stderr, "sluice-load: process %ld cannot be watched: has it ended?\n", (long)o->watch[i]);
            return false;
        }
    }
    *ret = sum;
    return true;
}
