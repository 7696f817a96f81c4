/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/package/package.h"

#include <errno.h>
#include <string.h>

#include "bridge/base/crypto.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/package/parts.h"

struct sb_package *sb_package_free(struct sb_package *package)
{
    if (!package)
        return NULL;
    char *const texts[] = { package->id,       package->name, package->version, package->module,
                            package->uri,      package->key,  package->sha256,  package->md5,
                            package->artifact, package->door };
    for (size_t i = 0; i < SB_COUNT(texts); i++)
        free(texts[i]);
    json_decref(package->fits);
    json_decref(package->extra);
    free(package);
    return NULL;
}

/* -- JSON form ----------------------------------------------------------------------------------
 */

const struct sb_package_text sb_package_texts[SB_PACKAGE_TEXTS] = {
    { "id", offsetof(struct sb_package, id) },
    { "name", offsetof(struct sb_package, name) },
    { "version", offsetof(struct sb_package, version) },
    { "module", offsetof(struct sb_package, module) },
    { "sha256", offsetof(struct sb_package, sha256) },
    { "md5", offsetof(struct sb_package, md5) },
    { "artifact", offsetof(struct sb_package, artifact) },
    { "door", offsetof(struct sb_package, door) },
};

char **sb_package_text(struct sb_package *package, const struct sb_package_text *member)
{
    return (char **)((char *)package + member->offset);
}

static const char *text_in(const struct sb_package *package, const struct sb_package_text *member)
{
    return *(char *const *)((const char *)package + member->offset);
}

static int put_shared(const struct sb_package *package, json_t *json)
{
    for (size_t i = 0; i < SB_PACKAGE_TEXTS; i++)
        if (sb_json_put_str(json, sb_package_texts[i].key, text_in(package, &sb_package_texts[i])) <
            0)
            return -ENOMEM;
    if (package->size >= 0 && sb_json_put_int(json, "size", package->size) < 0)
        return -ENOMEM;
    if (sb_json_put_int(json, "created", package->created) < 0 ||
        sb_json_put_int(json, "used", package->used) < 0)
        return -ENOMEM;
    return package->fits && json_object_set(json, "fits", package->fits) < 0 ? -ENOMEM : 0;
}

json_t *sb_package_json(const struct sb_package *package)
{
    sb_cleanup(json_decrefp) json_t *json = json_object();
    sb_cleanup(sb_freep) char *uri = package->uri ? sb_redact(package->uri) : NULL;
    if (!json || (package->uri && !uri) || put_shared(package, json) < 0 ||
        sb_json_put_str(json, "uri", uri) < 0)
        return NULL;
    return SB_STEAL(json);
}

/* With the credentials; only for the store. */
static json_t *stored_form(const struct sb_package *package)
{
    sb_cleanup(json_decrefp) json_t *json = json_object();
    if (!json || put_shared(package, json) < 0 || sb_json_put_str(json, "uri", package->uri) < 0 ||
        sb_json_put_str(json, "key", package->key) < 0 ||
        (package->extra && json_object_set(json, "extra", package->extra) < 0))
        return NULL;
    return SB_STEAL(json);
}

int sb_package_take_object(json_t **slot, const json_t *json, const char *key)
{
    const json_t *value = sb_json_object(json, key);
    if (!value)
        return 0;
    json_t *copy = json_deep_copy(value);
    if (!copy)
        return -ENOMEM;
    json_decref(*slot);
    *slot = copy;
    return 0;
}

static int from_stored(const json_t *json, struct sb_package **ret)
{
    sb_cleanup(sb_package_freep) struct sb_package *package = calloc(1, sizeof(*package));
    if (!package)
        return -ENOMEM;
    for (size_t i = 0; i < SB_PACKAGE_TEXTS; i++)
        if (sb_set_string(sb_package_text(package, &sb_package_texts[i]),
                          sb_json_str(json, sb_package_texts[i].key)) < 0)
            return -ENOMEM;
    if (sb_set_string(&package->uri, sb_json_str(json, "uri")) < 0 ||
        sb_set_string(&package->key, sb_json_str(json, "key")) < 0 ||
        sb_package_take_object(&package->fits, json, "fits") < 0 ||
        sb_package_take_object(&package->extra, json, "extra") < 0)
        return -ENOMEM;
    package->size = sb_json_int(json, "size", -1);
    package->created = sb_json_int(json, "created", 0);
    package->used = sb_json_int(json, "used", 0);
    if (!package->id || !package->key)
        return -EBADMSG;
    *ret = SB_STEAL(package);
    return 0;
}

/* -- The list -----------------------------------------------------------------------------------
 */

int sb_packages_append(struct sb_packages *packages, struct sb_package *package)
{
    if (packages->count == packages->room) {
        size_t room = packages->room ? packages->room * 2 : 16;
        void *list = realloc(packages->list, room * sizeof(struct sb_package *));
        if (!list)
            return -ENOMEM;
        packages->list = list;
        packages->room = room;
    }
    packages->list[packages->count++] = package;
    return 0;
}

static int load_row(void *arg, const struct sb_row *row)
{
    sb_cleanup(sb_package_freep) struct sb_package *package = NULL;
    int r = from_stored(row->body, &package);
    if (r == -EBADMSG) {
        sb_error(NULL, "the stored record of package '%s' cannot be read", row->name);
        return 0;
    }
    if (r == 0)
        r = sb_packages_append(arg, package);
    if (r == 0)
        SB_STEAL(package);
    return r;
}

/* A record may speak of a file that is gone, or not know of one that is there. */
static int match_files(struct sb_packages *packages)
{
    int r = 0;
    for (size_t i = 0; i < packages->count; i++) {
        struct sb_package *package = packages->list[i];
        if (package->artifact && !sb_depot_has(packages, package->artifact))
            free(SB_STEAL(package->artifact));
        if (r == 0)
            r = sb_package_take_artifact(packages, package);
    }
    return r;
}

static int load(struct sb_packages *packages)
{
    const struct sb_query all = { .table = SB_TABLE_PACKAGE, .state = -1 };
    int r = sb_store_query(packages->store, &all, load_row, packages);
    return r < 0 ? r : match_files(packages);
}

struct sb_packages *sb_packages_free(struct sb_packages *packages)
{
    if (!packages)
        return NULL;
    sb_depot_close(packages);
    for (size_t i = 0; i < packages->count; i++)
        sb_package_free(packages->list[i]);
    free(packages->list);
    free(packages->directory);
    free(packages);
    return NULL;
}

int sb_packages_new(struct sb_store *store, const char *directory,
                    const struct sb_depot_limits *limits, struct sb_packages **ret)
{
    sb_cleanup(sb_packages_freep) struct sb_packages *packages = calloc(1, sizeof(*packages));
    if (!packages || sb_set_string(&packages->directory, directory) < 0)
        return -ENOMEM;
    packages->store = store;
    packages->limits = *limits;
    int r = sb_depot_open(packages);
    if (r == 0)
        r = load(packages);
    if (r == 0)
        *ret = SB_STEAL(packages);
    return r;
}

struct sb_package *sb_packages_at(struct sb_packages *packages, size_t index)
{
    return index < packages->count ? packages->list[index] : NULL;
}

struct sb_package *sb_packages_get(struct sb_packages *packages, const char *id)
{
    for (size_t i = 0; id && i < packages->count; i++)
        if (strcmp(packages->list[i]->id, id) == 0)
            return packages->list[i];
    return NULL;
}

int sb_packages_save(struct sb_packages *packages, const struct sb_package *package)
{
    sb_cleanup(json_decrefp) json_t *json = stored_form(package);
    if (!json)
        return sb_store_whole(packages->store, -ENOMEM);
    const struct sb_row row = {
        .name = package->id, .a = package->artifact, .time = package->used, .body = json
    };
    return sb_store_put(packages->store, SB_TABLE_PACKAGE, &row);
}

int sb_packages_lost(struct sb_packages *packages, const char *sha256)
{
    for (size_t i = 0; i < packages->count; i++) {
        struct sb_package *package = packages->list[i];
        if (!sb_streq(package->artifact, sha256))
            continue;
        free(SB_STEAL(package->artifact));
        int r = sb_packages_save(packages, package);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool pinned(struct sb_packages *packages, const struct sb_package *package)
{
    const struct sb_depot_file *file = sb_depot_file(packages, package->artifact);
    if (!file)
        file = sb_depot_file(packages, package->sha256);
    return file && file->pins;
}

int sb_packages_remove(struct sb_packages *packages, const char *id)
{
    size_t at = 0;
    while (at < packages->count && strcmp(packages->list[at]->id, id) != 0)
        at++;
    if (at == packages->count)
        return -ENOENT;
    struct sb_package *package = packages->list[at];
    if (pinned(packages, package))
        return -EBUSY;
    int r = sb_store_remove(packages->store, SB_TABLE_PACKAGE, 0, id);
    if (r < 0)
        return r;
    packages->count--;
    memmove(&packages->list[at], &packages->list[at + 1],
            (packages->count - at) * sizeof(struct sb_package *));
    sb_package_free(package); /* its file goes when room is needed: others may name it too */
    return 0;
}

static const struct sb_package *least_used(struct sb_packages *packages,
                                           sb_package_needed_fn needed, void *arg)
{
    const struct sb_package *oldest = NULL;
    for (size_t i = 0; i < packages->count; i++) {
        const struct sb_package *package = packages->list[i];
        if ((!oldest || package->used < oldest->used) && package->door &&
            !pinned(packages, package) && !needed(arg, package))
            oldest = package;
    }
    return oldest;
}

static bool is_named(const struct sb_packages *packages, const char *artifact)
{
    for (size_t i = 0; i < packages->count; i++)
        if (sb_streq(packages->list[i]->artifact, artifact))
            return true;
    return false;
}

static int remove_with_file(struct sb_packages *packages, const struct sb_package *package)
{
    sb_cleanup(sb_freep) char *artifact = NULL;
    int r = sb_set_string(&artifact, package->artifact);
    if (r == 0)
        r = sb_packages_remove(packages, package->id);
    if (r == 0 && artifact && !is_named(packages, artifact))
        sb_depot_discard(packages, artifact);
    return r;
}

size_t sb_packages_trim(struct sb_packages *packages, const struct sb_packages_bounds *bounds,
                        sb_package_needed_fn needed, void *arg)
{
    size_t removed = 0;
    for (; removed < bounds->most; removed++) {
        const struct sb_package *oldest = least_used(packages, needed, arg);
        if (!oldest || (packages->count <= bounds->keep && oldest->used >= bounds->before) ||
            remove_with_file(packages, oldest) < 0)
            break;
    }
    return removed;
}
