/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the platform reads and writes without starting anything: device/update, observe, cancel.
 * Sources: IBM documentation of 2018 (answers 204, 400, 404, 409); Java library (d.fields of an
 * error names what failed).
 */
#include "adapters/dialects/ibm/parts.h"
#include "bridge/base/str.h"

#define FACT_MAX_ 8192 /* bytes of JSON per attribute; the record holds three of them */
#define TEXT_MAX_ 2048 /* bytes of one text in mgmt.firmware */

static const char *const image_keys[] = { "version", "name", "uri", "verifier" };

static bool optional_text(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return !value || json_is_null(value) ||
           (json_is_string(value) && json_string_length(value) <= TEXT_MAX_);
}

static bool optional_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return !value || json_is_null(value) || json_is_number(value);
}

static bool good_firmware(const json_t *value)
{
    bool good = json_is_object(value) && optional_number(value, "state") &&
                optional_number(value, "updateStatus") && optional_text(value, "updatedDateTime");
    for (size_t i = 0; i < SB_COUNT(image_keys); i++)
        good = good && optional_text(value, image_keys[i]);
    return good;
}

static bool good_location(const json_t *value)
{
    return json_is_number(json_object_get(value, "latitude")) &&
           json_is_number(json_object_get(value, "longitude")) &&
           optional_number(value, "elevation") && optional_number(value, "accuracy") &&
           optional_text(value, "measuredDateTime") && optional_text(value, "updatedDateTime");
}

static bool good_object(const json_t *value)
{
    return json_is_object(value);
}

static bool good_info(const json_t *value)
{
    const char *key;
    json_t *text;
    if (!json_is_object(value))
        return false;
    json_object_foreach ((json_t *)value, key, text) {
        if (!json_is_string(text) && !json_is_null(text))
            return false;
    }
    return true;
}

static const struct attribute {
    const char *name;
    bool (*good)(const json_t *value);
} attributes[] = {
    { SB_IBM_FIRMWARE, good_firmware },
    { "location", good_location },
    { "metadata", good_object },
    { "deviceInfo", good_info },
};

static const struct attribute *attribute_of(const char *name)
{
    for (size_t i = 0; i < SB_COUNT(attributes); i++) {
        if (sb_streq(attributes[i].name, name))
            return &attributes[i];
    }
    return NULL;
}

static bool fits(const json_t *value)
{
    sb_cleanup(sb_freep) char *text = sb_json_text(value);
    return text && strlen(text) <= FACT_MAX_;
}

/* 0: it can be written; else the response code of the refusal. */
static int judge(const struct sb_ibm_turn *turn, const char *field, const json_t *value)
{
    const struct attribute *attribute = attribute_of(field);
    if (!attribute)
        return SB_IBM_RC_NOT_FOUND;
    if (!attribute->good(value) || !fits(value))
        return SB_IBM_RC_BAD;
    bool firmware = sb_streq(field, SB_IBM_FIRMWARE);
    if (firmware && sb_ibm_firmware_conflicts(turn, value))
        return SB_IBM_RC_CONFLICT;
    return firmware || turn->in->device ? 0 : SB_IBM_RC_FAILED;
}

static const char *judgement_text(int rc)
{
    switch (rc) {
    case SB_IBM_RC_NOT_FOUND:
        return "no such attribute";
    case SB_IBM_RC_BAD:
        return "the value is malformed or too large";
    case SB_IBM_RC_CONFLICT:
        return "another firmware image is being worked on";
    default:
        return "the gateway has no record to keep this in";
    }
}

/* Answers with the fields that failed for the first reason found; true: there were some. */
static bool refuse_fields(struct sb_ibm_turn *turn,
                          int (*judge_fn)(const struct sb_ibm_turn *, const char *, const json_t *))
{
    sb_cleanup(json_decrefp) json_t *failed = json_array();
    size_t i;
    const json_t *entry;
    int rc = 0;
    json_array_foreach (sb_json_array(turn->in->message->body, "fields"), i, entry) {
        const char *field = sb_json_str(entry, "field");
        int verdict = judge_fn(turn, field, json_object_get(entry, "value"));
        rc = rc ? rc : verdict;
        if (verdict && verdict == rc && sb_ibm_add_field(failed, field, NULL) < 0)
            turn->effects->broken = true;
    }
    if (rc)
        sb_ibm_reply(turn, turn->in->message->id, rc, judgement_text(rc), failed, 0);
    return rc != 0;
}

static void write_field(struct sb_ibm_turn *turn, const char *field, json_t *value)
{
    if (sb_streq(field, SB_IBM_FIRMWARE)) {
        sb_ibm_firmware_write(turn, value);
        return;
    }
    struct sb_output *fact = sb_effects_add(turn->effects, SB_OUT_FACT);
    if (!fact)
        return;
    fact->name = strdup(field);
    fact->json = json_incref(value);
    turn->effects->broken = turn->effects->broken || !fact->name;
}

/* All or nothing. A change of location made by a user comes without reqId (IBM docs). */
void sb_ibm_update(struct sb_ibm_turn *turn)
{
    const struct sb_message *message = turn->in->message;
    if (refuse_fields(turn, judge)) {
        if (!message->id)
            sb_effects_note(turn->effects, "a device update without reqId could not be applied");
        return;
    }
    size_t i;
    json_t *entry;
    json_array_foreach (sb_json_array(message->body, "fields"), i, entry)
        write_field(turn, sb_json_str(entry, "field"), json_object_get(entry, "value"));
    sb_ibm_reply(turn, message->id, SB_IBM_RC_CHANGED, NULL, NULL, 0);
}

static int judge_observed(const struct sb_ibm_turn *turn SB_UNUSED, const char *field,
                          const json_t *value SB_UNUSED)
{
    return sb_streq(field, SB_IBM_FIRMWARE) ? 0 : SB_IBM_RC_NOT_FOUND;
}

void sb_ibm_observe(struct sb_ibm_turn *turn)
{
    if (refuse_fields(turn, judge_observed))
        return;
    turn->state->observed = true;
    turn->effects->save = true;
    sb_cleanup(json_decrefp) json_t *fields = json_array();
    json_t *value = sb_ibm_firmware_value(turn);
    if (!value || !fields || sb_ibm_add_field(fields, SB_IBM_FIRMWARE, value) < 0)
        turn->effects->broken = true;
    sb_ibm_reply(turn, turn->in->message->id, SB_IBM_RC_OK, NULL, fields, 0);
    sb_ibm_firmware_told(turn);
}

void sb_ibm_cancel(struct sb_ibm_turn *turn)
{
    if (refuse_fields(turn, judge_observed))
        return;
    turn->state->observed = false;
    turn->effects->save = true;
    sb_ibm_reply(turn, turn->in->message->id, SB_IBM_RC_OK, NULL, NULL, 0);
}
