/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between package.c (records) , resolve.c and depot.c (files). Nobody else includes this.
 */
#pragma once

#include "bridge/package/package.h"

struct sb_depot_file { /* also for a file that is pinned but not there: size -1 */
    char sha256[65];
    int64_t size;
    int64_t used; /* wall ms: of the file, or of a package that names it, the later */
    unsigned pins;
};

struct sb_packages {
    struct sb_store *store;
    char *directory;
    struct sb_depot_limits limits;
    struct sb_package **list;
    size_t count, room;
    struct sb_depot_file *files;
    size_t file_count, file_room;
    int64_t bytes; /* of all files */
};

struct sb_package *sb_package_free(struct sb_package *package);
SB_DEFINE_CLEANUP(struct sb_package *, sb_package_free)
int sb_packages_append(struct sb_packages *packages, struct sb_package *package) SB_MUST_CHECK;

/* Text members that are stored and shown alike. */
#define SB_PACKAGE_TEXTS 8
struct sb_package_text {
    const char *key;
    size_t offset;
};
extern const struct sb_package_text sb_package_texts[SB_PACKAGE_TEXTS];
char **sb_package_text(struct sb_package *package, const struct sb_package_text *member);
/* Copies an object member, if there is one, in place of *slot. */
int sb_package_take_object(json_t **slot, const json_t *json, const char *key) SB_MUST_CHECK;
int sb_package_take_artifact(struct sb_packages *packages,
                             struct sb_package *package) SB_MUST_CHECK;

/* Makes the folders, counts what is there, drops what does not belong. -ENOTEMPTY: the directory
 * is somebody else's. */
int sb_depot_open(struct sb_packages *packages) SB_MUST_CHECK;
void sb_depot_close(struct sb_packages *packages);
struct sb_depot_file *sb_depot_file(struct sb_packages *packages, const char *sha256); /* or NULL */
void sb_depot_discard(struct sb_packages *packages, const char *sha256); /* unless it is pinned */
/* A file was dropped: no package has it any more. */
int sb_packages_lost(struct sb_packages *packages, const char *sha256) SB_MUST_CHECK;
bool sb_sha256_legal(const char *text);
