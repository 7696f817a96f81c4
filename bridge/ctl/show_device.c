/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <time.h>

#include "bridge/base/time.h"
#include "bridge/ctl/client.h"
#include "bridge/ctl/show.h"

#define PAGE 500 /* devices asked for at a time */

/* ---- list ---- */

static const char *sole_version(const json_t *device)
{
    const json_t *versions = sb_json_object(device, "versions");
    const char *whole = sb_json_str(versions, "");
    void *first = json_object_iter((json_t *)versions);
    return whole ? whole : first ? json_string_value(json_object_iter_value(first)) : NULL;
}

static const char *notes(const json_t *device)
{
    if (!sb_json_bool(device, "known_type", true))
        return "unknown type";
    if (sb_json_str(device, "occupied"))
        return "occupied";
    if (sb_json_bool(device, "gateway", false))
        return "gateway";
    return sb_json_object(device, "staged") ? "image staged" : "";
}

SB_SHOW(devices)
{
    static const struct sb_grid_column columns[] = {
        { "DEVICE", false, 10 },  { "TYPE", false, 8 }, { "BUS", false, 6 },
        { "PRESENCE", false, 0 }, { "SEEN", false, 0 }, { "VERSION", false, 8 },
        { "NOTE", false, 8 },
    };
    struct sb_grid *grid = sb_grid_new(columns, SB_COUNT(columns));
    size_t i;
    json_t *device;
    (void)order;
    json_array_foreach ((json_t *)data, i, device) {
        const char *presence = sb_json_str(device, "presence");
        sb_grid_add(grid, SB_INK_BOLD, sb_json_str(device, "id"));
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(device, "type"));
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(device, "bus"));
        sb_grid_add(grid, sb_ink_of_presence(presence), presence);
        sb_grid_take(grid, SB_INK_PLAIN,
                     sb_text_when(ctl->style.now, sb_json_int(device, "seen", 0)));
        sb_grid_add(grid, SB_INK_PLAIN, sole_version(device));
        sb_grid_add(grid, SB_INK_WARN, notes(device));
    }
    sb_show_list(ctl, grid, "no devices");
}

/* In pages, so that no answer grows with the number of devices. */
enum sb_exit sb_run_device_list(struct sb_ctl *ctl, struct sb_order *order)
{
    sb_cleanup(json_decrefp) json_t *all = json_array();
    sb_cleanup(sb_client_freep) struct sb_client *client = NULL;
    enum sb_exit code = sb_ctl_open(ctl, &client);
    int64_t after = 0, last;
    size_t got = PAGE;
    while (code == SB_EXIT_DONE && got == PAGE) {
        sb_cleanup(json_decrefp) json_t *page = NULL;
        if (sb_json_put_int(order->args, "limit", PAGE) < 0 ||
            sb_json_put_int(order->args, "after", after) < 0)
            return sb_ctl_lost(ctl, -ENOMEM);
        code = sb_ctl_ask_on(ctl, client, "device list", order->args, &page);
        got = json_array_size(page);
        last = sb_json_int(json_array_get(page, got ? got - 1 : 0), "order", 0);
        if (code == SB_EXIT_DONE && json_array_extend(all, page) < 0)
            return sb_ctl_lost(ctl, json_is_array(page) ? -ENOMEM : -EBADMSG);
        if (code == SB_EXIT_DONE && got == PAGE && last <= after)
            return sb_ctl_lost(ctl, -EBADMSG); /* it would never end */
        after = last;
    }
    if (code == SB_EXIT_DONE)
        sb_ctl_show(ctl, order, all);
    return code;
}

/* ---- one device ---- */

static void show_staged(struct sb_ctl *ctl, const json_t *staged)
{
    if (!staged)
        return;
    sb_cleanup(sb_freep) char *when = sb_text_ago(ctl->style.now, sb_json_int(staged, "when", 0));
    sb_show_field_take(ctl, "Staged",
                       sb_format("package %s in the %s, from %s, %s",
                                 sb_or(sb_json_str(staged, "package"), "?"),
                                 sb_json_bool(staged, "on_device", false) ? "device" : "gateway",
                                 sb_or(sb_json_str(staged, "door"), "?"), sb_or(when, "?")));
}

static void show_versions(struct sb_ctl *ctl, const json_t *versions)
{
    static const struct sb_grid_column columns[] = { { "MODULE", false, 10 },
                                                     { "VERSION", false, 10 } };
    const char *whole = sb_json_str(versions, "");
    struct sb_grid *grid = sb_grid_new(columns, SB_COUNT(columns));
    const char *module;
    json_t *version;
    sb_show_field(ctl, "Version", SB_INK_BOLD, whole);
    json_object_foreach ((json_t *)versions, module, version) {
        if (!*module)
            continue;
        sb_grid_add(grid, SB_INK_PLAIN, module);
        sb_grid_add(grid, SB_INK_PLAIN, json_string_value(version));
    }
    sb_show_grid(ctl, "Modules", grid);
}

static void show_properties(struct sb_ctl *ctl, const json_t *properties)
{
    static const struct sb_grid_column columns[] = { { "PROPERTY", false, 10 },
                                                     { "VALUE", false, 10 },
                                                     { "READ", false, 0 } };
    struct sb_grid *grid = sb_grid_new(columns, SB_COUNT(columns));
    const char *name;
    json_t *entry;
    json_object_foreach ((json_t *)properties, name, entry) {
        sb_grid_add(grid, SB_INK_PLAIN, name);
        sb_grid_take(grid, SB_INK_PLAIN, sb_compact(json_object_get(entry, "value")));
        sb_grid_take(grid, SB_INK_PLAIN,
                     sb_text_when(ctl->style.now, sb_json_int(entry, "time", 0)));
    }
    sb_show_grid(ctl, "Properties", grid);
}

static void show_open(struct sb_ctl *ctl, const json_t *tasks)
{
    static const struct sb_grid_column columns[] = { { "JOB", true, 0 },
                                                     { "STATE", false, 0 },
                                                     { "PHASE", false, 0 },
                                                     { "%", true, 0 },
                                                     { "TEXT", false, 12 } };
    struct sb_grid *grid = sb_grid_new(columns, SB_COUNT(columns));
    size_t i;
    json_t *task;
    json_array_foreach ((json_t *)tasks, i, task) {
        const char *state = sb_json_str(task, "state");
        sb_grid_number(grid, sb_json_int(task, "job", 0));
        sb_grid_add(grid, sb_ink_of_state(state), state);
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(task, "phase"));
        sb_grid_number(grid, sb_json_int(task, "percent", 0));
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(task, "text"));
    }
    sb_show_grid(ctl, "Open", grid);
}

static void show_where(struct sb_ctl *ctl, const json_t *data)
{
    sb_show_field(ctl, "Bus", SB_INK_PLAIN, sb_json_str(data, "bus"));
    sb_cleanup(sb_freep) char *address = sb_pairs(sb_json_object(data, "address"));
    if (sb_json_object(data, "address"))
        sb_show_field(ctl, "Address", SB_INK_PLAIN, address);
    sb_show_field(ctl, "Parent", SB_INK_PLAIN, sb_json_str(data, "parent"));
    sb_show_json(ctl, "Names", sb_json_object(data, "names"));
    sb_show_json(ctl, "Commanders", sb_json_array(data, "commanders"));
    sb_show_json(ctl, "Groups", sb_json_array(data, "groups"));
}

SB_SHOW(device)
{
    const char *presence = sb_json_str(data, "presence");
    (void)order;
    sb_show_field(ctl, "Device", SB_INK_BOLD, sb_json_str(data, "id"));
    sb_show_field(ctl, "UUID", SB_INK_PLAIN, sb_json_str(data, "uuid"));
    const char *title = sb_json_str(data, "title");
    sb_show_field_take(ctl, "Type",
                       sb_format("%s%s%s%s", sb_or(sb_json_str(data, "type"), ""),
                                 title ? ": " : "", sb_or(title, ""),
                                 sb_json_bool(data, "known_type", true)
                                     ? ""
                                     : " (no mapping defines it: every job is refused)"));
    sb_show_field(ctl, "Declared", SB_INK_PLAIN,
                  sb_json_bool(data, "declared", false) ? "in a file of devices.d"
                                                        : "no, registered at run time");
    show_where(ctl, data);
    sb_show_field(ctl, "Presence", sb_ink_of_presence(presence), presence);
    sb_show_time(ctl, "Seen", sb_json_int(data, "seen", 0));
    sb_show_field(ctl, "Trouble", SB_INK_BAD, sb_json_str(data, "trouble"));
    sb_show_field(ctl, "Occupied", SB_INK_WARN, sb_json_str(data, "occupied"));
    const json_t *identity = sb_json_object(data, "identity");
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)identity, name, value)
        sb_show_field(ctl, name, SB_INK_PLAIN, json_string_value(value));
    show_staged(ctl, sb_json_object(data, "staged"));
    sb_show_json(ctl, "Facts", sb_json_object(data, "facts"));
    sb_show_json(ctl, "Operations", sb_json_array(data, "operations"));
    if (json_array_size(json_object_get(data, "actions")))
        sb_show_json(ctl, "Actions", sb_json_array(data, "actions"));
    show_versions(ctl, sb_json_object(data, "versions"));
    show_properties(ctl, sb_json_object(data, "properties"));
    show_open(ctl, sb_json_array(data, "open_tasks"));
    sb_show_lines(ctl, "Transcript of the last command (> sent, < received)",
                  sb_json_str(data, "transcript"));
}

SB_SHOW(device_added)
{
    (void)data;
    sb_show_line(ctl, "device '%s' is registered", sb_json_str(order->args, "id"));
}

SB_SHOW(device_removed)
{
    (void)data;
    sb_show_line(ctl, "device '%s' is forgotten", sb_json_str(order->args, "id"));
}

/* ---- identify ---- */

/* Asks again until the device was seen anew. NULL: not within the time, or *ret_code says why. */
static json_t *wait_seen(struct sb_ctl *ctl, struct sb_client *client, const json_t *args,
                         int64_t before, int64_t wait, enum sb_exit *ret_code)
{
    for (int64_t spent = 0; spent <= wait; spent += 200) {
        sb_cleanup(json_decrefp) json_t *data = NULL;
        *ret_code = sb_ctl_ask_on(ctl, client, "device show", args, &data);
        if (*ret_code != SB_EXIT_DONE)
            return NULL;
        if (sb_json_int(data, "seen", 0) > before)
            return SB_STEAL(data);
        const struct timespec pause = { .tv_nsec = 200 * 1000000L };
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

enum sb_exit sb_run_identify(struct sb_ctl *ctl, struct sb_order *order)
{
    sb_cleanup(json_decrefp) json_t *data = NULL;
    sb_cleanup(json_decrefp) json_t *seen = NULL;
    sb_cleanup(sb_client_freep) struct sb_client *client = NULL;
    const char *id = sb_json_str(order->args, "id");
    int64_t wait = sb_json_int(order->local, "wait", 0);
    enum sb_exit code = sb_ctl_open(ctl, &client);
    if (code == SB_EXIT_DONE)
        code = sb_ctl_ask_on(ctl, client, "device identify", order->args, &data);
    if (code != SB_EXIT_DONE)
        return code;
    if (wait > 0) {
        int64_t before = sb_json_int(data, "seen", 0);
        seen = wait_seen(ctl, client, order->args, before, wait, &code);
        if (code != SB_EXIT_DONE)
            return code;
        if (!seen)
            return sb_ctl_fail(ctl, SB_EXIT_FAILED, "offline", "device '%s' did not answer in time",
                               id);
    }
    if (seen || ctl->json)
        sb_ctl_show(ctl, order, seen ? seen : data);
    else
        sb_show_line(ctl, "device '%s' is being asked; `southbridgectl device show %s` will tell",
                     id, id);
    return SB_EXIT_DONE;
}
