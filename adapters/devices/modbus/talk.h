/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command under way, as the parts of this driver share it, and how they talk to the device.
 *
 * Convention: a step returns a cause; NONE goes on, anything else ends the command, and the
 * outcome's text (and native code) has been set then. Thread: the worker's.
 */
#pragma once

#include "adapters/devices/modbus/master.h"
#include "adapters/devices/modbus/recipe.h"
#include "adapters/devices/modbus/type.h"

struct sb_modbus {
    struct sb_session *session;
    const struct sb_command *command;
    const struct sb_type *type;
    const struct sb_modbus_type *config;
    struct sb_outcome *outcome;
    struct sb_modbus_master master;
    uint8_t unit;        /* who is spoken to */
    uint32_t speed;      /* and how fast; 0: as the bus is */
    uint32_t bus_speed;  /* 0: the port was not open yet */
    bool committed;      /* this session has passed its commit point */
    bool repeat;         /* a recipe failed by a status that asks for the block again */
    bool shares;         /* waits are for others on the bus as well */
    bool unheard;        /* the recipe's last request had no answer, as its step allows */
    bool was_silent;     /* and was waited for */
    enum sb_phase phase; /* what long waits are part of */
    const char *said;    /* the sentence of a success; static */
};

/* Sets the outcome's text and returns the cause. */
enum sb_cause sb_modbus_fail(struct sb_modbus *modbus, enum sb_cause cause, const char *fmt, ...)
    SB_PRINTF(3, 4);
/* The same for a mechanical error of the line or the session. */
enum sb_cause sb_modbus_trouble(struct sb_modbus *modbus, int error);
/* Forgives what failed before. */
void sb_modbus_forgive(struct sb_modbus *modbus);
/* Opens the port if it is not, or not any more; at the speed that is wanted. */
enum sb_cause sb_modbus_connect(struct sb_modbus *modbus);
/* Speaks to another unit at another speed from now on; 0: the application at the bus's. */
void sb_modbus_tune(struct sb_modbus *modbus, int64_t unit, int64_t baud);
/* The bus as others expect it. */
void sb_modbus_untune(struct sb_modbus *modbus);
/* Others on the bus have their turn. */
void sb_modbus_share(struct sb_modbus *modbus);
/* Waits, and lets others do what they want meanwhile. */
enum sb_cause sb_modbus_wait(struct sb_modbus *modbus, int64_t ms);

/* NONE when answered well; `what` begins the sentence otherwise. ret may be NULL. */
enum sb_cause sb_modbus_ask(struct sb_modbus *modbus, const struct sb_modbus_call *call,
                            const char *what, struct sb_modbus_pdu *ret);
/* One quiet try: 0 answered (ret_exception), -ETIMEDOUT (also while the line is away), or what
 * ends the command. */
int sb_modbus_knock(struct sb_modbus *modbus, const struct sb_modbus_pdu *request,
                    struct sb_modbus_pdu *ret, uint8_t *ret_exception);
/* The cause of an exception, with the device's own code in the outcome. */
enum sb_cause sb_modbus_exception(struct sb_modbus *modbus, uint8_t code, const char *what);
enum sb_cause sb_modbus_cause_of(uint8_t code, bool firmware);

/* Registers or coils; count within what a frame takes. */
enum sb_cause sb_modbus_get(struct sb_modbus *modbus, int table, uint16_t address, uint16_t count,
                            uint16_t *ret, const char *what);
enum sb_cause sb_modbus_put(struct sb_modbus *modbus, int table, uint16_t address,
                            const uint16_t *words, uint16_t count, const char *what);
/* Only the bits of the mask change. */
enum sb_cause sb_modbus_put_bits(struct sb_modbus *modbus, uint16_t address, uint16_t word,
                                 uint16_t mask, const char *what);

enum sb_cause sb_modbus_checkpoint(struct sb_modbus *modbus, json_t *checkpoint); /* takes it */
enum sb_cause sb_modbus_commit(struct sb_modbus *modbus); /* once; further calls do nothing */

/* ---- recipes ---- */

struct sb_modbus_scope {
    const json_t *names; /* what $name stands for, or NULL */
    const uint8_t *data; /* of a block, or NULL */
    size_t n;
};
/* The steps of a list (NULL: none), in order. */
enum sb_cause sb_modbus_cook(struct sb_modbus *modbus, const json_t *list,
                             const struct sb_modbus_scope *scope, const char *what);

/* ---- values ---- */

/* Reads properties by name in as few frames as may be; the first failure is the outcome's. */
enum sb_cause sb_modbus_read_values(struct sb_modbus *modbus, const json_t *names, json_t *values);
/* What is to be written: made, and so checked, before anything is. names: what the values may name,
 * or NULL. */
struct sb_modbus_changes { /* zeroed */
    struct sb_modbus_change *list;
    size_t count;
};
enum sb_cause sb_modbus_changes_make(struct sb_modbus *modbus, const json_t *values,
                                     const json_t *names, struct sb_modbus_changes *ret);
enum sb_cause sb_modbus_changes_write(struct sb_modbus *modbus,
                                      const struct sb_modbus_changes *changes);
/* Reads them back, into held. */
enum sb_cause sb_modbus_changes_check(struct sb_modbus *modbus,
                                      const struct sb_modbus_changes *changes, json_t *held);
void sb_modbus_changes_done(struct sb_modbus_changes *changes);
enum sb_cause sb_modbus_op_read(struct sb_modbus *modbus);
enum sb_cause sb_modbus_op_write(struct sb_modbus *modbus); /* CONFIGURE too */
enum sb_cause sb_modbus_op_invoke(struct sb_modbus *modbus);

/* ---- who is there ---- */

enum sb_cause sb_modbus_identify(struct sb_modbus *modbus); /* the application */
enum sb_cause sb_modbus_op_identify(struct sb_modbus *modbus);
const char *sb_modbus_version(const struct sb_modbus *modbus); /* as told then; NULL: it is not */
/* Is the bootloader there? 0, -ETIMEDOUT no, or what ends the command. */
int sb_modbus_in_bootloader(struct sb_modbus *modbus);

/* ---- restarts ---- */

int64_t sb_modbus_restart_time(const struct sb_modbus *modbus);
/* Waits for a device that was told to restart: away and back, or there after a while. */
enum sb_cause sb_modbus_watch(struct sb_modbus *modbus, bool *ret_was_away);
enum sb_cause sb_modbus_op_reboot(struct sb_modbus *modbus);
enum sb_cause sb_modbus_op_factory_reset(struct sb_modbus *modbus);
