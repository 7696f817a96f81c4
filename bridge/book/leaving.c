/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/book/leaving.h"

#include "bridge/base/str.h"

struct leaver {
    struct leaver *next;
    struct sb_leaving *leaving;
    struct sb_job *job;
};

/* Kept or lost: in both cases the store tells the truth from now on. */
static void on_settled(void *arg, int error)
{
    struct leaver *leaver = arg;
    (void)error;
    for (struct leaver **at = &leaver->leaving->first; *at; at = &(*at)->next) {
        if (*at != leaver)
            continue;
        *at = leaver->next;
        break;
    }
    sb_job_free(leaver->job);
    free(leaver);
}

void sb_leaving_add(struct sb_leaving *leaving, struct sb_job *job)
{
    struct leaver *leaver = calloc(1, sizeof(*leaver));
    if (!leaver || sb_store_then(leaving->store, on_settled, leaver) < 0) {
        sb_job_free(job);
        free(leaver);
        return;
    }
    *leaver = (struct leaver){ .next = leaving->first, .leaving = leaving, .job = job };
    leaving->first = leaver;
}

struct sb_job *sb_leaving_find(const struct sb_leaving *leaving, int64_t id)
{
    for (const struct leaver *leaver = leaving->first; leaver; leaver = leaver->next)
        if (leaver->job->id == id)
            return leaver->job;
    return NULL;
}

struct sb_job *sb_leaving_same(const struct sb_leaving *leaving, const char *origin,
                               const char *key)
{
    for (const struct leaver *leaver = leaving->first; leaver; leaver = leaver->next)
        if (sb_streq(leaver->job->key, key) && sb_streq(leaver->job->origin, origin))
            return leaver->job;
    return NULL;
}

void sb_leaving_done(struct sb_leaving *leaving)
{
    while (leaving->first) {
        sb_store_forget(leaving->store, on_settled, leaving->first);
        on_settled(leaving->first, 0);
    }
}
