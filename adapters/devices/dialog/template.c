/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/dialog/template.h"

#include <errno.h>

static int one_name(const char *from, const char *to, sb_template_fn fn, void *arg,
                    struct sb_str *out, char **ret_error)
{
    sb_cleanup(sb_freep) char *name = strndup(from, (size_t)(to - from));
    return name ? fn(arg, name, out, ret_error) : -ENOMEM;
}

int sb_template_fill(const char *text, sb_template_fn fn, void *arg, struct sb_str *out,
                     char **ret_error)
{
    struct sb_str nowhere = { 0 };
    struct sb_str *to = out ? out : &nowhere;
    int r = 0;
    while (r == 0 && *text) {
        size_t plain = strcspn(text, "{}");
        sb_str_add_bytes(to, text, plain);
        text += plain;
        if (!*text)
            break;
        if (text[0] == text[1]) {
            sb_str_add_char(to, *text);
            text += 2;
            continue;
        }
        const char *end = *text == '{' ? strpbrk(text + 1, "{}") : NULL;
        if (!end || *end != '}') {
            *ret_error = sb_format("a lone bracket in the text (a name is {name}; write '{{' for "
                                   "the bracket itself)");
            r = -EINVAL;
            break;
        }
        r = one_name(text + 1, end, fn, arg, to, ret_error);
        text = end + 1;
    }
    if (r == 0 && to->broken)
        r = -ENOMEM;
    sb_str_done(&nowhere);
    return r;
}
