/* SPDX-License-Identifier: Apache-2.0 */
/* The document and the hub: read after each connect, then kept equal by merge patches. */
#include <inttypes.h>

#include "adapters/dialects/azure/parts.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define TIMER       "twin"
#define REFUSED_MAX 16  /* patches in a row */
#define WHAT_MAX    512 /* bytes about the tasks of one patch */

static void forget_patch(struct sb_azure_state *state)
{
    free(SB_STEAL(state->patch_id));
    json_decref(state->patch);
    state->patch = NULL;
}

static bool new_id(struct sb_azure_turn *turn, char **slot)
{
    char id[SB_UUID_TEXT + 1];
    sb_uuid(id);
    sb_effects_set(turn->effects, slot, id);
    return *slot != NULL;
}

/* ---- waiting ---- */

static void wait_longer(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    int64_t wait = sb_words_limit(turn->in->words, "throttled_retry");
    int64_t most = sb_words_limit(turn->in->words, "throttled_most");
    for (unsigned i = 0; i < state->put_off && wait < most; i++)
        wait *= 2;
    wait = SB_MIN(wait, SB_MAX(most, INT64_C(1)));
    state->put_off++;
    state->waiting = true;
    /* hundreds that are put off together must not come back as one */
    sb_effects_timer(turn->effects, TIMER, wait + sb_random((uint32_t)(wait / 2) + 1));
}

/* ---- reading ---- */

void sb_azure_read(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    if (!turn->in->connected || turn->child)
        return;
    forget_patch(state); /* what of it has arrived is seen */
    free(SB_STEAL(state->get_id));
    if (!new_id(turn, &state->get_id))
        return;
    state->waiting = false;
    sb_azure_send(turn, &(struct sb_azure_parcel){
                            .topic = sb_words_fill(sb_words_name(turn->in->words, "topic_get"),
                                                   "rid", state->get_id, NULL),
                            .token = state->get_id });
    sb_effects_timer(turn->effects, TIMER, sb_words_limit(turn->in->words, "reply_timeout"));
}

static void keep_desired(struct sb_azure_turn *turn, const json_t *desired)
{
    struct sb_azure_state *state = turn->state;
    json_decref(state->desired);
    state->desired = json_is_object(desired) ? json_deep_copy(desired) : json_object();
    if (!state->desired)
        turn->effects->broken = true;
}

static void apply_desired(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    int64_t version = sb_json_int(state->desired, "$version", 0);
    if (turn->in->self && turn->config->mode == SB_AZURE_GATEWAY)
        sb_azure_tell_wishes(turn);
    sb_azure_wishes(turn, state->desired, version); /* the gateway's own are refused */
}

static void on_twin(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    const json_t *body = turn->in->message->body;
    const json_t *reported = sb_json_object(body, "reported");
    const json_t *desired = sb_json_object(body, "desired");
    free(SB_STEAL(state->get_id));
    sb_effects_timer(turn->effects, TIMER, -1);
    if (!json_is_object(body)) {
        sb_effects_note(turn->effects, "the hub answered with a twin that is no JSON object");
        wait_longer(turn);
        return;
    }
    state->put_off = 0;
    if (sb_json_int(desired, "$version", 0) < state->newest) { /* older than what was heard */
        state->newest = 0; /* but the next one counts, whatever it says */
        json_decref(state->told);
        state->told = NULL;
        wait_longer(turn);
        return;
    }
    json_decref(state->told);
    state->told = reported ? json_deep_copy(reported) : json_object();
    if (!state->told)
        turn->effects->broken = true;
    keep_desired(turn, desired);
    sb_azure_family_settled(turn);
    (void)sb_effects_add(turn->effects, SB_OUT_CURRENT);
    apply_desired(turn);
    sb_azure_report(turn);
}

/* ---- reporting ---- */

/* Of the hub's copy only the parts that are ours; in a gateway's, of the devices that are heard
 * of. */
static json_t *ours(struct sb_azure_turn *turn, const json_t *document)
{
    static const char *const words[] = { "twin_firmware", "twin_dm", "twin_configuration",
                                         "twin_properties", "twin_device" };
    const struct sb_azure_state *state = turn->state;
    json_t *part = json_object();
    for (size_t i = 0; i < SB_COUNT(words); i++) {
        const char *key = sb_words_name(turn->in->words, words[i]);
        json_t *value = json_object_get(state->told, key);
        if (value)
            sb_effects_put(turn->effects, part, key, json_incref(value));
    }
    const char *children = sb_words_name(turn->in->words, "twin_children");
    const json_t *known = sb_json_object(state->told, children);
    if (!known || !json_object_get(document, children))
        return part;
    json_t *heard = json_object();
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)known, key, value) {
        if (json_object_get(state->children, key))
            sb_effects_put(turn->effects, heard, key, json_incref(value));
    }
    sb_effects_put(turn->effects, part, children, heard);
    return part;
}

/* What the twin must hold; a removed device's part is null, which deletes it. */
static json_t *whole(struct sb_azure_turn *turn)
{
    const struct sb_azure_state *state = turn->state;
    json_t *document = sb_azure_document(turn);
    if (turn->in->self && json_object_size(state->children) > 0)
        sb_effects_put(turn->effects, document, sb_words_name(turn->in->words, "twin_children"),
                       json_deep_copy(state->children));
    return document;
}

/* Its first leaves, and how many more may follow. NULL: no memory. */
static json_t *first_of(const json_t *patch, size_t *room)
{
    json_t *some = json_object();
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)patch, key, value) {
        if (*room == 0)
            break;
        bool leaf = json_object_size(value) == 0;
        *room -= leaf;
        if (json_object_set_new(some, key, leaf ? json_incref(value) : first_of(value, room)) < 0) {
            json_decref(some);
            return NULL;
        }
    }
    return some;
}

static size_t leaves(const json_t *patch)
{
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)patch, key, value) {
        count += json_object_size(value) > 0 ? leaves(value) : 1;
    }
    return count;
}

/* After a refusal only so much at once as the hub may take. Takes the patch. */
static json_t *cut(const struct sb_azure_state *state, json_t *patch)
{
    size_t room = state->few;
    if (room == 0 || leaves(patch) <= room)
        return patch;
    json_t *some = first_of(patch, &room);
    json_decref(patch);
    return some;
}

void sb_azure_ended(struct sb_azure_turn *turn, int64_t task, const char *what)
{
    struct sb_azure_state *state = turn->state;
    if (state->final_task == task)
        return;
    sb_cleanup(sb_freep) char *before = SB_STEAL(state->what);
    what = what ? what : "ended";
    if (!state->final_task)
        state->what = strdup(what);
    else if (before && strlen(before) > WHAT_MAX)
        state->what = sb_format("%s; and tasks before it", what);
    else
        state->what = sb_format("%s; task %" PRId64 " %s", what, state->final_task,
                                before ? before : "ended");
    turn->effects->broken |= !state->what;
    state->final_task = task;
}

static void send_patch(struct sb_azure_turn *turn, json_t *patch)
{
    struct sb_azure_state *state = turn->state;
    state->patch = patch;
    if (!new_id(turn, &state->patch_id))
        return;
    sb_azure_send(turn, &(struct sb_azure_parcel){
                            .topic = sb_words_fill(sb_words_name(turn->in->words, "topic_report"),
                                                   "rid", state->patch_id, NULL),
                            .payload = json_incref(patch),
                            .token = state->patch_id,
                            .what = state->what,
                            .qos = 1,
                            .task = state->final_task });
    state->final_task = 0;
    free(SB_STEAL(state->what));
    sb_effects_timer(turn->effects, TIMER, sb_words_limit(turn->in->words, "reply_timeout"));
}

void sb_azure_report(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    if (turn->child) {
        sb_azure_hand_over(turn);
        return;
    }
    if (!turn->in->connected || !state->told || state->get_id || state->patch_id || state->waiting)
        return; /* what comes next compares again */
    sb_cleanup(json_decrefp) json_t *document = whole(turn);
    sb_azure_fit(turn, document);
    sb_cleanup(json_decrefp) json_t *from = ours(turn, document);
    json_t *patch = sb_azure_diff(from, document);
    patch = patch ? cut(state, patch) : NULL;
    if (!patch)
        turn->effects->broken = true;
    else if (json_object_size(patch) > 0)
        send_patch(turn, patch);
    else
        json_decref(patch);
}

/* It is in the twin now, or will never be: what differs from the record is the hub's word. */
static void on_reported(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    if (sb_azure_merge(state->told, state->patch) < 0)
        turn->effects->broken = true;
    state->put_off = 0;
    forget_patch(state);
    sb_azure_family_settled(turn);
    sb_effects_timer(turn->effects, TIMER, -1);
    sb_azure_report(turn);
}

static void on_accepted(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    state->refused = 0;
    state->few = leaves(state->patch) < state->few ? 0 : state->few * 2;
    on_reported(turn);
}

/* "children/pump-7/firmware/ac": the first leaf. */
static char *path_of(const json_t *patch)
{
    struct sb_str path = { 0 };
    void *first;
    while ((first = json_object_iter((json_t *)patch))) {
        sb_str_format(&path, "%s%s", path.length ? "/" : "", json_object_iter_key(first));
        patch = json_object_iter_value(first);
    }
    return sb_str_take(&path);
}

/* A hub refuses a patch as a whole, for one value that it does not take: that is found by halves,
 * and left out alone. */
static void on_refused(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    size_t count = leaves(state->patch);
    bool all = ++state->refused > REFUSED_MAX; /* it does not take anything */
    if (count > 1 && !all) {
        state->few = count / 2;
        forget_patch(state);
        sb_azure_report(turn);
        return;
    }
    sb_cleanup(sb_freep) char *path = path_of(state->patch);
    sb_cleanup(sb_freep) char *clean = sb_dialect_presentable(path ? path : "");
    sb_effects_note(turn->effects, "the hub refuses what is reported of %s%s with %d: left out",
                    clean ? clean : "", count > 1 ? " and others" : "", turn->in->message->code);
    state->few = all ? 0 : 1;
    on_reported(turn);
}

/* ---- what the hub answers ---- */

static bool put_off(int code)
{
    return code == SB_AZURE_THROTTLED || code >= 500 || code == 0; /* 0: it is no status */
}

void sb_azure_result(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    const struct sb_message *message = turn->in->message;
    bool read = message->id && sb_streq(message->id, state->get_id);
    bool patch = message->id && sb_streq(message->id, state->patch_id);
    bool good = message->code >= 200 && message->code < 300;
    if (message->id)
        sb_effects_settle(turn->effects, message->id);
    if (!read && !patch)
        return;
    bool refused = patch && !good && !put_off(message->code);
    if (!good && !refused)
        sb_effects_note(turn->effects, "the hub answered a %s of the twin with %d",
                        read ? "read" : "report", message->code);
    if (read && good) {
        on_twin(turn);
    } else if (patch && good) {
        on_accepted(turn);
    } else if (refused) {
        on_refused(turn);
    } else { /* a read that is refused may be granted later */
        free(SB_STEAL(state->get_id));
        forget_patch(state);
        wait_longer(turn);
    }
}

void sb_azure_desired(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    const json_t *patch = turn->in->message->body;
    int64_t version = sb_json_int(patch, "$version", -1);
    int64_t have = sb_json_int(state->desired, "$version", 0);
    if (!json_is_object(patch) || version < 0) {
        sb_effects_note(turn->effects,
                        "desired properties without $version or not JSON: reading the twin");
        sb_azure_read(turn);
        return;
    }
    state->newest = SB_MAX(state->newest, version);
    if (!state->desired || state->get_id)
        return; /* the read tells */
    if (version <= have)
        return;                                 /* again */
    if (version > have + 1 && state->waiting) { /* the hub has its pause first */
        json_decref(state->told);
        state->told = NULL;
        return;
    }
    if (version > have + 1) {
        sb_azure_read(turn);
        return;
    }
    if (sb_azure_merge(state->desired, patch) < 0)
        turn->effects->broken = true;
    apply_desired(turn);
    sb_azure_report(turn);
}

/* No answer came, or the hub has had its pause. */
void sb_azure_twin_due(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    bool silent = state->get_id || state->patch_id;
    state->waiting = false;
    if (silent && state->put_off++ == 0)
        sb_effects_note(turn->effects, "the hub does not answer about the twin: reading it again");
    if (silent || !state->told)
        sb_azure_read(turn);
    else
        sb_azure_report(turn);
}
