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

static void check_sent(struct wiot *wiot)
{
    size_t responses = 0;
    for (size_t i = 0; i < wiot->log_count; i++) {
        const struct sb_output *output = &wiot->log[i];
        if (output->kind != SB_OUT_SEND)
            continue;
        script_check(strncmp(output->topic, "iotdevice-1/type/", 17) == 0);
        script_check(json_is_object(output->json));
        int64_t rc = sb_json_int(output->json, "rc", 0);
        script_check(rc == 0 || (rc >= 200 && rc < 600));
        script_check(rc == 0 || sb_json_str(output->json, "reqId"));
        responses += rc != 0;
    }
    script_check(responses <= 2 * WIOT_TASKS + 2);
}

/* A failure is never told as success. */
static void check_no_success(struct wiot *wiot)
{
    sb_cleanup(json_decrefp) json_t *good = sb_ibm_notify(0, 0, NULL);
    for (size_t i = 0; i < wiot->log_count; i++) {
        const struct sb_output *output = &wiot->log[i];
        if (output->kind == SB_OUT_SEND && strstr(output->topic, "/notify"))
            script_check(
                !json_equal(json_object_get(output->json, "d"), json_object_get(good, "d")));
    }
}

static void check_state(struct wiot *wiot)
{
    sb_cleanup(json_decrefp) json_t *saved = script_keeps(&sb_ibm_dialect, wiot->state);
    script_check(json_array_size(json_object_get(saved, "asks")) <= 16);
    script_check(json_object_size(json_object_get(saved, "seen")) <= 32 + 16);
}

/* A task that is not final moves on; the machine leaves no final state. */
static void move(struct wiot *wiot, unsigned which, unsigned state, unsigned cause)
{
    size_t i = wiot->task_count > 0 ? which % wiot->task_count : 0;
    if (wiot->task_count == 0 || sb_task_state_is_final(wiot->tasks[i].state))
        return;
    enum sb_task_state next = (enum sb_task_state)(state % SB_TASK_STATE_MAX_);
    wiot->tasks[i].cause = script_cause(next, cause);
    wiot_task(wiot, i, next);
    if (next == SB_TASK_FAILED || next == SB_TASK_CANCELLED)
        check_no_success(wiot);
}

static void event(void *arg, const struct script_event *event)
{
    struct wiot *wiot = arg;
    unsigned a = event->a, b = event->b, c = event->c;
    wiot->known = true;
    wiot->self = false;
    switch (event->what) {
    case 'u':
        wiot_up(wiot);
        break;
    case 'd':
        wiot_down(wiot);
        break;
    case 'r':
        script_check(wiot_restarts(wiot));
        break;
    case 't':
        move(wiot, a, b, c);
        break;
    case 'n':
        wiot_news(wiot, (enum sb_news_kind)(SB_NEWS_DEVICE_ADDED +
                                            a % (SB_NEWS_MAX_ - SB_NEWS_DEVICE_ADDED)));
        break;
    case 'f':
        wiot_foreign(wiot, a % 2 ? SB_OP_FIRMWARE_UPDATE : SB_OP_FIRMWARE_DOWNLOAD,
                     (enum sb_task_state)(b % SB_TASK_STATE_MAX_), SB_CAUSE_INTERNAL);
        break;
    case 's':
        wiot->staged = !wiot->staged;
        break;
    case 'p':
        wiot_passes(wiot, (int64_t)a * a * SB_SECOND);
        break;
    case 'c':
        wiot->refuse = (enum sb_cause)(a % SB_CAUSE_MAX_);
        break;
    case 'b':
        wiot->backlog = a % 2;
        wiot->outage = (int64_t)b * SB_MINUTE - 1;
        break;
    case 'y':
        wiot->ready = a % 2;
        break;
    default:
        break;
    }
}

static void hears(void *arg, const char *topic, const void *payload, size_t n)
{
    wiot_hears(arg, topic, payload, n);
}

static void look(void *arg)
{
    struct wiot *wiot = arg;
    check_sent(wiot);
    check_state(wiot);
    wiot_forget(wiot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct script script = { event, hears, look };
    struct wiot *wiot = wiot_new();
    wiot->quiet = true;
    wiot->package = (struct sb_package){ .version = "2", .uri = "https://h/x" };
    script_run(&script, wiot, data, size);
    wiot_free(wiot);
    return 0;
}
