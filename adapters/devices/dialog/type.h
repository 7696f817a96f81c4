/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device type says to this driver: its `dialog:` section, and what `properties` and
 * `actions` mean here. Checked when the type is loaded, read anew at each command. Pure.
 */
#pragma once

#include "adapters/devices/dialog/script.h"
#include "adapters/devices/dialog/value.h"
#include "bridge/driver.h"
#include "bridge/mapping/described.h"

struct sb_dialog_type {
    const struct sb_yaml *scripts; /* borrowed */
    json_t *patterns;              /* {name: expression} */
    json_t *secrets;               /* {name: setting} */
    int eol, echo;
    char *clear; /* what empties a line of which the echo was wrong */
    char *vocabulary;
    int64_t timeout, pace, time_limit, tries;
    int64_t transfer_timeout, transfer_first, transfer_tries;
};
extern const struct sb_field sb_dialog_type_fields[];

/* Scripts that the driver plays by itself. */
#define SB_SCRIPT_ATTACH   "attach"
#define SB_SCRIPT_IDENTIFY "identify"
#define SB_SCRIPT_VERIFY   "verify"
#define SB_SCRIPT_READ     "read"
#define SB_SCRIPT_WRITE    "write"
/* The script of an operation, or NULL: several or none of its own (INVOKE). */
const char *sb_dialog_script_of(int op);
bool sb_dialog_can(const struct sb_type *type, const char *script); /* has it */

/* Texts are borrowed from the type. */
struct sb_dialog_property {
    const char *name, *key;   /* key: what the device calls it */
    const char *read, *write; /* scripts; NULL: cannot */
    bool secret;
    struct sb_described_access access;
    struct sb_dialog_value value;
};
struct sb_dialog_action {
    const char *script;
    const json_t *arguments; /* {name: description} or NULL */
    bool repeatable;
};

static inline const struct sb_dialog_type *sb_dialog_type_of(const struct sb_type *type)
{
    return type->driver_config;
}

/* -ENOENT: no such; -EINVAL: described wrongly. ret_error gets a text to be freed. */
int sb_dialog_property_get(const struct sb_type *type, const char *name,
                           struct sb_dialog_property *ret, char **ret_error) SB_MUST_CHECK;
int sb_dialog_property_read(const struct sb_type *type, const char *name, const json_t *spec,
                            struct sb_dialog_property *ret, char **ret_error) SB_MUST_CHECK;
int sb_dialog_property_check(const struct sb_type *type, const char *name, const json_t *value,
                             struct sb_described_access *ret, char **ret_error) SB_MUST_CHECK;
int sb_dialog_action_get(const struct sb_type *type, const char *name, struct sb_dialog_action *ret,
                         char **ret_error) SB_MUST_CHECK;
int sb_dialog_action_read(const struct sb_type *type, const json_t *spec,
                          struct sb_dialog_action *ret, char **ret_error) SB_MUST_CHECK;
/* The arguments as texts to send: {name: text}, all that the action describes. */
int sb_dialog_arguments(const struct sb_dialog_action *action, const json_t *arguments,
                        json_t **ret, char **ret_error) SB_MUST_CHECK;

/* "manufacturer", "model", "serial", "hardware" */
bool sb_dialog_is_identity(const char *name);
/* The module of "version" ("") and "version.MODULE", else NULL. */
const char *sb_dialog_version_module(const char *name);

/* The driver's check_type, caps and accepts. */
void sb_dialog_check_type(const struct sb_type *type, struct sb_diags *diags);
unsigned sb_dialog_caps(const struct sb_type *type);
enum sb_cause sb_dialog_accepts(const struct sb_type *type, int op, const json_t *params,
                                char **ret_text);
/* Beyond reading: what scripts do, and what they name. Private to check_type. */
void sb_dialog_check_scripts(const struct sb_type *type, const struct sb_dialog_scripts *scripts,
                             struct sb_diags *diags);
void sb_dialog_check_names(const struct sb_type *type, const struct sb_dialog_scripts *scripts,
                           struct sb_diags *diags);
