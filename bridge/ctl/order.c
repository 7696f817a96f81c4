/* SPDX-License-Identifier: Apache-2.0 */
/* What a command line means beyond its tables. Reads files named in it, and the time zone. */
#include <limits.h>
#include <sys/stat.h>

#include "bridge/base/crypto.h"
#include "bridge/base/diag.h"
#include "bridge/ctl/ctl.h"
#include "bridge/job/job.h"

#define DAY_MINUTES 1440

static int complain(const struct sb_order *order, char **ret_error, const char *fmt, ...)
    SB_PRINTF(3, 4);
static int complain(const struct sb_order *order, char **ret_error, const char *fmt, ...)
{
    struct sb_str text = { 0 };
    va_list ap;
    sb_str_format(&text, "%s: ", order->command->name);
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    free(*ret_error);
    *ret_error = sb_str_take(&text);
    return -1;
}

static void put(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

/* ---- the operation ---- */

/* Names may be written with dashes; *ret has the known one. */
static int read_name(const struct sb_names *names, const char *text, int *ret,
                     const char **ret_near)
{
    sb_cleanup(sb_freep) char *name = strdup(text ? text : "");
    if (!name)
        return -ENOMEM;
    for (char *p = name; *p; p++)
        if (*p == '-')
            *p = '_';
    *ret = sb_names_find(names, name);
    *ret_near = sb_nearest(name, names->names, (size_t)names->count);
    return *ret;
}

static int read_operation(struct sb_order *order, int *ret, char **ret_error)
{
    const char *near = NULL;
    const char *text = sb_json_str(order->args, "operation");
    if (read_name(&sb_op_names, text, ret, &near) < 0)
        return complain(order, ret_error, "unknown operation '%s'%s%s%s", text,
                        near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    put(order->args, "operation", json_string(sb_op_name(*ret)));
    return 0;
}

/* ---- options that belong to some operations only ---- */

static bool is_given(const struct sb_order *order, const char *object, const char *key)
{
    const json_t *from = object ? json_object_get(order->args, object) : order->args;
    return json_object_get(from, key) || (!object && json_object_get(order->local, key));
}

static int check_fit(const struct sb_order *order, int op, char **ret_error)
{
    static const struct {
        const char *option, *object, *key;
        unsigned ops;
        const char *goes_with;
    } rules[] = {
#define FIRMWARE                                                                                   \
    (1u << SB_OP_FIRMWARE_DOWNLOAD | 1u << SB_OP_FIRMWARE_INSTALL | 1u << SB_OP_FIRMWARE_UPDATE |  \
     1u << SB_OP_CONFIGURE)
        { "package", NULL, "package", FIRMWARE, "firmware operations and configure" },
        { "uri", NULL, "uri", FIRMWARE, "firmware operations and configure" },
        { "version", NULL, "version", FIRMWARE, "--uri" },
        { "module", NULL, "module", FIRMWARE, "--uri" },
        { "sha256", NULL, "sha256", FIRMWARE, "--uri" },
        { "md5", NULL, "md5", FIRMWARE, "--uri" },
        { "name", NULL, "name", FIRMWARE | 1u << SB_OP_READ, "--uri, or read" },
        { "value", "params", "values", 1u << SB_OP_WRITE | 1u << SB_OP_CONFIGURE,
          "write and configure" },
        { "action", "params", "action", 1u << SB_OP_INVOKE, "invoke" },
        { "arg", "params", "arguments", 1u << SB_OP_INVOKE, "invoke" },
    };
    for (size_t i = 0; i < SB_COUNT(rules); i++)
        if (is_given(order, rules[i].object, rules[i].key) && !(rules[i].ops >> op & 1))
            return complain(order, ret_error, "--%s goes with %s, not with %s", rules[i].option,
                            rules[i].goes_with, sb_op_name(op));
    return 0;
}

static int check_package(const struct sb_order *order, char **ret_error)
{
    static const char *const of_uri[] = { "version", "module", "sha256", "md5" };
    bool uri = is_given(order, NULL, "uri");
    if (uri && is_given(order, NULL, "package"))
        return complain(order, ret_error, "give either --package or --uri");
    for (size_t i = 0; !uri && i < SB_COUNT(of_uri); i++)
        if (is_given(order, NULL, of_uri[i]))
            return complain(order, ret_error, "--%s goes with --uri", of_uri[i]);
    return 0;
}

/* --name: what to read, or what the image is called. */
static int place_names(struct sb_order *order, int op, char **ret_error)
{
    json_t *names = json_object_get(order->local, "name");
    json_t *params = json_object_get(order->args, "params");
    if (op == SB_OP_READ && names) {
        if (!params)
            put(order->args, "params", params = json_object());
        (void)json_object_set(params, "names", names);
        return 0;
    }
    if (!names)
        return 0;
    if (!is_given(order, NULL, "uri") || json_array_size(names) > 1)
        return complain(order, ret_error, "one --name goes with --uri");
    (void)json_object_set(order->args, "name", json_array_get(names, 0));
    return 0;
}

/* What an operation cannot do without. */
static int check_needs(const struct sb_order *order, int op, char **ret_error)
{
    bool image = is_given(order, NULL, "package") || is_given(order, NULL, "uri");
    const json_t *params = sb_json_object(order->args, "params");
    switch (op) {
    case SB_OP_FIRMWARE_DOWNLOAD:
    case SB_OP_FIRMWARE_UPDATE:
        return image ? 0
                     : complain(order, ret_error, "%s wants --package or --uri", sb_op_name(op));
    case SB_OP_READ:
        return json_object_get(params, "names") ? 0
                                                : complain(order, ret_error, "read wants --name");
    case SB_OP_WRITE:
        return json_object_get(params, "values")
                   ? 0
                   : complain(order, ret_error, "write wants --value name=value");
    case SB_OP_CONFIGURE:
        return params || image ? 0
                               : complain(order, ret_error, "configure wants --value name=value");
    case SB_OP_INVOKE:
        return json_object_get(params, "action")
                   ? 0
                   : complain(order, ret_error, "invoke wants --action");
    default:
        return 0;
    }
}

/* ---- the policy ---- */

/* "01:00" -> 60; 24:00 is midnight. */
static int read_clock(const char **text, int *ret)
{
    char *end;
    if (**text < '0' || **text > '9')
        return -EINVAL;
    long hour = strtol(*text, &end, 10);
    if (*end != ':' || end[1] < '0' || end[1] > '5' || end[2] < '0' || end[2] > '9')
        return -EINVAL;
    long minute = 10L * (end[1] - '0') + (end[2] - '0');
    if (hour > 24 || (hour == 24 && minute > 0))
        return -EINVAL;
    *ret = (int)((hour * 60 + minute) % DAY_MINUTES);
    *text = end + 3;
    return 0;
}

static int read_day(const char *text, size_t n)
{
    static const char *const days[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };
    for (int i = 0; i < (int)SB_COUNT(days); i++)
        if (n >= 2 && strncasecmp(text, days[i], SB_MIN(n, (size_t)3)) == 0)
            return i;
    return -EINVAL;
}

/* "mon,tue", "mon-fri" -> bit 0 Sunday .. bit 6 Saturday. */
static int read_days(const char *text, int *ret)
{
    int bits = 0;
    for (size_t n; *text; text += n + (text[n] == ',')) {
        n = strcspn(text, ",");
        size_t first = strcspn(text, ",-");
        int from = read_day(text, first);
        int to = first < n ? read_day(text + first + 1, n - first - 1) : from;
        if (from < 0 || to < 0)
            return -EINVAL;
        for (int day = from;; day = (day + 1) % 7) {
            bits |= 1 << day;
            if (day == to)
                break;
        }
    }
    *ret = bits;
    return bits ? 0 : -EINVAL;
}

/* This machine's zone: $TZ, else where /etc/localtime points to; NULL: unknown. Caller frees. */
static char *local_zone(void)
{
    char path[PATH_MAX];
    const char *tz = getenv("TZ");
    if (tz && *tz)
        return strdup(*tz == ':' ? tz + 1 : tz);
    ssize_t n = readlink("/etc/localtime", path, sizeof(path) - 1);
    if (n <= 0)
        return NULL;
    path[n] = '\0';
    const char *name = strstr(path, "/zoneinfo/");
    return name ? strdup(name + strlen("/zoneinfo/")) : NULL;
}

static int read_window(struct sb_order *order, json_t *policy, char **ret_error)
{
    const char *text = sb_json_str(order->local, "window");
    const char *days = sb_json_str(order->local, "days");
    int from, to, bits = 0;
    if (!text)
        return days || sb_json_str(policy, "window_zone")
                   ? complain(order, ret_error, "--days and --zone go with --window")
                   : 0;
    const char *at = text;
    if (read_clock(&at, &from) < 0 || *at++ != '-' || read_clock(&at, &to) < 0 || *at)
        return complain(order, ret_error, "--window: '%s' is not like 01:00-05:00", text);
    if (from == to)
        return complain(order, ret_error, "--window: %s is empty; for all day leave it out", text);
    if (days && read_days(days, &bits) < 0)
        return complain(order, ret_error, "--days: '%s' is not like mon,tue or mon-fri", days);
    put(policy, "window_from", json_integer(from));
    put(policy, "window_to", json_integer(to));
    if (bits)
        put(policy, "window_days", json_integer(bits));
    sb_cleanup(sb_freep) char *zone = sb_json_str(policy, "window_zone") ? NULL : local_zone();
    if (zone)
        put(policy, "window_zone", json_string(zone));
    return 0;
}

/* Names with dashes become the known ones. */
static int read_causes(const struct sb_order *order, json_t *causes, char **ret_error)
{
    for (size_t i = 0; i < json_array_size(causes); i++) {
        const char *text = json_string_value(json_array_get(causes, i)), *near = NULL;
        int cause = 0;
        if (read_name(&sb_cause_names, text, &cause, &near) < 0 || cause == SB_CAUSE_NONE)
            return complain(order, ret_error, "--retry-on: '%s' is no cause%s%s%s", text,
                            near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
        (void)json_array_set_new(causes, i, json_string(sb_cause_name(cause)));
    }
    return 0;
}

static int read_start(const struct sb_order *order, json_t *policy, char **ret_error)
{
    const char *start = sb_json_str(policy, "start"), *answer = sb_json_str(policy, "answer");
    bool at = json_object_get(policy, "start_at") != NULL;
    if (start && !sb_streq(start, "now") && !sb_streq(start, "online"))
        return complain(order, ret_error, "--start: '%s' is neither now nor online", start);
    if (start && at)
        return complain(order, ret_error, "give either --start or --at");
    if (answer && sb_answer_from_name(answer) < 0)
        return complain(order, ret_error, "--answer: '%s' is neither accepted nor final", answer);
    if (at)
        put(policy, "start", json_string(sb_start_name(SB_START_AT)));
    return 0;
}

static int read_policy(struct sb_order *order, char **ret_error)
{
    sb_cleanup(json_decrefp) json_t *policy =
        json_object_get(order->args, "policy") ? json_incref(json_object_get(order->args, "policy"))
                                               : json_object();
    const char *conflict = sb_json_str(policy, "conflict");
    const char *near = NULL;
    int value = 0;
    if (conflict && read_name(&sb_conflict_names, conflict, &value, &near) < 0)
        return complain(order, ret_error,
                        "--conflict: '%s' is none of refuse, queue, replace-unstarted, "
                        "replace-uncommitted",
                        conflict);
    if (conflict)
        put(policy, "conflict", json_string(sb_conflict_name(value)));
    if (read_causes(order, json_object_get(policy, "retry_causes"), ret_error) < 0 ||
        read_start(order, policy, ret_error) < 0)
        return -1;
    if (read_window(order, policy, ret_error) < 0)
        return -1;
    if (json_object_size(policy) > 0)
        (void)json_object_set(order->args, "policy", policy);
    return 0;
}

/* By name, or by what they have in common. */
static int check_devices(const struct sb_order *order, char **ret_error)
{
    static const char *const choices[] = { "devices", "groups", "types", "running", "sample" };
    for (size_t i = 0; i < SB_COUNT(choices); i++)
        if (is_given(order, NULL, choices[i]))
            return 0;
    return complain(order, ret_error,
                    "name devices, or choose them by --group, --type, --running or --sample");
}

int sb_finish_job_edit(struct sb_order *order, char **ret_error)
{
    size_t i;
    json_t *name;
    json_array_foreach (json_object_get(order->local, "untag"), i, name)
        put(sb_value_container(order->args, "tags", false), json_string_value(name), json_null());
    if (is_given(order, NULL, "policy") || is_given(order, NULL, "tags"))
        return 0;
    return complain(order, ret_error, "say what is to be changed: --rate, --timeout, --tag...");
}

int sb_finish_job_create(struct sb_order *order, char **ret_error)
{
    int op = 0;
    if (read_operation(order, &op, ret_error) < 0 || check_devices(order, ret_error) < 0 ||
        check_fit(order, op, ret_error) < 0 || check_package(order, ret_error) < 0 ||
        place_names(order, op, ret_error) < 0 || check_needs(order, op, ret_error) < 0)
        return -1;
    return read_policy(order, ret_error);
}

/* ---- others ---- */

int sb_finish_package_add(struct sb_order *order, char **ret_error)
{
    sb_cleanup(json_decrefp) json_t *given = json_incref(json_object_get(order->args, "source"));
    const char *source = json_string_value(given);
    struct stat st;
    (void)json_object_del(order->args, "source");
    if (strstr(source, "://")) {
        put(order->args, "uri", json_string(source));
        return 0;
    }
    sb_cleanup(sb_freep) char *path = realpath(source, NULL);
    if (!path || stat(path, &st) < 0)
        return complain(order, ret_error, "%s: %s", source, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return complain(order, ret_error, "%s: not a file", source);
    put(order->args, "file", json_string(path));
    if (sb_json_str(order->args, "sha256"))
        return 0;
    sb_cleanup(sb_freep) char *digest = sb_sha256_file(path);
    if (!digest)
        return complain(order, ret_error, "%s: %s", source, strerror(errno));
    put(order->args, "sha256", json_string(digest));
    return 0;
}

int sb_finish_device_add(struct sb_order *order, char **ret_error)
{
    return is_given(order, NULL, "type") ? 0 : complain(order, ret_error, "it wants --type TYPE");
}

int sb_finish_all(struct sb_order *order, char **ret_error)
{
    if (sb_order_has(order, "all"))
        return 0;
    return complain(order, ret_error,
                    "this concerns every job of the gateway: say so with --all (one job alone is "
                    "stopped by `southbridgectl job cancel`)");
}

int sb_finish_audit(struct sb_order *order, char **ret_error)
{
    static const char *const against[] = { "subject", "actor", "limit", "follow", "since" };
    for (size_t i = 0; sb_order_has(order, "verify") && i < SB_COUNT(against); i++)
        if (is_given(order, NULL, against[i]))
            return complain(order, ret_error, "--verify checks all records: it goes without --%s",
                            against[i]);
    if (sb_json_int(order->local, "limit", 1) < 1)
        return complain(order, ret_error, "--limit is at least 1");
    return 0;
}
