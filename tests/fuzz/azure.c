/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripts for a small world: each line of the input is a topic and a payload of the hub, or "!" and
 * an event of the world; the first byte chooses the mode. Whatever comes: no method is answered
 * twice, with a status that is one; the twin stays within its size and says of an open failure
 * nothing but that; memory stays bounded, and the state survives being saved and read back.
 */
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/azure_world.h"
#include "tests/fuzz/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answers(struct hub *hub)
{
    for (size_t i = 0; i < hub->answer_count; i++)
        script_check(hub->answers[i].status >= 200 && hub->answers[i].status < 600 &&
                     hub->answers[i].payload);
}

static void check_twin(const struct hub *hub, enum core_actor actor)
{
    script_check(sb_azure_size(hub->reported[actor]) <= 33000);
}

static void check_state(const struct hub *hub, enum core_actor actor)
{
    sb_cleanup(json_decrefp) json_t *saved =
        script_keeps(&sb_azure_dialect, hub->core.states[actor]);
    script_check(json_array_size(json_object_get(saved, "tasks")) <= 64);
}

static void event(void *arg, const struct script_event *event)
{
    struct hub *hub = arg;
    unsigned a = event->a, b = event->b, c = event->c;
    enum core_actor actor = (enum core_actor)(a % CORE_ACTORS);
    switch (event->what) {
    case 'u':
        core_up(&hub->core, actor);
        break;
    case 'd':
        core_down(&hub->core, actor);
        break;
    case 'r':
        core_restarts(&hub->core);
        break;
    case 'n':
        core_news(
            &hub->core, actor,
            (enum sb_news_kind)(SB_NEWS_DEVICE_ADDED + b % (SB_NEWS_MAX_ - SB_NEWS_DEVICE_ADDED)));
        break;
    case 'f':
        core_foreign(&hub->core, actor, b % 2 ? SB_OP_FIRMWARE_UPDATE : SB_OP_FIRMWARE_DOWNLOAD,
                     (enum sb_task_state)(c % SB_TASK_STATE_MAX_), SB_CAUSE_INTERNAL);
        break;
    case 'p':
        core_passes(&hub->core, (int64_t)a * a * SB_SECOND);
        break;
    case 'h':
        hub->status = a % 3 == 0 ? 0 : a % 3 == 1 ? 429 : 400;
        hub->silent = b % 2;
        hub->miss = c % 2;
        break;
    case 'w': { /* the rest is a patch of desired properties */
        sb_cleanup(sb_freep) char *patch = strndup(event->rest, event->n);
        json_t *legal = patch ? json_loads(patch, 0, NULL) : NULL;
        if (json_is_object(legal))
            hub_desires(hub, actor, patch);
        json_decref(legal);
        break;
    }
    default:
        script_core_event(&hub->core, event);
        break;
    }
}

static void hears(void *arg, const char *topic, const void *payload, size_t n)
{
    struct hub *hub = arg;
    enum core_actor to = hub->config.mode == SB_AZURE_GATEWAY ? CORE_GATEWAY : CORE_PUMP;
    core_hears(&hub->core, to, topic, payload, n);
}

static void look(void *arg)
{
    struct hub *hub = arg;
    check_answers(hub);
    for (int i = 0; i < CORE_ACTORS; i++) {
        check_twin(hub, (enum core_actor)i);
        check_state(hub, (enum core_actor)i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct script script = { event, hears, look };
    struct hub *hub = hub_new(size > 0 && data[0] % 2 ? SB_AZURE_GATEWAY : SB_AZURE_DEVICES);
    script_run(&script, hub, data, size);
    hub_free(hub);
    return 0;
}
