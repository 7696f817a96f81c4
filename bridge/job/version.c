/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/job/version.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>

#define PARTS 6

struct version {
    uint64_t part[PARTS];
    const char *pre; /* after '-', up to '+' or the end; NULL: none */
    size_t pre_length;
    uint64_t build;
    bool has_build;
};

static bool read_number(const char **text, uint64_t *ret)
{
    uint64_t value = 0;
    int digits = 0;
    for (; isdigit((unsigned char)**text); (*text)++, digits++)
        value = value * 10 + (uint64_t)(**text - '0');
    *ret = value;
    return digits > 0 && digits <= 18;
}

static bool parse(const char *text, struct version *ret)
{
    struct version v = { 0 };
    if (!text)
        return false;
    if (*text == 'v' || *text == 'V')
        text++;
    for (int i = 0; i < PARTS; i++) {
        if (!read_number(&text, &v.part[i]))
            return false;
        if (*text != '.')
            break;
        text++;
    }
    if (*text == '-') {
        v.pre = ++text;
        v.pre_length = strcspn(text, "+");
        text += v.pre_length;
    }
    if (*text == '+') {
        text++;
        v.has_build = read_number(&text, &v.build);
        if (!v.has_build)
            return false;
    }
    *ret = v;
    return *text == '\0';
}

static int order(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_pre(const struct version *a, const struct version *b)
{
    if (!a->pre || !b->pre)
        return (a->pre == NULL) - (b->pre == NULL);
    int r = strncmp(a->pre, b->pre, SB_MIN(a->pre_length, b->pre_length));
    return r ? r : order(a->pre_length, b->pre_length);
}

int sb_version_compare(const char *a, const char *b, int *ret)
{
    struct version va, vb;
    if (sb_streq(a, b) && a) {
        *ret = 0;
        return 0;
    }
    if (!parse(a, &va) || !parse(b, &vb))
        return -EINVAL;
    int r = 0;
    for (int i = 0; i < PARTS && !r; i++)
        r = order(va.part[i], vb.part[i]);
    if (!r)
        r = compare_pre(&va, &vb);
    if (!r && va.has_build && vb.has_build)
        r = order(va.build, vb.build);
    *ret = r;
    return 0;
}

bool sb_version_equal(const char *a, const char *b)
{
    int r;
    return sb_version_compare(a, b, &r) == 0 && r == 0;
}

bool sb_version_listed(const char *list, const char *version)
{
    if (!list || !*list)
        return true;
    while (version && *list) {
        size_t n = strcspn(list, ",");
        char *item = strndup(list, n);
        bool same = item && sb_version_equal(item, version);
        free(item);
        if (same)
            return true;
        list += n + (list[n] == ',');
        list += strspn(list, " ");
    }
    return false;
}
