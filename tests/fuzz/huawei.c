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
#include "tests/fuzz/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sent(struct iot *iot)
{
    for (size_t i = 0; i < iot->sent_count; i++) {
        const json_t *event = json_array_get(json_object_get(iot->sent[i].body, "services"), 0);
        const json_t *paras = json_object_get(event, "paras");
        if (sb_streq(sb_json_str(event, "event_type"), "upgrade_progress_report")) {
            int64_t code = sb_json_int(paras, "result_code", -1);
            script_check((code >= 0 && code <= 10) || code == 255);
            script_check(sb_json_str(paras, "version") != NULL);
        }
        script_check(json_array_size(json_object_get(paras, "device_statuses")) <= 100);
    }
    iot_forget(iot);
}

static void check_state(const struct iot *iot, enum core_actor actor)
{
    sb_cleanup(json_decrefp) json_t *saved =
        script_keeps(&sb_huawei_dialect, iot->core.states[actor]);
    (void)saved;
}

static void event(void *arg, const struct script_event *event)
{
    struct iot *iot = arg;
    unsigned a = event->a, b = event->b, c = event->c;
    enum core_actor actor = (enum core_actor)(a % CORE_ACTORS);
    switch (event->what) {
    case 'u':
        iot_up(iot);
        break;
    case 'd':
        iot_down(iot);
        break;
    case 'r':
        iot_restarts(iot);
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
    case 'h':
        iot->silent = a % 2;
        iot->core.ready = b % 2;
        iot->core.durable = b % 4 != 2;
        iot->config.add_devices = c % 2;
        json_object_set_new(iot->strangers, IOT_PUMP_ID, json_true());
        break;
    default:
        script_core_event(&iot->core, event);
        break;
    }
}

static void hears(void *arg, const char *topic, const void *payload, size_t n)
{
    sb_cleanup(sb_freep) char *whole = sb_format("$oc/devices/" IOT_GATEWAY_ID "/sys/%s", topic);
    script_check(whole);
    iot_hears(arg, whole, payload, n);
}

static void look(void *arg)
{
    struct iot *iot = arg;
    check_sent(iot);
    for (int i = 0; i < CORE_ACTORS; i++)
        check_state(iot, (enum core_actor)i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct script script = { event, hears, look };
    struct iot *iot = iot_new();
    script_run(&script, iot, data, size);
    iot_free(iot);
    return 0;
}
