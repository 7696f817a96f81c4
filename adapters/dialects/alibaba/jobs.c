/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device jobs: tasks of the platform's job engine. The document of one names a service, or has
 * properties to set. A final status is told until the platform has acknowledged it.
 */
#include "adapters/dialects/alibaba/parts.h"
#include "bridge/base/str.h"

#define TIMER "job"

/* ---- saying it ---- */

/* ret_id (may be NULL): of the message; caller frees. */
static void send_update(struct sb_ali_turn *turn, json_t *params, int64_t task, char **ret_id)
{
    sb_ali_send(turn, &(struct sb_ali_parcel){
                          .base = "topic_sys",
                          .rest = sb_words_name(turn->in->words, "job_update"),
                          .what = sb_json_str(params, "status"),
                          .payload = sb_ali_request(turn, "thing.job.update", params, ret_id),
                          .qos = 1,
                          .task = task });
}

static json_t *update_of(struct sb_ali_turn *turn, const char *id, const char *status, int percent,
                         const char *text)
{
    json_t *update =
        json_pack("{s:s,s:s,s:i}", "taskId", id, "status", status, "progress", percent);
    sb_cleanup(sb_freep) char *clean = text ? sb_dialect_presentable(text) : NULL;
    if (!update || (text && json_object_set_new(update, "statusDetails",
                                                json_pack("{s:s*}", "message", clean)) < 0))
        turn->effects->broken = true;
    return update;
}

void sb_ali_job_tell(struct sb_ali_turn *turn, struct sb_ali_ask *ask)
{
    if (!ask->reply && ask->percent < 0)
        return;
    free(SB_STEAL(ask->message));
    ask->told = ask->reply && turn->in->connected && turn->state->stage == SB_ALI_IN;
    send_update(turn,
                ask->reply ? json_incref(ask->reply)
                           : update_of(turn, ask->id, "IN_PROGRESS", ask->percent, NULL),
                ask->task, &ask->message);
}

void sb_ali_job_get(struct sb_ali_turn *turn)
{
    sb_ali_send(turn, &(struct sb_ali_parcel){
                          .base = "topic_sys",
                          .rest = sb_words_name(turn->in->words, "job_get"),
                          .payload = sb_ali_request(turn, "thing.job.get",
                                                    json_pack("{s:s}", "taskId", "$next"), NULL) });
}

/* It is through here: kept until the platform knows. Takes update. */
static void finish(struct sb_ali_turn *turn, struct sb_ali_ask *ask, json_t *update)
{
    ask->task = 0;
    json_decref(ask->reply);
    ask->reply = update;
    turn->effects->save = true;
    sb_ali_job_tell(turn, ask);
}

/* ---- a job comes in ---- */

static void reject(struct sb_ali_turn *turn, const char *id, const char *text)
{
    send_update(turn, update_of(turn, id, "REJECTED", 0, text), 0, NULL);
}

struct order { /* what a job is: params and package are owned, each may be NULL */
    enum sb_op op;
    json_t *params, *package;
};

/* A file has the values of a configuration; nothing else here is made of one. */
static const char *read_file(struct sb_ali_turn *turn, const json_t *task, const char *service,
                             struct order *ret)
{
    const json_t *file = sb_json_object(task, "jobFile");
    enum sb_cause cause = SB_CAUSE_NONE;
    const char *wrong = NULL;
    if (!sb_streq(service, sb_words_name(turn->in->words, "service_configure")))
        return "a file goes with the service that configures, and with no other";
    sb_cleanup(json_decrefp) json_t *data =
        json_pack("{s:s*,s:s*,s:s*}", "configId", sb_json_str(task, "taskId"), "url",
                  sb_json_str(file, "fileUrl"), "sign", sb_json_str(file, "sign"));
    ret->op = SB_OP_CONFIGURE;
    ret->package = sb_alibaba_config_package(data, &cause, &wrong);
    if (!ret->package && !wrong)
        turn->effects->broken = true;
    return wrong;
}

/* NULL: it can be done, and *ret says what. */
static const char *read_document(struct sb_ali_turn *turn, const json_t *task, struct order *ret)
{
    const json_t *document = sb_json_object(task, "jobDocument");
    const char *name = sb_json_str(document, sb_words_name(turn->in->words, "job_service"));
    const json_t *given = json_object_get(document, sb_words_name(turn->in->words, "job_params"));
    const json_t *arguments = json_is_object(given) ? given : NULL;
    if (given && !arguments && !json_is_null(given))
        return "the params of the job's document are no object";
    bool file = json_object_size(sb_json_object(task, "jobFile")) > 0;
    const char *wrong = NULL;
    if (file && json_object_size(arguments) > 0)
        return "a configuration comes as params or as a file, not as both";
    if (!name && !file && json_object_size(arguments) == 0)
        return "the job's document names no service and has no properties";
    if (file) {
        wrong = read_file(turn, task, name, ret);
    } else if (!name) {
        ret->op = SB_OP_WRITE;
        ret->params = json_pack("{s:O}", "values", arguments);
    } else if (!sb_ali_operation(turn, name, arguments, &ret->op, &ret->params)) {
        wrong = "this device has no such service";
    }
    return wrong ? wrong : sb_dialect_can(turn->in, ret->op) ? NULL : "this device cannot do that";
}

static void begin(struct sb_ali_turn *turn, const char *id, const json_t *task)
{
    struct order order = { .op = SB_OP_INVOKE };
    const char *wrong = read_document(turn, task, &order);
    struct sb_ali_ask *ask =
        wrong || !turn->in->ready ? NULL : sb_ali_ask_add(turn, SB_ALI_JOB, id, NULL, order.op);
    sb_cleanup(sb_freep) char *key = sb_format("job:%s", id);
    if (ask && key) {
        sb_ali_submit(turn, ask->tag, key, order.op, order.params, order.package);
        return;
    }
    json_decref(order.params);
    json_decref(order.package);
    if (wrong)
        reject(turn, id, wrong);
    else
        sb_effects_timer(turn->effects, TIMER, sb_words_limit(turn->in->words, "offer_retry"));
}

/* The platform has closed it. */
static bool is_closed(const char *status, enum sb_cause *ret_cause)
{
    bool late = sb_streq(status, "TIMED_OUT");
    *ret_cause = late ? SB_CAUSE_EXPIRED : SB_CAUSE_OPERATOR;
    return late || sb_streq(status, "CANCELLED") || sb_streq(status, "REMOVED");
}

void sb_ali_job(struct sb_ali_turn *turn, const json_t *task)
{
    const char *id = sb_json_str(task, "taskId");
    enum sb_cause cause = SB_CAUSE_OPERATOR;
    if (!id || !*id || strlen(id) > SB_ALIBABA_ID_MAX || !turn->in->device)
        return;
    struct sb_ali_ask *ask = sb_ali_ask_of(turn->state, SB_ALI_JOB, id, NULL);
    if (!is_closed(sb_json_str(task, "status"), &cause)) {
        if (ask)
            sb_ali_job_tell(turn, ask);
        else
            begin(turn, id, task);
        return;
    }
    int64_t open = ask ? ask->task : 0;
    if (ask)
        sb_ali_ask_end(turn, ask);
    if (open)
        sb_effects_cancel(turn->effects, open, cause);
}

void sb_ali_job_notify(struct sb_ali_turn *turn)
{
    const struct sb_message *message = turn->in->message;
    const json_t *task = sb_json_object(message->body, "task");
    const char *wrong = message->error                 ? message->error
                        : !sb_json_str(task, "taskId") ? "params.task has no taskId"
                                                       : NULL;
    sb_ali_reply(turn, sb_words_name(turn->in->words, "job_notify"),
                 sb_ali_answer(turn, message->id, wrong ? SB_ALIBABA_BAD_PARAMS : SB_ALIBABA_OK,
                               wrong, NULL),
                 0);
    if (!wrong)
        sb_ali_job(turn, task);
}

void sb_ali_job_next(struct sb_ali_turn *turn)
{
    if (turn->in->message->code == SB_ALIBABA_OK)
        sb_ali_job(turn, sb_json_object(turn->in->message->body, "task"));
}

/* Whose update it answers: a refusal need not name the task. */
static struct sb_ali_ask *updated(struct sb_ali_state *state, const struct sb_message *message)
{
    const char *id = sb_json_str(message->body, "taskId");
    if (id)
        return sb_ali_ask_of(state, SB_ALI_JOB, id, NULL);
    for (size_t i = 0; message->id && i < state->ask_count; i++)
        if (sb_streq(state->asks[i].message, message->id))
            return &state->asks[i];
    return NULL;
}

/* Also a refusal is an end: the platform will not take it another time. */
void sb_ali_job_updated(struct sb_ali_turn *turn)
{
    const struct sb_message *message = turn->in->message;
    struct sb_ali_ask *ask = updated(turn->state, message);
    if (!ask || !ask->reply)
        return;
    if (message->code != SB_ALIBABA_OK)
        sb_effects_note(turn->effects, "the status of job task %s was not taken: code %d", ask->id,
                        message->code);
    sb_ali_ask_end(turn, ask);
    sb_ali_job_get(turn);
}

/* ---- what becomes of it ---- */

void sb_ali_job_verdict(struct sb_ali_turn *turn, struct sb_ali_ask *ask)
{
    const struct sb_verdict *verdict = turn->in->verdict;
    ask->task = verdict->task;
    turn->effects->save = true;
    if (verdict->cause == SB_CAUSE_BUSY) {
        sb_ali_ask_end(turn, ask);
        sb_effects_timer(turn->effects, TIMER, sb_words_limit(turn->in->words, "offer_retry"));
    } else if (verdict->cause != SB_CAUSE_NONE) {
        const char *own = sb_json_str(sb_dialect_cause_cell(turn->in, verdict->cause), "message");
        finish(turn, ask,
               update_of(turn, ask->id, "REJECTED", 0, verdict->text ? verdict->text : own));
    }
}

void sb_ali_job_follow(struct sb_ali_turn *turn, struct sb_ali_ask *ask, const struct sb_task *task)
{
    const char *status = sb_json_str(sb_dialect_task_cell(turn->in, task), "status");
    if (sb_task_state_is_final(task->state)) {
        bool good = task->state == SB_TASK_SUCCEEDED;
        sb_cleanup(sb_freep) char *text = sb_dialect_task_text(turn->in, task);
        json_t *update = update_of(turn, ask->id, status ? status : "FAILED",
                                   good ? 100 : SB_MAX(ask->percent, 0), text);
        if (good && task->result)
            sb_ali_keep(turn, json_object_set(json_object_get(update, "statusDetails"), "result",
                                              task->result));
        finish(turn, ask, update);
        return;
    }
    int percent = SB_MIN((int)task->furthest_percent, 99);
    bool far = ask->percent < 0 ||
               percent - ask->percent >= (int)sb_words_limit(turn->in->words, "step_every");
    if (!status || percent <= ask->percent || !far)
        return;
    ask->percent = percent;
    turn->effects->save = true;
    sb_ali_job_tell(turn, ask);
}
