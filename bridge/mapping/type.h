/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device types: what a kind of device is and how its driver handles it (mappings/devices).
 *
 * One file describes one type. The generic part is described by a table here; the section named
 * like the driver is read by the driver's own table. A file is checked whole when it is loaded.
 * Types are refcounted, because a running task keeps the type it began with over a reload.
 * Thread: the loop; a held type is immutable and may be read by a worker.
 */
#pragma once

#include "bridge/base/diag.h"
#include "bridge/config/schema.h"
#include "bridge/job/job.h"

struct sb_driver_ops;

struct sb_type {
    char *name; /* "zephyr-mcuboot" */
    char *driver_name;
    char *title;                           /* for people */
    char *manufacturer, *model, *hardware; /* NULL: as the device says */
    int verify;                            /* enum sb_verify */
    int confirm;                           /* enum sb_confirm */
    bool require_digest;                   /* a job without a digest is refused */
    bool allow_downgrade;
    char *image_magic;                /* hex at offset 0 of every image, or NULL */
    int64_t max_image;                /* bytes, 0: unlimited */
    int64_t stall, restart, occupied; /* ms: no progress; time to come back; stays occupied */
    int64_t identify_every;           /* ms between looks at an idle device; 0 never */
    struct sb_strings operations;     /* what it can do; empty: what the driver can */
    json_t *actions;                  /* {name: driver's own description}: INVOKE */
    json_t *properties;               /* {name: {type, access, ...}}: READ, WRITE, CONFIGURE */
    char *asks; /* the property by which it asks for what is not pushed, or NULL */
    const struct sb_driver_ops *driver;
    void *driver_config;        /* struct of driver->type_fields */
    const struct sb_yaml *yaml; /* kept: line numbers for diagnostics */
    unsigned refs;
};

struct sb_types;

/*
 * Loads *.yaml of the directories' "devices" folders (missing ones have none); a later directory
 * overrides by name. drivers: what there is, ending with NULL (struct sb_adapters). Findings do
 * not stop the others: a type with findings is left out, also where it would have overridden one,
 * and the rest is there in *ret with -EINVAL. Without *ret: -ENOMEM.
 */
int sb_types_load(const struct sb_strings *directories, const struct sb_driver_ops *const *drivers,
                  struct sb_types **ret, struct sb_diags *diags) SB_MUST_CHECK;
/* One reference. -EINVAL with findings, -ENOMEM, the file's errno with a finding. */
int sb_type_load_file(const char *path, const struct sb_driver_ops *const *drivers,
                      struct sb_type **ret, struct sb_diags *diags) SB_MUST_CHECK;
/* The table of the generic part. */
extern const struct sb_field sb_type_fields[];

struct sb_types *sb_types_free(struct sb_types *types);
SB_DEFINE_CLEANUP(struct sb_types *, sb_types_free)
const struct sb_type *sb_types_get(const struct sb_types *types, const char *name); /* borrowed */
const struct sb_type *sb_types_at(const struct sb_types *types, size_t index);      /* NULL: end */
const struct sb_type *sb_type_ref(const struct sb_type *type);
const struct sb_type *sb_type_unref(const struct sb_type *type);
/* Whether a device of the type can have this address (NULL: none given); else findings there. */
int sb_type_check_address(const struct sb_type *type, const char *file, int line,
                          const json_t *address, struct sb_diags *diags) SB_MUST_CHECK;
bool sb_type_allows(const struct sb_type *type, enum sb_op op);
