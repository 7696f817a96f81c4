/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/fetch/response.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#define STRONG_AFTER 60 /* seconds between Last-Modified and Date */
#define VALUE_MAX    256

void sb_response_done(struct sb_response *response)
{
    free(response->etag);
    free(response->last_modified);
    *response = (struct sb_response){ 0 };
}

static bool parse_number(const char *text, int64_t *ret)
{
    char *end;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18)
        return false;
    *ret = strtoll(text, &end, 10);
    return *end == '\0';
}

/* "bytes 5-9/10", "bytes 5-9/" and a star, or of a 416 "bytes " star "/10". */
static bool parse_range(const char *text, int64_t *ret_from, int64_t *ret_total)
{
    char copy[96];
    size_t n = strlen(text);
    if (n >= sizeof(copy) || strncasecmp(text, "bytes ", 6) != 0)
        return false;
    memcpy(copy, text + 6, n - 5);
    char *slash = strchr(copy, '/'), *dash = strchr(copy, '-');
    if (!slash)
        return false;
    *slash = '\0';
    *ret_from = *ret_total = -1;
    if (strcmp(slash + 1, "*") != 0 && !parse_number(slash + 1, ret_total))
        return false;
    if (strcmp(copy, "*") == 0)
        return true;
    if (!dash || dash > slash)
        return false;
    *dash = '\0';
    int64_t to = 0;
    return parse_number(copy, ret_from) && parse_number(dash + 1, &to) && to >= *ret_from;
}

static int take_value(struct sb_response *response, const char *name, const char *value)
{
    int64_t number = -1;
    if (strcasecmp(name, "content-length") == 0) {
        if (!parse_number(value, &number) || (response->length >= 0 && response->length != number))
            return -1;
        response->length = number;
        response->delimited = true;
    } else if (strcasecmp(name, "transfer-encoding") == 0) {
        response->delimited = response->delimited || strcasestr(value, "chunked");
    } else if (strcasecmp(name, "content-range") == 0) {
        return parse_range(value, &response->range_from, &response->range_total) ? 0 : -1;
    } else if (strcasecmp(name, "etag") == 0) {
        return sb_set_string(&response->etag, value) < 0 ? -1 : 0;
    } else if (strcasecmp(name, "last-modified") == 0) {
        return sb_set_string(&response->last_modified, value) < 0 ? -1 : 0;
    } else if (strcasecmp(name, "date") == 0) {
        response->date = curl_getdate(value, NULL);
    }
    return 0;
}

static bool printable(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)line[i] < ' ' && line[i] != '\t')
            return false;
    return true;
}

static int take_header(struct sb_response *response, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    if (!colon)
        return 0; /* curl lets odd lines through: they say nothing to us */
    const char *value = colon + 1, *end = line + n;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (end - value > VALUE_MAX || !printable(line, n))
        return 0;
    sb_cleanup(sb_freep) char *name = strndup(line, (size_t)(colon - line));
    sb_cleanup(sb_freep) char *text = strndup(value, (size_t)(end - value));
    return name && text ? take_value(response, name, text) : -1;
}

static void begin(struct sb_response *response, const char *line, size_t n)
{
    size_t bytes = response->head_bytes;
    const char *space = memchr(line, ' ', n);
    sb_response_done(response);
    response->head_bytes = bytes;
    response->length = response->range_from = response->range_total = response->date = -1;
    for (const char *p = space ? space + 1 : line + n;
         p < line + n && *p >= '0' && *p <= '9' && response->status < 100; p++)
        response->status = response->status * 10 + (*p - '0');
}

int sb_response_line(struct sb_response *response, const char *line, size_t n)
{
    response->head_bytes += n;
    if (response->head_bytes > SB_RESPONSE_HEAD_MAX)
        return -1;
    if (response->complete)
        return 0; /* trailers */
    while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == '\n'))
        n--;
    if (n >= 5 && memcmp(line, "HTTP/", 5) == 0)
        begin(response, line, n);
    else if (n > 0)
        return take_header(response, line, n);
    else
        response->complete = response->status >= 200;
    return 0;
}

const char *sb_response_validator(const struct sb_response *response)
{
    if (response->etag && response->etag[0] == '"')
        return response->etag;
    if (!response->last_modified || response->date < 0)
        return NULL;
    time_t modified = curl_getdate(response->last_modified, NULL);
    return modified >= 0 && response->date - modified >= STRONG_AFTER ? response->last_modified
                                                                      : NULL;
}
