/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/smp/settings.h"

#include <errno.h>
#include <stdio.h>

#include "adapters/devices/smp/firmware.h"
#include "bridge/base/crypto.h"

#define RESULT_MAX 16384 /* bytes of an action's answer as JSON text */

/* ---- one setting ---- */

struct value {
    uint8_t *bytes;
    size_t n;
};

static void value_done(struct value *value)
{
    free(value->bytes);
    *value = (struct value){ 0 };
}

static enum sb_cause get_bytes(struct sb_smp *smp, const struct sb_smp_property *property,
                               struct value *ret)
{
    struct sb_cbor body = { 0 };
    sb_cleanup(json_decrefp) json_t *answer = NULL;
    sb_cbor_map(&body, 1);
    sb_cbor_text(&body, "name");
    sb_cbor_text(&body, property->setting);
    const struct sb_smp_call call = { .group = SB_SMP_SETTINGS,
                                      .command = SB_SMP_SETTINGS_VALUE,
                                      .body = &body };
    enum sb_cause cause = sb_smp_talk(smp, &call, property->name, &answer);
    sb_cbor_done(&body);
    if (cause != SB_CAUSE_NONE)
        return cause;
    const char *hex = sb_json_str(answer, "val");
    size_t n = hex ? strlen(hex) / 2 : 0;
    uint8_t *bytes = malloc(n + 1);
    if (!bytes)
        return sb_smp_trouble(smp, -ENOMEM);
    if (!hex || n > SB_VALUE_BYTES_MAX || (n > 0 && sb_hex_decode(hex, bytes, n) < 0)) {
        free(bytes);
        return sb_smp_fail(smp, SB_CAUSE_REFUSED, "%s: the device's answer has no usable value",
                           property->name);
    }
    *ret = (struct value){ bytes, n };
    return SB_CAUSE_NONE;
}

static enum sb_cause put_bytes(struct sb_smp *smp, const struct sb_smp_property *property,
                               const struct value *value)
{
    struct sb_cbor body = { 0 };
    sb_cbor_map(&body, 2);
    sb_cbor_text(&body, "name");
    sb_cbor_text(&body, property->setting);
    sb_cbor_text(&body, "val");
    sb_cbor_bytes(&body, value->bytes, value->n);
    const struct sb_smp_call call = {
        .group = SB_SMP_SETTINGS, .command = SB_SMP_SETTINGS_VALUE, .write = true, .body = &body
    };
    enum sb_cause cause = sb_smp_talk(smp, &call, property->name, NULL);
    sb_cbor_done(&body);
    return cause;
}

static enum sb_cause find_property(struct sb_smp *smp, const char *name,
                                   struct sb_smp_property *ret)
{
    sb_cleanup(sb_freep) char *error = NULL;
    if (sb_smp_property_get(smp->type, name, ret, &error) == 0)
        return SB_CAUSE_NONE;
    return sb_smp_fail(smp, SB_CAUSE_INVALID_REQUEST, "%s", error ? error : name);
}

static enum sb_cause read_value(struct sb_smp *smp, const struct sb_smp_property *property,
                                json_t *values)
{
    sb_cleanup(sb_freep) char *error = NULL;
    sb_cleanup(value_done) struct value value = { 0 };
    json_t *json = NULL;
    enum sb_cause cause = get_bytes(smp, property, &value);
    if (cause != SB_CAUSE_NONE)
        return cause;
    int r =
        sb_value_decode(property->type, property->big_endian, value.bytes, value.n, &json, &error);
    if (r < 0)
        return sb_smp_fail(smp, SB_CAUSE_REFUSED, "%s: %s", property->name,
                           error ? error : strerror(-r));
    return json_object_set_new(values, property->name, json) ? sb_smp_trouble(smp, -ENOMEM)
                                                             : SB_CAUSE_NONE;
}

static enum sb_cause write_value(struct sb_smp *smp, const char *name, const json_t *json)
{
    struct sb_smp_property property = { 0 };
    sb_cleanup(sb_freep) char *error = NULL;
    sb_cleanup(value_done) struct value value = { 0 };
    enum sb_cause cause = find_property(smp, name, &property);
    if (cause != SB_CAUSE_NONE)
        return cause;
    if (!property.access.writable)
        return sb_smp_fail(smp, SB_CAUSE_UNSUPPORTED, "%s cannot be written", name);
    int r =
        sb_value_encode(property.type, property.big_endian, json, &value.bytes, &value.n, &error);
    if (r < 0)
        return sb_smp_fail(smp, SB_CAUSE_INVALID_REQUEST, "%s: %s", name,
                           error ? error : strerror(-r));
    return put_bytes(smp, &property, &value);
}

/* ---- READ ---- */

/* Goes on after a name that fails, but not after a line that does. */
static bool only_this_name(enum sb_cause cause)
{
    return cause != SB_CAUSE_LINK_LOST && cause != SB_CAUSE_OPERATOR && cause != SB_CAUSE_INTERNAL;
}

static enum sb_cause read_named(struct sb_smp *smp, const char *name, json_t *values)
{
    struct sb_smp_property property;
    enum sb_cause cause = find_property(smp, name, &property);
    if (cause == SB_CAUSE_NONE && !property.access.readable)
        cause = sb_smp_fail(smp, SB_CAUSE_UNSUPPORTED, "%s cannot be read", name);
    return cause == SB_CAUSE_NONE ? read_value(smp, &property, values) : cause;
}

static enum sb_cause read_names(struct sb_smp *smp, const json_t *names, json_t *values)
{
    enum sb_cause first = SB_CAUSE_NONE;
    size_t i;
    json_t *name;
    json_array_foreach (names, i, name) {
        sb_cleanup(sb_freep) char *text = first == SB_CAUSE_NONE ? NULL : smp->outcome->text;
        if (first != SB_CAUSE_NONE)
            smp->outcome->text = NULL; /* keep the first failure's sentence */
        sb_session_progress(smp->session, SB_PHASE_TRANSFERRING, i, json_array_size(names));
        enum sb_cause cause =
            read_named(smp, json_is_string(name) ? json_string_value(name) : "", values);
        if (first != SB_CAUSE_NONE) {
            free(smp->outcome->text);
            smp->outcome->text = SB_STEAL(text);
        }
        first = first == SB_CAUSE_NONE ? cause : first;
        if (cause != SB_CAUSE_NONE && !only_this_name(cause))
            return cause;
    }
    return first;
}

/* The values read become the result and, as such, what is known of the device. */
static void tell_values(struct sb_smp *smp, json_t *values)
{
    json_decref(smp->outcome->result);
    smp->outcome->result = json_incref(values);
    json_decref(smp->outcome->after.properties);
    smp->outcome->after.properties = json_deep_copy(values);
}

enum sb_cause sb_smp_read(struct sb_smp *smp)
{
    sb_cleanup(json_decrefp) json_t *wanted =
        sb_described_wanted(smp->type, smp->command->params, sb_smp_property_check);
    sb_cleanup(json_decrefp) json_t *values = json_object();
    if (!wanted || !values)
        return sb_smp_trouble(smp, -ENOMEM);
    enum sb_cause cause = read_names(smp, wanted, values);
    tell_values(smp, values);
    smp->outcome->verified = (char *)"status";
    return cause;
}

/* ---- WRITE and CONFIGURE ---- */

/* Commit and save: devices that know neither keep their settings by themselves. */
static enum sb_cause finish_settings(struct sb_smp *smp, uint8_t command, const char *what)
{
    const struct sb_smp_call call = { .group = SB_SMP_SETTINGS, .command = command, .write = true };
    struct sb_smp_reply reply = { 0 };
    enum sb_cause cause = sb_smp_ask(smp, &call, &reply);
    if (cause == SB_CAUSE_NONE && !sb_smp_is_unsupported(&reply))
        cause = sb_smp_judge(smp, &reply, what);
    sb_smp_reply_done(&reply);
    return cause;
}

static enum sb_cause check_value(struct sb_smp *smp, const char *name, const json_t *wanted,
                                 json_t *values)
{
    struct sb_smp_property property;
    sb_cleanup(value_done) struct value held = { 0 }, sent = { 0 };
    sb_cleanup(sb_freep) char *error = NULL;
    enum sb_cause cause = find_property(smp, name, &property);
    if (cause != SB_CAUSE_NONE || !property.access.readable)
        return cause;
    cause = get_bytes(smp, &property, &held);
    if (cause != SB_CAUSE_NONE)
        return cause;
    int r =
        sb_value_encode(property.type, property.big_endian, wanted, &sent.bytes, &sent.n, &error);
    if (r < 0)
        return sb_smp_fail(smp, SB_CAUSE_INVALID_REQUEST, "%s: %s", name, error ? error : "");
    if (held.n != sent.n || (held.n > 0 && memcmp(held.bytes, sent.bytes, held.n) != 0))
        return sb_smp_fail(smp, SB_CAUSE_VERIFY_FAILED,
                           "%s: the device holds another value than was written", name);
    return json_object_set(values, name, (json_t *)wanted) ? sb_smp_trouble(smp, -ENOMEM)
                                                           : SB_CAUSE_NONE;
}

/* Writes all, makes them count, reads all back. */
static enum sb_cause apply(struct sb_smp *smp, const json_t *values, bool save)
{
    const char *name;
    json_t *value;
    uint64_t done = 0;
    enum sb_cause cause = SB_CAUSE_NONE;
    sb_cleanup(json_decrefp) json_t *held = json_object();
    if (!held)
        return sb_smp_trouble(smp, -ENOMEM);
    json_object_foreach ((json_t *)values, name, value) {
        sb_session_progress(smp->session, SB_PHASE_WRITING, done++, json_object_size(values));
        cause = cause == SB_CAUSE_NONE ? write_value(smp, name, value) : cause;
    }
    if (cause == SB_CAUSE_NONE)
        cause = finish_settings(smp, SB_SMP_SETTINGS_COMMIT, "commit of settings");
    if (cause == SB_CAUSE_NONE && save)
        cause = finish_settings(smp, SB_SMP_SETTINGS_SAVE, "save of settings");
    sb_session_progress(smp->session, SB_PHASE_VERIFYING, 0, 0);
    json_object_foreach ((json_t *)values, name, value) {
        cause = cause == SB_CAUSE_NONE ? check_value(smp, name, value, held) : cause;
    }
    tell_values(smp, held);
    smp->outcome->verified = (char *)"status";
    return cause;
}

static enum sb_cause load_values(struct sb_smp *smp, json_t **ret)
{
    const struct sb_image *image = smp->command->image;
    sb_cleanup(sb_freep) char *error = NULL;
    if (!image)
        return sb_smp_fail(smp, SB_CAUSE_INVALID_REQUEST, "no values to configure");
    if (sb_described_package(image->path, ret, &error) == 0)
        return SB_CAUSE_NONE;
    return sb_smp_fail(smp, SB_CAUSE_INVALID_REQUEST, "%s", error ? error : "no memory");
}

enum sb_cause sb_smp_write(struct sb_smp *smp)
{
    const json_t *values = sb_json_object(smp->command->params, "values");
    sb_cleanup(json_decrefp) json_t *loaded = NULL;
    if (!values) {
        enum sb_cause cause = load_values(smp, &loaded);
        if (cause != SB_CAUSE_NONE)
            return cause;
    }
    return apply(smp, values ? values : loaded, smp->command->op == SB_OP_CONFIGURE);
}

/* ---- INVOKE ---- */

static enum sb_cause send_action(struct sb_smp *smp, const struct sb_smp_action *action,
                                 const json_t *arguments, const char *what, json_t **ret)
{
    struct sb_cbor body = { 0 };
    sb_cleanup(json_decrefp) json_t *payload =
        action->payload ? json_deep_copy(action->payload) : json_object();
    if (!payload || (arguments && json_object_update(payload, (json_t *)arguments)))
        return sb_smp_trouble(smp, -ENOMEM);
    int r = sb_cbor_json(&body, payload);
    const struct sb_smp_call call = { .group = action->group,
                                      .command = action->command,
                                      .write = action->write,
                                      .body = &body,
                                      .timeout = action->timeout,
                                      .tries = action->repeatable ? 0 : 1 };
    enum sb_cause cause =
        r == 0 ? sb_smp_talk(smp, &call, what, ret)
               : sb_smp_fail(smp, SB_CAUSE_INVALID_REQUEST, "the arguments cannot be sent");
    sb_cbor_done(&body);
    return cause;
}

static enum sb_cause check_result(struct sb_smp *smp, const json_t *result)
{
    sb_cleanup(sb_freep) char *text = sb_json_text(result);
    if (text && strlen(text) <= RESULT_MAX)
        return SB_CAUSE_NONE;
    return sb_smp_fail(smp, SB_CAUSE_NO_MEMORY, "the device's answer is too large to keep");
}

enum sb_cause sb_smp_invoke(struct sb_smp *smp)
{
    const struct sb_command *command = smp->command;
    const char *name = sb_json_str(command->params, "action");
    sb_cleanup(sb_freep) char *error = NULL;
    sb_cleanup(json_decrefp) json_t *result = NULL;
    struct sb_smp_action action = { 0 };
    if (sb_smp_action_get(smp->type, name ? name : "", &action, &error) < 0)
        return sb_smp_fail(smp, SB_CAUSE_UNSUPPORTED, "%s", error ? error : "no such action");
    if (action.confirm)
        return sb_smp_confirm(smp);
    if (!action.repeatable && command->resumed && command->committed)
        return sb_smp_fail(smp, SB_CAUSE_OUTCOME_UNKNOWN,
                           "interrupted after the request was sent: whether the device did it "
                           "cannot be known");
    sb_session_progress(smp->session, SB_PHASE_STARTING, 0, 0);
    enum sb_cause cause = sb_smp_connect(smp);
    if (cause == SB_CAUSE_NONE && !action.repeatable)
        cause = sb_smp_commit(smp);
    if (cause == SB_CAUSE_NONE)
        cause =
            send_action(smp, &action, sb_json_object(command->params, "arguments"), name, &result);
    if (cause == SB_CAUSE_LINK_LOST && !action.repeatable && smp->committed)
        cause = SB_CAUSE_OUTCOME_UNKNOWN; /* it may have done it and the answer was lost */
    if (cause == SB_CAUSE_NONE)
        cause = check_result(smp, result);
    if (cause == SB_CAUSE_NONE)
        smp->outcome->result = SB_STEAL(result);
    smp->outcome->verified = (char *)"status";
    return cause;
}

/* ---- factory reset ---- */

static enum sb_cause erase_storage(struct sb_smp *smp)
{
    const struct sb_smp_call call = { .group = SB_SMP_BASIC,
                                      .command = SB_SMP_BASIC_ERASE_STORAGE,
                                      .write = true,
                                      .timeout = smp->config->first_timeout };
    return sb_smp_talk(smp, &call, "erase of the storage", NULL);
}

static enum sb_cause reset_request(struct sb_smp *smp)
{
    struct sb_smp_action action = { 0 };
    sb_cleanup(sb_freep) char *error = NULL;
    if (sb_smp_action_read(smp->config->factory_reset.request, &action, &error) < 0)
        return sb_smp_fail(smp, SB_CAUSE_UNSUPPORTED, "%s", error ? error : "not described");
    return send_action(smp, &action, NULL, "factory reset", NULL);
}

enum sb_cause sb_smp_factory_reset(struct sb_smp *smp)
{
    const struct sb_smp_factory_reset *reset = &smp->config->factory_reset;
    sb_session_progress(smp->session, SB_PHASE_STARTING, 0, 0);
    enum sb_cause cause = sb_smp_identify(smp); /* is it there? */
    if (cause == SB_CAUSE_NONE || cause == SB_CAUSE_UNSUPPORTED)
        cause = sb_smp_commit(smp);
    if (cause != SB_CAUSE_NONE)
        return cause;
    sb_session_progress(smp->session, SB_PHASE_WRITING, 0, 0);
    switch (reset->method) {
    case SB_SMP_RESET_ERASE:
        cause = erase_storage(smp);
        break;
    case SB_SMP_RESET_SETTINGS:
        cause = apply(smp, reset->writes, true);
        break;
    case SB_SMP_RESET_REQUEST:
        cause = reset_request(smp);
        break;
    default:
        return sb_smp_fail(smp, SB_CAUSE_UNSUPPORTED, "this device type has no factory reset");
    }
    if (cause == SB_CAUSE_NONE && reset->restart)
        cause = sb_smp_restart(smp);
    if (cause == SB_CAUSE_NONE)
        cause = sb_smp_identify(smp);
    smp->outcome->verified = (char *)"status";
    return cause == SB_CAUSE_UNSUPPORTED ? SB_CAUSE_NONE : cause;
}
