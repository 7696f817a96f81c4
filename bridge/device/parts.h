/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the registry's own files: the record (device.c), its names (names.c), reading a
 * spec (spec.c), the index (index.c). Nobody else includes this.
 */
#pragma once

#include "bridge/base/map.h"
#include "bridge/device/device.h"

struct sb_device *sb_device_free(struct sb_device *device);
SB_DEFINE_CLEANUP(struct sb_device *, sb_device_free)
/* From the stored form. -EBADMSG, -ENOMEM. */
int sb_device_from_json(const json_t *json, struct sb_device **ret) SB_MUST_CHECK;

/* Letters, digits, "._-", beginning with a letter or digit, at most SB_DEVICE_ID_MAX. */
bool sb_device_id_legal(const char *id);
/* NULL when `name` is legal in the dialect, else what is. Unknown dialects have a lax rule. */
const char *sb_device_name_form(const char *dialect, const char *name);
/* Works out typed_name from type_name and id. -ENOMEM. */
int sb_device_derive(struct sb_device *device) SB_MUST_CHECK;
/* The id in a derived name of the dialect ("type/id", or the name itself). */
const char *sb_device_derived_id(const char *dialect, const char *name);

/*
 * A record with what a spec says, the rest empty; findings for all that is wrong with it alone.
 * -EINVAL, -ENOMEM.
 */
int sb_device_from_spec(const json_t *spec, struct sb_device **ret,
                        struct sb_diags *diags) SB_MUST_CHECK;
/* The groups in a spec; an empty list is none. -EINVAL with a finding, -ENOMEM. */
int sb_device_read_groups(const json_t *spec, json_t **ret, struct sb_diags *diags) SB_MUST_CHECK;
/* A finding at the place the spec came from. */
void sb_device_complain(const json_t *spec, struct sb_diags *diags, const char *fmt, ...)
    SB_PRINTF(3, 4);
bool sb_device_spec_equal(const struct sb_device *a, const struct sb_device *b);
/* Takes over what a spec says; `from` keeps nothing of it. */
void sb_device_spec_move(struct sb_device *to, struct sb_device *from);

/* Records by id, and by the names that were given. */
struct sb_device_index {
    struct sb_map ids, names; /* names: "dialect name" */
    struct {
        char *list[16]; /* dialects in which a name was given */
        size_t count;
    } dialects;
};
void sb_device_index_done(struct sb_device_index *index);
/* -ENOSPC: too many dialects. */
int sb_device_index_add(struct sb_device_index *index, struct sb_device *device) SB_MUST_CHECK;
void sb_device_index_remove(struct sb_device_index *index, const struct sb_device *device);
struct sb_device *sb_device_index_get(const struct sb_device_index *index, const char *id);
struct sb_device *sb_device_index_given(const struct sb_device_index *index, const char *dialect,
                                        const char *name);
/* By a given or a derived name. */
struct sb_device *sb_device_index_find(const struct sb_device_index *index, const char *dialect,
                                       const char *name);

struct sb_registry {
    struct sb_store *store;
    const struct sb_types *types; /* borrowed */
    struct sb_device **list;      /* in order of registration */
    size_t count, room, most;
    int64_t next_order;
    struct sb_device_index index;
    sb_leave_fn on_leave; /* NULL: nobody minds */
    void *leave_arg;
};

int sb_registry_make_room(struct sb_registry *registry, size_t more) SB_MUST_CHECK;
/* Into list and index, which then own it. */
int sb_registry_insert(struct sb_registry *registry, struct sb_device *device) SB_MUST_CHECK;
/* Gives a new record its UUID and place, and stores it. */
int sb_registry_settle(struct sb_registry *registry, struct sb_device *device) SB_MUST_CHECK;
void sb_registry_attach(const struct sb_registry *registry, struct sb_device *device);
struct sb_device *sb_registry_release(struct sb_device *device); /* its type as well */
void sb_registry_leave(struct sb_registry *registry, struct sb_device *device);
int sb_registry_free_orphans(struct sb_registry *registry) SB_MUST_CHECK;
const struct sb_device *sb_registry_gateway(const struct sb_registry *registry);

/* -EINVAL with findings; `device` need not be in the index. */
int sb_device_check_names(const struct sb_device_index *index, const struct sb_device *device,
                          const json_t *spec, struct sb_diags *diags) SB_MUST_CHECK;
int sb_device_check_parent(const struct sb_device_index *index, const struct sb_device *device,
                           const json_t *spec, struct sb_diags *diags) SB_MUST_CHECK;
