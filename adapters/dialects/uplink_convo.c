/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "adapters/dialects/uplink_parts.h"
#include "bridge/base/crypto.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define DEPTH_MAX 8   /* steps within steps: verdicts, looks */
#define NOTES_MAX 100 /* per minute and link */

static bool is_self(const struct sb_convo *convo)
{
    return convo == convo->uplink->self;
}

static void complain(const struct sb_convo *convo, const char *what, int error)
{
    const char *device = convo->id && *convo->id ? convo->id : NULL;
    sb_error(SB_AT(.link = convo->uplink->door.link, .device = device), "%s: %s", what,
             strerror(-error));
}

/* What a cloud makes us say is bounded, so that it cannot fill the log. */
static bool may_note(struct sb_uplink *uplink)
{
    int64_t now = sb_loop_now(sb_host_loop(uplink->door.host));
    if (uplink->notes_since == 0 || now - uplink->notes_since >= SB_MINUTE) {
        uplink->notes_since = now;
        uplink->notes = 0;
    }
    if (++uplink->notes == NOTES_MAX + 1)
        sb_notice(SB_AT(.link = uplink->door.link),
                  "more than %d notes within a minute: the others are left out", NOTES_MAX);
    return uplink->notes <= NOTES_MAX;
}

static struct sb_line *line_of(const struct sb_convo *convo)
{
    return convo->heard ? convo->heard : sb_line_of(convo->uplink, convo->id);
}

static bool is_up(const struct sb_convo *convo)
{
    const struct sb_line *line = line_of(convo);
    return line && line->up;
}

/* ---- facts ---- */

static const struct sb_device *gateway_of(struct sb_uplink *uplink)
{
    struct sb_host *host = uplink->door.host;
    const struct sb_device *device = uplink->gateway ? sb_host_device(host, uplink->gateway) : NULL;
    if (device && device->gateway)
        return device;
    for (size_t i = 0; (device = sb_host_device_at(host, i)); i++) {
        if (device->gateway)
            return sb_set_string(&uplink->gateway, device->id) == 0 ? device : NULL;
    }
    return NULL;
}

static const struct sb_device *device_of(struct sb_convo *convo, const struct sb_input *input)
{
    if (is_self(convo))
        return gateway_of(convo->uplink);
    if (input->news && input->news->device)
        return input->news->device;
    return convo->id ? sb_host_device(convo->uplink->door.host, convo->id) : NULL;
}

static void fill_facts(struct sb_convo *convo, struct sb_input *input)
{
    struct sb_uplink *uplink = convo->uplink;
    struct sb_host *host = uplink->door.host;
    struct sb_loop *loop = sb_host_loop(host);
    input->self = is_self(convo);
    input->link = uplink->door.link;
    input->device = device_of(convo, input);
    const char *name =
        input->device && !input->self ? sb_device_name(input->device, uplink->dialect->name) : NULL;
    if (name && sb_set_string(&convo->name, name) < 0)
        complain(convo, "cannot rename", -ENOMEM);
    input->name = convo->name;
    input->staged = input->device ? sb_host_staged(host, input->device) : NULL;
    input->words = uplink->door.words;
    input->config = uplink->config;
    input->now = sb_loop_now(loop);
    input->wall = sb_loop_wall(loop);
    const struct sb_line *line = line_of(convo);
    input->connected = line && line->up;
    input->backlog = !input->connected || line->backlog;
    input->outage = sb_line_outage(line);
    input->ready = sb_host_ready(host, &uplink->door, &input->why);
    input->durable = sb_host_durable(host);
}

/* ---- effects ---- */

static void do_send(struct sb_convo *convo, struct sb_output *output, const struct sb_input *input)
{
    sb_cleanup(sb_freep) char *text = output->json ? sb_json_text(output->json) : NULL;
    if (output->json && !text) {
        complain(convo, "cannot encode a message", -ENOMEM);
        return;
    }
    const struct sb_line *line = line_of(convo);
    bool leaving = input->news && input->news->kind == SB_NEWS_DEVICE_REMOVED;
    struct sb_parcel parcel = { .device = leaving || is_self(convo) ? NULL : convo->id,
                                .key = output->key,
                                .class = output->class,
                                .connection = line ? line->device : NULL,
                                .topic = output->topic,
                                .payload = text ? text : output->bytes,
                                .size = text ? strlen(text) : output->size,
                                .qos = output->qos,
                                .token = output->token,
                                .task = output->task,
                                .what = output->what };
    int r = sb_host_put(convo->uplink->door.host, &convo->uplink->door, &parcel);
    if (r < 0 && may_note(convo->uplink)) /* an outbox that is full is so for each message */
        complain(convo, "a message is lost: it cannot be kept", r);
}

static void show(struct sb_convo *convo, int64_t id, const struct sb_task *task)
{
    bool own = task && sb_streq(task->job->origin, convo->uplink->door.link);
    struct sb_news news = { .kind = own || !task ? SB_NEWS_TASK : SB_NEWS_FIRMWARE,
                            .task = task,
                            .before = task ? task->state : SB_TASK_STATE_INVALID };
    sb_convo_step(convo, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news, .value = id });
}

static void show_task(struct sb_convo *convo, int64_t id)
{
    show(convo, id, sb_host_task(convo->uplink->door.host, id));
}

/* The same request was made before; its job may have ended since. */
static void show_existing(struct sb_convo *convo, const struct sb_verdict *verdict)
{
    const struct sb_job *ended = verdict->ended;
    const struct sb_task *task = NULL;
    for (size_t i = 0; ended && i < ended->task_count; i++)
        if (ended->tasks[i]->id == verdict->task)
            task = ended->tasks[i];
    if (task)
        show(convo, verdict->task, task);
    else
        show_task(convo, verdict->task);
}

static void do_look(struct sb_convo *convo, struct sb_output *output,
                    const struct sb_input *input SB_UNUSED)
{
    show_task(convo, output->task);
}

static void do_submit(struct sb_convo *convo, struct sb_output *output,
                      const struct sb_input *input SB_UNUSED)
{
    struct sb_verdict verdict = { 0 };
    const char *devices[] = { convo->id };
    /* A conversation is one device's: the same id may stand in that of another. */
    sb_cleanup(sb_freep) char *key = output->id ? sb_format("%s/%s", convo->id, output->id) : NULL;
    struct sb_request request = { .external_id = output->id,
                                  .key = key,
                                  .op = output->op,
                                  .devices = devices,
                                  .device_count = 1,
                                  .params = output->json,
                                  .package = output->package,
                                  .policy = output->policy };
    int r = sb_host_submit(convo->uplink->door.host, &convo->uplink->door, &request, &verdict);
    if (r < 0) {
        complain(convo, "a request cannot be taken", r);
        verdict = (struct sb_verdict){ .cause = SB_CAUSE_INTERNAL, .text = strdup(strerror(-r)) };
    }
    sb_convo_step(convo, &(struct sb_input){
                             .kind = SB_IN_VERDICT, .tag = output->tag, .verdict = &verdict });
    if (verdict.cause == SB_CAUSE_NONE && verdict.existing)
        show_existing(convo, &verdict);
    sb_verdict_done(&verdict);
}

static void do_cancel(struct sb_convo *convo, struct sb_output *output,
                      const struct sb_input *input SB_UNUSED)
{
    int r =
        sb_host_cancel(convo->uplink->door.host, &convo->uplink->door, output->task, output->cause);
    if (r < 0 && r != -ENOENT && r != -EALREADY)
        sb_notice(
            SB_AT(.link = convo->uplink->door.link, .device = convo->id, .task = output->task),
            "the task cannot be taken back: %s", strerror(-r));
}

static void do_fact(struct sb_convo *convo, struct sb_output *output, const struct sb_input *input)
{
    int r = input->device ? sb_host_set_fact(convo->uplink->door.host, &convo->uplink->door,
                                             input->device->id, output->name, output->json)
                          : -ENODEV;
    if (r < 0)
        complain(convo, "an attribute cannot be kept", r);
}

static void do_unstage(struct sb_convo *convo, struct sb_output *output SB_UNUSED,
                       const struct sb_input *input SB_UNUSED)
{
    int r = sb_host_unstage(convo->uplink->door.host, &convo->uplink->door, convo->id);
    if (r < 0)
        complain(convo, "the staged image cannot be dropped", r);
}

static void do_settle(struct sb_convo *convo, struct sb_output *output,
                      const struct sb_input *input SB_UNUSED)
{
    struct sb_uplink *uplink = convo->uplink;
    int64_t parcel = sb_uplink_land(uplink, output->token);
    if (parcel) /* whoever it was about: its device may be gone, or have another name now */
        sb_host_settle(uplink->door.host, &uplink->door, parcel);
    else
        (void)sb_host_settle_token(uplink->door.host, &uplink->door,
                                   is_self(convo) ? NULL : convo->id, output->token);
}

/* To a device that has a name here, or the link's own; nobody else is kept. */
static void do_tell(struct sb_convo *convo, struct sb_output *output,
                    const struct sb_input *input SB_UNUSED)
{
    struct sb_uplink *uplink = convo->uplink;
    const struct sb_device *device =
        output->name ? sb_host_find(uplink->door.host, uplink->dialect->name, output->name) : NULL;
    struct sb_convo *to = device         ? sb_convo_find(uplink, device)
                          : output->name ? NULL
                                         : sb_convo_self(uplink);
    if (!to || to->dead) {
        sb_debug(SB_AT(.link = uplink->door.link), "nobody is called %s here: not told",
                 output->name ? output->name : "the gateway");
        return;
    }
    (void)sb_convo_greet(to);
    sb_convo_step(to, &(struct sb_input){ .kind = SB_IN_TOLD,
                                          .tag = output->tag,
                                          .told = output->json,
                                          .from = is_self(convo) ? NULL : convo->name });
}

static void do_renew(struct sb_convo *convo, struct sb_output *output SB_UNUSED,
                     const struct sb_input *input SB_UNUSED)
{
    struct sb_line *line = line_of(convo);
    if (line && line->up)
        sb_mqtt_renew(line->mqtt);
}

static void do_note(struct sb_convo *convo, struct sb_output *output,
                    const struct sb_input *input SB_UNUSED)
{
    if (!may_note(convo->uplink))
        return;
    sb_notice(SB_AT(.link = convo->uplink->door.link,
                    .device = convo->id && *convo->id ? convo->id : NULL),
              "%s", output->text);
}

static void do_secret(struct sb_convo *convo, struct sb_output *output SB_UNUSED,
                      const struct sb_input *input SB_UNUSED)
{
    const struct sb_uplink *uplink = convo->uplink;
    sb_cleanup(sb_secret_freep) char *secret = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    int r = uplink->dialect->secret && convo->name
                ? uplink->dialect->secret(uplink->config, convo->name, &secret, &error)
                : -ENOENT;
    const char *why = error ? error : r < 0 ? strerror(-r) : NULL;
    sb_convo_step(convo, &(struct sb_input){
                             .kind = SB_IN_SECRET, .secret = r < 0 ? NULL : secret, .error = why });
}

static void do_supply(struct sb_convo *convo, struct sb_output *output,
                      const struct sb_input *input SB_UNUSED)
{
    sb_host_supply(convo->uplink->door.host, &convo->uplink->door,
                   &(struct sb_piece){ .download = output->download,
                                       .again = !output->bytes && output->cause == SB_CAUSE_NONE,
                                       .offset = output->offset,
                                       .bytes = output->bytes,
                                       .size = output->size,
                                       .total = output->total,
                                       .cause = output->cause,
                                       .text = output->text });
}

static void do_current(struct sb_convo *convo, struct sb_output *output SB_UNUSED,
                       const struct sb_input *input SB_UNUSED)
{
    struct sb_line *line = line_of(convo);
    if (line)
        line->backlog = false;
}

/* ---- timers ---- */

static void timer_free(struct sb_convo_timer *timer)
{
    sb_timer_free(timer->timer);
    free(timer->tag);
    free(timer);
}

static struct sb_convo_timer *timer_take(struct sb_convo *convo, const char *tag)
{
    for (struct sb_convo_timer **at = &convo->timers; *at; at = &(*at)->next) {
        struct sb_convo_timer *timer = *at;
        if (!sb_streq(timer->tag, tag))
            continue;
        *at = timer->next;
        return timer;
    }
    return NULL;
}

static void on_timer(void *arg)
{
    struct sb_convo_timer *timer = arg;
    struct sb_convo *convo = timer->convo;
    (void)timer_take(convo, timer->tag);
    sb_cleanup(sb_freep) char *tag = SB_STEAL(timer->tag);
    timer_free(timer);
    sb_convo_step(convo, &(struct sb_input){ .kind = SB_IN_TIMER, .tag = tag });
}

static struct sb_convo_timer *timer_new(struct sb_convo *convo, const char *tag)
{
    struct sb_convo_timer *timer = calloc(1, sizeof(*timer));
    if (!timer)
        return NULL;
    timer->convo = convo;
    timer->tag = strdup(tag);
    if (timer->tag &&
        sb_timer_new(sb_host_loop(convo->uplink->door.host), on_timer, timer, &timer->timer) == 0)
        return timer;
    timer_free(timer);
    return NULL;
}

static void do_timer(struct sb_convo *convo, struct sb_output *output,
                     const struct sb_input *input SB_UNUSED)
{
    struct sb_convo_timer *timer = timer_take(convo, output->tag);
    if (output->value < 0 || convo->dead || !convo->id) {
        if (timer)
            timer_free(timer);
        return;
    }
    timer = timer ? timer : timer_new(convo, output->tag);
    if (!timer) {
        complain(convo, "a timer cannot be set", -ENOMEM);
        return;
    }
    timer->next = convo->timers;
    convo->timers = timer;
    sb_timer_in(timer->timer, output->value);
}

/* ---- steps ---- */

typedef void (*do_fn)(struct sb_convo *convo, struct sb_output *output,
                      const struct sb_input *input);

static void carry_out(struct sb_convo *convo, struct sb_effects *effects,
                      const struct sb_input *input)
{
    static const do_fn table[] = {
        [SB_OUT_SEND] = do_send,     [SB_OUT_SUBMIT] = do_submit, [SB_OUT_CANCEL] = do_cancel,
        [SB_OUT_TIMER] = do_timer,   [SB_OUT_FACT] = do_fact,     [SB_OUT_UNSTAGE] = do_unstage,
        [SB_OUT_SETTLE] = do_settle, [SB_OUT_LOOK] = do_look,     [SB_OUT_CURRENT] = do_current,
        [SB_OUT_NOTE] = do_note,     [SB_OUT_TELL] = do_tell,     [SB_OUT_RENEW] = do_renew,
        [SB_OUT_SECRET] = do_secret, [SB_OUT_SUPPLY] = do_supply,
    };
    for (size_t i = 0; i < effects->count; i++) {
        enum sb_output_kind kind = effects->list[i].kind;
        bool of_device = kind == SB_OUT_SUBMIT || kind == SB_OUT_UNSTAGE;
        bool kept = convo->id && !(is_self(convo) && of_device);
        bool harmless = kind == SB_OUT_SEND || kind == SB_OUT_SETTLE || kind == SB_OUT_NOTE;
        if (kept || harmless)
            table[kind](convo, &effects->list[i], input);
    }
}

static json_t *saved_form(const struct sb_convo *convo)
{
    json_t *state = convo->uplink->dialect->save(convo->state);
    if (!state || !is_self(convo))
        return state;
    return json_pack("{s:I,s:o}", "seen",
                     (json_int_t)sb_loop_wall(sb_host_loop(convo->uplink->door.host)), "state",
                     state);
}

void sb_convo_save(struct sb_convo *convo)
{
    sb_cleanup(json_decrefp) json_t *saved = saved_form(convo);
    struct sb_uplink *uplink = convo->uplink;
    int r = saved ? sb_host_save(uplink->door.host, &uplink->door, convo->id, saved) : -ENOMEM;
    if (r < 0 && r != -EAGAIN) /* while the store fails, all is read back anew afterwards */
        complain(convo, "a conversation cannot be kept", r);
}

void sb_convo_step(struct sb_convo *convo, struct sb_input *input)
{
    struct sb_effects effects = { 0 };
    if (convo->busy >= DEPTH_MAX) {
        complain(convo, "a conversation talks to itself", -ELOOP);
        return;
    }
    convo->busy++;
    fill_facts(convo, input);
    int r = convo->uplink->dialect->step(convo->state, input, &effects);
    if (r < 0) {
        complain(convo, "a step of a conversation failed", r);
    } else {
        carry_out(convo, &effects, input);
        if (effects.save && convo->id && !convo->dead)
            sb_convo_save(convo);
    }
    sb_effects_done(&effects);
    if (--convo->busy == 0 && convo->dead)
        sb_convo_free(convo);
}

/* ---- their life ---- */

struct sb_convo *sb_convo_free(struct sb_convo *convo)
{
    if (!convo)
        return NULL;
    convo->dead = true;
    if (convo->busy > 0)
        return NULL;
    while (convo->timers)
        timer_free(timer_take(convo, convo->timers->tag));
    convo->uplink->dialect->drop(convo->state);
    free(convo->id);
    free(convo->name);
    free(convo);
    return NULL;
}

static struct sb_convo *convo_new(struct sb_uplink *uplink, const char *id, const char *name,
                                  const json_t *saved)
{
    struct sb_convo *convo = calloc(1, sizeof(*convo));
    if (!convo)
        return NULL;
    convo->uplink = uplink;
    convo->state = uplink->dialect->load(saved);
    if (convo->state && sb_set_string(&convo->id, id) == 0 &&
        sb_set_string(&convo->name, name) == 0)
        return convo;
    return sb_convo_free(convo);
}

struct sb_convo *sb_convo_stranger(struct sb_uplink *uplink, const char *name,
                                   struct sb_line *heard)
{
    struct sb_convo *convo = convo_new(uplink, NULL, name, NULL);
    if (convo)
        convo->heard = heard;
    return convo;
}

bool sb_convo_greet(struct sb_convo *convo)
{
    if (!is_up(convo) || convo->up)
        return false;
    convo->up = true;
    sb_convo_step(convo, &(struct sb_input){ .kind = SB_IN_UP, .value = line_of(convo)->outage });
    return true;
}

struct sb_convo *sb_convo_self(struct sb_uplink *uplink)
{
    if (uplink->self)
        return uplink->self;
    sb_cleanup(json_decrefp) json_t *saved = sb_host_saved(uplink->door.host, &uplink->door, "");
    uplink->seen = sb_json_int(saved, "seen", 0);
    uplink->self = convo_new(uplink, "", NULL, sb_json_object(saved, "state"));
    if (uplink->self && saved)
        sb_convo_step(uplink->self, &(struct sb_input){ .kind = SB_IN_LOADED });
    return uplink->self;
}

struct sb_convo *sb_convo_find(struct sb_uplink *uplink, const struct sb_device *device)
{
    if (device->gateway)
        return sb_convo_self(uplink);
    struct sb_convo *convo = sb_map_get(&uplink->convos, device->id);
    const char *name = sb_device_name(device, uplink->dialect->name);
    if (convo || !name)
        return convo;
    sb_cleanup(json_decrefp) json_t *saved =
        sb_host_saved(uplink->door.host, &uplink->door, device->id);
    convo = convo_new(uplink, device->id, name, saved);
    if (!convo || sb_map_set(&uplink->convos, device->id, convo) < 0)
        return sb_convo_free(convo);
    if (saved)
        sb_convo_step(convo, &(struct sb_input){ .kind = SB_IN_LOADED });
    return convo;
}

struct sb_convo *sb_convo_ready(struct sb_uplink *uplink, const struct sb_device *device)
{
    struct sb_convo *convo = sb_convo_find(uplink, device);
    if (convo)
        (void)sb_convo_greet(convo);
    return convo;
}
