/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's own configuration (southbridge.yaml) and the devices it declares (devices.d).
 *
 * Says where things are and how much of everything there may be; the defaults fit a gateway with
 * 256 MB of flash. A bus or a link has keys that are read here and keys that only its transport
 * or dialect knows: those read the whole node again, with the tables below as `also`:
 *     sb_schema_read_also(link->yaml, NULL, door->fields, sb_link_fields, config, diags)
 *
 * What it does not do: open, create or resolve anything it names. Pure but for reading the files.
 * Thread: any; a loaded configuration is immutable.
 */
#pragma once

#include "bridge/config/schema.h"

struct sb_bus_config {
    char *name;
    char *transport;
    bool point_to_point;        /* one device, whatever devices.d says */
    const struct sb_yaml *yaml; /* the whole section */
};

struct sb_link_config {
    char *name;
    char *dialect;
    char *role;
    const struct sb_yaml *uri_rules; /* for sb_uri_rules_fields; NULL: not given */
    const struct sb_yaml *yaml;      /* the whole section */
};

struct sb_config {
    char *state; /* directory of store and depot */
    struct sb_strings mappings;
    char *devices; /* devices.d */
    struct {
        char *socket, *group;
    } control;
    struct {
        int level, format; /* enum sb_log_level, sb_log_format */
    } log;
    struct {
        int64_t limit, file_limit, free_floor; /* bytes */
        int64_t parallel;                      /* downloads at once */
    } artifacts;
    struct { /* per link: struct sb_outbox_limits */
        int64_t count, bytes;
        int64_t answer_age, final_age; /* ms */
        int64_t window;
    } outbox;
    struct { /* struct sb_retention_limits */
        int64_t bytes;
        int64_t job_age, job_count, remember;
        int64_t audit_age, audit_count;
        int64_t package_age, package_count;
    } retention;
    struct {
        int64_t jobs, tasks; /* open ones */
        int64_t devices;
        int64_t under_way; /* sessions at once */
    } limits;
    struct sb_array buses; /* struct sb_bus_config */
    struct sb_array links; /* struct sb_link_config */
    struct sb_yaml *yaml;  /* what the nodes above point into */
};

extern const struct sb_field sb_config_fields[];
extern const struct sb_field sb_bus_fields[];
extern const struct sb_field sb_link_fields[];

/* 0; -EINVAL with findings, -ENOMEM, or the file's errno (with a finding). */
int sb_config_load(const char *path, struct sb_config **ret, struct sb_diags *diags) SB_MUST_CHECK;
struct sb_config *sb_config_free(struct sb_config *config);
SB_DEFINE_CLEANUP(struct sb_config *, sb_config_free)
const struct sb_bus_config *sb_config_bus(const struct sb_config *config, size_t index); /* NULL:
                                                                                            end */
const struct sb_link_config *sb_config_link(const struct sb_config *config, size_t index);

/*
 * Reads every *.yaml of the directory (which may be missing), in name order, into one array of
 * device specs for sb_registry_declare(); "_file" and "_line" say where each stands. All or
 * nothing: with half a list, devices would look removed. -EINVAL with findings, -ENOMEM, -errno.
 */
int sb_devices_load(const char *directory, json_t **ret_specs,
                    struct sb_diags *diags) SB_MUST_CHECK;
extern const struct sb_field sb_device_fields[]; /* of one spec */

/* Paths of the *.yaml files of a directory in name order, appended; a missing directory has none.
 * -ENOMEM, or the directory's errno with a finding. */
int sb_config_files(const char *directory, struct sb_strings *ret,
                    struct sb_diags *diags) SB_MUST_CHECK;
