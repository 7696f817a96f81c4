/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packages and the artifact depot.
 *
 * A package says what an image is: id, name, version, module, files with sizes and digests, where
 * to get it, what it fits. Doors that name a package and doors that name a URI meet here: the
 * content key of a URI request leads to one package. The depot keeps each verified file once, by
 * its sha256, as <dir>/<sha256>; a file arrives as <dir>/tmp/<name>.part and is renamed after
 * verify and fsync. Pinned files (an open task or a staged image needs them) are never dropped.
 *
 * Bounds: depot bytes and free-space floor; least recently used unpinned files go first. The floor
 * holds for what is about to begin; what has begun may use the room below it.
 * Thread: the loop; hashing of large files is done by the fetch helper, not here.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/json.h"
#include "bridge/store/store.h"

struct sb_package {
    char *id;                      /* "p-<first 12 of key hash>" or given */
    char *name, *version, *module; /* may be NULL; module NULL: whole device */
    char *uri;      /* where to fetch it, with credentials in it; NULL: only in the depot */
    char *key;      /* content key: uri without user and query, version, digest, door (whose rules
                       apply: one door's request must not change where another's is fetched from) */
    char *sha256;   /* demanded digest, lower-case hex, or NULL: none known before fetching */
    char *md5;      /* an extra check, or NULL */
    char *artifact; /* sha256 of the file in the depot; NULL: not fetched */
    int64_t size;   /* bytes; -1 unknown */
    char *door;     /* link whose URI rules apply; NULL: added by an operator */
    json_t *fits;   /* {manufacturer:[], model:[], type:[], source_versions:[]} or NULL */
    json_t *extra;  /* credentials, expiry, signature: stored, never printed */
    int64_t created, used;
};

#define SB_PACKAGES_MAX 10000 /* records */

struct sb_packages;
struct sb_depot_limits {
    int64_t bytes;      /* all files */
    int64_t file_bytes; /* one file */
    int64_t free_floor; /* with less than this nothing new begins */
};
/* -ENOTEMPTY: the directory holds files of somebody else (the depot would clean it). */
int sb_packages_new(struct sb_store *store, const char *directory,
                    const struct sb_depot_limits *limits, struct sb_packages **ret) SB_MUST_CHECK;
struct sb_packages *sb_packages_free(struct sb_packages *packages);
SB_DEFINE_CLEANUP(struct sb_packages *, sb_packages_free)

struct sb_package *sb_packages_get(struct sb_packages *packages, const char *id); /* NULL: none */
struct sb_package *sb_packages_at(struct sb_packages *packages, size_t index);
/* What is wrong with a spec's `fits` (a name that means nothing would fit everything): a text to be
 * freed; NULL: nothing, or no memory. */
char *sb_package_fits_wrong(const json_t *fits);
/* The same for the whole spec, for which resolve() says -EINVAL. */
char *sb_package_spec_wrong(const json_t *spec);
/*
 * The package for a spec {uri, version, name, module, sha256, md5, size, fits, door, extra, id}: an
 * existing one with the same content key (its URI and credentials refreshed), else a new one,
 * saved. It has its artifact at once when the depot holds the demanded digest. -EINVAL: neither
 * uri nor name, or a member too long or malformed; -EEXIST: the given id is another package's;
 * -ENOSPC: SB_PACKAGES_MAX; -EAGAIN.
 */
int sb_packages_resolve(struct sb_packages *packages, const json_t *spec, int64_t wall,
                        struct sb_package **ret) SB_MUST_CHECK;
int sb_packages_save(struct sb_packages *packages, const struct sb_package *package) SB_MUST_CHECK;
int sb_packages_remove(struct sb_packages *packages,
                       const char *id) SB_MUST_CHECK; /* -EBUSY pinned */
/*
 * Retention: removes least recently used records that came through a door, each with its file when
 * no other record names it; never pinned ones, nor those `needed` says true of. How many went.
 */
struct sb_packages_bounds {
    size_t keep;    /* while more records than this are there */
    int64_t before; /* and those last used before this, wall ms; 0: none for its age */
    size_t most;    /* that go in one call */
};
typedef bool (*sb_package_needed_fn)(void *arg, const struct sb_package *package);
size_t sb_packages_trim(struct sb_packages *packages, const struct sb_packages_bounds *bounds,
                        sb_package_needed_fn needed, void *arg);

/* Pins count holders; a pin on a missing file is legal (the fetch brings it). */
void sb_depot_pin(struct sb_packages *packages, const char *sha256);
void sb_depot_unpin(struct sb_packages *packages, const char *sha256);
/* Is the file there still, as large as it was? Else it is forgotten, and false. */
bool sb_depot_check(struct sb_packages *packages, const char *sha256);
bool sb_depot_has(struct sb_packages *packages, const char *sha256);
/* Caller frees; NULL: not 64 lower-case hex digits. */
char *sb_depot_path(struct sb_packages *packages, const char *sha256);
char *sb_depot_part(struct sb_packages *packages, const char *package_id); /* caller frees */
/*
 * A verified .part becomes the file, synced, mode 0600. Makes room first. 0, -ENOSPC, -errno. The
 * caller then sets the package's artifact and saves it.
 */
int sb_depot_adopt(struct sb_packages *packages, const char *part,
                   const char *sha256) SB_MUST_CHECK;
/* Is there room for `bytes` more (after dropping what may go)? 0 or -ENOSPC. Below the floor too:
 * who asks has begun. */
int sb_depot_make_room(struct sb_packages *packages, int64_t bytes) SB_MUST_CHECK;
/* Would there be no room above the floor for it now, though there can be later? bytes -1: unknown.
 * promised: bytes of what is on its way. Drops nothing. */
bool sb_depot_is_short(struct sb_packages *packages, int64_t bytes, int64_t promised);
json_t *sb_package_json(const struct sb_package *package); /* for people: URI redacted */
