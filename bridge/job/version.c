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
        if (i > 0 && *text++ != '.')
            return false;
        if (!read_number(&text, &v.part[i]))
            return false;
        if (*text != '.')
            break;
    }
    if (*text == '-') {
        v.pre = ++text;
        v.pre_length = strcspn(text, "+");
        if (v.pre_length == 0)
            return false;
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

/* The length of the digits that begin here, without the zeros that lead them. */
static size_t digits(const char **text, const char *end)
{
    size_t n = 0;
    while (*text < end && **text == '0')
        (*text)++;
    while (*text + n < end && isdigit((unsigned char)(*text)[n]))
        n++;
    return n;
}

/* "rc2" is before "rc10": digits count as the number they are, of any length. */
static int compare_pre(const struct version *va, const struct version *vb)
{
    if (!va->pre || !vb->pre)
        return (va->pre == NULL) - (vb->pre == NULL);
    const char *a = va->pre, *a_end = a + va->pre_length;
    const char *b = vb->pre, *b_end = b + vb->pre_length;
    while (a < a_end && b < b_end) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            size_t n = digits(&a, a_end), m = digits(&b, b_end);
            int r = n != m ? order(n, m) : memcmp(a, b, n);
            if (r)
                return r;
            a += n;
            b += m;
        } else if (*a != *b) {
            return order((unsigned char)*a, (unsigned char)*b);
        } else {
            a++;
            b++;
        }
    }
    return (a < a_end) - (b < b_end);
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
        list += strspn(list, " ,");
        size_t n = strcspn(list, " ,");
        char *item = strndup(list, n);
        bool same = n > 0 && item && sb_version_equal(item, version);
        free(item);
        if (same)
            return true;
        list += n;
    }
    return false;
}
