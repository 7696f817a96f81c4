/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's part: who is online, who is added and deleted, values, all of it in batches. One
 * batch of statuses is on its way at a time; its response says whom the platform knows. Who was
 * refused is tried again later; with `add_devices` the platform is asked to add him. Whom it has
 * deleted is left alone until it adds him again.
 */
#include "adapters/dialects/huawei/parts.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"

#define TIMER        "family"
#define STATUSES     100   /* the platform's limit of one message */
#define REQUESTS     50    /* likewise, to add and delete */
#define DELETED_MOST 4096  /* names remembered */
#define VALUES_BYTES 49152 /* of one report of values */

/* ---- small things ---- */

static void put(struct sb_huawei_turn *turn, json_t **slot, const char *key, json_t *value)
{
    if (!*slot)
        *slot = json_object();
    sb_effects_put(turn->effects, *slot, key, value);
}

static const char *name_of(const json_t *entry)
{
    const char *name =
        json_is_string(entry) ? json_string_value(entry) : sb_json_str(entry, "device_id");
    return name && *name && strlen(name) <= SB_HUAWEI_ID_MAX ? name : NULL;
}

static void send(struct sb_huawei_turn *turn, const char *word, const char *id, json_t *paras)
{
    sb_huawei_send_event(turn, SB_HUAWEI_FAMILY, sb_words_name(turn->in->words, word), id, paras);
}

static void wake_at(struct sb_huawei_turn *turn, int64_t due)
{
    turn->state->due = due;
    sb_effects_timer(turn->effects, TIMER, SB_MAX(due - turn->in->now, 0));
}

/* Once more does not make it later: a flood of news would put it off for ever. */
static void soon(struct sb_huawei_turn *turn)
{
    int64_t due = turn->in->now + sb_words_limit(turn->in->words, "batch_after");
    if (turn->state->due == 0 || turn->state->due > due)
        wake_at(turn, due);
}

/* ---- statuses ---- */

static bool is_due(const struct sb_huawei_turn *turn, const char *name, const json_t *status)
{
    const struct sb_huawei_state *state = turn->state;
    return !json_equal(status, json_object_get(state->known, name)) &&
           !json_object_get(state->deleted, name) &&
           sb_json_int(state->refused, name, 0) <= turn->in->now;
}

static json_t *statuses_json(const json_t *batch)
{
    json_t *list = json_array();
    const char *name;
    json_t *status;
    json_object_foreach ((json_t *)batch, name, status) {
        if (json_array_append_new(
                list, json_pack("{s:s,s:O}", "device_id", name, "status", status)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return json_pack("{s:o}", "device_statuses", list);
}

static void send_statuses(struct sb_huawei_turn *turn)
{
    struct sb_huawei_state *state = turn->state;
    char id[SB_UUID_TEXT + 1];
    const char *name;
    json_t *status;
    if (state->batch)
        return;
    json_object_foreach (state->wanted, name, status) {
        if (json_object_size(state->batch) < STATUSES && is_due(turn, name, status))
            put(turn, &state->batch, name, json_incref(status));
    }
    if (!state->batch)
        return;
    sb_uuid(id);
    sb_effects_set(turn->effects, &state->batch_id, id);
    state->batch_due = turn->in->now + sb_words_limit(turn->in->words, "status_within");
    send(turn, "event_status", id, statuses_json(state->batch));
}

static void put_off(struct sb_huawei_turn *turn, const char *name)
{
    put(turn, &turn->state->refused, name,
        json_integer(turn->in->now + sb_words_limit(turn->in->words, "status_retry")));
}

static void end_batch(struct sb_huawei_turn *turn)
{
    sb_huawei_json_clear(&turn->state->batch);
    free(SB_STEAL(turn->state->batch_id));
}

static void fail_batch(struct sb_huawei_turn *turn)
{
    const char *name;
    json_t *status;
    sb_effects_note(turn->effects,
                    "the platform does not answer about its sub-devices: telling them again");
    json_object_foreach (turn->state->batch, name, status) {
        put_off(turn, name);
    }
    end_batch(turn);
}

/* Who is offline needs no more of our memory: he may be gone for good. */
static void forget(struct sb_huawei_state *state, const char *name, const json_t *status)
{
    (void)json_object_del(state->known, name);
    (void)json_object_del(state->refused, name);
    if (json_equal(status, json_object_get(state->wanted, name)))
        (void)json_object_del(state->wanted, name);
}

static bool is_online(const json_t *status)
{
    return sb_streq(json_string_value(status), "ONLINE");
}

static void take_accepted(struct sb_huawei_turn *turn, const char *name)
{
    struct sb_huawei_state *state = turn->state;
    json_t *status = json_object_get(state->batch, name);
    if (!status)
        return;
    if (is_online(status)) {
        put(turn, &state->known, name, json_incref(status));
        (void)json_object_del(state->refused, name);
        sb_effects_tell(turn->effects, name, "online", json_object());
    } else {
        forget(state, name, status);
    }
    (void)json_object_del(state->batch, name);
}

static json_t *newcomer(struct sb_huawei_turn *turn, const char *name)
{
    const char *node = strchr(name, '_'); /* {product_id}_{node_id} */
    if (!node || node == name || !node[1])
        return NULL;
    sb_cleanup(sb_freep) char *product = strndup(name, (size_t)(node - name));
    json_t *device =
        json_pack("{s:s,s:s*,s:s,s:s,s:s}", "node_id", node + 1, "product_id", product, "device_id",
                  name, "name", name, "parent_device_id", turn->config->id);
    if (!product || !device)
        turn->effects->broken = true;
    return device;
}

/* Those whom the platform has refused, and who are here still. */
static void ask_to_add(struct sb_huawei_turn *turn, const json_t *names)
{
    json_t *devices = json_array();
    char id[SB_UUID_TEXT + 1];
    const char *name;
    json_t *status;
    json_object_foreach ((json_t *)names, name, status) {
        bool ours = !json_object_get(turn->state->deleted, name) &&
                    !json_object_get(turn->state->leaving, name);
        json_t *device = ours && json_array_size(devices) < REQUESTS ? newcomer(turn, name) : NULL;
        if (device && json_array_append_new(devices, device) < 0)
            turn->effects->broken = true;
    }
    sb_uuid(id);
    if (turn->config->add_devices && json_array_size(devices) > 0)
        send(turn, "event_add", id, json_pack("{s:O}", "devices", devices));
    json_decref(devices);
}

static void note_failures(struct sb_huawei_turn *turn, const char *what, const json_t *failed)
{
    const json_t *first = json_array_get(failed, 0);
    const char *name = name_of(first), *node = sb_json_str(first, "node_id");
    const char *why = sb_json_str(first, "error_msg"), *code = sb_json_str(first, "error_code");
    if (json_array_size(failed) == 0)
        return;
    sb_cleanup(sb_freep) char *text =
        sb_format("%s (%s)", why ? why : "no reason", code ? code : "-");
    sb_cleanup(sb_freep) char *clean = text ? sb_dialect_presentable(text) : NULL;
    sb_effects_note(turn->effects,
                    "the platform does not %s %zu sub-devices, the first is %.64s: %s", what,
                    json_array_size(failed),
                    name   ? name
                    : node ? node
                           : "nameless",
                    clean ? clean : "");
}

/* Of this batch alone; whom it does not name is refused. */
static void on_status_response(struct sb_huawei_turn *turn, const json_t *paras)
{
    struct sb_huawei_state *state = turn->state;
    const json_t *accepted = sb_json_array(paras, "successful_devices");
    size_t i;
    json_t *entry;
    json_array_foreach (accepted, i, entry) {
        const char *name = name_of(entry);
        if (name)
            take_accepted(turn, name);
    }
    const char *name;
    json_object_foreach (state->batch, name, entry) {
        if (is_online(entry))
            put_off(turn, name);
        else
            forget(state, name, entry);
    }
    note_failures(turn, "know", sb_json_array(paras, "failed_devices"));
    ask_to_add(turn, state->batch);
    end_batch(turn);
    soon(turn);
}

/* ---- values ---- */

/* Takes the devices. */
static void send_values(struct sb_huawei_turn *turn, json_t *devices)
{
    if (json_array_size(devices) == 0) {
        json_decref(devices);
        return;
    }
    sb_huawei_send(turn,
                   &(struct sb_huawei_parcel){ .word = "topic_report",
                                               .payload = json_pack("{s:o}", "devices", devices),
                                               .class = SB_PARCEL_PASSING });
}

static void send_reports(struct sb_huawei_turn *turn)
{
    struct sb_huawei_state *state = turn->state;
    json_t *devices = json_array();
    size_t bytes = 0;
    const char *name;
    json_t *services;
    json_object_foreach (state->reports, name, services) {
        sb_cleanup(sb_freep) char *text = sb_json_text(services);
        size_t size = text ? strlen(text) : 0;
        if (bytes + size > VALUES_BYTES || json_array_size(devices) == STATUSES) {
            send_values(turn, devices);
            devices = json_array();
            bytes = 0;
        }
        bytes += size;
        if (json_array_append_new(
                devices, json_pack("{s:s,s:O}", "device_id", name, "services", services)) < 0)
            turn->effects->broken = true;
    }
    send_values(turn, devices);
    sb_huawei_json_clear(&state->reports);
}

/* ---- those who leave ---- */

static void send_leaving(struct sb_huawei_turn *turn)
{
    sb_cleanup(json_decrefp) json_t *names = json_array();
    char id[SB_UUID_TEXT + 1];
    const char *name;
    json_t *value;
    json_object_foreach (turn->state->leaving, name, value) {
        if (json_array_size(names) < REQUESTS &&
            json_array_append_new(names, json_string(name)) < 0)
            turn->effects->broken = true;
    }
    if (json_array_size(names) == 0)
        return;
    sb_uuid(id);
    send(turn, "event_delete", id, json_pack("{s:O}", "devices", names));
}

/* Whether it did or could not: it is not asked again. */
static void on_delete_response(struct sb_huawei_turn *turn, const json_t *paras)
{
    static const char *const lists[] = { "successful_devices", "failed_devices" };
    struct sb_huawei_state *state = turn->state;
    size_t before = json_object_size(state->leaving), i;
    json_t *entry;
    for (size_t n = 0; n < SB_COUNT(lists); n++) {
        json_array_foreach (sb_json_array(paras, lists[n]), i, entry) {
            const char *name = name_of(entry);
            if (name)
                (void)json_object_del(state->leaving, name);
        }
    }
    note_failures(turn, "delete", sb_json_array(paras, "failed_devices"));
    if (json_object_size(state->leaving) == before)
        return;
    turn->effects->save = true;
    send_leaving(turn);
}

/* ---- the platform's list ---- */

/* false: it was heard before, or a later one was. */
static bool is_news(struct sb_huawei_turn *turn, const json_t *paras)
{
    int64_t version = sb_json_int(paras, "version", 0);
    if (version > 0 && version <= turn->state->version)
        return false;
    turn->state->version = SB_MAX(version, turn->state->version);
    turn->effects->save = true;
    return true;
}

static void on_added(struct sb_huawei_turn *turn, const json_t *paras)
{
    struct sb_huawei_state *state = turn->state;
    size_t i;
    json_t *entry;
    if (!is_news(turn, paras))
        return;
    json_array_foreach (sb_json_array(paras, "devices"), i, entry) {
        const char *name = name_of(entry);
        if (!name)
            continue;
        (void)json_object_del(state->deleted, name);
        (void)json_object_del(state->refused, name);
        (void)json_object_del(state->known, name);
    }
    soon(turn);
}

static void on_deleted(struct sb_huawei_turn *turn, const json_t *paras)
{
    struct sb_huawei_state *state = turn->state;
    size_t i;
    json_t *entry;
    if (!is_news(turn, paras))
        return;
    json_array_foreach (sb_json_array(paras, "devices"), i, entry) {
        const char *name = name_of(entry);
        if (!name || json_object_size(state->deleted) >= DELETED_MOST)
            continue;
        put(turn, &state->deleted, name, json_true());
        sb_effects_tell(turn->effects, name, "deleted", json_object());
        (void)json_object_del(state->known, name);
        (void)json_object_del(state->reports, name);
        (void)json_object_del(state->leaving, name);
        sb_effects_note(turn->effects, "the platform has deleted sub-device %.64s", name);
    }
}

/* Those whom it added are told of at once. */
static void on_add_response(struct sb_huawei_turn *turn, const json_t *paras)
{
    size_t i;
    json_t *entry;
    json_array_foreach (sb_json_array(paras, "successful_devices"), i, entry) {
        const char *name = name_of(entry);
        if (name)
            (void)json_object_del(turn->state->refused, name);
    }
    note_failures(turn, "add", sb_json_array(paras, "failed_devices"));
    soon(turn);
}

void sb_huawei_family(struct sb_huawei_turn *turn, const json_t *service)
{
    static const struct {
        const char *word;
        void (*handle)(struct sb_huawei_turn *turn, const json_t *paras);
    } events[] = { { "event_added", on_added },
                   { "event_deleted", on_deleted },
                   { "event_add_response", on_add_response },
                   { "event_delete_response", on_delete_response },
                   { "event_status_response", on_status_response } };
    const char *type = sb_json_str(service, "event_type"), *id = sb_json_str(service, "event_id");
    const struct sb_huawei_state *state = turn->state;
    for (size_t i = 0; turn->in->self && i < SB_COUNT(events); i++) {
        if (!sb_streq(type, sb_words_name(turn->in->words, events[i].word)))
            continue;
        bool stale = events[i].handle == on_status_response &&
                     (!state->batch_id || !sb_streq(id, state->batch_id));
        if (!stale)
            events[i].handle(turn, sb_json_object(service, "paras"));
    }
}

/* ---- its life ---- */

/* When something is to be done next. */
static void arm(struct sb_huawei_turn *turn)
{
    const struct sb_huawei_state *state = turn->state;
    int64_t next = state->batch ? state->batch_due : INT64_MAX;
    const char *name;
    json_t *status;
    json_object_foreach (state->wanted, name, status) {
        int64_t due = sb_json_int(state->refused, name, 0);
        bool waits = !state->batch && !json_equal(status, json_object_get(state->known, name)) &&
                     !json_object_get(state->deleted, name);
        next = waits ? SB_MIN(next, SB_MAX(due, turn->in->now)) : next;
    }
    if (next != INT64_MAX)
        wake_at(turn, SB_MAX(next, turn->in->now));
}

void sb_huawei_family_due(struct sb_huawei_turn *turn)
{
    struct sb_huawei_state *state = turn->state;
    state->due = 0;
    if (!turn->in->connected)
        return;
    if (state->batch && turn->in->now >= state->batch_due)
        fail_batch(turn);
    send_statuses(turn);
    send_reports(turn);
    arm(turn);
}

/* Of another gateway, which the settings had, nothing counts. */
static void own_list(struct sb_huawei_turn *turn)
{
    struct sb_huawei_state *state = turn->state;
    if (sb_streq(state->gateway, turn->config->id))
        return;
    if (state->gateway) {
        state->version = 0;
        sb_huawei_json_clear(&state->deleted);
        sb_huawei_json_clear(&state->leaving);
    }
    sb_effects_set(turn->effects, &state->gateway, turn->config->id);
    turn->effects->save = true;
}

void sb_huawei_family_up(struct sb_huawei_turn *turn)
{
    own_list(turn);
    send(turn, "event_sync", NULL, json_pack("{s:I}", "version", (json_int_t)turn->state->version));
    send_leaving(turn);
    sb_huawei_versions(turn, false);
}

static void take_leave(struct sb_huawei_turn *turn, const char *name)
{
    struct sb_huawei_state *state = turn->state;
    (void)json_object_del(state->reports, name);
    if (turn->config->add_devices && !json_object_get(state->deleted, name)) {
        (void)json_object_del(state->wanted, name);
        put(turn, &state->leaving, name, json_true());
        turn->effects->save = true;
        if (turn->in->connected)
            send_leaving(turn);
    } else if (json_object_get(state->wanted, name)) {
        put(turn, &state->wanted, name, json_string("OFFLINE"));
        soon(turn);
    }
}

void sb_huawei_told_family(struct sb_huawei_turn *turn)
{
    struct sb_huawei_state *state = turn->state;
    const struct sb_input *in = turn->in;
    const char *name = sb_json_str(in->told, "name"), *status = sb_json_str(in->told, "status");
    json_t *services = json_object_get(in->told, "services");
    if (!name)
        return;
    if (sb_streq(in->tag, "gone")) {
        take_leave(turn, name);
    } else if (sb_streq(in->tag, "status") && status) {
        put(turn, &state->wanted, name, json_string(status));
        (void)json_object_del(state->known, name); /* its ONLINE is to be confirmed anew */
        if (json_object_del(state->leaving, name) == 0)
            turn->effects->save = true;
        soon(turn);
    } else if (sb_streq(in->tag, "values") && services) {
        put(turn, &state->reports, name, json_incref(services));
        soon(turn);
    }
}
