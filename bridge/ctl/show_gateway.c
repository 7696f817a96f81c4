/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/time.h"
#include "bridge/ctl/show.h"

/* ---- links ---- */

static struct sb_grid *link_grid(struct sb_ctl *ctl, const json_t *links)
{
    static const struct sb_grid_column columns[] = {
        { "LINK", false, 8 },   { "DIALECT", false, 0 }, { "ROLE", false, 0 },
        { "STATE", false, 0 },  { "SINCE", false, 0 },   { "WAITING", true, 0 },
        { "OLDEST", false, 0 }, { "TEXT", false, 12 },
    };
    struct sb_grid *grid = sb_grid_new(columns, SB_COUNT(columns));
    size_t i;
    json_t *link;
    json_array_foreach ((json_t *)links, i, link) {
        bool up = sb_json_bool(link, "up", false);
        int64_t waiting = sb_json_int(link, "waiting", 0);
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(link, "name"));
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(link, "dialect"));
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(link, "role"));
        sb_grid_add(grid, up ? SB_INK_GOOD : SB_INK_BAD, up ? "up" : "down");
        sb_grid_take(grid, SB_INK_PLAIN,
                     sb_text_when(ctl->style.now, sb_json_int(link, "since", 0)));
        sb_grid_number(grid, waiting);
        sb_grid_take(grid, SB_INK_PLAIN,
                     sb_text_when(ctl->style.now, waiting ? sb_json_int(link, "oldest", 0) : 0));
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(link, "text"));
    }
    return grid;
}

SB_SHOW(links)
{
    (void)order;
    sb_show_list(ctl, link_grid(ctl, data), "no links are configured");
}

/* ---- status ---- */

static void show_store(struct sb_ctl *ctl, const json_t *store)
{
    const char *why = sb_json_str(store, "why");
    bool ready = sb_json_bool(store, "ready", false);
    sb_cleanup(sb_freep) char *text = ready
                                          ? sb_format("ready, %lld batches, %lld failed",
                                                      (long long)sb_json_int(store, "batches", 0),
                                                      (long long)sb_json_int(store, "failures", 0))
                                          : sb_format("takes no changes: %s", why ? why : "?");
    sb_show_field(ctl, "Store", ready ? SB_INK_PLAIN : SB_INK_BAD, text);
}

static char *free_text(const json_t *space, const char *key)
{
    int64_t bytes = sb_json_int(space, key, -1);
    return bytes < 0 ? strdup("an unknown amount") : sb_size_text(bytes);
}

static void show_space(struct sb_ctl *ctl, const json_t *space)
{
    const char *why = sb_json_str(space, "why");
    sb_cleanup(sb_freep) char *store = free_text(space, "store");
    sb_cleanup(sb_freep) char *images = free_text(space, "artifacts");
    sb_cleanup(sb_freep) char *floor = free_text(space, "floor");
    sb_cleanup(sb_freep) char *text =
        why ? sb_format("new jobs are refused: %s", why)
            : sb_format("free for the store %s, for images %s (floor %s)", store ? store : "?",
                        images ? images : "?", floor ? floor : "?");
    if (space)
        sb_show_field(ctl, "Space", why ? SB_INK_BAD : SB_INK_PLAIN, text);
}

static void show_jobs(struct sb_ctl *ctl, const json_t *jobs)
{
    sb_show_field_take(ctl, "Jobs",
                       sb_format("%lld open with %lld tasks: %lld under way, %lld fetching, %lld "
                                 "at a device, %lld waiting for a bus",
                                 (long long)sb_json_int(jobs, "open", 0),
                                 (long long)sb_json_int(jobs, "tasks", 0),
                                 (long long)sb_json_int(jobs, "under_way", 0),
                                 (long long)sb_json_int(jobs, "fetching", 0),
                                 (long long)sb_json_int(jobs, "driving", 0),
                                 (long long)sb_json_int(jobs, "waiting_for_bus", 0)));
}

static void show_presence(struct sb_ctl *ctl, const json_t *devices)
{
    struct sb_str text = { 0 };
    const char *name;
    json_t *number;
    int64_t total = 0;
    json_object_foreach ((json_t *)devices, name, number) {
        sb_str_format(&text, ", %lld %s", (long long)json_integer_value(number), name);
        total += json_integer_value(number);
    }
    sb_show_field_take(ctl, "Devices", sb_format("%lld%s", (long long)total, sb_str_get(&text)));
    sb_str_done(&text);
}

SB_SHOW(status)
{
    const char *version = sb_json_str(data, "version");
    int64_t pid = sb_json_int(data, "pid", 0);
    bool running = sb_json_bool(data, "running", false);
    (void)order;
    sb_show_field_take(ctl, "southbridge",
                       pid ? sb_format("%s, process %lld", version ? version : "?", (long long)pid)
                           : sb_format("%s", version ? version : "?"));
    sb_show_field(ctl, "State", running ? SB_INK_GOOD : SB_INK_WARN,
                  running ? "running" : "starting");
    if (sb_json_bool(data, "paused", false))
        sb_show_field(ctl, "Paused", SB_INK_WARN,
                      "nothing is handed over (`southbridgectl job resume --all` ends it)");
    show_store(ctl, sb_json_object(data, "store"));
    show_space(ctl, sb_json_object(data, "space"));
    show_jobs(ctl, sb_json_object(data, "jobs"));
    show_presence(ctl, sb_json_object(data, "devices"));
    sb_show_grid(ctl, "Links", link_grid(ctl, sb_json_array(data, "links")));
}

SB_SHOW(reload)
{
    (void)order;
    (void)data;
    sb_show_line(ctl, "mappings and devices are read again; running tasks keep what they began "
                      "with");
}

SB_SHOW(pause)
{
    (void)order;
    sb_show_line(ctl, sb_json_bool(data, "paused", false)
                          ? "paused: nothing is handed over to any device until "
                            "`southbridgectl job resume --all`; what is under way goes on"
                          : "resumed");
}

/* ---- mapping explain ---- */

struct cells {
    const char *title, *keys[2];
    enum sb_ink ink;
    struct sb_grid_column columns[3];
};

/* Rows of one kind below each other name it once. */
static void show_cells(struct sb_ctl *ctl, const struct cells *cells, const json_t *rows)
{
    struct sb_grid *grid = sb_grid_new(cells->columns, SB_COUNT(cells->columns));
    const char *before = "";
    size_t i;
    json_t *row;
    json_array_foreach ((json_t *)rows, i, row) {
        const char *first = sb_json_str(row, cells->keys[0]);
        if (first && strcmp(first, before) == 0)
            sb_grid_blank(grid);
        else
            sb_grid_add(grid, cells->ink, first);
        before = first ? first : "";
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(row, cells->keys[1]));
        sb_grid_take(grid, SB_INK_PLAIN, sb_says(json_object_get(row, "says")));
    }
    sb_show_grid(ctl, cells->title, grid);
}

SB_SHOW(explain)
{
    static const struct cells states = {
        "While it is under way",
        { "operation", "state" },
        SB_INK_BOLD,
        { { "OPERATION", false, 0 }, { "STATE", false, 0 }, { "SAYS", false, 20 } },
    };
    static const struct cells causes = {
        "When it failed or was cancelled",
        { "cause", "from_phase" },
        SB_INK_PLAIN,
        { { "CAUSE", false, 0 }, { "FROM PHASE", false, 0 }, { "SAYS", false, 20 } },
    };
    const json_t *links = sb_json_array(data, "links");
    size_t i;
    json_t *link;
    (void)order;
    sb_show_field(ctl, "Device", SB_INK_BOLD, sb_json_str(data, "device"));
    sb_show_field(ctl, "Type", SB_INK_PLAIN, sb_json_str(data, "type"));
    json_array_foreach ((json_t *)links, i, link) {
        (void)fputc('\n', ctl->out);
        sb_show_field(ctl, "Link", SB_INK_BOLD, sb_or(sb_json_str(link, "link"), "none"));
        sb_show_field(ctl, "Dialect", SB_INK_PLAIN, sb_json_str(link, "dialect"));
        sb_show_field(ctl, "Known there as", SB_INK_PLAIN, sb_json_str(link, "name"));
        if (sb_json_str(link, "link"))
            sb_show_field(ctl, "May command", SB_INK_PLAIN,
                          sb_json_bool(link, "may_command", false) ? "yes" : "no");
        show_cells(ctl, &states, sb_json_array(link, "states"));
        show_cells(ctl, &causes, sb_json_array(link, "causes"));
    }
    if (json_array_size(links) == 0)
        sb_show_line(ctl, "there are no links and no dialects");
}

enum sb_exit sb_run_explain(struct sb_ctl *ctl, struct sb_order *order)
{
    sb_cleanup(json_decrefp) json_t *data = NULL;
    const char *only = sb_json_str(order->local, "link");
    enum sb_exit code = sb_ctl_ask(ctl, order->command->verb, order->args, &data);
    json_t *links = json_object_get(data, "links");
    if (code != SB_EXIT_DONE)
        return code;
    for (size_t i = json_array_size(links); only && i-- > 0;)
        if (!sb_streq(sb_json_str(json_array_get(links, i), "link"), only))
            (void)json_array_remove(links, i);
    if (only && json_array_size(links) == 0)
        return sb_ctl_fail(ctl, SB_EXIT_NOT_FOUND, "not_found", "there is no link '%s'", only);
    sb_ctl_show(ctl, order, data);
    return code;
}
