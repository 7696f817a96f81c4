/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/host_parts.h"

#define FACT_MAX  8192  /* bytes of one fact */
#define FACTS_MAX 32768 /* of all facts of a device */

/* ---- the trail ---- */

static void note(struct sb_host *host, const struct sb_door *door, const char *verb,
                 const char *device, const json_t *detail)
{
    sb_cleanup(sb_freep) char *actor = sb_format("link %s", door->link);
    sb_cleanup(sb_freep) char *subject = device ? sb_format("device %s", device) : NULL;
    int r = sb_audit_add(host->parts.audit, actor ? actor : "link", verb,
                         subject ? subject : "gateway", sb_loop_wall(host->parts.loop), detail);
    if (r < 0 && r != -EAGAIN)
        sb_error(SB_AT(.link = door->link), "cannot keep the audit: %s", strerror(-r));
}

/* Who tried what it has no right to. */
static void note_refused(struct sb_host *host, const struct sb_door *door, const char *order,
                         const char *text)
{
    sb_cleanup(json_decrefp) json_t *detail = json_pack("{s:s,s:s*}", "order", order, "text", text);
    note(host, door, "refused", NULL, detail);
}

/* ---- what a door may ask ---- */

/* What the door may not have fetched is refused at once, not after a queue. */
static bool uri_refused(struct sb_host *host, const struct sb_door *door,
                        const struct sb_request *request, struct sb_verdict *ret)
{
    const char *uri = sb_json_str(request->package, "uri");
    struct sb_fetch_settings settings;
    char *text = NULL;
    if (!uri || (sb_uri_is_stream(uri) && door->ops->pull))
        return false;
    sb_host_fetch_settings(host, door->link, &settings);
    enum sb_cause cause = sb_uri_check(settings.rules, uri, &text);
    if (cause == SB_CAUSE_NONE)
        return false;
    *ret = (struct sb_verdict){ .cause = cause, .text = text };
    return true;
}

int sb_host_submit(struct sb_host *host, struct sb_door *door, const struct sb_request *request,
                   struct sb_verdict *ret)
{
    if (uri_refused(host, door, request, ret))
        return 0;
    int r = sb_intake_submit(host->parts.intake, door->link, true, request, ret);
    if (r >= 0 && ret->cause == SB_CAUSE_REFUSED)
        note_refused(host, door, sb_op_name((int)request->op), ret->text);
    return r;
}

int sb_host_cancel(struct sb_host *host, struct sb_door *door, int64_t id, enum sb_cause cause)
{
    struct sb_task *task = sb_book_task(host->parts.book, id);
    const struct sb_device *device =
        task ? sb_registry_get(host->parts.registry, task->device) : NULL;
    if (!task)
        return -ENOENT;
    if (device && !sb_device_may_command(device, door->link)) {
        note_refused(host, door, "cancel", device->id);
        return -EPERM;
    }
    sb_cleanup(sb_freep) char *actor = sb_format("link %s", door->link);
    return sb_runner_cancel(host->parts.runner, task, cause, actor);
}

int sb_host_edit(struct sb_host *host, struct sb_door *door, int64_t id, const struct sb_edit *edit,
                 char **ret_text)
{
    const struct sb_job *job = sb_book_job(host->parts.book, id);
    if (!job)
        return -ENOENT;
    /* A rule of somebody else may come to touch any device. */
    bool allowed = !job->standing || strcmp(job->origin, door->link) == 0;
    for (size_t i = 0; i < job->task_count && allowed; i++) {
        const struct sb_device *device =
            sb_registry_get(host->parts.registry, job->tasks[i]->device);
        allowed = !device || sb_device_may_command(device, door->link);
    }
    if (!allowed) {
        note_refused(host, door, "edit", NULL);
        return -EPERM;
    }
    sb_cleanup(sb_freep) char *actor = sb_format("link %s", door->link);
    return actor ? sb_intake_edit(host->parts.intake, id, edit, actor, ret_text) : -ENOMEM;
}

const struct sb_task *sb_host_task(struct sb_host *host, int64_t task)
{
    return sb_book_task(host->parts.book, task);
}

const struct sb_device *sb_host_device(struct sb_host *host, const char *id)
{
    return sb_registry_get(host->parts.registry, id);
}

const struct sb_device *sb_host_find(struct sb_host *host, const char *dialect, const char *name)
{
    return sb_registry_find(host->parts.registry, dialect, name);
}

const struct sb_device *sb_host_device_at(struct sb_host *host, size_t index)
{
    return sb_registry_at(host->parts.registry, index);
}

int sb_host_set_fact(struct sb_host *host, struct sb_door *door, const char *id, const char *name,
                     const json_t *value)
{
    struct sb_device *device = sb_registry_get(host->parts.registry, id);
    sb_cleanup(sb_freep) char *text = sb_json_text(value);
    sb_cleanup(json_decrefp) json_t *others =
        device && device->facts ? json_copy(device->facts) : json_object();
    if (!device)
        return -ENOENT;
    (void)json_object_del(others, name);
    sb_cleanup(sb_freep) char *rest = sb_json_text(others);
    if (!text || !rest)
        return -ENOMEM;
    if (strlen(text) > FACT_MAX || strlen(text) + strlen(rest) > FACTS_MAX)
        return -E2BIG;
    if (!device->facts)
        device->facts = json_object();
    if (json_object_set(device->facts, name, (json_t *)value) < 0)
        return -ENOMEM;
    sb_cleanup(json_decrefp) json_t *detail = json_pack("{s:O}", name, value);
    note(host, door, "fact", id, detail);
    return sb_registry_save(host->parts.registry, device);
}

int sb_host_unstage(struct sb_host *host, struct sb_door *door, const char *id)
{
    struct sb_device *device = sb_registry_get(host->parts.registry, id);
    if (!device)
        return -ENOENT;
    if (!sb_device_may_command(device, door->link))
        return -EPERM;
    if (!device->staged.package)
        return 0;
    note(host, door, "unstage", id, NULL);
    sb_runner_unstage(host->parts.runner, device);
    return 0;
}

const struct sb_package *sb_host_staged(struct sb_host *host, const struct sb_device *device)
{
    return device && device->staged.package
               ? sb_packages_get(host->parts.packages, device->staged.package)
               : NULL;
}

static char *convo_name(const struct sb_door *door, const char *device)
{
    return sb_format("%s/%s", door->link, device ? device : "");
}

int sb_host_save(struct sb_host *host, struct sb_door *door, const char *device,
                 const json_t *state)
{
    sb_cleanup(sb_freep) char *name = convo_name(door, device);
    if (!name)
        return -ENOMEM;
    if (!state)
        return sb_store_remove(host->parts.store, SB_TABLE_CONVO, 0, name);
    return sb_store_put(
        host->parts.store, SB_TABLE_CONVO,
        &(struct sb_row){ .name = name, .a = door->link, .b = device, .body = state });
}

static int take_body(void *arg, const struct sb_row *row)
{
    json_t **ret = arg;
    *ret = json_deep_copy(row->body);
    return 0;
}

json_t *sb_host_saved(struct sb_host *host, struct sb_door *door, const char *device)
{
    sb_cleanup(sb_freep) char *name = convo_name(door, device);
    json_t *state = NULL;
    int r = name ? sb_store_query(
                       host->parts.store,
                       &(struct sb_query){ .table = SB_TABLE_CONVO, .name = name, .state = -1 },
                       take_body, &state)
                 : -ENOMEM;
    if (r < 0)
        sb_error(SB_AT(.link = door->link, .device = device), "cannot read a conversation: %s",
                 strerror(-r));
    return state;
}

int sb_host_put(struct sb_host *host, struct sb_door *door, struct sb_parcel *parcel)
{
    parcel->link = door->link;
    parcel->created = sb_loop_wall(host->parts.loop);
    /* While nothing can be kept, a refusal must still get out. */
    bool refusal = parcel->class == SB_PARCEL_ANSWER && sb_store_failing(host->parts.store);
    if (refusal)
        parcel->class = SB_PARCEL_PASSING;
    int64_t id;
    int r = sb_outbox_put(host->parts.outbox, parcel, &id);
    if (r == 0 && refusal)
        host->refusal = id;
    return r;
}

void sb_host_settle(struct sb_host *host, struct sb_door *door, int64_t parcel)
{
    sb_outbox_settle(host->parts.outbox, door->link, parcel);
}

bool sb_host_settle_token(struct sb_host *host, struct sb_door *door, const char *device,
                          const char *token)
{
    return sb_outbox_settle_token(host->parts.outbox, door->link, device, token);
}

void sb_host_link(struct sb_host *host, struct sb_door *door, bool up, const char *text)
{
    bool changed = door->up != up;
    door->up = up;
    if (sb_set_string(&door->state_text, text) < 0)
        free(SB_STEAL(door->state_text));
    if (changed || !door->since)
        door->since = sb_loop_wall(host->parts.loop);
    if (changed) {
        sb_notice(SB_AT(.link = door->link), "%s: %s", up ? "up" : "down", text ? text : "");
        note(host, door, up ? "up" : "down", NULL, NULL);
    } else {
        sb_info(SB_AT(.link = door->link), "%s", text ? text : "");
    }
}

void sb_host_connection(struct sb_host *host, struct sb_door *door, const char *connection, bool up)
{
    if (up) {
        sb_outbox_resume(host->parts.outbox, door->link, connection);
    } else {
        sb_host_kept_down(host, door, connection);
        sb_outbox_pause(host->parts.outbox, door->link, connection);
    }
}

void sb_host_connection_gone(struct sb_host *host, struct sb_door *door, const char *connection)
{
    sb_outbox_abandon(host->parts.outbox, door->link, connection, "its device is gone");
}

bool sb_host_ready(struct sb_host *host, struct sb_door *door, const char **ret_why)
{
    if (!sb_store_ready(host->parts.store, ret_why))
        return false;
    if (!host->parts.intake->is_full(host->parts.intake->arg, door->link, 1))
        return true;
    if (ret_why)
        *ret_why = "too many reports to this link wait";
    return false;
}

bool sb_host_durable(struct sb_host *host)
{
    return !sb_store_failing(host->parts.store);
}

struct sb_loop *sb_host_loop(struct sb_host *host)
{
    return host->parts.loop;
}

/* ---- doors ---- */

static struct entry *entry_of(struct sb_host *host, const char *link)
{
    for (size_t i = 0; link && i < host->entry_count; i++)
        if (host->entries[i].door && sb_streq(host->entries[i].door->link, link))
            return &host->entries[i];
    return NULL;
}

/* The package says whose stream it is, and how that is called now. */
static int on_pull(void *arg, const char *id, const struct sb_pull *pull)
{
    struct sb_host *host = arg;
    const struct sb_package *package = sb_packages_get(host->parts.packages, id);
    const struct entry *entry = package ? entry_of(host, package->door) : NULL;
    if (!entry || !entry->door->ops->pull || !sb_uri_is_stream(package->uri))
        return -ENOENT;
    struct sb_pull known = *pull;
    known.uri = package->uri;
    return entry->door->ops->pull(entry->door, &known);
}

void sb_host_supply(struct sb_host *host, struct sb_door *door SB_UNUSED,
                    const struct sb_piece *piece)
{
    if (host->parts.fetcher_ops->supply)
        host->parts.fetcher_ops->supply(host->parts.fetcher, piece);
}

void sb_host_fetch_settings(struct sb_host *host, const char *link, struct sb_fetch_settings *ret)
{
    const struct entry *entry = entry_of(host, link);
    *ret = (struct sb_fetch_settings){ .rules = entry ? &entry->parts.rules : &host->native_rules };
    if (entry && entry->door->ops->pull)
        ret->supplier =
            (struct sb_supplier){ .pull = on_pull, .arg = host, .door = entry->door->link };
}

static int on_send(void *arg, const struct sb_parcel *parcel)
{
    struct sb_door *door = arg;
    return door->ops->send(door, parcel);
}

static int open_door(struct sb_host *host, const struct sb_link_config *link, struct entry *entry)
{
    struct sb_diags diags = { 0 };
    int r = sb_link_load(host->parts.config, link, host->parts.adapters, &entry->parts, &diags);
    if (r < 0) {
        sb_cleanup(sb_freep) char *text = sb_diags_text(&diags);
        sb_error(SB_AT(.link = link->name), "link is left out: %s", text ? text : strerror(-r));
        sb_diags_done(&diags);
        return r;
    }
    sb_diags_done(&diags);
    r = entry->parts.ops->open(entry->parts.ops, host, link->name, entry->parts.config,
                               entry->parts.words, &entry->door);
    if (r >= 0)
        r = sb_outbox_open(host->parts.outbox, link->name, on_send, entry->door);
    if (r < 0)
        sb_error(SB_AT(.link = link->name), "cannot be opened: %s", strerror(-r));
    return r;
}

static bool has_words(const struct sb_host *host, const char *dialect)
{
    for (size_t i = 0; i < host->entry_count; i++)
        if (host->entries[i].door && sb_streq(host->entries[i].parts.ops->dialect, dialect))
            return true;
    for (size_t i = 0; i < host->spare_count; i++)
        if (sb_streq(sb_words_dialect(host->spare[i]), dialect))
            return true;
    return false;
}

/* The words of one dialect that no link uses; with findings they are left out. */
static int load_spare(struct sb_host *host, const struct sb_door_ops *ops)
{
    struct sb_diags diags = { 0 };
    struct sb_words *words = NULL;
    int r = sb_link_words(host->parts.config, ops, &words, &diags);
    if (words)
        host->spare[host->spare_count++] = words;
    if (r < 0 && r != -ENOMEM) {
        sb_cleanup(sb_freep) char *text = sb_diags_text(&diags);
        sb_warning(SB_AT(0), "the words of %s, which no link uses, are left out: %s", ops->dialect,
                   text ? text : strerror(-r));
    }
    sb_diags_done(&diags);
    return r == -ENOMEM ? r : 0;
}

static int load_spares(struct sb_host *host)
{
    const struct sb_door_ops *const *doors = host->parts.adapters->doors;
    size_t count = 0;
    while (doors[count])
        count++;
    host->spare = calloc(count + 1, sizeof(struct sb_words *));
    int r = host->spare ? 0 : -ENOMEM;
    for (size_t i = 0; i < count && r >= 0; i++)
        if (!has_words(host, doors[i]->dialect))
            r = load_spare(host, doors[i]);
    return r;
}

/* "0.0.0.0/0" and "::/0": an operator may fetch from anywhere, by any scheme. */
static int native_rules(struct sb_uri_rules *rules)
{
    static const char *const schemes[] = { "https", "http", "file" };
    static const char *const networks[] = { "0.0.0.0/0", "::/0" };
    int r = 0;
    for (size_t i = 0; i < SB_COUNT(schemes) && r >= 0; i++)
        r = sb_strings_add(&rules->schemes, schemes[i]);
    for (size_t i = 0; i < SB_COUNT(networks) && r >= 0; i++)
        r = sb_strings_add(&rules->networks, networks[i]);
    return r;
}

int sb_host_new(const struct sb_host_parts *parts, struct sb_host **ret)
{
    sb_cleanup(sb_host_freep) struct sb_host *host = calloc(1, sizeof(*host));
    if (!host)
        return -ENOMEM;
    host->parts = *parts;
    host->entry_count = parts->config->links.count;
    host->entries = calloc(host->entry_count + 1, sizeof(*host->entries));
    if (!host->entries || native_rules(&host->native_rules) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < host->entry_count; i++) {
        int r = open_door(host, sb_config_link(parts->config, i), &host->entries[i]);
        if (r == -ENOMEM)
            return r;
    }
    int r = load_spares(host);
    if (r >= 0)
        *ret = SB_STEAL(host);
    return r;
}

void sb_host_start(struct sb_host *host)
{
    for (size_t i = 0; i < host->entry_count; i++)
        if (host->entries[i].door)
            host->entries[i].door->ops->start(host->entries[i].door);
}

struct sb_host *sb_host_free(struct sb_host *host)
{
    if (!host)
        return NULL;
    for (size_t i = 0; host->entries && i < host->entry_count; i++) {
        struct sb_door *door = host->entries[i].door;
        if (door) {
            sb_outbox_close(host->parts.outbox, door->link);
            door->ops->close(door);
        }
        sb_link_parts_done(&host->entries[i].parts);
    }
    for (size_t i = 0; i < host->spare_count; i++)
        sb_words_free(host->spare[i]);
    free(host->spare);
    sb_host_news_done(host);
    sb_host_kept_done(host);
    sb_schema_done(sb_uri_rules_fields, &host->native_rules);
    free(host->entries);
    free(host);
    return NULL;
}

const struct sb_door *sb_host_door_at(const struct sb_host *host, size_t index)
{
    for (size_t i = 0; i < host->entry_count; i++)
        if (host->entries[i].door && index-- == 0)
            return host->entries[i].door;
    return NULL;
}

const struct sb_words *sb_host_spare_at(const struct sb_host *host, size_t index)
{
    return index < host->spare_count ? host->spare[index] : NULL;
}
