/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/fetch/want.h"

#include <errno.h>

#include "bridge/base/str.h"
#include "bridge/package/fetch_parts.h"

/* One line, and not a byte more: what follows may be for somebody else. */
static int read_line(int fd, struct sb_str *ret)
{
    char c = 0;
    while (ret->length <= SB_FETCH_SPEC_MAX) {
        ssize_t n = read(fd, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0 || c == '\n')
            return ret->broken ? -ENOMEM : 0;
        sb_str_add_char(ret, c);
    }
    return -E2BIG;
}

static int read_strings(const json_t *rules, const char *key, struct sb_strings *ret)
{
    size_t i;
    json_t *text;
    const json_t *array = sb_json_array(rules, key);
    if (!array)
        return -EBADMSG;
    ret->list = calloc(json_array_size(array) + 1, sizeof(char *));
    if (!ret->list)
        return -ENOMEM;
    json_array_foreach ((json_t *)array, i, text) {
        if (!json_is_string(text))
            return -EBADMSG;
        ret->list[ret->count++] = (char *)json_string_value(text);
    }
    return 0;
}

void sb_want_done(struct sb_want *want)
{
    free(want->rules.schemes.list);
    free(want->rules.hosts.list);
    free(want->rules.networks.list);
    json_decref(want->json);
    *want = (struct sb_want){ 0 };
}

static int take(struct sb_want *want)
{
    const json_t *rules = sb_json_object(want->json, "rules");
    want->uri = sb_json_str(want->json, "uri");
    want->supplied = sb_json_bool(want->json, "supplied", false);
    want->part = sb_json_str(want->json, "part");
    want->sha256 = sb_json_str(want->json, "sha256");
    want->md5 = sb_json_str(want->json, "md5");
    want->ca_file = sb_json_str(want->json, "ca_file");
    want->proxy = sb_json_str(want->json, "proxy");
    want->size = sb_json_int(want->json, "size", -1);
    want->max_bytes = sb_json_int(want->json, "max_bytes", 0);
    want->stall_ms = sb_json_int(want->json, "stall_ms", 0);
    want->tries = sb_json_int(want->json, "tries", 0);
    want->rate = sb_json_int(want->json, "rate", 0);
    want->headers = sb_json_object(want->json, "headers");
    if (!want->uri != want->supplied || !want->part || want->max_bytes <= 0 ||
        want->stall_ms <= 0 || want->rate < 0)
        return -EBADMSG;
    int r = read_strings(rules, "schemes", &want->rules.schemes);
    if (r == 0)
        r = read_strings(rules, "hosts", &want->rules.hosts);
    return r == 0 ? read_strings(rules, "networks", &want->rules.networks) : r;
}

int sb_want_read(int fd, struct sb_want *ret, char **ret_text)
{
    struct sb_str text = { 0 };
    *ret = (struct sb_want){ 0 };
    int r = read_line(fd, &text);
    if (r == 0)
        r = sb_json_parse(sb_str_get(&text), text.length, NULL, &ret->json, NULL);
    if (r == 0)
        r = take(ret);
    if (text.text)
        explicit_bzero(text.text, text.length);
    sb_str_done(&text);
    if (r < 0) {
        *ret_text = sb_format("the request on stdin cannot be used: %s", strerror(-r));
        sb_want_done(ret);
    }
    return r;
}
