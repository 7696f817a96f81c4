/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/core.h"

#include <stdio.h>

#include "bridge/base/str.h"

static struct sb_words *load(const struct sb_dialect_shape *shape)
{
    const char *source = getenv("SB_SOURCE");
    sb_cleanup(sb_freep) char *own = sb_format("%s/mappings/dialects/%s.yaml",
                                               source ? source : SB_WORLD_SOURCE, shape->dialect);
    struct sb_diags diags = { 0 };
    struct sb_words *words = NULL;
    if (sb_words_load(own, shape, &words, &diags) < 0) {
        sb_cleanup(sb_freep) char *text = sb_diags_text(&diags);
        (void)fprintf(stderr, "%s\n", text ? text : "?");
    }
    sb_diags_done(&diags);
    if (!words)
        abort();
    return words;
}

const struct sb_words *core_words(const struct sb_dialect_shape *shape)
{
    static struct {
        const struct sb_dialect_shape *shape;
        const struct sb_words *words;
    } kept[4];
    size_t i = 0;
    while (kept[i].words && kept[i].shape != shape)
        if (++i == SB_COUNT(kept))
            abort();
    if (!kept[i].words) {
        kept[i].shape = shape;
        kept[i].words = load(shape);
    }
    return kept[i].words;
}

static struct core *of_driver; /* accepts() has no other way to it */

static enum sb_cause accepts(const struct sb_type *type, int op, const json_t *params,
                             char **ret_text)
{
    (void)type;
    (void)params;
    (void)ret_text;
    return of_driver->unsupported & (1U << op) ? SB_CAUSE_UNSUPPORTED : SB_CAUSE_NONE;
}

void core_begin(struct core *core, const struct core_ops *ops, const struct sb_words *words,
                const void *config, const char *pump, const char *valve)
{
    static const char *const ids[CORE_ACTORS] = { "gateway", "pump-7", "valve.1" };
    of_driver = core;
    core->ops = ops;
    core->words = words;
    core->config = config;
    core->names[CORE_PUMP] = pump;
    core->names[CORE_VALVE] = valve;
    core->driver = (struct sb_driver_ops){ .name = "fake", .accepts = accepts };
    core->type = (struct sb_type){ .name = "pump", .driver = &core->driver };
    core->type.actions = json_pack("{s:{}}", "rinse");
    for (int i = 0; i < CORE_ACTORS; i++) {
        bool gateway = i == CORE_GATEWAY;
        core->devices[i] = (struct sb_device){ .id = (char *)(uintptr_t)ids[i],
                                               .gateway = gateway,
                                               .type_name = gateway ? NULL : "pump",
                                               .type = gateway ? NULL : &core->type };
        core->devices[i].presence = gateway ? SB_PRESENCE_UNKNOWN : SB_PRESENCE_READY;
        core->devices[i].versions = gateway ? NULL : json_pack("{s:s}", "", "1.0.0");
        core->states[i] = ops->dialect->load(NULL);
    }
    core->ready = core->durable = true;
    core->now = 1000000;
    core->wall = INT64_C(1764000000000);
}

void core_done(struct core *core)
{
    for (int i = 0; i < CORE_ACTORS; i++) {
        core->ops->dialect->drop(core->states[i]);
        json_decref(core->devices[i].versions);
        json_decref(core->devices[i].identity);
        json_decref(core->devices[i].properties);
    }
    for (size_t i = 0; i < core->task_count; i++) {
        struct core_task *task = &core->tasks[i];
        free(task->id);
        free(task->task.target_version);
        json_decref(task->package);
        json_decref(task->params);
        json_decref(task->task.result);
    }
    for (size_t i = 0; i < SB_COUNT(core->timers); i++)
        free(core->timers[i].tag);
    json_decref(core->type.actions);
    json_decref(core->type.properties);
    free(core->note);
    free(core->supplied.bytes);
    free(core->supplied.text);
}

/* ---- jobs ---- */

static bool same_package(const json_t *a, const json_t *b)
{
    const char *uri_a = sb_json_str(a, "uri"), *uri_b = sb_json_str(b, "uri");
    json_t *c = json_deep_copy(a);
    if (uri_a && uri_b && strcspn(uri_a, "?") == strcspn(uri_b, "?") &&
        strncmp(uri_a, uri_b, strcspn(uri_a, "?")) == 0) /* equal but for its query */
        json_object_set_new(c, "uri", json_string(uri_b));
    bool same = (!c && !b) || (c && b && json_equal(c, b));
    json_decref(c);
    return same;
}

static struct core_task *same(struct core *core, enum core_actor actor,
                              const struct sb_output *output)
{
    for (size_t i = 0; i < core->task_count; i++) {
        struct core_task *task = &core->tasks[i];
        if (task->whose == actor && !sb_task_state_is_final(task->task.state) &&
            task->job.op == output->op && sb_streq(task->id, output->id) &&
            (task->params == output->json || json_equal(task->params, output->json)) &&
            same_package(task->package, output->package))
            return task;
    }
    return NULL;
}

/* 0: there are too many. */
static int64_t take(struct core *core, enum core_actor actor, const struct sb_output *output)
{
    const char *version = sb_json_str(output->package, "version");
    struct core_task *task = core->merges ? same(core, actor, output) : NULL;
    if (task) {
        json_decref(task->package);
        task->package = json_incref(output->package);
        return task->task.id;
    }
    if (core->task_count == CORE_TASKS)
        return 0;
    task = &core->tasks[core->task_count++];
    *task = (struct core_task){ .whose = actor,
                                .id = output->id ? strdup(output->id) : NULL,
                                .package = json_incref(output->package),
                                .params = json_incref(output->json) };
    task->job = (struct sb_job){ .origin = "cloud", .op = output->op };
    task->task = (struct sb_task){ .id = (int64_t)core->task_count + 100,
                                   .job = &task->job,
                                   .device = core->devices[actor].id,
                                   .target_version = version ? strdup(version) : NULL,
                                   .verified = SB_VERIFY_VERSION,
                                   .state = SB_TASK_QUEUED };
    return task->task.id;
}

static void submit(struct core *core, enum core_actor actor, const struct sb_output *output)
{
    struct sb_verdict verdict = { .cause = core->refuse,
                                  .text = (char *)(uintptr_t)core->refuse_text };
    if (verdict.cause == SB_CAUSE_NONE && !(verdict.task = take(core, actor, output)))
        verdict.cause = SB_CAUSE_BUSY;
    core_step(core, actor,
              &(struct sb_input){ .kind = SB_IN_VERDICT, .tag = output->tag, .verdict = &verdict });
}

static void cancel(struct core *core, const struct sb_output *output)
{
    core->cancelled = output->task;
    core->cancel_cause = output->cause;
    for (size_t i = 0; core->merges && i < core->task_count; i++) {
        struct sb_task *task = &core->tasks[i].task;
        if (task->id != output->task || sb_task_state_is_final(task->state))
            continue;
        task->cause = output->cause;
        core_task(core, i, SB_TASK_CANCELLED);
    }
}

static void look(struct core *core, enum core_actor actor, int64_t id)
{
    struct sb_news news = { .kind = SB_NEWS_TASK, .device = &core->devices[actor] };
    for (size_t i = 0; i < core->task_count; i++)
        if (core->tasks[i].task.id == id && !sb_task_state_is_final(core->tasks[i].task.state))
            news.task = &core->tasks[i].task;
    core_step(core, actor, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news, .value = id });
}

/* ---- timers ---- */

static const struct core_timer *timer_of(const struct core *core, enum core_actor actor,
                                         const char *tag)
{
    for (size_t i = 0; i < SB_COUNT(core->timers); i++)
        if ((!tag || core->timers[i].whose == actor) && sb_streq(core->timers[i].tag, tag))
            return &core->timers[i];
    return NULL;
}

static void set_timer(struct core *core, enum core_actor actor, const char *tag, int64_t ms)
{
    const struct core_timer *found = timer_of(core, actor, tag);
    found = found ? found : timer_of(core, actor, NULL); /* a free one */
    if (!found)
        abort();
    struct core_timer *timer = &core->timers[found - core->timers];
    free(SB_STEAL(timer->tag));
    if (ms >= 0)
        *timer = (struct core_timer){ actor, strdup(tag), core->now + ms };
}

void core_pulls(struct core *core, uint64_t download, const char *uri, int64_t offset)
{
    const struct sb_pull pull = { download, uri, offset, .over = uri == NULL };
    core->stream = uri ? uri : core->stream;
    core_step(core, CORE_GATEWAY, &(struct sb_input){ .kind = SB_IN_PULL, .pull = &pull });
}

int64_t core_timer(const struct core *core, enum core_actor actor, const char *tag)
{
    const struct core_timer *timer = timer_of(core, actor, tag);
    return timer ? timer->due - core->now : -1;
}

void core_passes(struct core *core, int64_t ms)
{
    int64_t end = core->now + ms;
    for (unsigned fired = 0; fired < 10000; fired++) {
        struct core_timer *next = NULL;
        for (size_t i = 0; i < SB_COUNT(core->timers); i++) {
            struct core_timer *timer = &core->timers[i];
            if (timer->tag && timer->due <= end && (!next || timer->due < next->due))
                next = timer;
        }
        int64_t to = next ? next->due : end;
        core->wall += to - core->now;
        core->now = to;
        if (!next)
            return;
        sb_cleanup(sb_freep) char *tag = SB_STEAL(next->tag);
        core_step(core, next->whose, &(struct sb_input){ .kind = SB_IN_TIMER, .tag = tag });
    }
    abort(); /* a storm */
}

/* ---- steps ---- */

static void tell(struct core *core, enum core_actor from, const struct sb_output *output)
{
    for (int i = 0; i < CORE_ACTORS; i++)
        if (sb_streq(core->names[i], output->name))
            core_step(core, (enum core_actor)i,
                      &(struct sb_input){ .kind = SB_IN_TOLD,
                                          .tag = output->tag,
                                          .told = output->json,
                                          .from = core->names[from] });
}

static void note(struct core *core, const char *text)
{
    core->notes++;
    free(core->note);
    core->note = strdup(text);
}

static void supply(struct core *core, const struct sb_output *output)
{
    if (!output->bytes && output->cause == SB_CAUSE_NONE) {
        core_pulls(core, output->download, core->stream, output->offset);
        return;
    }
    free(core->supplied.bytes);
    free(core->supplied.text);
    core->supplied.count++;
    core->supplied.download = output->download;
    core->supplied.offset = output->offset;
    core->supplied.total = output->total;
    core->supplied.size = output->size;
    core->supplied.bytes = output->bytes ? strndup(output->bytes, output->size) : NULL;
    core->supplied.cause = output->cause;
    core->supplied.text = output->text ? strdup(output->text) : NULL;
}

static void carry_out(struct core *core, enum core_actor actor, const struct sb_output *output)
{
    switch (output->kind) {
    case SB_OUT_SUBMIT:
        submit(core, actor, output);
        break;
    case SB_OUT_CANCEL:
        cancel(core, output);
        break;
    case SB_OUT_TIMER:
        set_timer(core, actor, output->tag, output->value);
        break;
    case SB_OUT_LOOK:
        look(core, actor, output->task);
        break;
    case SB_OUT_TELL:
        tell(core, actor, output);
        break;
    case SB_OUT_RENEW:
        core->renewals++;
        break;
    case SB_OUT_SETTLE:
        core->settled++;
        break;
    case SB_OUT_SUPPLY:
        supply(core, output);
        break;
    case SB_OUT_SECRET:
        core_step(core, actor,
                  &(struct sb_input){ .kind = SB_IN_SECRET,
                                      .secret = core->secret,
                                      .error = core->secret ? NULL : core->secret_error });
        break;
    default:
        break;
    }
}

/* A stranger's conversation is on the gateway's connection, and forgotten again. */
static void give(struct core *core, enum core_actor actor, void *state, struct sb_input *input,
                 const char *name)
{
    struct sb_effects effects = { 0 };
    bool stranger = state != core->states[actor];
    input->self = actor == CORE_GATEWAY && !stranger;
    input->link = "cloud";
    input->name = name;
    input->connected = core->up[core->line[actor]];
    input->device = stranger ? NULL : &core->devices[actor];
    input->words = core->words;
    input->config = core->config;
    input->now = core->now;
    input->wall = core->wall;
    input->ready = core->ready && core->durable;
    input->durable = core->durable;
    input->why = core->why;
    if (++core->depth > 24)
        abort();
    if (core->around)
        core->around(true);
    int r = core->ops->dialect->step(state, input, &effects);
    if (core->around)
        core->around(false);
    if (r < 0 && !core->around)
        abort();
    core->failed = core->failed || r < 0;
    core->saves += effects.save;
    for (size_t i = 0; r == 0 && i < effects.count; i++) {
        const struct sb_output *output = &effects.list[i];
        if (output->kind == SB_OUT_SEND)
            core->ops->take(core, actor, output);
        else if (output->kind == SB_OUT_NOTE)
            note(core, output->text);
        else if (!stranger)
            carry_out(core, actor, output);
    }
    sb_effects_done(&effects);
    if (--core->depth == 0)
        core->ops->deliver(core);
}

void core_step(struct core *core, enum core_actor actor, struct sb_input *input)
{
    give(core, actor, core->states[actor], input, core->names[actor]);
}

/* ---- what happens ---- */

void core_hears(struct core *core, enum core_actor actor, const char *topic, const void *payload,
                size_t n)
{
    const struct sb_dialect_ops *dialect = core->ops->dialect;
    struct sb_message message = { 0 };
    if (dialect->decode(core->words, core->config, topic, payload, n, &message) < 0)
        return;
    struct sb_input input = { .kind = SB_IN_MESSAGE, .message = &message };
    bool known = !message.name;
    for (int i = CORE_PUMP; !known && i < CORE_ACTORS; i++) {
        known = sb_streq(core->names[i], message.name);
        actor = known ? (enum core_actor)i : actor;
    }
    if (known) {
        core_step(core, actor, &input);
    } else if (!core->alone) {
        void *state = dialect->load(NULL);
        give(core, CORE_GATEWAY, state, &input, message.name);
        dialect->drop(state);
    }
    sb_message_done(&message);
}

void core_up(struct core *core, enum core_actor actor)
{
    core->up[actor] = true;
    core_step(core, actor, &(struct sb_input){ .kind = SB_IN_UP, .value = -1 });
}

void core_down(struct core *core, enum core_actor actor)
{
    core->up[actor] = false;
    core_step(core, actor, &(struct sb_input){ .kind = SB_IN_DOWN });
}

static void tell_news(struct core *core, enum core_actor actor, enum sb_news_kind kind,
                      const struct sb_task *task)
{
    struct sb_news news = { .kind = kind, .device = &core->devices[actor], .task = task };
    core_step(core, actor, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news });
}

void core_task(struct core *core, size_t index, enum sb_task_state state)
{
    if (index >= core->task_count)
        abort();
    core->tasks[index].task.state = state;
    tell_news(core, core->tasks[index].whose, SB_NEWS_TASK, &core->tasks[index].task);
}

void core_progress(struct core *core, size_t index, enum sb_task_state state, uint8_t percent)
{
    struct sb_task *task = &core->tasks[index].task;
    task->percent = percent;
    task->furthest_percent = SB_MAX(task->furthest_percent, percent);
    core_task(core, index, state);
}

void core_fails(struct core *core, size_t index, enum sb_cause cause, enum sb_phase phase)
{
    core->tasks[index].task.cause = cause;
    core->tasks[index].task.phase = phase;
    core_task(core, index, SB_TASK_FAILED);
}

void core_foreign(struct core *core, enum core_actor actor, enum sb_op op, enum sb_task_state state,
                  enum sb_cause cause)
{
    struct sb_job job = { .id = 900, .origin = "native", .op = op };
    struct sb_task task = { .id = 900, .job = &job, .state = state, .cause = cause };
    tell_news(core, actor, SB_NEWS_FIRMWARE, &task);
}

void core_news(struct core *core, enum core_actor actor, enum sb_news_kind kind)
{
    tell_news(core, actor, kind, NULL);
}

void core_version(struct core *core, enum core_actor actor, const char *module, const char *version)
{
    if (!core->devices[actor].versions)
        core->devices[actor].versions = json_object();
    json_object_set_new(core->devices[actor].versions, module, json_string(version));
    core_news(core, actor, SB_NEWS_IDENTITY);
}

void core_presence(struct core *core, enum core_actor actor, enum sb_presence presence)
{
    core->devices[actor].presence = presence;
    core_news(core, actor, SB_NEWS_PRESENCE);
}

void core_restarts(struct core *core)
{
    const struct sb_dialect_ops *dialect = core->ops->dialect;
    for (size_t i = 0; i < SB_COUNT(core->timers); i++)
        free(SB_STEAL(core->timers[i].tag));
    for (int i = 0; i < CORE_ACTORS; i++) {
        json_t *saved = dialect->save(core->states[i]);
        sb_cleanup(sb_freep) char *text = saved ? json_dumps(saved, 0) : NULL;
        json_t *again = text ? json_loads(text, 0, NULL) : NULL;
        if (!again)
            abort();
        dialect->drop(core->states[i]);
        core->states[i] = dialect->load(again);
        core->up[i] = false;
        json_decref(saved);
        json_decref(again);
    }
    for (int i = 0; i < CORE_ACTORS; i++)
        core_step(core, (enum core_actor)i, &(struct sb_input){ .kind = SB_IN_LOADED });
}

/* ---- looking ---- */

const json_t *core_at(const json_t *json, const char *path)
{
    while (json && *path) {
        size_t n = strcspn(path, "/");
        json = json_object_getn(json, path, n);
        path += n + (path[n] == '/');
    }
    return json;
}

bool core_is(const json_t *have, const char *wanted)
{
    json_t *want = wanted ? json_loads(wanted, JSON_DECODE_ANY, NULL) : NULL;
    bool equal = wanted ? have && json_equal(want, have) : !have;
    sb_cleanup(sb_freep) char *text = have ? json_dumps(have, JSON_ENCODE_ANY) : NULL;
    json_decref(want);
    if (!equal)
        (void)fprintf(stderr, "have: %s\nwanted: %s\n", text ? text : "nothing",
                      wanted ? wanted : "nothing");
    return equal;
}
