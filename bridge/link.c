/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/host.h"

#include "bridge/base/str.h"
#include "bridge/package/uri.h"

const struct sb_door_ops *sb_adapters_door(const struct sb_adapters *adapters, const char *dialect,
                                           const char *role)
{
    for (size_t i = 0; adapters->doors[i]; i++)
        if (sb_streq(adapters->doors[i]->dialect, dialect) &&
            sb_streq(adapters->doors[i]->role, role))
            return adapters->doors[i];
    return NULL;
}

const struct sb_driver_ops *sb_adapters_driver(const struct sb_adapters *adapters, const char *name)
{
    for (size_t i = 0; adapters->drivers[i]; i++)
        if (sb_streq(adapters->drivers[i]->name, name))
            return adapters->drivers[i];
    return NULL;
}

const struct sb_port_ops *sb_adapters_transport(const struct sb_adapters *adapters,
                                                const char *name)
{
    for (size_t i = 0; adapters->transports[i]; i++)
        if (sb_streq(adapters->transports[i]->name, name))
            return adapters->transports[i];
    return NULL;
}

/* The last directory that has the dialect's file wins. */
static char *find_words(const struct sb_config *config, const char *dialect)
{
    for (size_t i = config->mappings.count; i-- > 0;) {
        char *path = sb_format("%s/dialects/%s.yaml", config->mappings.list[i], dialect);
        if (path && access(path, F_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

int sb_link_words(const struct sb_config *config, const struct sb_door_ops *ops,
                  struct sb_words **ret, struct sb_diags *diags)
{
    sb_cleanup(sb_freep) char *path = find_words(config, ops->dialect);
    *ret = NULL;
    return path ? sb_words_load(path, ops->shape, ret, diags) : 0;
}

static int load_words(const struct sb_config *config, const struct sb_link_config *link,
                      struct sb_link_parts *parts, struct sb_diags *diags)
{
    int r = sb_link_words(config, parts->ops, &parts->words, diags);
    if (r < 0 || parts->words)
        return r;
    sb_diags_add(diags, config->yaml->file, link->yaml->line, link->yaml->column,
                 "no file dialects/%s.yaml in any of the `mappings` directories", link->dialect);
    return -EINVAL;
}

static void unknown_dialect(const struct sb_config *config, const struct sb_link_config *link,
                            const struct sb_adapters *adapters, struct sb_diags *diags)
{
    struct sb_str known = { 0 };
    for (size_t i = 0; adapters->doors[i]; i++)
        sb_str_format(&known, "%s%s (%s)", i ? ", " : "", adapters->doors[i]->dialect,
                      adapters->doors[i]->role);
    const struct sb_yaml *at = sb_yaml_get(link->yaml, "dialect");
    at = at ? at : link->yaml;
    sb_diags_add(diags, config->yaml->file, at->line, at->column,
                 "link '%s': no dialect '%s' with the role '%s' (there is %s)", link->name,
                 link->dialect, link->role, sb_str_get(&known));
    sb_str_done(&known);
}

int sb_link_load(const struct sb_config *config, const struct sb_link_config *link,
                 const struct sb_adapters *adapters, struct sb_link_parts *ret,
                 struct sb_diags *diags)
{
    struct sb_link_parts parts = { .ops = sb_adapters_door(adapters, link->dialect, link->role) };
    if (!parts.ops) {
        unknown_dialect(config, link, adapters, diags);
        return -EINVAL;
    }
    parts.config = calloc(1, SB_MAX(parts.ops->size, (size_t)1));
    if (!parts.config)
        return -ENOMEM;
    const char *file = config->yaml->file;
    size_t before = diags->total, held = diags->count;
    int r = sb_schema_read_also(link->yaml, file, parts.ops->fields, sb_link_fields, parts.config,
                                diags);
    int r2 = sb_schema_read(link->uri_rules, file, sb_uri_rules_fields, &parts.rules, diags);
    if (r2 >= 0 && link->uri_rules)
        r2 = sb_uri_rules_check(&parts.rules, file, link->uri_rules->line, diags);
    if (parts.ops->check && r >= 0)
        parts.ops->check(parts.config, link->yaml, diags);
    sb_schema_sort(diags, held); /* so far all of one file */
    int r3 = load_words(config, link, &parts, diags);
    r = r < 0 ? r : r2 < 0 ? r2 : r3;
    if (r >= 0 && diags->total != before)
        r = -EINVAL;
    if (r < 0) {
        sb_link_parts_done(&parts);
        return r;
    }
    *ret = parts;
    return 0;
}

void sb_link_parts_done(struct sb_link_parts *parts)
{
    if (parts->config)
        sb_schema_done(parts->ops->fields, parts->config);
    free(parts->config);
    sb_words_free(parts->words);
    sb_schema_done(sb_uri_rules_fields, &parts->rules);
    *parts = (struct sb_link_parts){ 0 };
}
