/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a hostile server's answer, cut into lines. */
#include "bridge/fetch/response.h"
#include "bridge/base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hold(bool truth)
{
    if (!truth)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sb_response response = { 0 };
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t n = end ? (size_t)(end - data) + 1 - at : size - at;
        if (sb_response_line(&response, (const char *)data + at, n) < 0)
            break;
        at += n;
    }
    hold(response.status >= 0 && response.status <= 999);
    hold(!response.complete || response.status >= 200);
    hold(response.length >= -1 && response.range_from >= -1 && response.range_total >= -1);
    const char *validator = sb_response_validator(&response);
    hold(!validator || (strlen(validator) <= 256 && !strpbrk(validator, "\r\n")));
    sb_response_done(&response);
    return 0;
}
