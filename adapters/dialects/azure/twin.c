/* SPDX-License-Identifier: Apache-2.0 */
/* The document and the hub: read after each connect, then kept equal by merge patches. */
#include "adapters/dialects/azure/parts.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define TIMER "twin"

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
    state->put_off++;
    state->waiting = true;
    sb_effects_timer(turn->effects, TIMER, SB_MIN(wait, SB_MAX(most, INT64_C(1))));
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
    else if (!turn->in->self)
        sb_azure_wishes(turn, state->desired, version);
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

/* The largest of the parts that may be left out, in a document or one of a device. */
static json_t *largest(struct sb_azure_turn *turn, json_t *document, const char *word)
{
    const char *key = sb_words_name(turn->in->words, word), *name;
    json_t *holder = json_object_get(document, key) ? document : NULL, *child;
    size_t most = holder ? sb_azure_size(json_object_get(document, key)) : 0;
    json_t *children = json_object_get(document, sb_words_name(turn->in->words, "twin_children"));
    json_object_foreach (children, name, child) {
        size_t size = sb_azure_size(json_object_get(child, key));
        if (json_object_get(child, key) && size > most) {
            most = size;
            holder = child;
        }
    }
    return holder;
}

/* False: even the firmware states do not fit. */
static bool fit(struct sb_azure_turn *turn, json_t *document)
{
    static const char *const words[] = { "twin_properties", "twin_configuration", "twin_dm",
                                         "twin_device" };
    size_t room = (size_t)sb_words_limit(turn->in->words, "twin_bytes");
    for (size_t i = 0; i < SB_COUNT(words);) {
        if (sb_azure_size(document) <= room)
            return true;
        json_t *holder = largest(turn, document, words[i]);
        if (holder)
            (void)json_object_del(holder, sb_words_name(turn->in->words, words[i]));
        else
            i++;
    }
    return sb_azure_size(document) <= room;
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
    if (!fit(turn, document)) {
        sb_effects_note(turn->effects, "the twin is full: %zu bytes would have to be reported",
                        sb_azure_size(document));
        return;
    }
    sb_cleanup(json_decrefp) json_t *from = ours(turn, document);
    json_t *patch = sb_azure_diff(from, document);
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

/* ---- what the hub answers ---- */

static bool put_off(int code)
{
    return code == SB_AZURE_THROTTLED || code >= 500;
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
    if (!good)
        sb_effects_note(turn->effects, "the hub answered a %s of the twin with %d",
                        read ? "read" : "report", message->code);
    if (read && good) {
        on_twin(turn);
    } else if (patch && (good || !put_off(message->code))) {
        on_reported(turn);
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
        return; /* again */
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
