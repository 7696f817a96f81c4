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

#include "adapters/dialects/ibm/conversation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static struct sb_words *the_words(void)
{
    static struct sb_words *words;
    if (!words)
        words = world_words(NULL);
    check(words);
    return words;
}

static void check_sent(struct world *world)
{
    size_t responses = 0;
    for (size_t i = 0; i < world->log_count; i++) {
        const struct sb_output *output = &world->log[i];
        if (output->kind != SB_OUT_SEND)
            continue;
        check(strncmp(output->topic, "iotdevice-1/type/", 17) == 0);
        check(json_is_object(output->json));
        int64_t rc = sb_json_int(output->json, "rc", 0);
        check(rc == 0 || (rc >= 200 && rc < 600));
        check(rc == 0 || sb_json_str(output->json, "reqId"));
        responses += rc != 0;
    }
    check(responses <= 2 * WORLD_TASKS + 2);
}

/* A failure is never told as success. */
static void check_no_success(struct world *world)
{
    sb_cleanup(json_decrefp) json_t *good = sb_ibm_notify(0, 0, NULL);
    for (size_t i = 0; i < world->log_count; i++) {
        const struct sb_output *output = &world->log[i];
        if (output->kind == SB_OUT_SEND && strstr(output->topic, "/notify"))
            check(!json_equal(json_object_get(output->json, "d"), json_object_get(good, "d")));
    }
}

static void check_state(struct world *world)
{
    sb_cleanup(json_decrefp) json_t *saved = sb_ibm_save(world->state);
    check(saved && json_array_size(json_object_get(saved, "asks")) <= 16);
    check(json_object_size(json_object_get(saved, "seen")) <= 32 + 16);
    void *again = sb_ibm_load(saved);
    check(again);
    sb_cleanup(json_decrefp) json_t *resaved = sb_ibm_save(again);
    check(json_equal(saved, resaved));
    sb_ibm_drop(again);
}

/* A task that is not final moves on; the machine leaves no final state. */
static void move(struct world *world, unsigned which, unsigned state, unsigned cause)
{
    size_t i = world->task_count > 0 ? which % world->task_count : 0;
    if (world->task_count == 0 || sb_task_state_is_final(world->tasks[i].state))
        return;
    enum sb_task_state next = (enum sb_task_state)(state % SB_TASK_STATE_MAX_);
    world->tasks[i].cause = next == SB_TASK_FAILED || next == SB_TASK_CANCELLED
                                ? (enum sb_cause)(SB_CAUSE_NONE + 1 + cause % (SB_CAUSE_MAX_ - 1))
                                : SB_CAUSE_NONE;
    world_task(world, i, next);
    if (next == SB_TASK_FAILED || next == SB_TASK_CANCELLED)
        check_no_success(world);
}

static void event(struct world *world, const char *text, size_t n)
{
    unsigned a = n > 1 ? (unsigned char)text[1] : 0, b = n > 2 ? (unsigned char)text[2] : 0;
    unsigned c = n > 3 ? (unsigned char)text[3] : 0;
    world->known = true;
    world->self = false;
    switch (n > 0 ? text[0] : 0) {
    case 'u':
        world_up(world);
        break;
    case 'd':
        world_down(world);
        break;
    case 'r':
        check(world_restarts(world));
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

static void line(struct world *world, const char *text, size_t n)
{
    if (n > 0 && text[0] == '!') {
        event(world, text + 1, n - 1);
        return;
    }
    const char *space = memchr(text, ' ', n);
    size_t topic_length = space ? (size_t)(space - text) : n;
    sb_cleanup(sb_freep) char *topic = strndup(text, topic_length);
    check(topic);
    const char *payload = space ? space + 1 : text + n;
    world_hears(world, topic, payload, n - (size_t)(payload - text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *world = world_new(the_words());
    world->quiet = true;
    world->package = (struct sb_package){ .version = "2", .uri = "https://h/x" };
    const char *at = (const char *)data, *end = at + size;
    while (size > 0 && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        line(world, at, (size_t)(stop - at));
        check_sent(world);
        check_state(world);
        world_forget(world);
        at = stop + 1;
    }
    world_free(world);
    return 0;
}
