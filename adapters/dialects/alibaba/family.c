/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's own conversation: it asks the platform what its sub-devices want, one request at a
 * time, gathering meanwhile. Batches are all or nothing, so each of one that was refused is asked
 * for alone. Who leaves is remembered until the platform has answered that.
 */
#include "adapters/dialects/alibaba/parts.h"
#include "bridge/base/str.h"

#define TIMER     "request"
#define WANTS_MAX 20000 /* as many as there can be devices */
#define LEAVE_MAX 4096  /* names remembered */

SB_NAMES(sb_ali_want, SB_ALI_WANT_MAX_, [SB_ALI_REGISTER] = "register", [SB_ALI_JOIN] = "join",
         [SB_ALI_LOGIN] = "login", [SB_ALI_LOGOUT] = "logout", [SB_ALI_LEAVE] = "leave",
         [SB_ALI_TOPOLOGY] = "topology");

static const struct {
    const char *base, *word, *method;
    const char *batch; /* word of a batch, where it has one of its own */
    const char *limit; /* of a batch; NULL: goes alone */
    bool answered;     /* the sub-device hears what became of it */
} kinds[] = {
    [SB_ALI_REGISTER] = { "topic_sys", "sub_register", "thing.sub.register", NULL, "register_batch",
                          true },
    [SB_ALI_JOIN] = { "topic_sys", "topo_add", "thing.topo.add", NULL, "topology_batch", true },
    [SB_ALI_LOGIN] = { "topic_session", "login", NULL, "batch_login", "login_batch", true },
    [SB_ALI_LOGOUT] = { "topic_session", "logout", NULL, "batch_logout", "login_batch", false },
    [SB_ALI_LEAVE] = { "topic_sys", "topo_delete", "thing.topo.delete", NULL, "topology_batch",
                       false },
    [SB_ALI_TOPOLOGY] = { "topic_sys", "topo_get", "thing.topo.get", NULL, NULL, false },
};

static enum sb_ali_want kind_of(const json_t *want)
{
    return (enum sb_ali_want)sb_json_int(want, "kind", SB_ALI_TOPOLOGY);
}

static void result(struct sb_ali_turn *turn, const json_t *want, int code, const char *secret)
{
    const char *name = sb_json_str(want, "name");
    if (name && kinds[kind_of(want)].answered)
        sb_effects_tell(turn->effects, name, "result",
                        json_pack("{s:i,s:i,s:s*}", "kind", (int)kind_of(want), "code", code,
                                  "secret", secret));
}

/* ---- what is wanted ---- */

static bool goes_out(enum sb_ali_want kind)
{
    return kind == SB_ALI_LOGOUT || kind == SB_ALI_LEAVE;
}

/* The latest counts: who wants in does not want out any more, and the other way round. */
static void want(struct sb_ali_turn *turn, enum sb_ali_want kind, const char *name,
                 const json_t *params, bool alone)
{
    struct sb_ali_state *state = turn->state;
    if (!state->wants)
        state->wants = json_array();
    for (size_t i = json_array_size(state->wants); i-- > 0;) {
        const json_t *old = json_array_get(state->wants, i);
        bool gives_way = kind_of(old) == kind || goes_out(kind_of(old)) != goes_out(kind);
        if (gives_way && sb_streq(sb_json_str(old, "name"), name))
            (void)json_array_remove(state->wants, i);
    }
    json_t *made = json_pack("{s:i,s:s*,s:O*,s:b}", "kind", (int)kind, "name", name, "params",
                             params, "alone", alone);
    if (json_array_size(state->wants) >= WANTS_MAX || !made ||
        json_array_append_new(state->wants, made) < 0)
        turn->effects->broken = true;
}

/* Who is not in the topology need not try to log in. */
static bool is_in_vain(const struct sb_ali_state *state, const json_t *wanted)
{
    const char *name = sb_json_str(wanted, "name");
    return kind_of(wanted) == SB_ALI_LOGIN && state->topology && name &&
           !json_object_get(state->topology, name);
}

static void drop_vain(struct sb_ali_turn *turn)
{
    struct sb_ali_state *state = turn->state;
    for (size_t i = json_array_size(state->wants); i-- > 0;) {
        const json_t *wanted = json_array_get(state->wants, i);
        if (!is_in_vain(state, wanted))
            continue;
        result(turn, wanted, SB_ALIBABA_NO_TOPOLOGY, NULL);
        (void)json_array_remove(state->wants, i);
    }
}

/* The first, and what can go with it. */
static json_t *gather(struct sb_ali_turn *turn)
{
    struct sb_ali_state *state = turn->state;
    const json_t *first = json_array_get(state->wants, 0);
    enum sb_ali_want kind = kind_of(first);
    bool alone = sb_json_bool(first, "alone", false) || !kinds[kind].limit;
    size_t most = alone ? 1 : (size_t)sb_words_limit(turn->in->words, kinds[kind].limit);
    json_t *batch = json_array();
    for (size_t i = 0; i < json_array_size(state->wants) && json_array_size(batch) < most;) {
        json_t *wanted = json_array_get(state->wants, i);
        bool fits = kind_of(wanted) == kind && sb_json_bool(wanted, "alone", false) == alone;
        if (!fits && json_array_size(batch) > 0) {
            i++;
            continue;
        }
        sb_ali_keep(turn, json_array_append(batch, wanted));
        (void)json_array_remove(state->wants, i);
    }
    return batch;
}

/* ---- requests ---- */

static json_t *params_of(struct sb_ali_turn *turn, const json_t *batch, enum sb_ali_want kind)
{
    json_t *first = json_object_get(json_array_get(batch, 0), "params");
    bool many = json_array_size(batch) > 1;
    if (kind == SB_ALI_TOPOLOGY)
        return json_object();
    if ((kind == SB_ALI_LOGOUT || kind == SB_ALI_LOGIN) && !many)
        return json_incref(first);
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(batch); i++)
        sb_ali_keep(turn,
                    json_array_append(list, json_object_get(json_array_get(batch, i), "params")));
    return kind == SB_ALI_LOGIN ? json_pack("{s:o}", "deviceList", list) : list;
}

static void next(struct sb_ali_turn *turn)
{
    struct sb_ali_state *state = turn->state;
    if (!turn->in->connected || state->flying || state->paused)
        return;
    drop_vain(turn);
    if (json_array_size(state->wants) == 0)
        return;
    enum sb_ali_want kind = kind_of(json_array_get(state->wants, 0));
    state->flying = gather(turn);
    state->flying_kind = (int)kind;
    bool batch = kinds[kind].batch && json_array_size(state->flying) > 1;
    json_t *payload = sb_ali_request(turn, kinds[kind].method, params_of(turn, state->flying, kind),
                                     &state->flying_id);
    sb_ali_send(turn, &(struct sb_ali_parcel){
                          .base = kinds[kind].base,
                          .rest = sb_words_name(turn->in->words,
                                                batch ? kinds[kind].batch : kinds[kind].word),
                          .what = sb_ali_want_name((int)kind),
                          .payload = payload });
    sb_effects_timer(turn->effects, TIMER, sb_words_limit(turn->in->words, "reply_timeout"));
}

/* ---- what becomes of them ---- */

static void know(struct sb_ali_turn *turn, const char *name, bool there)
{
    struct sb_ali_state *state = turn->state;
    if (!name || !state->topology)
        return;
    if (there)
        sb_ali_keep(turn, json_object_set_new(state->topology, name, json_true()));
    else
        (void)json_object_del(state->topology, name);
}

/* It has left, or the platform will not let it. */
static void has_left(struct sb_ali_turn *turn, const char *name)
{
    if (name && json_object_del(turn->state->leaving, name) == 0)
        turn->effects->save = true;
}

static void read_topology(struct sb_ali_turn *turn, const json_t *list)
{
    size_t i;
    json_t *entry;
    bool self;
    json_decref(turn->state->topology);
    turn->state->topology = json_object();
    json_array_foreach ((json_t *)list, i, entry) {
        sb_cleanup(sb_freep) char *name = sb_alibaba_called_in(turn->config, entry, &self);
        know(turn, name, true);
    }
}

/* The secret that a registration gave to this one. */
static const char *secret_for(struct sb_ali_turn *turn, const json_t *list, const char *name)
{
    size_t i;
    json_t *entry;
    bool self;
    json_array_foreach ((json_t *)list, i, entry) {
        sb_cleanup(sb_freep) char *called = sb_alibaba_called_in(turn->config, entry, &self);
        const char *secret = sb_json_str(entry, "deviceSecret");
        if (sb_streq(called, name) && secret && *secret)
            return secret;
    }
    return NULL;
}

static void succeeded(struct sb_ali_turn *turn, enum sb_ali_want kind, const json_t *batch,
                      const json_t *data)
{
    if (kind == SB_ALI_TOPOLOGY)
        read_topology(turn, data);
    for (size_t i = 0; i < json_array_size(batch); i++) {
        const json_t *wanted = json_array_get(batch, i);
        const char *name = sb_json_str(wanted, "name");
        const char *secret = kind == SB_ALI_REGISTER ? secret_for(turn, data, name) : NULL;
        if (kind == SB_ALI_JOIN || kind == SB_ALI_LEAVE)
            know(turn, name, kind == SB_ALI_JOIN);
        if (kind == SB_ALI_LEAVE)
            has_left(turn, name);
        result(turn, wanted, kind == SB_ALI_REGISTER && !secret ? 0 : SB_ALIBABA_OK, secret);
    }
}

/* Is the contrary wanted meanwhile? */
static bool is_outdated(const struct sb_ali_state *state, const json_t *wanted)
{
    size_t i;
    json_t *later;
    json_array_foreach (state->wants, i, later) {
        if (goes_out(kind_of(later)) != goes_out(kind_of(wanted)) &&
            sb_streq(sb_json_str(later, "name"), sb_json_str(wanted, "name")))
            return true;
    }
    return false;
}

static void put_back(struct sb_ali_turn *turn, const json_t *batch, bool alone)
{
    for (size_t i = 0; i < json_array_size(batch); i++) {
        const json_t *wanted = json_array_get(batch, i);
        if (is_outdated(turn->state, wanted))
            continue;
        want(turn, kind_of(wanted), sb_json_str(wanted, "name"), json_object_get(wanted, "params"),
             alone);
    }
}

static void failed(struct sb_ali_turn *turn, const json_t *batch, int code)
{
    struct sb_ali_state *state = turn->state;
    if (code == SB_ALIBABA_THROTTLED) {
        put_back(turn, batch, false);
        state->paused = true;
        sb_effects_timer(
            turn->effects, TIMER,
            SB_MIN(sb_words_limit(turn->in->words, "login_retry") << SB_MIN(state->throttled, 10U),
                   sb_words_limit(turn->in->words, "login_most")));
        state->throttled++;
    } else if (json_array_size(batch) > 1 && code != 0) {
        put_back(turn, batch, true);
    } else {
        for (size_t i = 0; i < json_array_size(batch); i++) {
            const json_t *wanted = json_array_get(batch, i);
            if (code != 0 && kind_of(wanted) == SB_ALI_LEAVE)
                has_left(turn, sb_json_str(wanted, "name"));
            result(turn, wanted, code, NULL);
        }
    }
}

static void settle(struct sb_ali_turn *turn, int code, const json_t *data)
{
    struct sb_ali_state *state = turn->state;
    sb_cleanup(json_decrefp) json_t *batch = SB_STEAL(state->flying);
    enum sb_ali_want kind = (enum sb_ali_want)state->flying_kind;
    free(SB_STEAL(state->flying_id));
    sb_effects_timer(turn->effects, TIMER, -1);
    if (code == SB_ALIBABA_OK) {
        state->throttled = 0;
        succeeded(turn, kind, batch, data);
    } else {
        failed(turn, batch, code);
    }
    next(turn);
}

static bool is_answer(const struct sb_ali_state *state, const struct sb_message *message)
{
    if (!state->flying || !sb_streq(message->id, state->flying_id))
        return false;
    const char *word = kinds[state->flying_kind].word, *batch = kinds[state->flying_kind].batch;
    return sb_streq(message->what, word) || (batch && sb_streq(message->what, batch));
}

void sb_ali_family_reply(struct sb_ali_turn *turn)
{
    const struct sb_message *message = turn->in->message;
    if (is_answer(turn->state, message))
        settle(turn, message->error ? 0 : message->code, message->body);
}

void sb_ali_family_due(struct sb_ali_turn *turn)
{
    if (turn->state->flying) {
        settle(turn, 0, NULL);
        return;
    }
    turn->state->paused = false;
    next(turn);
}

void sb_ali_family_up(struct sb_ali_turn *turn)
{
    const char *name;
    json_t *identity;
    want(turn, SB_ALI_TOPOLOGY, NULL, NULL, true);
    json_object_foreach (turn->state->leaving, name, identity) {
        want(turn, SB_ALI_LEAVE, name, identity, false);
    }
    next(turn);
}

/* Who leaves, or is here again. */
static void remember(struct sb_ali_turn *turn, enum sb_ali_want kind, const char *name)
{
    struct sb_ali_state *state = turn->state;
    if (!goes_out(kind))
        has_left(turn, name);
    if (kind != SB_ALI_LEAVE || json_object_size(state->leaving) >= LEAVE_MAX)
        return;
    if (!state->leaving)
        state->leaving = json_object();
    sb_ali_keep(turn, json_object_set(state->leaving, name, (json_t *)turn->in->told));
    turn->effects->save = true;
}

/* Who goes out may have been called otherwise. */
void sb_ali_family_told(struct sb_ali_turn *turn)
{
    int kind = sb_ali_want_from_name(turn->in->tag);
    if (kind < 0 || !turn->in->from)
        return;
    bool self = false;
    sb_cleanup(sb_freep) char *former =
        goes_out((enum sb_ali_want)kind) ? sb_alibaba_called_in(turn->config, turn->in->told, &self)
                                         : NULL;
    const char *name = former ? former : turn->in->from;
    remember(turn, (enum sb_ali_want)kind, name);
    if (!turn->in->connected)
        return;
    want(turn, (enum sb_ali_want)kind, name, turn->in->told, false);
    next(turn);
}

/* ---- the platform speaks of the topology ---- */

static void tell_all(struct sb_ali_turn *turn, const json_t *list, bool there)
{
    size_t i;
    json_t *entry;
    json_array_foreach ((json_t *)list, i, entry) {
        bool self;
        sb_cleanup(sb_freep) char *name = sb_alibaba_called_in(turn->config, entry, &self);
        if (!name)
            continue;
        if (!there)
            know(turn, name, false);
        sb_effects_tell(turn->effects, name, there ? "start" : "gone", json_object());
    }
}

void sb_ali_topology_notice(struct sb_ali_turn *turn)
{
    const struct sb_message *message = turn->in->message;
    const json_t *list =
        json_is_array(message->body) ? message->body : sb_json_array(message->body, "subList");
    bool notify = message->kind == SB_ALIBABA_TOPO_NOTIFY;
    int64_t status = sb_json_int(message->body, "status", 0);
    if (message->id)
        sb_ali_reply(turn, sb_words_name(turn->in->words, notify ? "topo_notify" : "topo_change"),
                     sb_ali_answer(turn, message->id,
                                   message->error ? SB_ALIBABA_BAD_PARAMS : SB_ALIBABA_OK,
                                   message->error, NULL),
                     0);
    /* 2 and 8 are enable and disable, in the one or the other order: the login will say. */
    tell_all(turn, list, notify || status != 1);
}
