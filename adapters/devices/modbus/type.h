/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device type says to this driver: its `modbus:` section. Recipes are lists of steps
 * (recipe.h). Checked when the type is loaded, read anew at each command. Pure.
 */
#pragma once

#include "adapters/devices/modbus/map.h"
#include "bridge/driver.h"
#include "bridge/mapping/type.h"

enum sb_modbus_id { /* ways to find out who a device is */
                    SB_MODBUS_ID_DEVICE,
                    SB_MODBUS_ID_SERVER,
                    SB_MODBUS_ID_REGISTERS,
                    SB_MODBUS_ID_MAX_,
};
SB_NAMES_DECLARE(sb_modbus_id)

enum sb_modbus_stage { /* of an update, in this order */
                       SB_MODBUS_AT_ENTER,
                       SB_MODBUS_AT_ERASE,
                       SB_MODBUS_AT_BLOCKS,
                       SB_MODBUS_AT_FINISH,
                       SB_MODBUS_AT_REBOOT,
                       SB_MODBUS_STAGE_MAX_,
};
SB_NAMES_DECLARE(sb_modbus_stage)

enum sb_modbus_counts { SB_MODBUS_COUNTS_BLOCKS, SB_MODBUS_COUNTS_BYTES, SB_MODBUS_COUNTS_MAX_ };
SB_NAMES_DECLARE(sb_modbus_counts)

struct sb_modbus_bootloader {
    int64_t unit, baud; /* 0: those of the application */
    int64_t wait;       /* until it is there */
    json_t *probe;      /* recipe: fails when it is not there */
};

struct sb_modbus_firmware {
    int64_t block;                      /* bytes; 0: this type has no update */
    int64_t pad;                        /* byte that fills the last block; -1: it is shorter */
    int64_t skip;                       /* bytes of the file before what is sent */
    int64_t tries;                      /* of a block that the device says is damaged */
    int64_t share;                      /* blocks until others on the bus have their turn */
    int64_t version_at, version_length; /* of a version as text in the file; -1: none */
    int commit;                         /* enum sb_modbus_stage that may not be cut off */
    json_t *enter, *erase, *blocks, *finish, *reboot, *abort; /* recipes */
    json_t *resume; /* place of a number that tells how far the device is */
    int counts;     /* enum sb_modbus_counts */
    struct sb_modbus_bootloader bootloader;
};

struct sb_modbus_type {
    int64_t timeout, tries, busy, gap, settle;
    int64_t max_read, max_write, max_read_bits, max_write_bits, max_record;
    int order; /* enum sb_modbus_order */
    bool echo, write_single, mask_write;
    struct sb_strings identify; /* enum sb_modbus_id by name */
    int64_t device_id;          /* read code of 0x2b/0x0e */
    json_t *identity;           /* {manufacturer, model, serial, hardware, version: property} */
    json_t *before, *after, *save;
    json_t *reboot, *factory_reset;
    bool reset_restarts;
    struct sb_modbus_firmware firmware;
};
extern const struct sb_field sb_modbus_type_fields[];

struct sb_modbus_address { /* of a device */
    int64_t unit;
};
extern const struct sb_field sb_modbus_address_fields[];

struct sb_modbus_action { /* borrowed from the type */
    const json_t *steps, *arguments, *results;
    bool repeatable;
};

static inline const struct sb_modbus_type *sb_modbus_type_of(const struct sb_type *type)
{
    return type->driver_config;
}

/* -ENOENT: no such; -EINVAL: described wrongly. ret_error gets a text to be freed. */
int sb_modbus_property_get(const struct sb_type *type, const char *name,
                           struct sb_modbus_property *ret, char **ret_error) SB_MUST_CHECK;
int sb_modbus_property_check(const struct sb_type *type, const char *name, const json_t *value,
                             struct sb_described_access *ret,
                             char **ret_error) SB_MUST_CHECK; /* a sb_described_fn */
int sb_modbus_action_read(const json_t *spec, struct sb_modbus_action *ret,
                          char **ret_error) SB_MUST_CHECK;
int sb_modbus_action_get(const struct sb_type *type, const char *name, struct sb_modbus_action *ret,
                         char **ret_error) SB_MUST_CHECK;
/* The arguments given, with the defaults of those that are not: what $name stands for in steps. */
int sb_modbus_arguments(const struct sb_modbus_action *action, const json_t *given, json_t **ret,
                        char **ret_error) SB_MUST_CHECK;
/* Of a value that `resume` describes. */
int sb_modbus_resume_read(const struct sb_type *type, struct sb_modbus_place *ret,
                          char **ret_error) SB_MUST_CHECK;

/* The driver's check_type, caps and accepts. */
void sb_modbus_check_type(const struct sb_type *type, struct sb_diags *diags);
unsigned sb_modbus_caps(const struct sb_type *type);
enum sb_cause sb_modbus_accepts(const struct sb_type *type, int op, const json_t *params,
                                char **ret_text);
