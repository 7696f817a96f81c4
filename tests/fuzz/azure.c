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

#include "adapters/dialects/azure/conversation.h"

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
        words = core_words(&sb_azure_shape, NULL);
    check(words);
    return words;
}

static void check_answers(struct hub *hub)
{
    for (size_t i = 0; i < hub->answer_count; i++)
        check(hub->answers[i].status >= 200 && hub->answers[i].status < 600 &&
              hub->answers[i].payload);
}

static void check_twin(const struct hub *hub, enum core_actor actor)
{
    check(sb_azure_size(hub->reported[actor]) <= 33000);
}

static void check_state(const struct hub *hub, enum core_actor actor)
{
    sb_cleanup(json_decrefp) json_t *saved = sb_azure_save(hub->core.states[actor]);
    check(saved && json_array_size(json_object_get(saved, "tasks")) <= 64);
    void *again = sb_azure_load(saved);
    check(again);
    sb_cleanup(json_decrefp) json_t *resaved = sb_azure_save(again);
    check(json_equal(saved, resaved));
    sb_azure_drop(again);
}

/* A task that is not final moves on; the machine leaves no final state. */
static void move(struct hub *hub, unsigned which, unsigned state, unsigned cause)
{
    size_t i = hub->core.task_count > 0 ? which % hub->core.task_count : 0;
    if (hub->core.task_count == 0 || sb_task_state_is_final(hub->core.tasks[i].task.state))
        return;
    enum sb_task_state next = (enum sb_task_state)(state % SB_TASK_STATE_MAX_);
    hub->core.tasks[i].task.cause =
        next == SB_TASK_FAILED || next == SB_TASK_CANCELLED
            ? (enum sb_cause)(SB_CAUSE_NONE + 1 + cause % (SB_CAUSE_MAX_ - 1))
            : SB_CAUSE_NONE;
    hub->core.tasks[i].task.percent = (uint8_t)(cause % 101);
    core_task(&hub->core, i, next);
}

static void event(struct hub *hub, const char *text, size_t n)
{
    unsigned a = n > 1 ? (unsigned char)text[1] : 0, b = n > 2 ? (unsigned char)text[2] : 0;
    unsigned c = n > 3 ? (unsigned char)text[3] : 0;
    enum core_actor actor = (enum core_actor)(a % CORE_ACTORS);
    switch (n > 0 ? text[0] : 0) {
    case 'u':
        core_up(&hub->core, actor);
        break;
    case 'd':
        core_down(&hub->core, actor);
        break;
    case 'r':
        core_restarts(&hub->core);
        break;
    case 't':
        move(hub, a, b, c);
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
    case 'c':
        hub->core.refuse = (enum sb_cause)(a % SB_CAUSE_MAX_);
        break;
    case 'h':
        hub->status = a % 3 == 0 ? 0 : a % 3 == 1 ? 429 : 400;
        hub->silent = b % 2;
        hub->miss = c % 2;
        break;
    case 'y':
        hub->core.ready = a % 2;
        break;
    case 'w': { /* the rest is a patch of desired properties */
        sb_cleanup(sb_freep) char *patch = n > 2 ? strndup(text + 2, n - 2) : NULL;
        json_t *legal = patch ? json_loads(patch, 0, NULL) : NULL;
        if (json_is_object(legal))
            hub_desires(hub, actor, patch);
        json_decref(legal);
        break;
    }
    default:
        break;
    }
}

static void line(struct hub *hub, const char *text, size_t n)
{
    if (n > 0 && text[0] == '!') {
        event(hub, text + 1, n - 1);
        return;
    }
    const char *space = memchr(text, ' ', n);
    size_t topic_length = space ? (size_t)(space - text) : n;
    sb_cleanup(sb_freep) char *topic = strndup(text, topic_length);
    check(topic);
    const char *payload = space ? space + 1 : text + n;
    enum core_actor to = hub->config.mode == SB_AZURE_GATEWAY ? CORE_GATEWAY : CORE_PUMP;
    core_hears(&hub->core, to, topic, payload, n - (size_t)(payload - text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hub *hub =
        hub_new(the_words(), size > 0 && data[0] % 2 ? SB_AZURE_GATEWAY : SB_AZURE_DEVICES);
    const char *at = (const char *)data, *end = at + size;
    while (size > 0 && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        line(hub, at, (size_t)(stop - at));
        check_answers(hub);
        for (int i = 0; i < CORE_ACTORS; i++) {
            check_twin(hub, (enum core_actor)i);
            check_state(hub, (enum core_actor)i);
        }
        at = stop + 1;
    }
    hub_free(hub);
    return 0;
}
