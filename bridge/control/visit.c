/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/control/visit.h"

#include <errno.h>

#include "bridge/child.h"

#define FINDINGS_MAX 2000

struct sb_visit {
    struct sb_visit_parts parts; /* only loop, done and arg */
    struct sb_child *child;
    struct sb_timer *deadline;
    json_t *data, *checks; /* checks: borrowed from data */
};

static void on_line(void *arg, const char *text, size_t n)
{
    struct sb_visit *visit = arg;
    json_t *finding = NULL;
    if (json_array_size(visit->checks) >= FINDINGS_MAX ||
        sb_json_parse(text, n, NULL, &finding, NULL) < 0)
        return;
    (void)json_array_append_new(visit->checks, finding);
}

static void on_ended(void *arg, bool well, const char *why)
{
    struct sb_visit *visit = arg;
    sb_timer_stop(visit->deadline);
    if (!well)
        (void)json_array_append_new(
            visit->checks,
            json_pack("{s:s,s:s,s:s,s:s+,s:s}", "check", "doctor", "name", "", "health", "failed",
                      "text", "not everything was examined: ", why, "remedy",
                      "ask again; the daemon's log may say more (log: level: debug)"));
    visit->parts.done(visit->parts.arg, visit->data);
}

static void on_deadline(void *arg)
{
    struct sb_visit *visit = arg;
    sb_child_kill(visit->child);
}

static const struct sb_child_events events = { .line = on_line, .ended = on_ended };

static int launch(struct sb_visit *visit, const struct sb_visit_parts *parts)
{
    char *const argv[] = { (char *)"southbridge", (char *)"--config", (char *)parts->config,
                           (char *)"--doctor",    (char *)"--known",  NULL };
    sb_cleanup(sb_freep) char *known = sb_json_text(parts->known);
    if (!known)
        return -ENOMEM;
    const struct sb_child_spec spec = {
        .name = "doctor", .program = parts->program, .argv = argv, .input = known
    };
    return sb_child_start(parts->loop, &spec, &events, visit, &visit->child);
}

int sb_visit_start(const struct sb_visit_parts *parts, struct sb_visit **ret)
{
    sb_cleanup(sb_visit_freep) struct sb_visit *visit = calloc(1, sizeof(*visit));
    if (!visit)
        return -ENOMEM;
    visit->parts =
        (struct sb_visit_parts){ .loop = parts->loop, .done = parts->done, .arg = parts->arg };
    visit->data = json_pack("{s:s,s:b,s:[]}", "config", parts->config, "daemon", 1, "checks");
    visit->checks = json_object_get(visit->data, "checks");
    int r =
        visit->checks ? sb_timer_new(parts->loop, on_deadline, visit, &visit->deadline) : -ENOMEM;
    if (r == 0)
        r = launch(visit, parts);
    if (r < 0)
        return r;
    sb_timer_in(visit->deadline, SB_VISIT_MS);
    *ret = SB_STEAL(visit);
    return 0;
}

struct sb_visit *sb_visit_free(struct sb_visit *visit)
{
    if (!visit)
        return NULL;
    sb_child_free(visit->child);
    sb_timer_free(visit->deadline);
    json_decref(visit->data);
    free(visit);
    return NULL;
}
