/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry: every device behind the gateway, and what is known of it.
 *
 * A record has a local id ("pump-7"), a UUID, one name per dialect, a type (mapping/type.h), the
 * driver's address on a bus, versions per module, the staged image, properties, presence and who
 * may command it. Declared in YAML (which wins where both speak) or registered at run time.
 *
 * What it does not do: talk to devices (runner) or clouds (doors). Thread: the loop.
 * Records are owned by the registry; a pointer is valid until the end of the turn.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/diag.h"
#include "bridge/base/json.h"
#include "bridge/store/store.h"

#define SB_DEVICE_ID_MAX    64              /* [A-Za-z0-9._-], begins with a letter or digit */
#define SB_DEVICES_MAX      ((size_t)20000) /* registered at once; a registry may have less */
#define SB_DEVICE_FACTS_MAX ((size_t)32768)

enum sb_presence {
    SB_PRESENCE_UNKNOWN, /* not asked yet */
    SB_PRESENCE_READY,   /* it answers: its conversation is open, not just its socket */
    SB_PRESENCE_OFFLINE,
    SB_PRESENCE_MAX_,
};
SB_NAMES_DECLARE(sb_presence)

struct sb_staged {  /* an image that was downloaded for this device and waits for its install */
    char *package;  /* package id; NULL: nothing staged */
    char *artifact; /* sha256, pinned */
    bool on_device; /* else in the gateway */
    char *door;     /* link that staged it */
    int64_t when;
};

struct sb_type; /* mapping/type.h */

struct sb_device {
    char *id;
    char *uuid;
    char *type_name;
    const struct sb_type *type; /* NULL while no mapping defines it: every job is refused */
    char *bus;                  /* bus name or NULL */
    char *parent;               /* device id or NULL */
    bool declared;              /* stands in YAML */
    bool gateway;               /* the gateway itself: no driver */
    json_t *address;            /* driver's address, object or NULL */
    json_t *names;              /* {dialect: name}; missing: derived from id */
    json_t *commanders;         /* array of link names, or NULL: all */
    json_t *groups;             /* array of names, to be addressed together; NULL: in none */
    json_t *identity;           /* {manufacturer, model, serial, hardware}: strings, as last read */
    json_t *versions;           /* {module: version}; module "" is the whole device */
    json_t *properties;         /* {name: {"value":, "time":}}; bounded: 256 names */
    json_t *facts; /* what clouds set: location, metadata, deviceInfo (bounded 32 KiB) */
    struct sb_staged staged;
    enum sb_presence presence;
    char *transcript;      /* what was said to it and by it, the last time; not stored; or NULL */
    char *trouble;         /* why it does not answer, for people; not stored; NULL: it does */
    int64_t seen;          /* wall ms of the last answer */
    char *occupied;        /* why it may still be busy with an ended task, or NULL */
    int64_t occupied_left; /* ms until the per-type timeout frees it */
    int64_t order;         /* of registration; the registry's own */
    char *typed_name;      /* derived "<type>/<id>", NULL: it cannot have one; the registry's own */
};

struct sb_registry;
int sb_registry_new(struct sb_store *store, struct sb_registry **ret) SB_MUST_CHECK; /* loads */
struct sb_registry *sb_registry_free(struct sb_registry *registry);
void sb_registry_limit(struct sb_registry *registry, size_t most); /* what is there stays */
/* Told of each record that is about to go, while it and all others are still there: by
 * sb_registry_remove(), and by sb_registry_declare() for those that stand in no file any more. */
typedef void (*sb_leave_fn)(void *arg, struct sb_device *device);
void sb_registry_on_leave(struct sb_registry *registry, sb_leave_fn fn, void *arg);
SB_DEFINE_CLEANUP(struct sb_registry *, sb_registry_free)
/*
 * Sets each record's type from its type_name, now and whenever records come or change: at the
 * start and after types were loaded again. The registry holds a reference to each type in use and
 * borrows `types` (NULL: none) until the next call, so the new ones go in before the old ones go.
 */
struct sb_types;
void sb_registry_attach_types(struct sb_registry *registry, const struct sb_types *types);

struct sb_device *sb_registry_get(struct sb_registry *registry, const char *id); /* NULL: none */
/* "there is no device 'pmup-1' (did you mean 'pump-1'?)"; caller frees, NULL without memory. */
char *sb_registry_missing(const struct sb_registry *registry, const char *id);
/* By its name in a dialect (IBM "type/id"); NULL: none. O(1) or near it. */
struct sb_device *sb_registry_find(struct sb_registry *registry, const char *dialect,
                                   const char *name);
/* The name that a device of this spec would have there; NULL: none, or no memory. Caller frees. */
char *sb_device_spec_name(const json_t *spec, const char *dialect);
/* Its name there; derived when none was given. Not owned; NULL when it can have none. */
const char *sb_device_name(const struct sb_device *device, const char *dialect);
size_t sb_registry_count(const struct sb_registry *registry);
/* In order of registration; index from 0; NULL after the last. */
struct sb_device *sb_registry_at(struct sb_registry *registry, size_t index);

/* Writes the record into the turn's batch. -EAGAIN: store not ready; -E2BIG: facts. */
int sb_registry_save(struct sb_registry *registry, const struct sb_device *device) SB_MUST_CHECK;
/*
 * Registers a device from an object {id, type, bus, address, names, parent, commanders, groups,
 * gateway} (and "_file", "_line": where it stands): checks ids and names for legality and
 * uniqueness. id, type, names and parent of a record change only here and in sb_registry_declare().
 * -EEXIST, -EINVAL with findings, -ENOSPC (limit).
 */
int sb_registry_add(struct sb_registry *registry, const json_t *spec, struct sb_device **ret,
                    struct sb_diags *diags) SB_MUST_CHECK;
/*
 * Puts a device that was registered at run time into these groups, an array of names, and out of
 * all others. -ENOENT; -EPERM: it is declared in a file; -EINVAL with findings; -EAGAIN.
 */
int sb_registry_set_groups(struct sb_registry *registry, const char *id, const json_t *groups,
                           struct sb_diags *diags) SB_MUST_CHECK;
/* Its children stay, without a parent. -ENOENT; -EAGAIN: store not ready, nothing changed. */
int sb_registry_remove(struct sb_registry *registry, const char *id) SB_MUST_CHECK;
/*
 * Brings the registry in line with devices.d: `declared` is an array of specs. Adds, changes and
 * removes declared devices; what was learnt of a device (versions, staged, properties, UUID) is
 * kept; devices registered at run time stay. One finding, and nothing changes: -EINVAL. -EAGAIN:
 * store not ready. ret_removed (may be NULL): ids, array.
 */
int sb_registry_declare(struct sb_registry *registry, const json_t *declared, json_t **ret_removed,
                        struct sb_diags *diags) SB_MUST_CHECK;
/* Would an empty registry of at most so many take these? 0, -EINVAL with findings, -ENOMEM. */
int sb_devices_check(const json_t *declared, size_t most, struct sb_diags *diags) SB_MUST_CHECK;

bool sb_device_may_command(const struct sb_device *device, const char *link);
bool sb_device_in_group(const struct sb_device *device, const char *group);
const char *sb_device_version(const struct sb_device *device, const char *module); /* or NULL */
/* NULL forgets it. -ENOSPC: 64 modules. */
int sb_device_set_version(struct sb_device *device, const char *module,
                          const char *version) SB_MUST_CHECK;
/* Copies value, at most 4 KiB of it. -E2BIG, -ENOSPC (256 names). */
int sb_device_set_property(struct sb_device *device, const char *name, json_t *value,
                           int64_t wall) SB_MUST_CHECK;
json_t *sb_device_json(const struct sb_device *device); /* new reference */
void sb_staged_done(struct sb_staged *staged);
