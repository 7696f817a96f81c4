/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mode gateway: the devices' documents are parts of the gateway's twin, and so are their wishes.
 *     a device -> "document" {id, doc, task, what}, "gone" {id, name} -> the gateway,
 *         this one also when the link's mode has become devices
 *     the gateway -> "desired" {desired, version} -> a device
 */
#include <ctype.h>

#include "adapters/dialects/azure/parts.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"

/* ---- a device's side ---- */

static const char *id_of(const struct sb_azure_turn *turn)
{
    return turn->in->device ? turn->in->device->id : "";
}

/* Its part stands under the name by which it was handed over. */
static void say_gone(struct sb_azure_turn *turn)
{
    const char *name = turn->state->name ? turn->state->name : turn->in->name;
    sb_effects_tell(turn->effects, NULL, "gone",
                    json_pack("{s:s,s:s*}", "id", id_of(turn), "name", name));
}

/* The name is kept over restarts: it may change while nobody looks. */
static void note_name(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    if (sb_streq(state->name, turn->in->name))
        return;
    if (state->name)
        say_gone(turn);
    json_decref(SB_STEAL(state->handed));
    sb_effects_set(turn->effects, &state->name, turn->in->name);
    turn->effects->save = true;
}

void sb_azure_hand_over(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    if (!turn->in->connected)
        return;
    note_name(turn);
    json_t *document = sb_azure_document(turn);
    if (json_equal(document, state->handed)) {
        json_decref(document);
        return;
    }
    json_decref(state->handed);
    state->handed = document;
    sb_effects_tell(turn->effects, NULL, "document",
                    json_pack("{s:s,s:O,s:I,s:s*}", "id", id_of(turn), "doc", document, "task",
                              (json_int_t)state->final_task, "what", state->what));
    state->final_task = 0;
    free(SB_STEAL(state->what));
}

/* ---- the gateway's side ---- */

/* The name that a key stands for; caller frees. */
static char *name_of(const char *key)
{
    struct sb_str name = { 0 };
    uint8_t byte;
    while (*key) {
        char hex[3] = { 0 };
        if (*key == '%' && key[1] && key[2])
            memcpy(hex, key + 1, 2);
        if (hex[0] && sb_hex_decode(hex, &byte, 1) == 0 && byte) {
            sb_str_add_char(&name, (char)byte);
            key += 3;
        } else {
            sb_str_add_char(&name, *key++);
        }
    }
    return sb_str_take(&name);
}

/* A key as we write it: an escape may be spelled in more than one way. Caller frees. */
static char *own_key(const char *key)
{
    sb_cleanup(sb_freep) char *name = name_of(key);
    return name ? sb_azure_key(name) : NULL;
}

static json_t *part_of(const struct sb_azure_turn *turn, const char *key)
{
    const json_t *children =
        sb_json_object(turn->state->desired, sb_words_name(turn->in->words, "twin_children"));
    json_t *part = json_object_get(children, key), *value;
    const char *other;
    json_object_foreach ((json_t *)children, other, value) {
        sb_cleanup(sb_freep) char *same = part ? NULL : own_key(other);
        part = same && sb_streq(same, key) ? value : part;
    }
    return json_is_object(part) ? json_incref(part) : json_object();
}

/* Only what it was not told on this connection. */
static void tell_wish(struct sb_azure_turn *turn, const char *key)
{
    struct sb_azure_state *state = turn->state;
    sb_cleanup(sb_freep) char *name = name_of(key);
    json_t *part = part_of(turn, key);
    if (!state->wished)
        state->wished = json_object();
    if (!name || !part || !state->wished) {
        turn->effects->broken = true;
        json_decref(part);
        return;
    }
    if (!json_equal(part, json_object_get(state->wished, key))) {
        sb_effects_put(turn->effects, state->wished, key, json_incref(part));
        sb_effects_tell(turn->effects, name, "desired",
                        json_pack("{s:O,s:I}", "desired", part, "version",
                                  (json_int_t)sb_json_int(state->desired, "$version", 0)));
    }
    json_decref(part);
}

/* Those of whom the twin speaks now, and those of whom it spoke before. */
void sb_azure_tell_wishes(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    const json_t *children =
        sb_json_object(state->desired, sb_words_name(turn->in->words, "twin_children"));
    sb_cleanup(json_decrefp) json_t *all = json_object();
    const char *key;
    json_t *value;
    if (json_object_update_missing(all, state->wished ? state->wished : all) < 0)
        turn->effects->broken = true;
    json_object_foreach ((json_t *)children, key, value) {
        sb_cleanup(sb_freep) char *own = own_key(key);
        if (!own || json_object_set_new(all, own, json_true()) < 0)
            turn->effects->broken = true;
    }
    json_object_foreach (all, key, value) {
        tell_wish(turn, key);
    }
}

/* Takes value. */
static void put_child(struct sb_azure_turn *turn, const char *key, json_t *value)
{
    struct sb_azure_state *state = turn->state;
    if (!state->children)
        state->children = json_object();
    if (!state->owners)
        state->owners = json_object();
    sb_effects_put(turn->effects, state->children, key, value);
}

static void take_document(struct sb_azure_turn *turn, const char *key)
{
    struct sb_azure_state *state = turn->state;
    const json_t *told = turn->in->told;
    json_t *document = json_object_get(told, "doc");
    if (!json_is_object(json_object_get(state->children, key)))
        (void)json_object_del(state->wished, key); /* nobody was there to hear it */
    put_child(turn, key, json_incref(document));
    sb_effects_put(turn->effects, state->owners, key, json_incref(json_object_get(told, "id")));
    if (sb_json_int(told, "task", 0) > 0)
        sb_azure_ended(turn, sb_json_int(told, "task", 0), sb_json_str(told, "what"));
    if (state->desired)
        tell_wish(turn, key);
}

/* null deletes its part of the twin, with the next patch and after each read; unless another has
 * its name by now: false. */
static bool take_leave(struct sb_azure_turn *turn, const char *key)
{
    struct sb_azure_state *state = turn->state;
    const char *owner = sb_json_str(state->owners, key);
    if (owner && !sb_streq(owner, sb_json_str(turn->in->told, "id")))
        return false;
    put_child(turn, key, json_null());
    (void)json_object_del(state->owners, key);
    (void)json_object_del(state->wished, key);
    turn->effects->save = true;
    return true;
}

/* Of those that left, the twin holds nothing any more. */
void sb_azure_family_settled(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    const json_t *known =
        sb_json_object(state->told, sb_words_name(turn->in->words, "twin_children"));
    const char *key;
    json_t *document;
    void *next;
    json_object_foreach_safe (state->children, next, key, document) {
        if (!json_is_null(document) || json_object_get(known, key))
            continue;
        (void)json_object_del(state->children, key);
        turn->effects->save = true;
    }
}

bool sb_azure_told(struct sb_azure_turn *turn)
{
    const struct sb_input *in = turn->in;
    const char *name = sb_json_str(in->told, "name");
    sb_cleanup(sb_freep) char *key = in->from ? sb_azure_key(name ? name : in->from) : NULL;
    if (in->from && !key) {
        turn->effects->broken = true;
        return false;
    }
    if (in->self && in->from && sb_streq(in->tag, "gone"))
        return take_leave(turn, key);
    if (in->self && in->from && sb_streq(in->tag, "document"))
        take_document(turn, key);
    else if (turn->child && sb_streq(in->tag, "desired"))
        sb_azure_wishes(turn, sb_json_object(in->told, "desired"),
                        sb_json_int(in->told, "version", 0));
    else
        return false;
    return true;
}

/* The link was switched from mode gateway: its part of the gateway's twin tells nothing any more.
 */
void sb_azure_alone(struct sb_azure_turn *turn)
{
    if (turn->child || !turn->state->name)
        return;
    say_gone(turn);
    free(SB_STEAL(turn->state->name));
    turn->effects->save = true;
}

void sb_azure_leave(struct sb_azure_turn *turn)
{
    sb_azure_asks_refuse(turn, SB_CAUSE_DEVICE_GONE);
    if (turn->child)
        say_gone(turn);
    sb_azure_state_reset(turn->state);
    turn->effects->save = true;
}
