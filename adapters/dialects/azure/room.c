/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A twin has 32 KB, which are few for a gateway with hundreds of devices in it. What has no room is
 * left out in steps, the largest first: values of properties, configuration, iothubDM, identity and
 * presence, the details of firmware; then whole devices, first those that are at nothing, and of
 * these who was never updated, or long ago. So what stays longest is the firmware state of a device
 * that is updated, has failed, or has just been updated. It is noted when it goes a step further
 * than before on this connection.
 */
#include "adapters/dialects/azure/parts.h"

struct part { /* that may be left out */
    json_t *holder;
    const char *key;   /* the holder's own */
    const char *ended; /* of a device: its last update; "" of all else */
    size_t weight, order;
};

struct parts {
    struct part *list;
    size_t count, room;
};

static size_t weight_of(const json_t *value);

static size_t weight_of_member(const char *key, const json_t *value)
{
    return strlen(key) + 4 + weight_of(value);
}

/* A hub counts names, texts by their length, and each number as eight bytes. This is never less,
 * and about what it takes as JSON. */
static size_t weight_of(const json_t *value)
{
    size_t sum = 2, i;
    const char *key;
    json_t *member;
    json_object_foreach ((json_t *)value, key, member) {
        sum += weight_of_member(key, member);
    }
    json_array_foreach (value, i, member) {
        sum += 1 + weight_of(member);
    }
    if (json_is_integer(value))
        return json_integer_value(value) / 10000000 == 0 ? 8 : 20;
    if (json_is_number(value))
        return 24;
    return json_is_boolean(value) || json_is_null(value) ? 5 : sum + json_string_length(value);
}

static void add(struct sb_azure_turn *turn, struct parts *parts, json_t *holder, const char *key,
                const char *ended)
{
    const json_t *value = json_object_get(holder, key);
    if (!value)
        return;
    if (parts->count == parts->room) {
        size_t room = parts->room ? parts->room * 2 : 64;
        struct part *list = reallocarray(parts->list, room, sizeof(*list));
        if (!list) {
            turn->effects->broken = true;
            return;
        }
        parts->list = list;
        parts->room = room;
    }
    parts->list[parts->count] =
        (struct part){ holder, key, ended, weight_of_member(key, value), parts->count };
    parts->count++;
}

/* ---- the steps ---- */

typedef void (*gather_fn)(struct sb_azure_turn *turn, struct parts *parts, json_t *holder,
                          const char *word);

static void gather_part(struct sb_azure_turn *turn, struct parts *parts, json_t *holder,
                        const char *word)
{
    add(turn, parts, holder, sb_words_name(turn->in->words, word), "");
}

static void gather_members(struct sb_azure_turn *turn, struct parts *parts, json_t *holder,
                           const char *word)
{
    json_t *object = json_object_get(holder, sb_words_name(turn->in->words, word));
    const char *key;
    json_t *value;
    json_object_foreach (object, key, value) {
        add(turn, parts, object, key, "");
    }
}

static void gather_details(struct sb_azure_turn *turn, struct parts *parts, json_t *holder,
                           const char *word)
{
    static const char *const details[] = { "fwUpdateSubstatus", "lastFwUpdateStartTime",
                                           "lastFwUpdateEndTime", "ad" };
    json_t *firmware = json_object_get(holder, sb_words_name(turn->in->words, word));
    for (size_t i = 0; i < SB_COUNT(details); i++)
        add(turn, parts, firmware, details[i], "");
}

static const struct step {
    gather_fn gather; /* NULL: whole devices */
    const char *word;
    bool any; /* not only those that are at nothing */
    const char *what;
} steps[] = {
    { gather_members, "twin_properties", false, "values of properties" },
    { gather_part, "twin_properties", false, "properties" },
    { gather_part, "twin_configuration", false, "configurations" },
    { gather_part, "twin_dm", false, "reports of methods" },
    { gather_part, "twin_device", false, "identities" },
    { gather_details, "twin_firmware", false, "details of firmware" },
    { NULL, NULL, false, "devices that are at nothing" },
    { NULL, NULL, true, "devices" },
};

/* Neither waits for firmware nor gets it, nor has failed: as after a success. */
static bool is_at_rest(const struct sb_azure_turn *turn, const json_t *child)
{
    const json_t *cell = sb_words_cell(turn->in->words, SB_ROLE_SENDS, SB_OP_FIRMWARE_UPDATE,
                                       SB_TASK_SUCCEEDED, SB_CAUSE_NONE, SB_PHASE_CONFIRMING);
    const json_t *firmware = sb_json_object(child, sb_words_name(turn->in->words, "twin_firmware"));
    const char *pending = sb_json_str(firmware, "pendingFwVersion");
    return (!pending || !*pending) &&
           sb_streq(sb_json_str(firmware, "fwUpdateStatus"), sb_json_str(cell, "fwUpdateStatus"));
}

/* From the whole: what is left of it has no details any more. Times compare as texts. */
static const char *ended_of(const struct sb_azure_turn *turn, const char *key)
{
    const json_t *child = json_object_get(turn->state->children, key);
    const json_t *firmware = sb_json_object(child, sb_words_name(turn->in->words, "twin_firmware"));
    const char *ended = sb_json_str(firmware, "lastFwUpdateEndTime");
    return ended ? ended : "";
}

static void gather(struct sb_azure_turn *turn, const struct step *step, json_t *document,
                   struct parts *parts)
{
    json_t *children = json_object_get(document, sb_words_name(turn->in->words, "twin_children"));
    const char *key;
    json_t *child;
    if (step->gather)
        step->gather(turn, parts, document, step->word);
    json_object_foreach (children, key, child) {
        if (step->gather)
            step->gather(turn, parts, child, step->word);
        else if (json_is_object(child) && (step->any || is_at_rest(turn, child)))
            add(turn, parts, children, key, ended_of(turn, key));
    }
}

/* Which of two goes first. */
static int compare(const void *a, const void *b)
{
    const struct part *one = a, *two = b;
    int by_time = strcmp(one->ended, two->ended);
    int by_weight = (one->weight < two->weight) - (one->weight > two->weight);
    int by_order = (one->order > two->order) - (one->order < two->order);
    return by_time ? by_time : by_weight ? by_weight : by_order;
}

/* How many went. */
static size_t leave_out(struct parts *parts, size_t room, size_t *weight)
{
    size_t i = 0;
    if (parts->count > 0)
        qsort(parts->list, parts->count, sizeof(*parts->list), compare);
    for (; i<parts->count && * weight> room; i++) {
        *weight -= parts->list[i].weight;
        (void)json_object_del(parts->list[i].holder, parts->list[i].key);
    }
    free(parts->list);
    return i;
}

void sb_azure_fit(struct sb_azure_turn *turn, json_t *document)
{
    struct sb_azure_state *state = turn->state;
    size_t room = (size_t)sb_words_limit(turn->in->words, "twin_bytes");
    size_t weight = document ? weight_of(document) : 0, step = 0, count = 0;
    for (; weight > room && step < SB_COUNT(steps); step++) {
        struct parts parts = { 0 };
        gather(turn, &steps[step], document, &parts);
        count = leave_out(&parts, room, &weight);
    }
    if (step > state->left_out)
        sb_effects_note(turn->effects, "the twin is full: it has no room for %zu %s%s", count,
                        steps[step - 1].what, step > 1 ? ", nor for less important things" : "");
    state->left_out = SB_MAX(state->left_out, step);
}
