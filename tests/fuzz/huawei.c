/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripts for a small world: each line of the input is a topic below $oc/devices/<gateway>/sys/ and
 * a payload of the platform, or "!" and an event of the world. Whatever comes: reports have codes
 * that platforms know, batches stay within their limits, memory stays bounded, and the state
 * survives being saved and read back.
 */
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/huawei_world.h"

#include "adapters/dialects/huawei/conversation.h"

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
        words = core_words(&sb_huawei_shape, NULL);
    check(words);
    return words;
}

static void check_sent(struct iot *iot)
{
    for (size_t i = 0; i < iot->sent_count; i++) {
        const json_t *event = json_array_get(json_object_get(iot->sent[i].body, "services"), 0);
        const json_t *paras = json_object_get(event, "paras");
        if (sb_streq(sb_json_str(event, "event_type"), "upgrade_progress_report")) {
            int64_t code = sb_json_int(paras, "result_code", -1);
            check((code >= 0 && code <= 10) || code == 255);
            check(sb_json_str(paras, "version") != NULL);
        }
        check(json_array_size(json_object_get(paras, "device_statuses")) <= 100);
    }
    iot_forget(iot);
}

static void check_state(const struct iot *iot, enum core_actor actor)
{
    sb_cleanup(json_decrefp) json_t *saved = sb_huawei_save(iot->core.states[actor]);
    check(saved != NULL);
    void *again = sb_huawei_load(saved);
    check(again != NULL);
    sb_cleanup(json_decrefp) json_t *resaved = sb_huawei_save(again);
    check(json_equal(saved, resaved));
    sb_huawei_drop(again);
}

static void move(struct iot *iot, unsigned which, unsigned state, unsigned cause)
{
    size_t i = iot->core.task_count > 0 ? which % iot->core.task_count : 0;
    if (iot->core.task_count == 0 || sb_task_state_is_final(iot->core.tasks[i].task.state))
        return;
    enum sb_task_state next = (enum sb_task_state)(state % SB_TASK_STATE_MAX_);
    iot->core.tasks[i].task.cause =
        next == SB_TASK_FAILED || next == SB_TASK_CANCELLED
            ? (enum sb_cause)(SB_CAUSE_NONE + 1 + cause % (SB_CAUSE_MAX_ - 1))
            : SB_CAUSE_NONE;
    iot->core.tasks[i].task.phase = (enum sb_phase)(cause % SB_PHASE_MAX_);
    iot->core.tasks[i].task.percent = (uint8_t)(cause % 101);
    core_task(&iot->core, i, next);
}

static void event(struct iot *iot, const char *text, size_t n)
{
    unsigned a = n > 1 ? (unsigned char)text[1] : 0, b = n > 2 ? (unsigned char)text[2] : 0;
    unsigned c = n > 3 ? (unsigned char)text[3] : 0;
    enum core_actor actor = (enum core_actor)(a % CORE_ACTORS);
    switch (n > 0 ? text[0] : 0) {
    case 'u':
        iot_up(iot);
        break;
    case 'd':
        iot_down(iot);
        break;
    case 'r':
        iot_restarts(iot);
        break;
    case 't':
        move(iot, a, b, c);
        break;
    case 'n':
        core_news(&iot->core, actor, b % 2 ? SB_NEWS_DEVICE_ADDED : SB_NEWS_DEVICE_REMOVED);
        break;
    case 'v':
        core_version(&iot->core, actor, "", b % 2 ? "2.0.0" : "1.0.0");
        break;
    case 'p':
        iot_presence(iot, actor == CORE_GATEWAY ? CORE_PUMP : actor,
                     (enum sb_presence)(b % SB_PRESENCE_MAX_));
        break;
    case 'w':
        core_passes(&iot->core, (int64_t)a * a * SB_SECOND);
        break;
    case 'c':
        iot->core.refuse = (enum sb_cause)(a % SB_CAUSE_MAX_);
        break;
    case 'h':
        iot->silent = a % 2;
        iot->core.ready = b % 2;
        iot->config.add_devices = c % 2;
        json_object_set_new(iot->strangers, IOT_PUMP_ID, json_true());
        break;
    default:
        break;
    }
}

static void line(struct iot *iot, const char *text, size_t n)
{
    if (n > 0 && text[0] == '!') {
        event(iot, text + 1, n - 1);
        return;
    }
    const char *space = memchr(text, ' ', n);
    size_t topic_length = space ? (size_t)(space - text) : n;
    sb_cleanup(sb_freep) char *topic =
        sb_format("$oc/devices/" IOT_GATEWAY_ID "/sys/%.*s", (int)topic_length, text);
    check(topic != NULL);
    const char *payload = space ? space + 1 : text + n;
    iot_hears(iot, topic, payload, n - (size_t)(payload - text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct iot *iot = iot_new(the_words());
    const char *at = (const char *)data, *end = at + size;
    while (size > 0 && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        line(iot, at, (size_t)(stop - at));
        check_sent(iot);
        for (int i = 0; i < CORE_ACTORS; i++)
            check_state(iot, (enum core_actor)i);
        at = stop + 1;
    }
    iot_free(iot);
    return 0;
}
