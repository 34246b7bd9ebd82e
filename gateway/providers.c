/* Resources that lack what their provider is called with: a secret, anchors, an address. They are served as unprepared,
 * said in /readyz, and served again when it is there: with an address by themselves; with files when they are made
 * anew, each minute those that lack something, at a reload all whose files are others now. So a new secret takes
 * effect, and nothing waits for a restart. */
#include "gateway/act_job.h"

#include <stdio.h>

/* A start waits so long for the name service, so that the first requests meet their providers; not any longer. */
enum { NAMES_START_MS = 1000 };
enum { NOTE_S = 3 /* between two looks at what exchanges have met: all resources are gone through */ };

/* "department/resource: what, and the remedy", whole characters. */
static void put_text(char *to, size_t room, struct slice id, const char *what)
{
    size_t n;

    snprintf(to, room, "%.*s: %s", SLICE_ARG(id), what);
    n = strlen(to);
    while (n > 0 && !utf8_valid((struct slice){ to, n }))
        to[--n] = '\0';
}

static const char *const outages[][2] = {
    [OUTAGE_UNREACHABLE] = { "its provider could not be reached the last times it was asked: does its system run?",
                             "最近数次均无法连接其提供方：请检查对方系统是否运行" },
    [OUTAGE_SILENT] = { "its provider took the last requests and did not answer: is its system overloaded?",
                        "其提供方接受了最近数次请求但未应答：请检查对方系统是否过载" },
};

static void note_outage(struct control *c, const struct service *v)
{
    enum connector_outage o = connector_outage(v->target);

    for (unsigned l = 0; o != OUTAGE_NONE && c->failing == 0 && l < 2; l++)
        put_text(c->fails[l], sizeof c->fails[l], v->resource->id, outages[o][l]);
    c->failing += o != OUTAGE_NONE;
}

static bool note(void *arg, const struct service *v)
{
    struct control *c = arg;

    note_outage(c, v);
    for (unsigned l = 0; l < 2; l++) {
        const char *what = connector_lacks(v->target, (enum lang)l);
        if (what != NULL && c->lacking == 0)
            put_text(c->lacks[l], sizeof c->lacks[l], v->resource->id, what);
    }
    c->lacking += connector_lacks(v->target, LANG_EN) != NULL;
    return true;
}

void providers_note(struct control *c)
{
    c->lacking = c->failing = 0;
    c->until_note = NOTE_S;
    snapshot_services(c->snapshot, note, c);
}

void providers_second(struct control *c)
{
    if (c->until_note > 0 && --c->until_note == 0)
        providers_note(c);
}

static void on_names(void *control)
{
    providers_note(control);
}

void providers_begin(struct control *c)
{
    if (c->names) {
        names_settle(c->names, NAMES_START_MS);
        names_tell(c->names, c->loop, on_names, c);
    }
    providers_note(c);
}

void providers_end(struct control *c)
{
    if (c->names)
        names_tell(c->names, NULL, NULL, NULL);
}

struct look {
    struct act_job *job;
    bool all;
    enum err failed;
};

static bool look(void *arg, const struct service *v)
{
    struct look *l = arg;

    if ((l->all || connector_lacks(v->target, LANG_EN) != NULL) && connector_stale(v->target))
        l->failed = job_add_touch(l->job, SNAPSHOT_RESOURCE, v->resource->id);
    return l->failed == ERR_OK;
}

void providers_look(struct control *c, bool all)
{
    struct look l = { .job = NULL, .all = all || c->look_at_all };

    c->look_at_all = l.all; /* until it is done */
    if (act_waits(c) || (!l.all && c->lacking == 0))
        return; /* the state may hold what no snapshot may show yet: the next look */
    l.job = job_new(c);
    if (l.job == NULL)
        return;                           /* the next look */
    l.job->narrows = l.job->renew = true; /* nobody gets more than was granted: it waits for no record */
    snapshot_services(c->snapshot, look, &l);
    if (l.failed == ERR_OK)
        c->look_at_all = false;
    if (l.job->n_touch > 0 && l.failed == ERR_OK)
        job_start(l.job);
    else
        job_free(l.job);
}
