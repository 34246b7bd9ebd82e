/* Linear search: a gateway has a few threads. A number may come back for another thread once its first owner has ended.
 */
#include "thread.h"

#include <stdio.h>
#include <string.h>

struct thread *thread_find(struct threads *ts, pid_t tid)
{
    if (ts->last < ts->count && ts->all[ts->last].tid == tid && ts->all[ts->last].attached)
        return &ts->all[ts->last];
    for (size_t i = 0; i < ts->count; i++) {
        if (ts->all[i].tid == tid && ts->all[i].attached) {
            ts->last = i;
            return &ts->all[i];
        }
    }
    return NULL;
}

static void name_read(struct thread *t)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%ld/comm", (long)t->tid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return;
    t->name[fread(t->name, 1, sizeof t->name - 1, f)] = '\0';
    t->name[strcspn(t->name, "\n")] = '\0';
    fclose(f);
}

struct thread *thread_add(struct threads *ts, pid_t tid)
{
    if (ts->count == THREADS_MAX)
        return NULL;
    struct thread *t = &ts->all[ts->count++];
    *t = (struct thread){ .tid = tid, .attached = true };
    ts->attached++;
    name_read(t);
    return t;
}

void thread_drop(struct threads *ts, struct thread *t)
{
    if (!t->attached)
        return;
    t->attached = false;
    ts->attached--;
}
