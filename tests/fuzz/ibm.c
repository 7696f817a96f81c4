/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripts for a small world: each line of the input is a topic and a payload of the platform, or
 * "!" and an event of the world. Whatever comes: every request with an id is answered at most
 * once per hearing, what is sent is JSON on the gateway's own topics, a failure is never told as
 * success, memory stays bounded, and the state survives being saved and read back.
 */
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/ibm_world.h"
#include "tests/fuzz/script.h"

#include "adapters/dialects/ibm/conversation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sent(struct world *world)
{
    size_t responses = 0;
    for (size_t i = 0; i < world->log_count; i++) {
        const struct sb_output *output = &world->log[i];
        if (output->kind != SB_OUT_SEND)
            continue;
        script_check(strncmp(output->topic, "iotdevice-1/type/", 17) == 0);
        script_check(json_is_object(output->json));
        int64_t rc = sb_json_int(output->json, "rc", 0);
        script_check(rc == 0 || (rc >= 200 && rc < 600));
        script_check(rc == 0 || sb_json_str(output->json, "reqId"));
        responses += rc != 0;
    }
    script_check(responses <= 2 * WORLD_TASKS + 2);
}

/* A failure is never told as success. */
static void check_no_success(struct world *world)
{
    sb_cleanup(json_decrefp) json_t *good = sb_ibm_notify(0, 0, NULL);
    for (size_t i = 0; i < world->log_count; i++) {
        const struct sb_output *output = &world->log[i];
        if (output->kind == SB_OUT_SEND && strstr(output->topic, "/notify"))
            script_check(
                !json_equal(json_object_get(output->json, "d"), json_object_get(good, "d")));
    }
}

static void check_state(struct world *world)
{
    sb_cleanup(json_decrefp) json_t *saved = script_keeps(&sb_ibm_dialect, world->state);
    script_check(json_array_size(json_object_get(saved, "asks")) <= 16);
    script_check(json_object_size(json_object_get(saved, "seen")) <= 32 + 16);
}

/* A task that is not final moves on; the machine leaves no final state. */
static void move(struct world *world, unsigned which, unsigned state, unsigned cause)
{
    size_t i = world->task_count > 0 ? which % world->task_count : 0;
    if (world->task_count == 0 || sb_task_state_is_final(world->tasks[i].state))
        return;
    enum sb_task_state next = (enum sb_task_state)(state % SB_TASK_STATE_MAX_);
    world->tasks[i].cause = script_cause(next, cause);
    world_task(world, i, next);
    if (next == SB_TASK_FAILED || next == SB_TASK_CANCELLED)
        check_no_success(world);
}

static void event(void *arg, const struct script_event *event)
{
    struct world *world = arg;
    unsigned a = event->a, b = event->b, c = event->c;
    world->known = true;
    world->self = false;
    switch (event->what) {
    case 'u':
        world_up(world);
        break;
    case 'd':
        world_down(world);
        break;
    case 'r':
        script_check(world_restarts(world));
        break;
    case 't':
        move(world, a, b, c);
        break;
    case 'n':
        world_news(world, (enum sb_news_kind)(SB_NEWS_DEVICE_ADDED +
                                              a % (SB_NEWS_MAX_ - SB_NEWS_DEVICE_ADDED)));
        break;
    case 'f':
        world_foreign(world, a % 2 ? SB_OP_FIRMWARE_UPDATE : SB_OP_FIRMWARE_DOWNLOAD,
                      (enum sb_task_state)(b % SB_TASK_STATE_MAX_), SB_CAUSE_INTERNAL);
        break;
    case 's':
        world->staged = !world->staged;
        break;
    case 'p':
        world_passes(world, (int64_t)a * a * SB_SECOND);
        break;
    case 'c':
        world->refuse = (enum sb_cause)(a % SB_CAUSE_MAX_);
        break;
    case 'b':
        world->backlog = a % 2;
        world->outage = (int64_t)b * SB_MINUTE - 1;
        break;
    case 'y':
        world->ready = a % 2;
        break;
    default:
        break;
    }
}

static void hears(void *arg, const char *topic, const void *payload, size_t n)
{
    world_hears(arg, topic, payload, n);
}

static void look(void *arg)
{
    struct world *world = arg;
    check_sent(world);
    check_state(world);
    world_forget(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct script script = { event, hears, look };
    struct world *world = world_new();
    world->quiet = true;
    world->package = (struct sb_package){ .version = "2", .uri = "https://h/x" };
    script_run(&script, world, data, size);
    world_free(world);
    return 0;
}
