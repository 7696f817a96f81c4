/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/config/config.h"

#include <errno.h>

#include "bridge/base/log.h"
#include "bridge/base/time.h"

#define KIB        INT64_C(1024)
#define MIB        (1024 * KIB)
#define GIB        (1024 * MIB)
#define TIB        (1024 * GIB)
#define PATH_SIZE  4095
#define SUN_SIZE   107 /* what a socket's address holds */

#define AT(member) offsetof(struct sb_config, member)

static const struct sb_field control_fields[] = {
    { .key = "socket",
      .type = SB_TYPE_STRING,
      .offset = AT(control.socket) - AT(control),
      .min = 1,
      .max = SUN_SIZE,
      .otherwise = "/run/southbridge/control",
      .doc = "Path of the control socket that southbridgectl connects to." },
    { .key = "group",
      .type = SB_TYPE_STRING,
      .offset = AT(control.group) - AT(control),
      .min = 1,
      .max = 32,
      .otherwise = "southbridge",
      .doc = "Group whose members may use the control socket." },
    { 0 },
};

static const struct sb_field log_fields[] = {
    { .key = "level",
      .type = SB_TYPE_CHOICE,
      .offset = AT(log.level) - AT(log),
      .otherwise = "info",
      .choices = &sb_log_level_names,
      .doc = "The least important entries that are still written." },
    { .key = "format",
      .type = SB_TYPE_CHOICE,
      .offset = AT(log.format) - AT(log),
      .otherwise = "auto",
      .choices = &sb_log_format_names,
      .doc = "Where entries go: auto takes the journal when stderr is the journal." },
    { 0 },
};

static const struct sb_field artifact_fields[] = {
    { .key = "limit",
      .type = SB_TYPE_SIZE,
      .offset = AT(artifacts.limit) - AT(artifacts),
      .min = MIB,
      .max = TIB,
      .otherwise = "64M",
      .doc = "Most that all images in the depot may take; the oldest unused ones go first." },
    { .key = "file_limit",
      .type = SB_TYPE_SIZE,
      .offset = AT(artifacts.file_limit) - AT(artifacts),
      .min = KIB,
      .max = TIB,
      .otherwise = "16M",
      .doc = "Largest single image that is downloaded." },
    { .key = "free_floor",
      .type = SB_TYPE_SIZE,
      .offset = AT(artifacts.free_floor) - AT(artifacts),
      .min = 0,
      .max = TIB,
      .otherwise = "8M",
      .doc =
          "With less than this free on the disk of the store, or on that of the images, new jobs "
          "are refused." },
    { .key = "parallel",
      .type = SB_TYPE_INT,
      .offset = AT(artifacts.parallel) - AT(artifacts),
      .min = 1,
      .max = 16,
      .otherwise = "2",
      .doc = "Downloads at the same time." },
    { 0 },
};

static const struct sb_field outbox_fields[] = {
    { .key = "count",
      .type = SB_TYPE_INT,
      .offset = AT(outbox.count) - AT(outbox),
      .min = 16,
      .max = 1000000,
      .otherwise = "5000",
      .doc = "Unacknowledged messages kept per link." },
    { .key = "bytes",
      .type = SB_TYPE_SIZE,
      .offset = AT(outbox.bytes) - AT(outbox),
      .min = 256 * KIB,
      .max = GIB,
      .otherwise = "8M",
      .doc = "Bytes of unacknowledged messages kept per link." },
    { .key = "answer_age",
      .type = SB_TYPE_DURATION,
      .offset = AT(outbox.answer_age) - AT(outbox),
      .min = SB_SECOND,
      .max = 365 * SB_DAY,
      .otherwise = "1h",
      .doc = "After this time nobody waits for an answer; it may go when the outbox is full." },
    { .key = "final_age",
      .type = SB_TYPE_DURATION,
      .offset = AT(outbox.final_age) - AT(outbox),
      .min = SB_HOUR,
      .max = 3650 * SB_DAY,
      .otherwise = "30d",
      .doc = "After this time a final report may go when the outbox is full; the audit tells." },
    { .key = "window",
      .type = SB_TYPE_INT,
      .offset = AT(outbox.window) - AT(outbox),
      .min = 1,
      .max = 1000,
      .otherwise = "16",
      .doc = "Messages sent and not yet acknowledged at the same time, per link." },
    { 0 },
};

static const struct sb_field retention_fields[] = {
    { .key = "bytes",
      .type = SB_TYPE_SIZE,
      .offset = AT(retention.bytes) - AT(retention),
      .min = MIB,
      .max = TIB,
      .otherwise = "48M",
      .doc =
          "Most that the store may take; beyond it the oldest ended jobs and audit records go." },
    { .key = "job_age",
      .type = SB_TYPE_DURATION,
      .offset = AT(retention.job_age) - AT(retention),
      .min = SB_HOUR,
      .max = 3650 * SB_DAY,
      .otherwise = "90d",
      .doc = "After this time an ended job goes, with its tasks." },
    { .key = "job_count",
      .type = SB_TYPE_INT,
      .offset = AT(retention.job_count) - AT(retention),
      .min = 16,
      .max = 1000000,
      .otherwise = "10000",
      .doc = "Ended jobs kept; beyond it the oldest go." },
    { .key = "remember",
      .type = SB_TYPE_DURATION,
      .offset = AT(retention.remember) - AT(retention),
      .min = 0,
      .max = 3650 * SB_DAY,
      .otherwise = "7d",
      .doc =
          "So long an ended job whose caller gave it an id is kept for certain: the same id does "
          "nothing anew." },
    { .key = "audit_age",
      .type = SB_TYPE_DURATION,
      .offset = AT(retention.audit_age) - AT(retention),
      .min = SB_HOUR,
      .max = 3650 * SB_DAY,
      .otherwise = "365d",
      .doc = "After this time an audit record goes; the trail says so and still verifies." },
    { .key = "audit_count",
      .type = SB_TYPE_INT,
      .offset = AT(retention.audit_count) - AT(retention),
      .min = 256,
      .max = 10000000,
      .otherwise = "50000",
      .doc = "Audit records kept; beyond it the oldest go." },
    { .key = "package_age",
      .type = SB_TYPE_DURATION,
      .offset = AT(retention.package_age) - AT(retention),
      .min = SB_HOUR,
      .max = 3650 * SB_DAY,
      .otherwise = "180d",
      .doc = "After this time without use a package that a cloud named goes, with its image." },
    { .key = "package_count",
      .type = SB_TYPE_INT,
      .offset = AT(retention.package_count) - AT(retention),
      .min = 16,
      .max = 10000,
      .otherwise = "1000",
      .doc = "Packages kept; beyond it the least recently used that a cloud named go." },
    { 0 },
};

static const struct sb_field limit_fields[] = {
    { .key = "jobs",
      .type = SB_TYPE_INT,
      .offset = AT(limits.jobs) - AT(limits),
      .min = 1,
      .max = 100000,
      .otherwise = "1000",
      .doc = "Open jobs; further ones are refused." },
    { .key = "tasks",
      .type = SB_TYPE_INT,
      .offset = AT(limits.tasks) - AT(limits),
      .min = 1,
      .max = 1000000,
      .otherwise = "20000",
      .doc = "Open tasks of all jobs; a job that would bring more is refused." },
    { .key = "devices",
      .type = SB_TYPE_INT,
      .offset = AT(limits.devices) - AT(limits),
      .min = 1,
      .max = 20000,
      .otherwise = "10000",
      .doc = "Devices in the registry; further ones are refused." },
    { .key = "under_way",
      .type = SB_TYPE_INT,
      .offset = AT(limits.under_way) - AT(limits),
      .min = 1,
      .max = 10000,
      .otherwise = "64",
      .doc = "Devices worked on at the same time." },
    { 0 },
};

const struct sb_field sb_bus_fields[] = {
    { .key = "transport",
      .type = SB_TYPE_STRING,
      .offset = offsetof(struct sb_bus_config, transport),
      .otherwise = "serial",
      .doc = "What the bus is made of; further keys are the transport's." },
    { .key = "point_to_point",
      .type = SB_TYPE_BOOL,
      .offset = offsetof(struct sb_bus_config, point_to_point),
      .otherwise = "false",
      .doc = "There is one device at the line's other end, even if several are declared on it: "
             "then drivers may be used that others on the line would not stand." },
    { .key = "", .type = SB_TYPE_NODE, .offset = offsetof(struct sb_bus_config, yaml) },
    { 0 },
};

const struct sb_field sb_link_fields[] = {
    { .key = "dialect",
      .type = SB_TYPE_STRING,
      .offset = offsetof(struct sb_link_config, dialect),
      .flags = SB_FIELD_REQUIRED,
      .doc = "The tongue that is spoken on the link; further keys are the dialect's." },
    { .key = "role",
      .type = SB_TYPE_STRING,
      .offset = offsetof(struct sb_link_config, role),
      .otherwise = "uplink",
      .doc = "What southbridge is on the link: uplink, a gateway in somebody's cloud." },
    { .key = "uri_rules",
      .type = SB_TYPE_NODE,
      .offset = offsetof(struct sb_link_config, uri_rules),
      .doc = "Which URIs jobs from this link may name." },
    { .key = "", .type = SB_TYPE_NODE, .offset = offsetof(struct sb_link_config, yaml) },
    { 0 },
};

const struct sb_field sb_config_fields[] = {
    { .key = "state",
      .type = SB_TYPE_STRING,
      .offset = AT(state),
      .min = 1,
      .max = PATH_SIZE,
      .otherwise = "/var/lib/southbridge",
      .doc = "Directory of the store and of the images." },
    { .key = "mappings",
      .type = SB_TYPE_STRINGS,
      .offset = AT(mappings),
      .min = 1,
      .max = 16,
      .otherwise = "[/usr/share/southbridge/mappings, /etc/southbridge/mappings]",
      .doc = "Directories with devices/ and dialects/; what a later one has replaces an "
             "earlier one's." },
    { .key = "devices",
      .type = SB_TYPE_STRING,
      .offset = AT(devices),
      .min = 1,
      .max = PATH_SIZE,
      .otherwise = "/etc/southbridge/devices.d",
      .doc = "Directory whose *.yaml files declare devices." },
    { .key = "control",
      .type = SB_TYPE_OBJECT,
      .offset = AT(control),
      .fields = control_fields,
      .doc = "The control socket." },
    { .key = "log",
      .type = SB_TYPE_OBJECT,
      .offset = AT(log),
      .fields = log_fields,
      .doc = "The log." },
    { .key = "artifacts",
      .type = SB_TYPE_OBJECT,
      .offset = AT(artifacts),
      .fields = artifact_fields,
      .doc = "Downloaded images." },
    { .key = "outbox",
      .type = SB_TYPE_OBJECT,
      .offset = AT(outbox),
      .fields = outbox_fields,
      .doc = "Messages that wait for their acknowledgement." },
    { .key = "retention",
      .type = SB_TYPE_OBJECT,
      .offset = AT(retention),
      .fields = retention_fields,
      .doc = "How long what has ended is kept." },
    { .key = "limits",
      .type = SB_TYPE_OBJECT,
      .offset = AT(limits),
      .fields = limit_fields,
      .doc = "How much there may be at once." },
    { .key = "buses",
      .type = SB_TYPE_TABLE,
      .offset = AT(buses),
      .min = 0,
      .max = 256,
      .fields = sb_bus_fields,
      .size = sizeof(struct sb_bus_config),
      .doc = "Lines that devices are on, by name." },
    { .key = "links",
      .type = SB_TYPE_TABLE,
      .offset = AT(links),
      .min = 0,
      .max = 64,
      .fields = sb_link_fields,
      .size = sizeof(struct sb_link_config),
      .doc = "Clouds and other places jobs come from, by name." },
    { 0 },
};

/* ---- what no table can say ---- */

/* A daemon's working directory is nobody's intention. */
static void check_path(struct sb_diags *diags, const struct sb_yaml *node)
{
    if (node && node->kind == SB_YAML_SCALAR && node->text[0] && node->text[0] != '/')
        sb_schema_find(diags, node, "'%.60s' must be an absolute path (begin with '/')",
                       node->text);
}

static void check_paths(struct sb_diags *diags, const struct sb_yaml *root)
{
    check_path(diags, sb_yaml_get(root, "state"));
    check_path(diags, sb_yaml_get(root, "devices"));
    check_path(diags, sb_yaml_get(sb_yaml_get(root, "control"), "socket"));
    const struct sb_yaml *mappings = sb_yaml_get(root, "mappings");
    check_path(diags, mappings);
    for (size_t i = 0; mappings && mappings->kind == SB_YAML_LIST && i < mappings->count; i++)
        check_path(diags, mappings->items[i]);
}

static void check_names(struct sb_diags *diags, const struct sb_yaml *table, const char *what)
{
    for (size_t i = 0; table && table->kind == SB_YAML_MAP && i < table->count; i++) {
        const struct sb_yaml *key = table->keys[i];
        if (sb_schema_check_id(diags, key, what) && sb_streq(key->text, "native"))
            sb_schema_find(diags, key, "'native' is the name of southbridge's own door");
    }
}

static void check_sizes(struct sb_diags *diags, const struct sb_config *config)
{
    if (config->artifacts.file_limit <= config->artifacts.limit)
        return;
    const struct sb_yaml *section = sb_yaml_get(config->yaml, "artifacts");
    const struct sb_yaml *at = sb_yaml_get(section, "file_limit");
    sb_cleanup(sb_freep) char *one = sb_size_text(config->artifacts.file_limit);
    sb_cleanup(sb_freep) char *all = sb_size_text(config->artifacts.limit);
    sb_schema_find(diags, at ? at : sb_yaml_get(section, "limit"),
                   "'file_limit' (%s) is above 'limit' (%s): such an image could never be kept",
                   one ? one : "?", all ? all : "?");
}

static void check_remember(struct sb_diags *diags, const struct sb_config *config)
{
    if (config->retention.remember <= config->retention.job_age)
        return;
    const struct sb_yaml *section = sb_yaml_get(config->yaml, "retention");
    const struct sb_yaml *at = sb_yaml_get(section, "remember");
    sb_cleanup(sb_freep) char *ids = sb_duration_text(config->retention.remember);
    sb_cleanup(sb_freep) char *jobs = sb_duration_text(config->retention.job_age);
    sb_schema_find(diags, at ? at : sb_yaml_get(section, "job_age"),
                   "'remember' (%s) is longer than 'job_age' (%s): an id is remembered only as "
                   "long as its job is kept",
                   ids ? ids : "?", jobs ? jobs : "?");
}

static int check(const struct sb_config *config, int error, struct sb_diags *diags)
{
    size_t before = diags->total;
    check_paths(diags, config->yaml);
    check_names(diags, sb_yaml_get(config->yaml, "buses"), "bus");
    check_names(diags, sb_yaml_get(config->yaml, "links"), "link");
    if (error == 0)
        check_sizes(diags, config);
    if (error == 0)
        check_remember(diags, config);
    return error == 0 && diags->total > before ? -EINVAL : error;
}

int sb_config_load(const char *path, struct sb_config **ret, struct sb_diags *diags)
{
    sb_cleanup(sb_config_freep) struct sb_config *config = calloc(1, sizeof *config);
    if (!config)
        return -ENOMEM;
    size_t before = diags->count;
    int error = sb_yaml_load(path, &config->yaml, diags);
    if (error < 0)
        return error;
    error = sb_schema_read(config->yaml, NULL, sb_config_fields, config, diags);
    error = check(config, error, diags);
    sb_schema_sort(diags, before);
    if (error == 0)
        *ret = SB_STEAL(config);
    return error;
}

struct sb_config *sb_config_free(struct sb_config *config)
{
    if (!config)
        return NULL;
    sb_schema_done(sb_config_fields, config);
    sb_yaml_free(config->yaml);
    free(config);
    return NULL;
}

const struct sb_bus_config *sb_config_bus(const struct sb_config *config, size_t index)
{
    const struct sb_bus_config *list = config->buses.list;
    return index < config->buses.count ? &list[index] : NULL;
}

const struct sb_link_config *sb_config_link(const struct sb_config *config, size_t index)
{
    const struct sb_link_config *list = config->links.list;
    return index < config->links.count ? &list[index] : NULL;
}
