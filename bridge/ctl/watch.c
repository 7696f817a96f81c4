/* SPDX-License-Identifier: Apache-2.0 */
/* `job watch`, and `job create` with or without --watch. */
#include <errno.h>
#include <time.h>

#include "bridge/ctl/client.h"
#include "bridge/ctl/progress.h"
#include "bridge/ctl/screen.h"
#include "bridge/ctl/show.h"
#include "bridge/ctl/signals.h"
#include "bridge/job/job.h"

#define DRAW_EVERY 100   /* ms, at most so often */
#define TICK       1000  /* ms, for the clock in the frame */
#define IDLE       60000 /* ms, nothing to draw: only signals are looked at */

struct view {
    struct sb_ctl *ctl;
    struct sb_progress *progress;
    unsigned drawn; /* lines of the last frame */
    int64_t drawn_at;
    bool stale; /* the frame is older than the job */
};

static int64_t monotonic(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- drawing ---- */

static void write_out(struct sb_ctl *ctl, struct sb_str *text)
{
    (void)fputs(sb_str_get(text), ctl->out);
    (void)fflush(ctl->out);
    sb_str_done(text);
}

static void draw(struct view *view)
{
    struct sb_str frame = { 0 }, out = { 0 };
    if (view->ctl->json || !view->ctl->style.live)
        return;
    sb_screen_look_again(&view->ctl->style, fileno(view->ctl->out));
    unsigned lines = sb_progress_frame(view->progress, &view->ctl->style, &frame);
    sb_screen_redraw(&out, view->drawn, sb_str_get(&frame));
    write_out(view->ctl, &out);
    sb_str_done(&frame);
    view->drawn = lines;
    view->drawn_at = monotonic();
    view->stale = false;
}

/* After an event: lines at once, a frame not too often. */
static void tell(struct view *view)
{
    struct sb_str lines = { 0 }, out = { 0 };
    struct sb_ctl *ctl = view->ctl;
    if (ctl->json)
        return;
    sb_screen_look_again(&ctl->style, fileno(ctl->out));
    if (!ctl->style.live) {
        sb_progress_lines(view->progress, &ctl->style, &lines);
        write_out(ctl, &lines);
        return;
    }
    sb_progress_losses(view->progress, &ctl->style, &lines);
    if (lines.length) { /* stay above the frame */
        sb_screen_redraw(&out, view->drawn, sb_str_get(&lines));
        write_out(ctl, &out);
        view->drawn = 0;
    }
    sb_str_done(&lines);
    view->stale = true;
    if (monotonic() - view->drawn_at >= DRAW_EVERY)
        draw(view);
}

static int64_t patience(const struct view *view)
{
    if (view->ctl->json || !view->ctl->style.live)
        return IDLE;
    return view->stale ? DRAW_EVERY : TICK;
}

/* ---- events ---- */

static int take_event(struct view *view, const json_t *event)
{
    json_t *task = json_object_get(event, "task");
    if (view->ctl->json) {
        sb_cleanup(json_decrefp) json_t *line =
            task ? json_incref((json_t *)event) : json_pack("{s:O}", "job", event);
        sb_ctl_print_json(view->ctl, line);
    }
    int r = task ? sb_progress_task(view->progress, task) : sb_progress_job(view->progress, event);
    if (r == 0)
        tell(view);
    return r;
}

/* The last line: the job as it ended. */
static enum sb_exit finish(struct view *view, const json_t *data)
{
    struct sb_ctl *ctl = view->ctl;
    struct sb_str text = { 0 };
    if (ctl->json) {
        sb_cleanup(json_decrefp) json_t *line = json_pack("{s:O}", "job", data);
        sb_ctl_print_json(ctl, line);
    }
    if (json_is_null(data))
        return sb_ctl_fail(ctl, SB_EXIT_NOT_FOUND, "not_found", "the job is gone");
    int r = sb_progress_job(view->progress, data);
    if (r < 0)
        return sb_ctl_lost(ctl, r);
    if (!ctl->json) {
        tell(view);
        draw(view);
        sb_progress_end(view->progress, &ctl->style, &text);
        write_out(ctl, &text);
        sb_show_results(ctl, sb_json_array(data, "tasks"));
    }
    return sb_progress_exit(view->progress);
}

/* id 0: nobody has said yet which job it is. */
static enum sb_exit stopped(struct sb_ctl *ctl, int64_t id)
{
    if (!id)
        return sb_ctl_fail(ctl, SB_EXIT_INTERRUPTED, "interrupted",
                           "waiting is over, the job goes on (`southbridgectl job list`)");
    return sb_ctl_fail(ctl, SB_EXIT_INTERRUPTED, "interrupted",
                       "watching is over, job %lld goes on (`southbridgectl job watch %lld`; "
                       "`job cancel %lld` would stop it)",
                       (long long)id, (long long)id, (long long)id);
}

static enum sb_exit refused(struct sb_ctl *ctl, const json_t *line)
{
    const char *error = sb_json_str(line, "error");
    const char *text = sb_json_str(line, "text");
    return sb_ctl_fail(ctl, sb_exit_of_refusal(error), sb_or(error, "failed"), "%s",
                       sb_or(text, "the daemon refused"));
}

static enum sb_exit follow(struct view *view, struct sb_client *client,
                           const struct sb_signals *signals, int64_t id)
{
    for (;;) {
        sb_cleanup(json_decrefp) json_t *line = NULL;
        int r = sb_client_line(client, patience(view), &signals->waiting, &line);
        if (sb_signals_came())
            return stopped(view->ctl, id);
        if (r == -ETIMEDOUT || r == -EINTR) {
            draw(view);
            continue;
        }
        const json_t *event = sb_json_object(line, "event");
        if (r == 0 && event)
            r = take_event(view, event);
        else if (r == 0 && !json_is_boolean(json_object_get(line, "ok")))
            r = -EBADMSG;
        else if (r == 0)
            return sb_json_bool(line, "ok", false)
                       ? finish(view, json_object_get(line, "data") ? json_object_get(line, "data")
                                                                    : json_null())
                       : refused(view->ctl, line);
        if (r < 0)
            return sb_ctl_lost(view->ctl, r);
    }
}

/* A request that is answered when a job has ended. */
static enum sb_exit wait_for(struct sb_ctl *ctl, struct sb_client *client, const char *verb,
                             const json_t *args, int64_t id)
{
    sb_cleanup(sb_progress_freep) struct sb_progress *progress = sb_progress_new();
    struct view view = { .ctl = ctl, .progress = progress };
    struct sb_signals signals;
    sb_signals_catch(&signals); /* before the first event can come */
    int r = progress && args ? sb_client_send(client, verb, args) : -ENOMEM;
    enum sb_exit code = r < 0 ? sb_ctl_lost(ctl, r) : follow(&view, client, &signals, id);
    sb_signals_release(&signals);
    return code;
}

static enum sb_exit watch(struct sb_ctl *ctl, struct sb_client *client, int64_t id)
{
    sb_cleanup(json_decrefp) json_t *args = json_pack("{s:I}", "id", (json_int_t)id);
    return wait_for(ctl, client, "job watch", args, id);
}

/* ---- commands ---- */

enum sb_exit sb_run_job_watch(struct sb_ctl *ctl, struct sb_order *order)
{
    sb_cleanup(sb_client_freep) struct sb_client *client = NULL;
    enum sb_exit code = sb_ctl_open(ctl, &client);
    return code != SB_EXIT_DONE ? code : watch(ctl, client, sb_json_int(order->args, "id", 0));
}

enum sb_exit sb_run_job_create(struct sb_ctl *ctl, struct sb_order *order)
{
    sb_cleanup(sb_client_freep) struct sb_client *client = NULL;
    sb_cleanup(json_decrefp) json_t *data = NULL;
    const char *answer = sb_json_str(sb_json_object(order->args, "policy"), "answer");
    enum sb_exit code = sb_ctl_open(ctl, &client);
    if (code == SB_EXIT_DONE && sb_streq(answer, sb_answer_name(SB_ANSWER_FINAL)))
        return wait_for(ctl, client, order->command->verb, order->args, 0);
    if (code == SB_EXIT_DONE)
        code = sb_ctl_ask_on(ctl, client, order->command->verb, order->args, &data);
    if (code != SB_EXIT_DONE)
        return code;
    int64_t id = sb_json_int(data, "id", 0);
    if (ctl->json)
        sb_ctl_print_json(ctl, data);
    else
        sb_show_line(ctl, "job %lld%s", (long long)id,
                     sb_json_bool(data, "existing", false)
                         ? " is open already with the same request; its own times and limits hold"
                         : " created");
    (void)fflush(ctl->out);
    return sb_order_has(order, "watch") ? watch(ctl, client, id) : code;
}
