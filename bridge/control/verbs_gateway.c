/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/control/verb.h"

#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define AUDIT_DEFAULT 100
#define AUDIT_MAX     1000

/* ---- status ---- */

static json_t *view_store(const struct sb_core *core)
{
    struct sb_store_stats stats;
    const char *why = NULL;
    bool ready = sb_store_ready(core->store, &why);
    sb_store_stats(core->store, &stats);
    json_t *object =
        json_pack("{s:b,s:I,s:I,s:I,s:I}", "ready", (int)ready, "batches",
                  (json_int_t)stats.batches, "changes", (json_int_t)stats.changes, "failures",
                  (json_int_t)stats.failures, "waiting", (json_int_t)stats.waiting);
    struct sb_store_size size;
    if (sb_store_measure(core->store, &size) == 0) {
        (void)json_object_set_new(object, "bytes", json_integer(size.used));
        (void)json_object_set_new(object, "file", json_integer(size.file));
    }
    if (!ready)
        (void)json_object_set_new(object, "why", json_string(why));
    return object;
}

/* -1: not known. */
static json_t *view_space(const struct sb_core *core)
{
    struct sb_space_view view;
    (void)sb_space_look(core->space, &view);
    return json_pack("{s:I,s:I,s:I,s:s*}", "floor", (json_int_t)view.floor, "store",
                     (json_int_t)view.store_free, "artifacts", (json_int_t)view.depot_free, "why",
                     view.why);
}

static json_t *view_link(const struct sb_core *core, const struct sb_door *door)
{
    struct sb_outbox_stats stats = { 0 };
    sb_outbox_stats(core->outbox, door->link, &stats);
    return json_pack("{s:s,s:s,s:s,s:b,s:s*,s:I,s:I,s:I}", "name", door->link, "dialect",
                     door->ops->dialect, "role", door->ops->role, "up", (int)door->up, "text",
                     door->state_text ? door->state_text : "not connected yet", "since",
                     (json_int_t)door->since, "waiting", (json_int_t)stats.waiting, "oldest",
                     (json_int_t)stats.oldest);
}

static json_t *view_links(const struct sb_core *core)
{
    const struct sb_door *door;
    json_t *list = json_array();
    for (size_t i = 0; (door = sb_host_door_at(core->host, i)); i++)
        (void)json_array_append_new(list, view_link(core, door));
    return list;
}

static json_t *view_presence(const struct sb_core *core)
{
    const struct sb_device *device;
    json_int_t counts[SB_PRESENCE_MAX_] = { 0 };
    for (size_t i = 0; (device = sb_registry_at(core->registry, i)); i++)
        counts[device->presence]++;
    json_t *object = json_object();
    for (int i = 0; object && i < SB_PRESENCE_MAX_; i++)
        (void)json_object_set_new(object, sb_presence_name(i), json_integer(counts[i]));
    return object;
}

int sb_verb_status(struct sb_call *call)
{
    const struct sb_core *core = call->core;
    struct sb_runner_stats stats;
    sb_runner_stats(core->runner, &stats);
    call->data = json_pack(
        "{s:s,s:i,s:b,s:b,s:o,s:o,s:o,s:o,s:{s:I,s:I,s:i,s:i,s:i,s:i}}", "version", SB_VERSION,
        "pid", (int)getpid(), "running", (int)core->running, "paused",
        (int)sb_runner_paused(core->runner), "store", view_store(core), "space", view_space(core),
        "links", view_links(core), "devices", view_presence(core), "jobs", "open",
        (json_int_t)sb_book_jobs(core->book), "tasks", (json_int_t)sb_book_open_tasks(core->book),
        "under_way", (int)stats.under_way, "fetching", (int)stats.fetching, "waiting_for_bus",
        (int)stats.waiting_for_bus, "driving", (int)stats.driving);
    return call->data ? 0 : -1;
}

/* What only the daemon knows goes with the examination, which is a process of its own. */
int sb_verb_doctor(struct sb_call *call)
{
    const struct sb_core *core = call->core;
    int64_t wall = sb_loop_wall(core->parts.loop);
    if (!core->parts.program)
        return sb_call_refuse(call, SB_REFUSAL_REFUSED, "doctor: not offered here");
    if (sb_verb_status(call) < 0)
        return -1;
    call->visit = true;
    return wall == 0 ? 0
                     : sb_json_put_int(call->data, "started",
                                       wall - (sb_loop_now(core->parts.loop) - core->started_at));
}

int sb_verb_link_list(struct sb_call *call)
{
    call->data = view_links(call->core);
    return call->data ? 0 : -1;
}

int sb_verb_reload(struct sb_call *call)
{
    struct sb_diags diags = { 0 };
    int r = sb_core_reload(call->core, call->actor, &diags);
    sb_cleanup(sb_freep) char *text = diags.total ? sb_diags_text(&diags) : NULL;
    sb_diags_done(&diags);
    if (r < 0 && text)
        return sb_call_refuse(call, SB_REFUSAL_REFUSED, "nothing was changed:\n%s", text);
    return r < 0 ? sb_call_failed(call, r, "reload") : 0;
}

/* ---- audit ---- */

static int take_record(void *arg, const struct sb_row *row)
{
    json_t *record = json_deep_copy(row->body);
    if (record)
        (void)json_object_set_new(record, "id", json_integer(row->id));
    return json_array_append_new(arg, record) < 0 ? -ENOMEM : 0;
}

int sb_verb_audit(struct sb_call *call)
{
    int64_t limit = sb_json_int(call->args, "limit", AUDIT_DEFAULT);
    if (limit < 1 || limit > AUDIT_MAX)
        return sb_call_refuse(call, SB_REFUSAL_USAGE, "limit is 1 to %d", AUDIT_MAX);
    call->data = json_array();
    int r = sb_store_query(
        call->core->store,
        &(struct sb_query){ .table = SB_TABLE_AUDIT,
                            .state = -1,
                            .a = sb_json_str(call->args, "subject"),
                            .b = sb_json_str(call->args, "actor"),
                            .after_id = sb_json_int(call->args, "after", 0),
                            .newest_first = sb_json_bool(call->args, "newest", false),
                            .limit = (size_t)limit },
        take_record, call->data);
    return r < 0 ? sb_call_failed(call, r, "audit") : 0;
}

/* ---- mapping explain ---- */

static json_t *explain_states(const struct sb_words *words)
{
    static const enum sb_op ops[] = { SB_OP_FIRMWARE_DOWNLOAD, SB_OP_FIRMWARE_INSTALL,
                                      SB_OP_FIRMWARE_UPDATE, SB_OP_REBOOT };
    json_t *list = json_array();
    for (size_t o = 0; o < SB_COUNT(ops); o++)
        for (int s = 0; s < SB_TASK_FAILED; s++)
            (void)json_array_append_new(
                list, json_pack("{s:s,s:s,s:O}", "operation", sb_op_name((int)ops[o]), "state",
                                sb_task_state_name(s), "says",
                                sb_words_cell(words, SB_ROLE_SENDS, ops[o], (enum sb_task_state)s,
                                              SB_CAUSE_NONE, SB_PHASE_WAITING)));
    return list;
}

/* One row per cause; the phases only where they differ. */
static json_t *explain_causes(const struct sb_words *words)
{
    json_t *list = json_array();
    for (int c = 1; c < SB_CAUSE_MAX_; c++) {
        const json_t *before = NULL;
        for (int p = 0; p < SB_PHASE_MAX_; p++) {
            const json_t *cell =
                sb_words_cause(words, SB_ROLE_SENDS, (enum sb_cause)c, (enum sb_phase)p);
            if (before && json_equal(before, cell))
                continue;
            (void)json_array_append_new(list,
                                        json_pack("{s:s,s:s,s:O}", "cause", sb_cause_name(c),
                                                  "from_phase", sb_phase_name(p), "says", cell));
            before = cell;
        }
    }
    return list;
}

static json_t *explain(const struct sb_device *device, const struct sb_words *words)
{
    const char *dialect = sb_words_dialect(words);
    return json_pack("{s:s,s:s*,s:o,s:o}", "dialect", dialect, "name",
                     sb_device_name(device, dialect), "states", explain_states(words), "causes",
                     explain_causes(words));
}

static json_t *explain_link(const struct sb_device *device, const struct sb_door *door)
{
    json_t *object = explain(device, door->words);
    if (object)
        (void)json_object_set_new(object, "may_command",
                                  json_boolean(sb_device_may_command(device, door->link)));
    if (object && sb_json_put_str(object, "link", door->link) < 0)
        json_decref(SB_STEAL(object));
    return object;
}

/* Of each link; then of the dialects that no link speaks yet. */
int sb_verb_explain(struct sb_call *call)
{
    const struct sb_device *device = sb_call_device(call, "device");
    const struct sb_door *door;
    const struct sb_words *words;
    if (!device)
        return -1;
    json_t *links = json_array();
    for (size_t i = 0; (door = sb_host_door_at(call->core->host, i)); i++)
        (void)json_array_append_new(links, explain_link(device, door));
    for (size_t i = 0; (words = sb_host_spare_at(call->core->host, i)); i++)
        (void)json_array_append_new(links, explain(device, words));
    call->data = json_pack("{s:s,s:s,s:o}", "device", device->id, "type",
                           device->type_name ? device->type_name : "", "links", links);
    return call->data ? 0 : -1;
}
