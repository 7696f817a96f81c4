/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device type says to this driver: its `smp:` section, and what `properties` and `actions`
 * mean here. Checked when the type is loaded, read anew at each command. Pure.
 */
#pragma once

#include "bridge/driver.h"
#include "bridge/mapping/described.h"
#include "bridge/mapping/values.h"

enum sb_smp_stage_at { SB_SMP_STAGE_GATEWAY, SB_SMP_STAGE_DEVICE, SB_SMP_STAGE_AT_MAX_ };
SB_NAMES_DECLARE(sb_smp_stage_at)
enum sb_smp_method { SB_SMP_TEST, SB_SMP_DIRECT, SB_SMP_METHOD_MAX_ };
SB_NAMES_DECLARE(sb_smp_method)
enum sb_smp_reset {
    SB_SMP_RESET_NONE,
    SB_SMP_RESET_ERASE,
    SB_SMP_RESET_SETTINGS,
    SB_SMP_RESET_REQUEST,
    SB_SMP_RESET_MAX_,
};
SB_NAMES_DECLARE(sb_smp_reset)

struct sb_smp_factory_reset {
    int method;      /* enum sb_smp_reset */
    json_t *writes;  /* settings: {property: value} */
    json_t *request; /* request: like an action */
    bool restart;    /* then restart the device */
};

struct sb_smp_type {
    int64_t timeout, tries, first_timeout, buffer, health;
    int stage;                /* enum sb_smp_stage_at */
    int method;               /* enum sb_smp_method */
    struct sb_strings images; /* module of image 0, 1, ...; empty: only image 0, module "" */
    int64_t upload_image;     /* -1: found out */
    bool returns;             /* speaks SMP again after a restart (of method direct) */
    struct sb_smp_factory_reset factory_reset;
};
extern const struct sb_field sb_smp_type_fields[];

/* Texts are borrowed from the type. */
struct sb_smp_property {
    const char *name, *setting;
    enum sb_value type;
    bool big_endian;
    struct sb_described_access access;
};
struct sb_smp_action {
    uint16_t group;
    uint8_t command;
    bool write, repeatable;
    bool confirm;          /* no request: the image that runs is made permanent */
    int64_t timeout;       /* 0: the type's */
    const json_t *payload; /* or NULL */
};

static inline const struct sb_smp_type *sb_smp_type_of(const struct sb_type *type)
{
    return type->driver_config;
}

/* -ENOENT: no such; -EINVAL: described wrongly. ret_error gets a text to be freed. */
int sb_smp_property_get(const struct sb_type *type, const char *name, struct sb_smp_property *ret,
                        char **ret_error) SB_MUST_CHECK;
int sb_smp_action_get(const struct sb_type *type, const char *name, struct sb_smp_action *ret,
                      char **ret_error) SB_MUST_CHECK;
int sb_smp_property_read(const char *name, const json_t *spec, struct sb_smp_property *ret,
                         char **ret_error) SB_MUST_CHECK;
int sb_smp_action_read(const json_t *spec, struct sb_smp_action *ret,
                       char **ret_error) SB_MUST_CHECK;
/* A sb_described_fn. */
int sb_smp_property_check(const struct sb_type *type, const char *name, const json_t *value,
                          struct sb_described_access *ret, char **ret_error) SB_MUST_CHECK;
/* A map (or NULL) that can be sent. */
int sb_smp_check_payload(const json_t *payload, char **ret_error) SB_MUST_CHECK;
/* Image number of a module, or -ENOENT; module of an image number (caller frees). */
int sb_smp_image_of_module(const struct sb_type *type, const char *module);
char *sb_smp_module_of_image(const struct sb_type *type, uint32_t image);

/* The driver's check_type, caps and accepts. */
void sb_smp_check_type(const struct sb_type *type, struct sb_diags *diags);
unsigned sb_smp_caps(const struct sb_type *type);
enum sb_cause sb_smp_accepts(const struct sb_type *type, int op, const json_t *params,
                             char **ret_text);
