/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/azure_world.h"

#include <stdio.h>

#include "bridge/base/str.h"

/* ---- the hub ---- */

static enum core_actor twin_of(const struct hub *hub, enum core_actor actor)
{
    return hub->config.mode == SB_AZURE_GATEWAY ? CORE_GATEWAY : actor;
}

static void reply(struct hub *hub, enum core_actor actor, char *topic, char *text)
{
    if (hub->silent || hub->reply_count == SB_COUNT(hub->replies)) {
        free(topic);
        free(text);
        return;
    }
    hub->replies[hub->reply_count++] =
        (struct hub_reply){ twin_of(hub, actor), topic, text ? text : strdup("") };
}

/* A merge patch as RFC 7396 has it, written for this test alone. */
static void merge(json_t *target, const json_t *patch)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)patch, key, value) {
        if (json_is_null(value)) {
            json_object_del(target, key);
        } else if (json_is_object(value)) {
            if (!json_is_object(json_object_get(target, key)))
                json_object_set_new(target, key, json_object());
            merge(json_object_get(target, key), value);
        } else {
            json_object_set_new(target, key, json_deep_copy(value));
        }
    }
}

static void take_twin_request(struct hub *hub, enum core_actor actor, const char *topic,
                              const json_t *body, const char *rid)
{
    enum core_actor twin = twin_of(hub, actor);
    int status = hub->status ? hub->status : body ? 204 : 200;
    char *text = NULL;
    if (body) {
        sb_cleanup(sb_freep) char *said = json_dumps(body, 0);
        if (hub->refuses && strstr(said, hub->refuses))
            status = 400;
        hub->patches++;
        if (status == 204)
            merge(hub->reported[twin], body);
    } else {
        hub->reads++;
        json_t *whole =
            json_pack("{s:O,s:O}", "desired", hub->desired[twin], "reported", hub->reported[twin]);
        text = status == 200 ? json_dumps(whole, 0) : NULL;
        json_decref(whole);
    }
    if (strstr(topic, body ? "PATCH/properties/reported" : "GET") == NULL)
        abort();
    reply(hub, actor, sb_format("$iothub/twin/res/%d/?$rid=%s&$version=9", status, rid), text);
}

static void take_message(struct core *core, enum core_actor actor, const struct sb_output *output)
{
    struct hub *hub = (struct hub *)core;
    const char *rid = strstr(output->topic, "$rid=");
    int status = 0;
    if (!rid)
        abort();
    rid += strlen("$rid=");
    if (sscanf(output->topic, "$iothub/methods/res/%d/", &status) == 1) { /* NOLINT */
        if (hub->answer_count < SB_COUNT(hub->answers))
            hub->answers[hub->answer_count++] =
                (struct hub_answer){ status, strdup(rid), json_incref(output->json) };
        return;
    }
    if (output->task && sb_set_string(&hub->told_what, output->what) == 0)
        hub->told_task = output->task;
    take_twin_request(hub, actor, output->topic, output->json, rid);
}

static void deliver(struct core *core)
{
    struct hub *hub = (struct hub *)core;
    while (hub->reply_count > 0) {
        struct hub_reply first = hub->replies[0];
        memmove(hub->replies, hub->replies + 1, --hub->reply_count * sizeof(first));
        if (core->up[first.to])
            core_hears(core, first.to, first.topic, first.text, strlen(first.text));
        free(first.topic);
        free(first.text);
    }
}

struct hub *hub_new(enum sb_azure_mode mode)
{
    static const struct core_ops ops = { &sb_azure_dialect, take_message, deliver };
    struct hub *hub = calloc(1, sizeof(*hub));
    if (!hub)
        abort();
    hub->config = (struct sb_azure_config){ .link.uri = "mqtts://hub.example:8883",
                                            .id = "gw-1",
                                            .mode = (int)mode,
                                            .key = "file:/keys/{name}" };
    core_begin(&hub->core, &ops, core_words(&sb_azure_shape), &hub->config, "pump-7", "valve.1");
    for (int i = 0; i < CORE_ACTORS; i++) {
        hub->core.line[i] = twin_of(hub, (enum core_actor)i);
        hub->core.devices[i].identity =
            i == CORE_GATEWAY ? NULL : json_pack("{s:s}", "model", "P7");
        hub->desired[i] = json_pack("{s:i}", "$version", 1);
        hub->reported[i] = json_object();
    }
    return hub;
}

void hub_free(struct hub *hub)
{
    core_done(&hub->core);
    for (int i = 0; i < CORE_ACTORS; i++) {
        json_decref(hub->desired[i]);
        json_decref(hub->reported[i]);
    }
    for (size_t i = 0; i < hub->answer_count; i++) {
        free(hub->answers[i].rid);
        json_decref(hub->answers[i].payload);
    }
    for (size_t i = 0; i < hub->reply_count; i++) {
        free(hub->replies[i].topic);
        free(hub->replies[i].text);
    }
    free(hub->told_what);
    free(hub);
}

/* ---- what happens ---- */

void hub_desires(struct hub *hub, enum core_actor actor, const char *text)
{
    enum core_actor twin = twin_of(hub, actor);
    json_t *patch = json_loads(text, 0, NULL);
    json_int_t version = json_integer_value(json_object_get(hub->desired[twin], "$version")) + 1;
    if (!patch)
        abort();
    merge(hub->desired[twin], patch);
    json_object_set_new(hub->desired[twin], "$version", json_integer(version));
    json_object_set_new(patch, "$version", json_integer(version));
    sb_cleanup(sb_freep) char *body = json_dumps(patch, 0);
    sb_cleanup(sb_freep) char *topic =
        sb_format("$iothub/twin/PATCH/properties/desired/?$version=%lld", (long long)version);
    json_decref(patch);
    if (hub->core.up[twin] && !hub->miss)
        core_hears(&hub->core, twin, topic, body, strlen(body));
}

const char *hub_calls(struct hub *hub, enum core_actor actor, const char *method,
                      const char *payload)
{
    static char rid[16];
    (void)snprintf(rid, sizeof(rid), "%u", ++hub->rids);
    sb_cleanup(sb_freep) char *topic = sb_format("$iothub/methods/POST/%s/?$rid=%s", method, rid);
    core_hears(&hub->core, actor, topic, payload ? payload : "", payload ? strlen(payload) : 0);
    return rid;
}

/* ---- looking ---- */

static const struct hub_answer *answer_of(const struct hub *hub, const char *rid)
{
    for (size_t i = 0; i < hub->answer_count; i++)
        if (sb_streq(hub->answers[i].rid, rid))
            return &hub->answers[i];
    return NULL;
}

bool hub_unanswered(const struct hub *hub, const char *rid)
{
    return !answer_of(hub, rid);
}

bool hub_answered(const struct hub *hub, const char *rid, int status, const char *json)
{
    const struct hub_answer *answer = answer_of(hub, rid);
    if (!answer || answer->status != status) {
        sb_cleanup(sb_freep) char *text = answer ? json_dumps(answer->payload, 0) : NULL;
        (void)fprintf(stderr, "answer to %s: %d %s\n", rid, answer ? answer->status : 0,
                      text ? text : "");
        return false;
    }
    return sb_streq(json, "*") || core_is(answer->payload, json);
}

bool hub_reports(const struct hub *hub, enum core_actor actor, const char *path, const char *json)
{
    return core_is(core_at(hub->reported[twin_of(hub, actor)], path), json);
}
