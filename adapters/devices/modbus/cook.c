/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recipes carried out.
 */
#include <errno.h>

#include "adapters/devices/modbus/talk.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"

#define RECORDS_MAX 10000 /* of one file, as the protocol has it */

struct cook {
    struct sb_modbus *modbus;
    const struct sb_modbus_step *step;
    const struct sb_modbus_scope *scope;
    const char *what;
};

static enum sb_cause send(const struct cook *cook, const struct sb_modbus_pdu *request,
                          struct sb_modbus_pdu *ret)
{
    struct sb_modbus *modbus = cook->modbus;
    const struct sb_modbus_step *step = cook->step;
    const struct sb_modbus_call call = { .unit = step->broadcast ? 0 : modbus->unit,
                                         .request = *request,
                                         .timeout = step->timeout,
                                         .tries = step->once ? 1 : 0 };
    enum sb_cause cause = sb_modbus_ask(modbus, &call, cook->what, ret);
    if (cause == SB_CAUSE_LINK_LOST && step->no_answer && modbus->master.port &&
        !modbus->master.port->failed) {
        sb_modbus_forgive(modbus); /* as was said of it */
        modbus->unheard = modbus->was_silent = true;
        return SB_CAUSE_NONE;
    }
    modbus->unheard = step->broadcast;
    modbus->was_silent = false;
    return cause;
}

static enum sb_cause do_write(const struct cook *cook)
{
    const struct sb_modbus_step *step = cook->step;
    uint16_t words[SB_MODBUS_WORDS_MAX];
    size_t n = 0;
    struct sb_modbus_pdu request = { .n = 0 };
    sb_cleanup(sb_freep) char *error = NULL;
    if (sb_modbus_step_words(step, cook->scope->names, words, &n, &error) < 0)
        return sb_modbus_fail(cook->modbus, SB_CAUSE_INVALID_REQUEST, "%s: %s", cook->what,
                              error ? error : "not possible");
    bool coil = step->verb == SB_MODBUS_DO_COIL;
    bool one = n == 1 && cook->modbus->config->write_single;
    uint8_t function = coil  ? SB_MODBUS_WRITE_COIL
                       : one ? SB_MODBUS_WRITE_REGISTER
                             : SB_MODBUS_WRITE_REGISTERS;
    if (!sb_modbus_write(&request, function, step->at.address, words, n))
        return sb_modbus_fail(cook->modbus, SB_CAUSE_INVALID_REQUEST, "%s: too long", cook->what);
    return send(cook, &request, NULL);
}

static enum sb_cause do_mask(const struct cook *cook)
{
    const struct sb_modbus_step *step = cook->step;
    struct sb_modbus_pdu request;
    sb_modbus_mask(&request, step->at.address, step->mask, step->set_bits);
    return send(cook, &request, NULL);
}

static enum sb_cause do_set(const struct cook *cook)
{
    sb_cleanup(sb_modbus_changes_done) struct sb_modbus_changes changes = { 0 };
    enum sb_cause cause =
        sb_modbus_changes_make(cook->modbus, cook->step->value, cook->scope->names, &changes);
    return cause == SB_CAUSE_NONE ? sb_modbus_changes_write(cook->modbus, &changes) : cause;
}

/* Two bytes of the block; what is beyond its end is the filling. */
static uint16_t word_of(const struct cook *cook, size_t at)
{
    const struct sb_modbus_scope *scope = cook->scope;
    int64_t pad = cook->modbus->config->firmware.pad;
    uint8_t filling = (uint8_t)(pad < 0 ? 0xff : pad);
    uint8_t first = scope->data[at], second = at + 1 < scope->n ? scope->data[at + 1] : filling;
    bool low_first =
        cook->step->at.order == SB_MODBUS_BADC || cook->step->at.order == SB_MODBUS_DCBA;
    return (uint16_t)(low_first ? second << 8 | first : first << 8 | second);
}

static enum sb_cause do_data(const struct cook *cook)
{
    enum sb_cause cause = SB_CAUSE_NONE;
    uint16_t address = cook->step->at.address, words[SB_MODBUS_WORDS_MAX];
    size_t limit = (size_t)cook->modbus->config->max_write;
    for (size_t at = 0; cause == SB_CAUSE_NONE && at < cook->scope->n;) {
        struct sb_modbus_pdu request = { .n = 0 };
        size_t n = 0;
        for (; n < limit && at < cook->scope->n; at += 2)
            words[n++] = word_of(cook, at);
        if (!sb_modbus_write(&request, SB_MODBUS_WRITE_REGISTERS, address, words, n))
            return sb_modbus_fail(cook->modbus, SB_CAUSE_INVALID_REQUEST, "%s: too long",
                                  cook->what);
        cause = send(cook, &request, NULL);
        address = (uint16_t)(address + (cook->step->advance ? n : 0));
    }
    return cause;
}

/* Records beyond 9999 are those of the next file. */
static enum sb_cause do_file(const struct cook *cook)
{
    enum sb_cause cause = SB_CAUSE_NONE;
    const json_t *first = cook->step->value
                              ? sb_modbus_resolve(cook->step->value, cook->scope->names)
                              : json_object_get(cook->scope->names, "offset_words");
    uint64_t record = (uint64_t)json_integer_value(first);
    size_t limit = (size_t)cook->modbus->config->max_record;
    uint16_t words[SB_MODBUS_WORDS_MAX];
    for (size_t at = 0; cause == SB_CAUSE_NONE && at < cook->scope->n;) {
        struct sb_modbus_pdu request = { .n = 0 };
        size_t n = 0, room = RECORDS_MAX - record % RECORDS_MAX;
        for (; n < SB_MIN(limit, room) && at < cook->scope->n; at += 2)
            words[n++] = word_of(cook, at);
        uint64_t file = cook->step->at.address + record / RECORDS_MAX;
        if (file > UINT16_MAX ||
            !sb_modbus_write_record(&request, (uint16_t)file, (uint16_t)(record % RECORDS_MAX),
                                    words, n))
            return sb_modbus_fail(cook->modbus, SB_CAUSE_UNSUPPORTED_IMAGE,
                                  "%s: the image does not fit into the device's files", cook->what);
        cause = send(cook, &request, NULL);
        record += n;
    }
    return cause;
}

static enum sb_cause do_request(const struct cook *cook)
{
    struct sb_modbus_pdu answer = { .n = 0 };
    enum sb_cause cause = send(cook, &cook->step->request, &answer);
    if (cause != SB_CAUSE_NONE || !cook->step->compare)
        return cause;
    if (answer.n == cook->step->request.n &&
        memcmp(answer.bytes, cook->step->request.bytes, answer.n) == 0)
        return SB_CAUSE_NONE;
    sb_cleanup(sb_freep) char *hex = sb_hex(answer.bytes, answer.n);
    return sb_modbus_fail(cook->modbus, SB_CAUSE_REFUSED, "%s: the answer is %s, not the request",
                          cook->what, hex ? hex : "another");
}

/* ---- polls ---- */

static bool is_listed(const json_t *numbers, const json_t *names, int64_t number)
{
    size_t n = json_is_array(numbers) ? json_array_size(numbers) : 1;
    for (size_t i = 0; numbers && i < n; i++) {
        const json_t *item = json_is_array(numbers) ? json_array_get(numbers, i) : numbers;
        const json_t *value = sb_modbus_resolve(item, names);
        if (json_is_integer(value) && json_integer_value(value) == number)
            return true;
    }
    return false;
}

static enum sb_cause status_failed(const struct cook *cook, int64_t number)
{
    struct sb_modbus *modbus = cook->modbus;
    const char *key;
    json_t *value;
    int64_t code;
    enum sb_cause cause = SB_CAUSE_REFUSED;
    json_object_foreach ((json_t *)cook->step->errors, key, value) {
        if (sb_modbus_key_number(key, 0, UINT32_MAX, &code) < 0 || code != number)
            continue;
        modbus->repeat = sb_streq(json_string_value(value), "repeat");
        int named = sb_cause_from_name(json_string_value(value));
        cause = named > SB_CAUSE_NONE ? (enum sb_cause)named : SB_CAUSE_VERIFY_FAILED;
    }
    sb_cleanup(sb_freep) char *text = sb_format("%lld", (long long)number);
    sb_cleanup(sb_freep) char *said =
        sb_format("register %u says %lld", cook->step->at.address, (long long)number);
    if (!text || !said ||
        sb_native_set(&modbus->outcome->native, "modbus", "status", text, said) < 0)
        return sb_modbus_trouble(modbus, -ENOMEM);
    return sb_modbus_fail(modbus, cause, "%s: %s", cook->what, said);
}

/* NONE with *ret_done: it is ok; without: it is at it. */
static enum sb_cause look(const struct cook *cook, bool *ret_done)
{
    const struct sb_modbus_step *step = cook->step;
    struct sb_modbus *modbus = cook->modbus;
    uint16_t words[4] = { 0 };
    sb_cleanup(json_decrefp) json_t *value = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    enum sb_cause cause =
        sb_modbus_get(modbus, step->at.table, step->at.address, step->at.count, words, cook->what);
    if (cause == SB_CAUSE_LINK_LOST && step->silent) {
        sb_modbus_forgive(modbus);
        return SB_CAUSE_NONE;
    }
    if (cause != SB_CAUSE_NONE)
        return cause;
    words[step->at.count - 1] &= step->mask;
    if (sb_modbus_place_decode(&step->at, words, &value, &error) < 0)
        return sb_modbus_fail(modbus, SB_CAUSE_REFUSED, "%s: %s", cook->what,
                              error ? error : "no memory");
    int64_t number = json_is_boolean(value) ? json_is_true(value) : json_integer_value(value);
    *ret_done = is_listed(step->ok, cook->scope->names, number);
    bool busy = is_listed(step->busy, cook->scope->names, number);
    bool failed = false;
    const char *key;
    json_t *unused;
    int64_t code;
    json_object_foreach ((json_t *)step->errors, key, unused)
        failed = failed || (sb_modbus_key_number(key, 0, UINT32_MAX, &code) == 0 && code == number);
    if (*ret_done || (!failed && (busy || !step->busy)))
        return SB_CAUSE_NONE;
    return status_failed(cook, number);
}

static enum sb_cause do_poll(const struct cook *cook)
{
    struct sb_modbus *modbus = cook->modbus;
    int64_t end = sb_session_now(modbus->session) + cook->step->timeout;
    bool done = false;
    enum sb_cause cause = look(cook, &done);
    while (cause == SB_CAUSE_NONE && !done) {
        if (sb_session_now(modbus->session) >= end)
            return sb_modbus_fail(modbus, SB_CAUSE_TIMEOUT,
                                  "%s: the device was not ready within %lld ms (register %u)",
                                  cook->what, (long long)cook->step->timeout,
                                  cook->step->at.address);
        if (modbus->phase != SB_PHASE_TRANSFERRING) /* a sign of life; of a block its bytes are */
            sb_session_progress(modbus->session, modbus->phase, 0, 0);
        cause = sb_modbus_wait(modbus, cook->step->every);
        if (cause == SB_CAUSE_NONE)
            cause = look(cook, &done);
    }
    return cause;
}

/* ---- lists ---- */

static enum sb_cause do_step(const struct cook *cook)
{
    switch (cook->step->verb) {
    case SB_MODBUS_DO_WRITE:
    case SB_MODBUS_DO_COIL:
        return do_write(cook);
    case SB_MODBUS_DO_MASK:
        return do_mask(cook);
    case SB_MODBUS_DO_SET:
        return do_set(cook);
    case SB_MODBUS_DO_DATA:
        return do_data(cook);
    case SB_MODBUS_DO_FILE:
        return do_file(cook);
    case SB_MODBUS_DO_POLL:
        return do_poll(cook);
    case SB_MODBUS_DO_WAIT:
        return sb_modbus_wait(cook->modbus, cook->step->timeout);
    case SB_MODBUS_DO_RESTART_COMMS:
    case SB_MODBUS_DO_REQUEST:
        return do_request(cook);
    case SB_MODBUS_VERB_MAX_:
        break;
    }
    return SB_CAUSE_INTERNAL;
}

enum sb_cause sb_modbus_cook(struct sb_modbus *modbus, const json_t *list,
                             const struct sb_modbus_scope *scope, const char *what)
{
    static const struct sb_modbus_scope nothing = { 0 };
    enum sb_cause cause = SB_CAUSE_NONE;
    size_t i;
    json_t *spec;
    modbus->repeat = modbus->unheard = modbus->was_silent = false;
    json_array_foreach (list, i, spec) {
        struct sb_modbus_step step;
        sb_cleanup(sb_freep) char *error = NULL;
        sb_cleanup(sb_freep) char *place =
            sb_format("%s, step %zu", what, i + 1); /* names the step of a failure */
        const struct cook cook = { modbus, &step, scope ? scope : &nothing, place ? place : what };
        if (sb_modbus_step_read(spec, modbus->config->order, cook.scope->names, &step, &error) < 0)
            return sb_modbus_fail(modbus, SB_CAUSE_INVALID_REQUEST, "%s: %s", cook.what,
                                  error ? error : "not possible");
        if (cause == SB_CAUSE_NONE)
            cause = do_step(&cook);
        if (cause != SB_CAUSE_NONE)
            break;
    }
    return cause;
}
