/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recipes: lists of steps in a device type, by which a vendor's ways become data. Each step is a
 * map with one of these verbs:
 *
 *   write: R     `value`, or `values` of a register each; `type`, `order` as in a property
 *   coil: C      `value`
 *   mask: R      `and`, `or`: function 22
 *   set: {...}   properties by name, as a WRITE has them
 *   data: R      the block's bytes, from register R on, in as few frames as may be
 *                (`advance: false`: every frame to R)
 *   file: F      the block's bytes as records of file F, from `record` on ($offset_words)
 *   poll: R      reads until it is `ok`; `busy` values wait, `errors: { number: cause }` fail
 *                ("repeat": send the block again); `mask`, `every`, `timeout`, `silent: true`
 *                (silence means busy)
 *   wait: 2s
 *   restart_comms: true     function 8/1
 *   request: "41 00 01"     a PDU of the vendor's, in hex; `answer: echo` compares
 *
 * Each request may say `answer: false` (the device may not answer), `once: true` (never sent
 * again) and `broadcast: true`. A value "$name" stands for an argument, or what is known of the
 * image and block.
 */
#pragma once

#include "adapters/devices/modbus/frame.h"
#include "adapters/devices/modbus/map.h"

enum sb_modbus_verb {
    SB_MODBUS_DO_WRITE,
    SB_MODBUS_DO_COIL,
    SB_MODBUS_DO_MASK,
    SB_MODBUS_DO_SET,
    SB_MODBUS_DO_DATA,
    SB_MODBUS_DO_FILE,
    SB_MODBUS_DO_POLL,
    SB_MODBUS_DO_WAIT,
    SB_MODBUS_DO_RESTART_COMMS,
    SB_MODBUS_DO_REQUEST,
    SB_MODBUS_VERB_MAX_,
};
SB_NAMES_DECLARE(sb_modbus_verb)

#define SB_MODBUS_STEPS_MAX 64

struct sb_modbus_step { /* borrowed from the type */
    enum sb_modbus_verb verb;
    struct sb_modbus_place at;
    const json_t *value; /* value, values, set, record */
    const json_t *ok, *busy, *errors;
    uint16_t mask, set_bits; /* mask: and, or; poll: what of the register counts */
    bool no_answer, once, broadcast, silent, advance, compare;
    int64_t timeout, every;
    struct sb_modbus_pdu request;
};

/* names: {name: anything} of what $name may be, or NULL. */
int sb_modbus_step_read(const json_t *spec, int order, const json_t *names,
                        struct sb_modbus_step *ret, char **ret_error) SB_MUST_CHECK;
/* All steps of a list (NULL: none); the text begins with the step's number, *ret_step is its index.
 * data: there is a block to send. */
int sb_modbus_recipe_check(const json_t *list, int order, const json_t *names, bool data,
                           size_t *ret_step, char **ret_error) SB_MUST_CHECK;
/* What a value stands for: itself, or $name; NULL: nothing. Borrowed. */
const json_t *sb_modbus_resolve(const json_t *value, const json_t *names);
/* The words of a write. */
int sb_modbus_step_words(const struct sb_modbus_step *step, const json_t *names,
                         uint16_t ret[SB_MODBUS_WORDS_MAX], size_t *ret_n,
                         char **ret_error) SB_MUST_CHECK;
