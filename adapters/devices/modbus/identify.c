/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is there, and which version runs; restarts and the wait for the return.
 */
#include <errno.h>

#include "adapters/devices/modbus/talk.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define OBJECTS_MAX 64   /* answers to one device identification */
#define TEXT_MAX    128  /* characters of what a device says of itself */
#define GRACE_MS    3000 /* a restart that was taken has begun by then */
#define PAUSE_MS    100

/* ---- what it says of itself ---- */

/* One text of the identity; what is already known stays. */
static enum sb_cause put(struct sb_modbus *modbus, const char *key, const void *bytes, size_t n)
{
    struct sb_identity *after = &modbus->outcome->after;
    json_t **into = sb_streq(key, "version") ? &after->versions : &after->identity;
    const char *name = sb_streq(key, "version") ? "" : key;
    const char *text = bytes;
    while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\0'))
        n--;
    json_t *value = n > 0 ? json_stringn(text, SB_MIN(n, (size_t)TEXT_MAX)) : NULL;
    if (!value || memchr(text, 0, n)) { /* nothing, or no text */
        json_decref(value);
        return SB_CAUSE_NONE;
    }
    if (!*into)
        *into = json_object();
    return json_object_set_new(*into, name, value) ? sb_modbus_trouble(modbus, -ENOMEM)
                                                   : SB_CAUSE_NONE;
}

static const char *const objects[] = {
    [0] = "manufacturer",
    [1] = "model",
    [2] = "version",
    [5] = "model",
};

/* The objects of one answer; *ret_next: that to go on with, -1: that was all. */
static enum sb_cause take_objects(struct sb_modbus *modbus, const struct sb_modbus_pdu *answer,
                                  int *ret_next)
{
    enum sb_cause cause = SB_CAUSE_NONE;
    size_t at = 7;
    *ret_next = answer->bytes[4] ? answer->bytes[5] : -1;
    for (unsigned i = 0; i < answer->bytes[6] && cause == SB_CAUSE_NONE; i++) {
        uint8_t id = answer->bytes[at], n = answer->bytes[at + 1];
        if (id < SB_COUNT(objects) && objects[id])
            cause = put(modbus, objects[id], answer->bytes + at + 2, n);
        at += 2u + n;
    }
    return cause;
}

static struct sb_modbus_pdu device_id(const struct sb_modbus *modbus, uint8_t object)
{
    return (struct sb_modbus_pdu){ .bytes = { SB_MODBUS_ENCAPSULATED, SB_MODBUS_DEVICE_ID,
                                              (uint8_t)modbus->config->device_id, object },
                                   .n = 4 };
}

static struct sb_modbus_pdu server_id(void)
{
    return (struct sb_modbus_pdu){ .bytes = { SB_MODBUS_SERVER_ID }, .n = 1 };
}

static enum sb_cause by_device_id(struct sb_modbus *modbus)
{
    enum sb_cause cause = SB_CAUSE_NONE;
    int next = 0;
    for (int i = 0; i < OBJECTS_MAX && next >= 0 && cause == SB_CAUSE_NONE; i++) {
        struct sb_modbus_pdu answer = { .n = 0 };
        int asked = next;
        const struct sb_modbus_call call = { .unit = modbus->unit,
                                             .request = device_id(modbus, (uint8_t)next) };
        cause = sb_modbus_ask(modbus, &call, "device identification", &answer);
        if (cause == SB_CAUSE_NONE)
            cause = take_objects(modbus, &answer, &next);
        if (cause == SB_CAUSE_NONE && next >= 0 && next <= asked)
            next = -1; /* it goes round in circles */
    }
    return cause;
}

/* What a server id is says its vendor: text if it is text, else hex. */
static enum sb_cause by_server_id(struct sb_modbus *modbus)
{
    struct sb_modbus_pdu answer = { .n = 0 };
    const struct sb_modbus_call call = { .unit = modbus->unit, .request = server_id() };
    enum sb_cause cause = sb_modbus_ask(modbus, &call, "server id", &answer);
    if (cause != SB_CAUSE_NONE)
        return cause;
    size_t n = answer.bytes[1], text = 0;
    const uint8_t *bytes = answer.bytes + 2;
    while (text < n && bytes[text] >= ' ' && bytes[text] < 0x7f)
        text++;
    if (text + 1 >= n && text > 0) /* the last byte says whether it runs */
        return put(modbus, "model", bytes, text);
    sb_cleanup(sb_freep) char *hex = sb_hex(bytes, n);
    return hex ? put(modbus, "model", hex, strlen(hex)) : sb_modbus_trouble(modbus, -ENOMEM);
}

static enum sb_cause by_registers(struct sb_modbus *modbus)
{
    const char *key;
    json_t *name;
    sb_cleanup(json_decrefp) json_t *names = json_array(), *values = json_object();
    json_object_foreach (modbus->config->identity, key, name)
        (void)json_array_append(names, name);
    enum sb_cause cause = sb_modbus_read_values(modbus, names, values);
    json_object_foreach (modbus->config->identity, key, name) {
        const json_t *value = json_object_get(values, json_string_value(name));
        sb_cleanup(sb_freep) char *number =
            value ? json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6)) : NULL;
        const char *text = json_is_string(value) ? json_string_value(value) : number;
        enum sb_cause kept = text ? put(modbus, key, text, strlen(text)) : SB_CAUSE_NONE;
        cause =
            cause == SB_CAUSE_NONE ? kept : cause; /* one that it does not have costs only itself */
    }
    return cause;
}

static enum sb_cause (*const ways[])(struct sb_modbus *) = {
    [SB_MODBUS_ID_DEVICE] = by_device_id,
    [SB_MODBUS_ID_SERVER] = by_server_id,
    [SB_MODBUS_ID_REGISTERS] = by_registers,
};

/* Not every device knows every way; silence may mean that it does not know this one. */
static bool is_no_way(enum sb_cause cause)
{
    return cause == SB_CAUSE_UNSUPPORTED || cause == SB_CAUSE_REFUSED ||
           cause == SB_CAUSE_LINK_LOST;
}

enum sb_cause sb_modbus_identify(struct sb_modbus *modbus)
{
    const struct sb_modbus_type *config = modbus->config;
    const char *const otherwise[] = { config->identity ? "registers" : "device_id" };
    size_t count = config->identify.count ? config->identify.count : SB_COUNT(otherwise);
    const char *const *list =
        config->identify.count ? (const char *const *)config->identify.list : otherwise;
    enum sb_cause last = SB_CAUSE_NONE;
    bool answered = false, refused = false;
    json_decref(SB_STEAL(modbus->outcome->after.versions)); /* of an earlier look */
    for (size_t i = 0; i < count; i++) {
        int way = sb_modbus_id_from_name(list[i]);
        enum sb_cause cause = way < 0 ? SB_CAUSE_UNSUPPORTED : ways[way](modbus);
        if (cause != SB_CAUSE_NONE &&
            (!is_no_way(cause) || modbus->master.port == NULL || modbus->master.port->failed))
            return cause;
        answered = answered || cause == SB_CAUSE_NONE;
        refused = refused || (cause != SB_CAUSE_NONE && cause != SB_CAUSE_LINK_LOST);
        last = cause;
    }
    if (!answered && !refused)
        return last;
    sb_modbus_forgive(modbus); /* a refusal is a sign of life too */
    modbus->outcome->after.idle = true;
    return SB_CAUSE_NONE;
}

const char *sb_modbus_version(const struct sb_modbus *modbus)
{
    return sb_json_str(modbus->outcome->after.versions, "");
}

/* ---- the operation ---- */

static enum sb_cause poll_values(struct sb_modbus *modbus)
{
    const char *name;
    json_t *spec;
    sb_cleanup(json_decrefp) json_t *names = json_array(), *values = json_object();
    json_object_foreach (modbus->type->properties, name, spec) {
        if (sb_json_bool(spec, "poll", false))
            (void)json_array_append_new(names, json_string(name));
    }
    if (json_array_size(names) == 0)
        return SB_CAUSE_NONE;
    enum sb_cause cause = sb_modbus_read_values(modbus, names, values);
    modbus->outcome->after.properties = SB_STEAL(values);
    if (cause == SB_CAUSE_LINK_LOST || cause == SB_CAUSE_OPERATOR || cause == SB_CAUSE_INTERNAL)
        return cause;
    if (cause != SB_CAUSE_NONE) /* who it is was told all the same */
        sb_session_note(modbus->session, "poll: %s",
                        modbus->outcome->text ? modbus->outcome->text : "failed");
    sb_modbus_forgive(modbus);
    return SB_CAUSE_NONE;
}

int sb_modbus_in_bootloader(struct sb_modbus *modbus)
{
    const struct sb_modbus_bootloader *boot = &modbus->config->firmware.bootloader;
    unsigned tries = modbus->master.tries;
    if (!boot->probe)
        return -ETIMEDOUT;
    sb_modbus_tune(modbus, boot->unit, boot->baud);
    modbus->master.tries = 1;
    enum sb_cause cause = sb_modbus_cook(modbus, boot->probe, NULL, "bootloader");
    modbus->master.tries = tries;
    if (cause == SB_CAUSE_OPERATOR)
        return -ECANCELED;
    bool there = cause == SB_CAUSE_NONE;
    if (!there) {
        sb_modbus_forgive(modbus);
        sb_modbus_tune(modbus, 0, 0);
    }
    return there ? 0 : -ETIMEDOUT;
}

enum sb_cause sb_modbus_op_identify(struct sb_modbus *modbus)
{
    enum sb_cause cause = sb_modbus_identify(modbus);
    if (cause == SB_CAUSE_NONE)
        return poll_values(modbus);
    if (cause != SB_CAUSE_LINK_LOST || !modbus->master.port || modbus->master.port->failed)
        return cause;
    sb_cleanup(sb_freep) char *text = SB_STEAL(modbus->outcome->text);
    if (sb_modbus_in_bootloader(modbus) ==
        0) { /* left there by an update: it can be gone on with */
        sb_session_note(modbus->session, "only its bootloader answers");
        modbus->outcome->after.idle = true;
        return SB_CAUSE_NONE;
    }
    modbus->outcome->text = SB_STEAL(text);
    return cause;
}

/* ---- restarts ---- */

int64_t sb_modbus_restart_time(const struct sb_modbus *modbus)
{
    return modbus->type->restart ? modbus->type->restart : SB_MINUTE;
}

static int first_way(const struct sb_modbus_type *config)
{
    return config->identify.count ? sb_modbus_id_from_name(config->identify.list[0])
                                  : SB_MODBUS_ID_DEVICE;
}

/* Any answer is a sign of life; an exception, too. A device may be silent about what it does not
 * know, so it is asked what it is known by. */
static int sign_of_life(struct sb_modbus *modbus)
{
    struct sb_modbus_pdu request = { .n = 0 };
    struct sb_modbus_property property = { .at = { .table = SB_MODBUS_HOLDING, .count = 1 } };
    sb_cleanup(sb_freep) char *error = NULL;
    uint8_t code;
    const char *version = sb_json_str(modbus->config->identity, "version");
    if (!modbus->config->identity && first_way(modbus->config) != SB_MODBUS_ID_REGISTERS) {
        request =
            first_way(modbus->config) == SB_MODBUS_ID_SERVER ? server_id() : device_id(modbus, 0);
        return sb_modbus_knock(modbus, &request, NULL, &code);
    }
    if (version && sb_modbus_property_get(modbus->type, version, &property, &error) < 0)
        property.at = (struct sb_modbus_place){ .table = SB_MODBUS_HOLDING, .count = 1 };
    sb_modbus_read(&request,
                   property.at.table == SB_MODBUS_INPUT ? SB_MODBUS_READ_INPUT
                                                        : SB_MODBUS_READ_HOLDING,
                   property.at.address, property.at.count);
    return sb_modbus_knock(modbus, &request, NULL, &code);
}

enum sb_cause sb_modbus_watch(struct sb_modbus *modbus, bool *ret_was_away)
{
    int64_t begin = sb_session_now(modbus->session), total = sb_modbus_restart_time(modbus);
    unsigned silent = modbus->was_silent; /* in a row; two are no lost byte any more */
    bool shared = modbus->shares;
    enum sb_cause cause = SB_CAUSE_NONE;
    *ret_was_away = false;
    for (int64_t now = begin; now < begin + total; now = sb_session_now(modbus->session)) {
        sb_session_progress(modbus->session, SB_PHASE_RESTARTING, (uint64_t)(now - begin),
                            (uint64_t)total);
        int r = sign_of_life(modbus);
        if (r < 0 && r != -ETIMEDOUT)
            return sb_modbus_trouble(modbus, r);
        silent = r == 0 ? 0 : silent + 1;
        *ret_was_away = *ret_was_away || silent >= 2;
        if (r == 0 && (*ret_was_away || now - begin >= GRACE_MS))
            return SB_CAUSE_NONE;
        modbus->shares = true; /* the line is free meanwhile */
        cause = sb_modbus_wait(modbus, PAUSE_MS);
        modbus->shares = shared;
        if (cause != SB_CAUSE_NONE)
            return cause;
    }
    return sb_modbus_fail(modbus, SB_CAUSE_LINK_LOST, "the device did not come back within %lld s",
                          (long long)(total / SB_SECOND));
}

/* Runs the steps, keeps that the device has taken them, and waits until it is back. */
static enum sb_cause restart(struct sb_modbus *modbus, const json_t *steps, const char *what,
                             bool watch)
{
    bool was_away = false;
    sb_session_progress(modbus->session, SB_PHASE_RESTARTING, 0, 0);
    enum sb_cause cause = sb_modbus_cook(modbus, steps, NULL, what);
    bool unheard = modbus->unheard;
    if (cause == SB_CAUSE_NONE && !unheard)
        cause = sb_modbus_checkpoint(modbus, json_pack("{s:s}", "stage", "restart"));
    if (cause == SB_CAUSE_NONE && watch)
        cause = sb_modbus_watch(modbus, &was_away);
    if (cause != SB_CAUSE_NONE || !unheard || was_away)
        return cause;
    return sb_modbus_fail(modbus, SB_CAUSE_OUTCOME_UNKNOWN,
                          "%s: the device gave no answer and was not seen to go: whether it did it "
                          "cannot be known",
                          what);
}

/* We were interrupted at the restart. What was seen to go and come has restarted, and what had
 * taken the request too; in between it is unknown. */
static enum sb_cause resume_restart(struct sb_modbus *modbus)
{
    bool was_away, taken = sb_streq(sb_json_str(modbus->command->checkpoint, "stage"), "restart");
    enum sb_cause cause = sb_modbus_watch(modbus, &was_away);
    if (cause != SB_CAUSE_NONE || was_away || taken)
        return cause;
    return sb_modbus_fail(modbus, SB_CAUSE_OUTCOME_UNKNOWN,
                          "interrupted at the restart: the device answers, but whether it has "
                          "restarted cannot be known");
}

enum sb_cause sb_modbus_op_reboot(struct sb_modbus *modbus)
{
    enum sb_cause cause;
    if (modbus->command->resumed && modbus->command->committed) {
        cause = resume_restart(modbus);
    } else {
        cause = sb_modbus_identify(modbus);
        if (cause == SB_CAUSE_NONE)
            cause = sb_modbus_commit(modbus);
        if (cause == SB_CAUSE_NONE)
            cause = restart(modbus, modbus->config->reboot, "restart", true);
    }
    modbus->outcome->verified = (char *)"status";
    return cause == SB_CAUSE_NONE ? sb_modbus_identify(modbus) : cause;
}

enum sb_cause sb_modbus_op_factory_reset(struct sb_modbus *modbus)
{
    const struct sb_modbus_type *config = modbus->config;
    const struct sb_command *command = modbus->command;
    bool was_away, taken = command->resumed && command->committed &&
                           sb_streq(sb_json_str(command->checkpoint, "stage"), "restart");
    enum sb_cause cause = SB_CAUSE_NONE;
    sb_session_progress(modbus->session, SB_PHASE_STARTING, 0, 0);
    if (taken) { /* and set up anew since, perhaps: it is not done twice */
        cause = sb_modbus_watch(modbus, &was_away);
    } else {
        cause = sb_modbus_identify(modbus); /* is it there? */
        if (cause == SB_CAUSE_NONE)
            cause = sb_modbus_commit(modbus);
        if (cause == SB_CAUSE_NONE)
            cause = restart(modbus, config->factory_reset, "factory reset", config->reset_restarts);
    }
    modbus->outcome->verified = (char *)"status";
    return cause == SB_CAUSE_NONE ? sb_modbus_identify(modbus) : cause;
}
