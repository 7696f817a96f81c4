/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which package a request means: the one with the same content key, or a new one.
 */
#include <errno.h>
#include <string.h>

#include "bridge/base/crypto.h"
#include "bridge/base/diag.h"
#include "bridge/base/str.h"
#include "bridge/package/parts.h"

#define ID_DIGITS 12

/* Without query, fragment and user: those change while the content stays. */
static void add_bare_uri(struct sb_str *out, const char *uri)
{
    const char *rest = strstr(uri, "://");
    size_t n = strcspn(uri, "?#");
    if (rest && (size_t)(rest - uri) < n) {
        rest += 3;
        const char *end = rest + strcspn(rest, "/?#");
        const char *at = memrchr(rest, '@', (size_t)(end - rest));
        sb_str_add_bytes(out, uri, (size_t)(rest - uri));
        uri = at ? at + 1 : rest;
        n = strcspn(uri, "?#");
    }
    sb_str_add_bytes(out, uri, n);
}

static char *key_of(const json_t *spec)
{
    struct sb_str key = { 0 };
    const char *uri = sb_json_str(spec, "uri");
    static const char *const named[] = { "name", "module" };
    if (uri)
        add_bare_uri(&key, uri);
    for (size_t i = 0; !uri && i < SB_COUNT(named); i++) {
        const char *text = sb_json_str(spec, named[i]);
        sb_str_format(&key, "%s/", text ? text : "");
    }
    static const char *const others[] = { "version", "sha256", "md5", "door" };
    for (size_t i = 0; i < SB_COUNT(others); i++) {
        const char *text = sb_json_str(spec, others[i]);
        sb_str_format(&key, " %s=%s", others[i], text ? text : "");
    }
    return sb_str_take(&key);
}

static char *id_of(struct sb_packages *packages, const char *key)
{
    sb_cleanup(sb_freep) char *hash = sb_sha256_hex(key, strlen(key));
    for (int digits = ID_DIGITS; hash && digits <= SB_SHA256_HEX; digits++) {
        sb_cleanup(sb_freep) char *id = sb_format("p-%.*s", digits, hash);
        if (id && !sb_packages_get(packages, id))
            return SB_STEAL(id);
    }
    return NULL;
}

static bool word(const char *text, size_t max)
{
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = strlen(text);
    return n >= 1 && n <= max && text[0] != '.' && strspn(text, legal) == n;
}

static bool hex_of(const char *text, size_t n)
{
    return strlen(text) == n && strspn(text, "0123456789abcdef") == n;
}

static bool are_texts(const json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach ((json_t *)list, i, item) {
        if (!json_is_string(item))
            return false;
    }
    return json_array_size(list) > 0;
}

char *sb_package_fits_wrong(const json_t *fits)
{
    static const char *const keys[] = { "type", "manufacturer", "model", "source_versions" };
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)fits, key, value) {
        size_t i = 0;
        while (i < SB_COUNT(keys) && strcmp(keys[i], key) != 0)
            i++;
        const char *near = sb_nearest(key, keys, SB_COUNT(keys));
        if (i == SB_COUNT(keys))
            return sb_format("fits: there is no '%.40s' (allowed: type, manufacturer, model, "
                             "source_versions%s%s%s)",
                             key, near ? "; did you mean '" : "", near ? near : "",
                             near ? "'?" : "");
        if (!are_texts(value))
            return sb_format("fits: '%s' is a list of texts", key);
    }
    return fits && !json_is_object(fits) ? sb_format("fits is a map of lists") : NULL;
}

char *sb_package_spec_wrong(const json_t *spec)
{
    static const struct {
        const char *key;
        size_t max;
    } bounds[] = { { "uri", 2048 }, { "name", 256 },  { "version", 256 }, { "module", 64 },
                   { "door", 64 },  { "sha256", 64 }, { "md5", 32 },      { "id", 64 } };
    for (size_t i = 0; i < SB_COUNT(bounds); i++) {
        const json_t *value = json_object_get(spec, bounds[i].key);
        if (value && (!json_is_string(value) || json_string_length(value) > bounds[i].max))
            return sb_format("%s must be a text of at most %zu bytes", bounds[i].key,
                             bounds[i].max);
    }
    char *wrong = sb_package_fits_wrong(json_object_get(spec, "fits"));
    const char *id = sb_json_str(spec, "id");
    const char *sha256 = sb_json_str(spec, "sha256"), *md5 = sb_json_str(spec, "md5");
    if (wrong)
        return wrong;
    if (id && !word(id, 64))
        return strdup("id must be letters, digits and ._-, not beginning with a point");
    if (sha256 && !sb_sha256_legal(sha256))
        return strdup("sha256 must be 64 hex digits, in small letters");
    if (md5 && !hex_of(md5, 32))
        return strdup("md5 must be 32 hex digits, in small letters");
    if (!sb_json_str(spec, "uri") && !sb_json_str(spec, "name"))
        return strdup("neither uri nor name is there");
    return NULL;
}

/* The depot may have what is demanded already. */
int sb_package_take_artifact(struct sb_packages *packages, struct sb_package *package)
{
    if (package->artifact || !sb_depot_has(packages, package->sha256))
        return 0;
    return sb_set_string(&package->artifact, package->sha256);
}

/* What a request says anew: where to get it now, and facts that were not known before. */
static int refresh(struct sb_packages *packages, struct sb_package *package, const json_t *spec,
                   int64_t wall)
{
    const char *uri = sb_json_str(spec, "uri");
    for (size_t i = 0; i < SB_PACKAGE_TEXTS; i++) {
        const char *text = sb_json_str(spec, sb_package_texts[i].key);
        char **slot = sb_package_text(package, &sb_package_texts[i]);
        if (text && !*slot && slot != &package->artifact && sb_set_string(slot, text) < 0)
            return -ENOMEM;
    }
    if (uri && sb_set_string(&package->uri, uri) < 0)
        return -ENOMEM;
    if (sb_package_take_object(&package->fits, spec, "fits") < 0 ||
        sb_package_take_object(&package->extra, spec, "extra") < 0)
        return -ENOMEM;
    int64_t size =
        sb_json_int(spec, "size", -1); /* it is no part of the key: the last word counts */
    package->size = size >= 0 ? size : package->size;
    package->used = SB_MAX(package->used, wall);
    return sb_package_take_artifact(packages, package);
}

static struct sb_package *by_key(struct sb_packages *packages, const char *key)
{
    for (size_t i = 0; i < packages->count; i++)
        if (strcmp(packages->list[i]->key, key) == 0)
            return packages->list[i];
    return NULL;
}

static int create(struct sb_packages *packages, const json_t *spec, char *key, int64_t wall,
                  struct sb_package **ret)
{
    sb_cleanup(sb_package_freep) struct sb_package *package = calloc(1, sizeof(*package));
    if (!package) {
        free(key);
        return -ENOMEM;
    }
    package->key = key;
    package->size = -1;
    package->created = wall;
    const char *id = sb_json_str(spec, "id");
    if (id && sb_packages_get(packages, id))
        return -EEXIST;
    if (packages->count >= SB_PACKAGES_MAX)
        return -ENOSPC;
    package->id = id ? strdup(id) : id_of(packages, key);
    if (!package->id)
        return -ENOMEM;
    int r = refresh(packages, package, spec, wall);
    if (r == 0)
        r = sb_packages_append(packages, package);
    if (r < 0)
        return r;
    r = sb_packages_save(packages, package);
    if (r < 0) {
        packages->count--;
        return r;
    }
    *ret = SB_STEAL(package);
    return 0;
}

int sb_packages_resolve(struct sb_packages *packages, const json_t *spec, int64_t wall,
                        struct sb_package **ret)
{
    sb_cleanup(sb_freep) char *wrong = sb_package_spec_wrong(spec);
    if (wrong)
        return -EINVAL;
    sb_cleanup(sb_freep) char *key = key_of(spec);
    if (!key)
        return -ENOMEM;
    struct sb_package *package = by_key(packages, key);
    if (!package)
        return create(packages, spec, SB_STEAL(key), wall, ret);
    int r = refresh(packages, package, spec, wall);
    if (r == 0)
        r = sb_packages_save(packages, package);
    if (r == 0)
        *ret = package;
    return r;
}
