/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/time.h"
#include "bridge/ctl/show.h"
#include "bridge/job/job.h"

/* "2 succeeded, 1 downloading"; NULL: nothing. */
static char *numbers_text(const json_t *counts)
{
    struct sb_str text = { 0 };
    if (!json_object_size(counts))
        return NULL;
    const char *state;
    json_t *number;
    json_object_foreach ((json_t *)counts, state, number)
        sb_str_format(&text, "%s%lld %s", text.length ? ", " : "",
                      (long long)json_integer_value(number), state);
    return sb_str_take(&text);
}

/* ---- list ---- */

SB_SHOW(jobs)
{
    static const struct sb_grid_column columns[] = {
        { "JOB", true, 0 },     { "OPERATION", false, 0 }, { "DEVICE", false, 10 },
        { "STATE", false, 0 },  { "%", true, 0 },          { "TASKS", false, 12 },
        { "ORIGIN", false, 8 }, { "CREATED", false, 0 },
    };
    struct sb_grid *grid = sb_grid_new(columns, SB_COUNT(columns));
    size_t i;
    json_t *job;
    json_array_foreach ((json_t *)data, i, job) {
        const char *device = sb_json_str(job, "device");
        const char *outcome = sb_json_str(job, "outcome");
        const char *state = outcome ? outcome : sb_json_str(job, "state");
        sb_grid_number(grid, sb_json_int(job, "id", 0));
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(job, "operation"));
        sb_grid_take(grid, SB_INK_PLAIN,
                     device ? strdup(device)
                            : sb_format("%lld devices", (long long)sb_json_int(job, "devices", 0)));
        sb_grid_add(grid, sb_ink_of_state(state), state);
        sb_grid_number(grid, sb_json_int(job, "percent", 0));
        sb_grid_take(grid, SB_INK_PLAIN, numbers_text(sb_json_object(job, "counts")));
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(job, "origin"));
        sb_grid_take(grid, SB_INK_PLAIN,
                     sb_text_when(ctl->style.now, sb_json_int(job, "created", 0)));
    }
    sb_show_list(ctl, grid,
                 sb_order_has(order, "all") || json_object_get(order->args, "all")
                     ? "no jobs"
                     : "no open jobs (`job list --all` shows all)");
}

/* ---- one job ---- */

/* A policy for people: durations and times as they are written, the rest by name. */
static char *policy_text(const json_t *policy)
{
    struct sb_str text = { 0 };
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)policy, key, value) {
        bool stamp = sb_streq(key, "start_at") || sb_streq(key, "end_at");
        bool span = strstr(key, "timeout") || sb_streq(key, "retry_interval");
        if (strncmp(key, "window", 6) == 0)
            continue;
        sb_cleanup(sb_freep) char *shown = stamp  ? sb_text_time(json_integer_value(value))
                                           : span ? sb_duration_text(json_integer_value(value))
                                                  : sb_compact(value);
        sb_str_format(&text, "%s%s %s", text.length ? ", " : "", key, shown ? shown : "?");
    }
    return sb_str_take(&text);
}

/* "01:00-05:00 Europe/Berlin mon tue"; NULL: none. */
static char *window_text(const json_t *policy)
{
    static const char *const days[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };
    int from = (int)sb_json_int(policy, "window_from", 0);
    int to = (int)sb_json_int(policy, "window_to", 0);
    int64_t bits = sb_json_int(policy, "window_days", 0);
    const char *zone = sb_json_str(policy, "window_zone");
    struct sb_str text = { 0 };
    if (from == to)
        return NULL;
    sb_str_format(&text, "%02d:%02d-%02d:%02d %s", from / 60, from % 60, to / 60, to % 60,
                  zone ? zone : "UTC");
    for (int i = 0; i < 7; i++)
        if (bits >> i & 1)
            sb_str_format(&text, " %s", days[i]);
    return sb_str_take(&text);
}

static char *words_text(const json_t *list)
{
    struct sb_str text = { 0 };
    size_t i;
    json_t *word;
    json_array_foreach ((json_t *)list, i, word)
        sb_str_format(&text, "%s%s", i ? "," : "", sb_or(json_string_value(word), "?"));
    return sb_str_take(&text);
}

/* "groups hall,yard, sample 10 %; rule is on"; NULL: those that have tasks. */
static char *targets_text(const json_t *job)
{
    struct sb_str text = { 0 };
    const char *key;
    json_t *value;
    json_object_foreach (json_object_get(job, "targets"), key, value) {
        sb_cleanup(sb_freep) char *shown =
            json_is_array(value) ? words_text(value) : sb_compact(value);
        sb_str_format(&text, "%s%s %s%s", text.length ? ", " : "", key, shown ? shown : "?",
                      sb_streq(key, "sample") ? " %" : "");
    }
    if (sb_json_bool(job, "standing", false))
        sb_str_format(&text, "%srule is %s", text.length ? "; " : "",
                      sb_json_bool(job, "rule", false) ? "on" : "off");
    return text.length ? sb_str_take(&text) : NULL;
}

static void show_request(struct sb_ctl *ctl, const json_t *job)
{
    const char *caller = sb_json_str(job, "caller");
    const json_t *policy = sb_json_object(job, "policy");
    sb_show_field(ctl, "Operation", SB_INK_PLAIN, sb_json_str(job, "operation"));
    sb_show_field(ctl, "Package", SB_INK_PLAIN, sb_json_str(job, "package"));
    sb_show_json(ctl, "Parameters", sb_json_object(job, "params"));
    sb_show_field_take(ctl, "From",
                       sb_format("%s%s%s", sb_or(sb_json_str(job, "origin"), "?"),
                                 caller ? ", " : "", caller ? caller : ""));
    sb_show_field(ctl, "External id", SB_INK_PLAIN, sb_json_str(job, "external_id"));
    sb_show_field_take(ctl, "Policy", policy_text(policy));
    sb_show_field_take(ctl, "Window", window_text(policy));
    sb_show_field_take(ctl, "Devices", targets_text(job));
    sb_show_json(ctl, "Tags", sb_json_object(job, "tags"));
}

/* Of an installation whose success was read from less than its version; else NULL. */
static const char *doubt(const json_t *job, const json_t *task)
{
    int state = sb_task_state_from_name(sb_json_str(task, "state"));
    int op = sb_op_from_name(sb_json_str(job, "operation"));
    int verified = sb_verify_from_name(sb_json_str(task, "verified"));
    if (state < 0 || op < 0 || verified < 0)
        return NULL;
    struct sb_job of = { .op = (enum sb_op)op };
    const struct sb_task it = { .job = &of,
                                .state = (enum sb_task_state)state,
                                .verified = (enum sb_verify)verified };
    return sb_task_is_unproven(&it) ? sb_verify_text(it.verified) : NULL;
}

/* The cause and the sentence, with the device's own words. */
static char *task_text(const json_t *job, const json_t *task)
{
    const char *text = sb_json_str(task, "text");
    const char *cause = sb_json_str(task, "cause");
    const char *reason = sb_json_str(task, "reason");
    const char *code = sb_json_str(task, "native_code");
    struct sb_str out = { 0 };
    if (sb_streq(sb_json_str(task, "state"), "queued") && reason)
        sb_str_format(&out, "waits: %s", reason);
    if (cause)
        sb_str_format(&out, "%s%s", out.length ? "; last: " : "", cause);
    if (text)
        sb_str_format(&out, "%s%s", out.length ? ": " : "", text);
    if (code)
        sb_str_format(&out, " (%s code %s)", sb_or(sb_json_str(task, "native_dialect"), "its"),
                      code);
    if (doubt(job, task))
        sb_str_format(&out, "%s%s", out.length ? "; " : "", doubt(job, task));
    return sb_str_take(&out);
}

static struct sb_grid *task_grid(const json_t *job)
{
    static const struct sb_grid_column columns[] = {
        { "DEVICE", false, 10 }, { "MODULE", false, 6 }, { "ROUND", true, 0 },
        { "STATE", false, 0 },   { "PHASE", false, 0 },  { "%", true, 0 },
        { "ATTEMPT", true, 0 },  { "TEXT", false, 16 },
    };
    struct sb_grid *grid = sb_grid_new(columns, SB_COUNT(columns));
    size_t i;
    json_t *task;
    json_array_foreach (json_object_get(job, "tasks"), i, task) {
        const char *state = sb_json_str(task, "state");
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(task, "device"));
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(task, "module"));
        sb_grid_number(grid, sb_json_int(task, "round", 1));
        sb_grid_add(grid, sb_ink_of_state(state), state);
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(task, "phase"));
        sb_grid_number(grid, sb_json_int(task, "percent", 0));
        sb_grid_number(grid, sb_json_int(task, "attempt", 0));
        sb_cleanup(sb_freep) char *text = task_text(job, task);
        sb_grid_add(grid, SB_INK_PLAIN, text);
    }
    return grid;
}

void sb_show_results(struct sb_ctl *ctl, const json_t *tasks)
{
    static const struct sb_grid_column columns[] = { { "DEVICE", false, 10 },
                                                     { "NAME", false, 10 },
                                                     { "VALUE", false, 16 } };
    struct sb_grid *grid = sb_grid_new(columns, SB_COUNT(columns));
    size_t i;
    json_t *task, *value;
    const char *name;
    json_array_foreach ((json_t *)tasks, i, task)
        json_object_foreach (json_object_get(task, "result"), name, value) {
            sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(task, "device"));
            sb_grid_add(grid, SB_INK_PLAIN, name);
            sb_grid_take(grid, SB_INK_PLAIN, sb_compact(value));
        }
    sb_show_grid(ctl, "Results", grid);
}

/* How each dialect words the tasks as they stand. */
static void show_words(struct sb_ctl *ctl, const json_t *tasks)
{
    static const struct sb_grid_column columns[] = { { "DEVICE", false, 10 },
                                                     { "DIALECT", false, 0 },
                                                     { "SAYS", false, 20 } };
    struct sb_grid *grid = sb_grid_new(columns, SB_COUNT(columns));
    size_t i;
    json_t *task, *cell;
    const char *dialect;
    json_array_foreach ((json_t *)tasks, i, task)
        json_object_foreach (json_object_get(task, "words"), dialect, cell) {
            sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(task, "device"));
            sb_grid_add(grid, SB_INK_PLAIN, dialect);
            sb_grid_take(grid, SB_INK_PLAIN, sb_says(cell));
        }
    sb_show_grid(ctl, "In each dialect", grid);
}

/* What the last attempt's driver and device said to each other. */
static void show_transcripts(struct sb_ctl *ctl, const json_t *tasks)
{
    size_t i;
    json_t *task;
    json_array_foreach (tasks, i, task) {
        const char *text = sb_json_str(task, "transcript");
        sb_cleanup(sb_freep) char *title = sb_format("Transcript of %s (> sent, < received)",
                                                     sb_or(sb_json_str(task, "device"), ""));
        sb_show_lines(ctl, title ? title : "Transcript", text);
    }
}

SB_SHOW(job)
{
    const char *outcome = sb_json_str(data, "outcome");
    const json_t *tasks = sb_json_array(data, "tasks");
    sb_cleanup(sb_freep) char *counts = numbers_text(sb_json_object(data, "counts"));
    (void)order;
    sb_show_field_take(ctl, "Job", sb_format("%lld", (long long)sb_json_int(data, "id", 0)));
    show_request(ctl, data);
    sb_show_field(ctl, "State", SB_INK_PLAIN, sb_json_str(data, "state"));
    sb_show_field(ctl, "Outcome", sb_ink_of_state(outcome), outcome);
    sb_show_field_take(
        ctl, "Progress",
        sb_format("%lld %%, %s", (long long)sb_json_int(data, "percent", 0), counts ? counts : ""));
    sb_show_field_take(ctl, "Failures", numbers_text(sb_json_object(data, "causes")));
    sb_show_time(ctl, "Created", sb_json_int(data, "created", 0));
    sb_show_time(ctl, "Ended", sb_json_int(data, "ended", 0));
    sb_show_grid(ctl, "Tasks", task_grid(data));
    show_words(ctl, tasks);
    sb_show_results(ctl, tasks);
    show_transcripts(ctl, tasks);
}

/* ---- orders ---- */

SB_SHOW(job_orders)
{
    const char *verb = order->command->verb;
    const char *done = sb_streq(verb, "job cancel")  ? "cancelling"
                       : sb_streq(verb, "job fetch") ? "let go"
                                                     : "confirmed";
    long long tasks = (long long)sb_json_int(data, "tasks", 0);
    sb_show_line(ctl, "job %lld: %s on %lld device%s", (long long)sb_json_int(order->args, "id", 0),
                 done, tasks, tasks == 1 ? "" : "s");
}

SB_SHOW(job_edited)
{
    const char *to = sb_json_str(order->args, "to");
    long long id = (long long)sb_json_int(order->args, "id", 0);
    (void)data;
    if (to)
        sb_show_line(ctl, "job %lld: its rule is %s", id, to);
    else
        sb_show_line(ctl, "job %lld: changed", id);
}

SB_SHOW(job_retry)
{
    (void)data;
    sb_show_line(ctl, "job %lld: a new round began", (long long)sb_json_int(order->args, "id", 0));
}
