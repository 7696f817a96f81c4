/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parser accepts prints to a text that it accepts again, to the same value and the same
 * text; what it refuses comes with a reason. The reason and the input pass the redaction, which
 * must leave something printable.
 */
#include <errno.h>

#include "bridge/base/json.h"
#include "bridge/base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_redaction(const uint8_t *data, size_t size)
{
    sb_cleanup(sb_freep) char *text = strndup((const char *)data, size);
    sb_cleanup(sb_freep) char *shown = text ? sb_redact(text) : NULL;
    check(shown && strlen(shown) <= 2048);
    for (const char *p = shown; *p; p++)
        check((unsigned char)*p >= ' ' && *p != 0x7f);
    sb_cleanup(json_decrefp) json_t *utf8 = json_string(shown);
    check(utf8); /* else it is not UTF-8 */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sb_cleanup(json_decrefp) json_t *value = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    check_redaction(data, size);
    int r = sb_json_parse(size > 0 ? data : NULL, size, NULL, &value, &error);
    if (r < 0) {
        check((r == -EBADMSG || r == -E2BIG) && !value && error && *error);
        return 0;
    }
    check(value && !error);
    sb_cleanup(sb_freep) char *text = sb_json_text(value);
    check(text);
    /* escapes may make it longer than it came */
    const struct sb_json_limits wide = { .bytes = 16 * (size + 64) };
    sb_cleanup(json_decrefp) json_t *again = NULL;
    check(sb_json_parse(text, strlen(text), &wide, &again, NULL) == 0);
    check(json_equal(value, again));
    sb_cleanup(sb_freep) char *same = sb_json_text(again);
    check(same && strcmp(text, same) == 0);
    return 0;
}
