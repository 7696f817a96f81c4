/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/device/parts.h"

#include <string.h>

#include "bridge/base/str.h"

static bool alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool all_of(const char *text, size_t n, const char *extra)
{
    for (size_t i = 0; i < n; i++)
        if (!alnum(text[i]) && (text[i] == '\0' || !strchr(extra, text[i])))
            return false;
    return true;
}

bool sb_device_id_legal(const char *id)
{
    size_t n = id ? strlen(id) : 0;
    return n > 0 && n <= SB_DEVICE_ID_MAX && alnum(id[0]) && all_of(id, n, "._-");
}

/*
 * What the vendors' documentation allows. A name may have a first part before a slash: IBM's
 * device type (always), Alibaba's product key (may be left out).
 */
static const struct rule {
    const char *dialect;
    const char *extra; /* beside letters and digits, in the last part */
    size_t min, max;   /* of the last part */
    const char *first_extra;
    size_t first_max;    /* 0: has no first part */
    bool first_required; /* and is then derived as "<type>/<id>" */
    const char *form;
} rules[] = {
    { "ibm", "._-", 1, 36, "._-", 36, true,
      "\"type/id\", each part 1 to 36 letters, digits and ._-" },
    { "azure", "-.%_*?!(),:=@$'", 1, 128, NULL, 0, false,
      "1 to 128 letters, digits and -.%_*?!(),:=@$'" },
    { "huawei", "_-", 1, 256, NULL, 0, false, "1 to 256 letters, digits and _-" },
    { "alibaba", "-_@.:", 4, 32, "", 20, false,
      "4 to 32 letters, digits and -_@.: (\"productKey/\" may stand before it)" },
};

static const struct rule *rule_of(const char *dialect)
{
    for (size_t i = 0; i < SB_COUNT(rules); i++)
        if (strcmp(rules[i].dialect, dialect) == 0)
            return &rules[i];
    return NULL;
}

static bool legal_by(const struct rule *rule, const char *name)
{
    const char *slash = strchr(name, '/');
    if (slash && rule->first_max) {
        size_t n = (size_t)(slash - name);
        if (n < 1 || n > rule->first_max || !all_of(name, n, rule->first_extra))
            return false;
        name = slash + 1;
    } else if (slash || rule->first_required) {
        return false;
    }
    size_t n = strlen(name);
    return n >= rule->min && n <= rule->max && all_of(name, n, rule->extra);
}

static bool printable(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return false;
    return n >= 1 && n <= 128;
}

const char *sb_device_name_form(const char *dialect, const char *name)
{
    const struct rule *rule = rule_of(dialect);
    if (rule)
        return legal_by(rule, name) ? NULL : rule->form;
    return printable(name) ? NULL : "1 to 128 printable ASCII characters without blanks";
}

int sb_device_derive(struct sb_device *device)
{
    free(SB_STEAL(device->typed_name));
    if (!device->type_name)
        return 0;
    sb_cleanup(sb_freep) char *name = sb_format("%s/%s", device->type_name, device->id);
    if (!name)
        return -ENOMEM;
    if (!sb_device_name_form("ibm", name))
        device->typed_name = SB_STEAL(name);
    return 0;
}

const char *sb_device_name(const struct sb_device *device, const char *dialect)
{
    const char *given = sb_json_str(device->names, dialect);
    if (given)
        return given;
    const struct rule *rule = rule_of(dialect);
    if (rule && rule->first_required)
        return device->typed_name;
    return !rule || legal_by(rule, device->id) ? device->id : NULL;
}

const char *sb_device_derived_id(const char *dialect, const char *name)
{
    const struct rule *rule = rule_of(dialect);
    if (!rule || !rule->first_required)
        return name;
    const char *slash = strchr(name, '/');
    return slash ? slash + 1 : NULL;
}
