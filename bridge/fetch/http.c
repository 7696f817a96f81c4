/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/fetch/http.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <time.h>

#include "bridge/base/str.h"
#include "bridge/fetch/resolve.h"
#include "bridge/fetch/response.h"

#define REDIRECTS_MAX 5
#define CONNECT_MS    30000
#define IGNORED_MAX   65536 /* of a body we do not want, before the connection is cut */

struct request {
    const struct sb_want *want;
    const struct sb_uri *uri;
    struct sb_part *part;
    struct sb_result *result;
    struct sb_response response;
    CURL *curl;
    struct curl_slist *headers, *hosts;
    bool proxied;
    bool taking;            /* the body goes to the part */
    bool whole;             /* a 416 said that the part is complete */
    bool again;             /* the part was of no use: ask once more */
    int64_t ignored, heard; /* heard: when something came last */
    int64_t paced;          /* when the next bytes may be taken */
    char *next;             /* where a redirect leads */
};

/* -- Reading the answer ---------------------------------------------------------------------------
 */

static int check_total(struct request *request, int64_t total)
{
    const struct sb_want *want = request->want;
    request->part->total = total;
    if (total < 0)
        return 0;
    if (want->size >= 0 && total != want->size)
        return sb_result_fail(request->result, SB_CAUSE_VERIFY_FAILED,
                              "the server's file has %lld bytes, %lld were announced",
                              (long long)total, (long long)want->size);
    if (total > want->max_bytes)
        return sb_result_fail(request->result, SB_CAUSE_NO_SPACE,
                              "the file has %lld bytes, at most %lld are allowed", (long long)total,
                              (long long)want->max_bytes);
    return 0;
}

/* Without an announced length only a size or digest tells a whole file from a cut one. */
static int check_end_visible(struct request *request)
{
    const struct sb_want *want = request->want;
    if (request->response.delimited || want->size >= 0 || want->sha256 || want->md5)
        return 0;
    return sb_result_fail(request->result, SB_CAUSE_DOWNLOAD_FAILED,
                          "the server does not say where the file ends, and neither size nor "
                          "digest is known");
}

/* Ends this request; the next one asks for the whole file. */
static int start_over(struct request *request)
{
    request->again = sb_part_restart(request->part, NULL) == 0;
    return -1;
}

static int begin_part(struct request *request)
{
    const struct sb_response *response = &request->response;
    struct sb_part *part = request->part;
    if (part->size > 0 && response->range_from != part->size)
        return start_over(request);
    if (part->size == 0)
        return sb_result_fail(request->result, SB_CAUSE_DOWNLOAD_FAILED,
                              "the server sent a range that was not asked for");
    request->taking = true;
    int64_t total = response->range_total;
    if (total < 0 && response->length >= 0)
        total = part->size + response->length;
    return check_total(request, total);
}

static int begin_whole(struct request *request)
{
    const struct sb_response *response = &request->response;
    request->taking = true;
    if (check_end_visible(request) < 0 || check_total(request, response->length) < 0)
        return -1;
    return sb_part_restart(request->part, sb_response_validator(response));
}

/* The range begins at the end: the part was whole, unless the file has changed. */
static int begin_unsatisfiable(struct request *request)
{
    const struct sb_response *response = &request->response;
    if (request->part->size == 0)
        return 0;
    if (response->range_total != request->part->size)
        return start_over(request);
    request->whole = true;
    return check_total(request, response->range_total);
}

static int begin_body(struct request *request)
{
    switch (request->response.status) {
    case 200:
        return begin_whole(request);
    case 206:
        return begin_part(request);
    case 416:
        return begin_unsatisfiable(request);
    default:
        return 0;
    }
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct request *request = arg;
    size_t n = size * count;
    bool before = request->response.complete;
    request->heard = sb_tell_clock();
    if (sb_response_line(&request->response, line, n) < 0) {
        (void)sb_result_fail(request->result, SB_CAUSE_DOWNLOAD_FAILED,
                             "the server's headers cannot be used");
        return 0;
    }
    if (!before && request->response.complete && begin_body(request) < 0)
        return 0;
    return n;
}

/* Keeps to the rate by not reading on: the server then waits. The library's own limit lets the
 * first megabytes through. */
static void pace(struct request *request, int64_t n)
{
    const struct timespec slice = { .tv_nsec = 20000000 };
    int64_t rate = request->want->rate;
    if (rate == 0)
        return;
    if (!request->paced)
        request->paced = sb_tell_clock();
    while (sb_tell_clock() < request->paced) {
        (void)nanosleep(&slice, NULL);
        sb_tell_progress(request->part->size, request->part->total);
    }
    request->paced += SB_MAX(n * 1000 / rate, INT64_C(1));
    request->heard = sb_tell_clock();
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct request *request = arg;
    size_t n = size * count;
    request->heard = sb_tell_clock();
    if (!request->taking) {
        request->ignored += (int64_t)n;
        return request->ignored <= IGNORED_MAX ? n : 0;
    }
    if ((int64_t)n > request->want->max_bytes - request->part->size) {
        (void)sb_result_fail(request->result, SB_CAUSE_NO_SPACE,
                             "the file is larger than the %lld bytes that are allowed",
                             (long long)request->want->max_bytes);
        return 0;
    }
    pace(request, (int64_t)n);
    return sb_part_append(request->part, bytes, n) < 0 ? 0 : n;
}

static int on_tick(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct request *request = arg;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    sb_tell_progress(request->part->size, request->part->total);
    if (sb_tell_clock() - request->heard < request->want->stall_ms)
        return 0;
    (void)sb_result_fail(request->result, SB_CAUSE_LINK_LOST, "nothing came for %lld ms",
                         (long long)request->want->stall_ms);
    return 1;
}

/* The last barrier: whatever led here, this is the address that would be spoken to. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct request *request = arg;
    char text[INET6_ADDRSTRLEN] = "another family";
    bool known =
        purpose == CURLSOCKTYPE_IPCXN && sb_address_text(&address->addr, text, sizeof(text));
    if (!known || (!request->proxied && !sb_address_allowed(&request->want->rules, text))) {
        (void)sb_result_fail(
            request->result, SB_CAUSE_INVALID_URI,
            "address %s is not public and not allowed here (see uri_rules: networks)", text);
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* -- Asking ---------------------------------------------------------------------------------------
 */

static int add_header(struct request *request, const char *name, const char *value)
{
    sb_cleanup(sb_freep) char *line = sb_format("%s: %s", name, value);
    struct curl_slist *longer = line ? curl_slist_append(request->headers, line) : NULL;
    if (!longer)
        return sb_result_fail(request->result, SB_CAUSE_NO_MEMORY, "out of memory");
    request->headers = longer;
    return 0;
}

static int add_headers(struct request *request, bool with_secrets)
{
    const char *name;
    json_t *value;
    int r = 0;
    if (with_secrets) {
        json_object_foreach ((json_t *)request->want->headers, name, value) {
            if (r == 0)
                r = add_header(request, name, json_string_value(value));
        }
    }
    const struct sb_part *part = request->part;
    if (r == 0 && part->size > 0) {
        sb_cleanup(sb_freep) char *range = sb_format("bytes=%lld-", (long long)part->size);
        r = add_header(request, "Range", range ? range : "bytes=0-");
        if (r == 0 && part->validator)
            r = add_header(request, "If-Range", part->validator);
    }
    return r;
}

static int use_proxy(struct request *request)
{
    struct sb_uri proxy = { 0 };
    const char *text = request->want->proxy;
    if (sb_uri_parse(text, &proxy, NULL) < 0 || strcmp(proxy.scheme, "file") == 0) {
        sb_uri_done(&proxy);
        return sb_result_fail(request->result, SB_CAUSE_INTERNAL,
                              "the proxy must be given as http://host:port or https://host:port");
    }
    request->proxied = true;
    int r = sb_resolve(&proxy, NULL, &request->hosts, request->result);
    /* "proxy:1080" would be the library's default: say the scheme's own */
    curl_easy_setopt(request->curl, CURLOPT_PROXYPORT, (long)proxy.port);
    curl_easy_setopt(request->curl, CURLOPT_PROXY, text);
    curl_easy_setopt(request->curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    sb_uri_done(&proxy);
    return r;
}

static void set_trust(const struct request *request)
{
    CURL *curl = request->curl;
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (!request->want->ca_file)
        return;
    curl_easy_setopt(curl, CURLOPT_CAINFO, request->want->ca_file);
    curl_easy_setopt(curl, CURLOPT_PROXY_CAINFO, request->want->ca_file);
}

/* Small reads where the pace is slow, so that it is even. */
static long buffer_size(int64_t rate)
{
    return rate == 0 ? 65536 : (long)SB_MAX(SB_MIN(rate / 4, INT64_C(65536)), INT64_C(1024));
}

static void set_options(struct request *request, const char *uri, char *error)
{
    CURL *curl = request->curl;
    int64_t stall = request->want->stall_ms;
    curl_easy_setopt(curl, CURLOPT_URL, uri);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, request->uri->scheme);
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, request->uri->scheme);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "southbridge/" SB_VERSION);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* not from the environment */
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)SB_MIN(stall, (int64_t)CONNECT_MS));
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, buffer_size(request->want->rate));
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, request);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, request);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_tick);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, request);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, request);
    set_trust(request);
}

static int prepare(struct request *request, const char *uri, bool with_secrets, char *error)
{
    request->curl = curl_easy_init();
    if (!request->curl)
        return sb_result_fail(request->result, SB_CAUSE_NO_MEMORY, "out of memory");
    set_options(request, uri, error);
    int r = request->want->proxy
                ? use_proxy(request)
                : sb_resolve(request->uri, &request->want->rules, &request->hosts, request->result);
    if (r == 0)
        r = add_headers(request, with_secrets);
    curl_easy_setopt(request->curl, CURLOPT_RESOLVE, request->hosts);
    curl_easy_setopt(request->curl, CURLOPT_HTTPHEADER, request->headers);
    return r;
}

/* -- What it came to ------------------------------------------------------------------------------
 */

static enum sb_cause cause_of_curl(CURLcode code)
{
    static const struct {
        CURLcode code;
        enum sb_cause cause;
    } causes[] = {
        { CURLE_OPERATION_TIMEDOUT, SB_CAUSE_LINK_LOST },
        { CURLE_PARTIAL_FILE, SB_CAUSE_LINK_LOST },
        { CURLE_RECV_ERROR, SB_CAUSE_LINK_LOST },
        { CURLE_SEND_ERROR, SB_CAUSE_LINK_LOST },
        { CURLE_GOT_NOTHING, SB_CAUSE_LINK_LOST },
        { CURLE_URL_MALFORMAT, SB_CAUSE_INVALID_URI },
    };
    for (size_t i = 0; i < SB_COUNT(causes); i++)
        if (causes[i].code == code)
            return causes[i].cause;
    return SB_CAUSE_DOWNLOAD_FAILED;
}

static int judge_status(struct request *request)
{
    int status = request->response.status;
    bool later = status == 408 || status == 425 || status == 429;
    if (status >= 400 && status < 500 && !later && status != 416)
        return sb_result_fail(request->result, SB_CAUSE_INVALID_URI, "the server answered %d",
                              status);
    return sb_result_fail(request->result, SB_CAUSE_DOWNLOAD_FAILED, "the server answered %d",
                          status);
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static int judge(struct request *request, CURLcode code, const char *error)
{
    bool final = request->response.complete;
    if (request->result->cause != SB_CAUSE_NONE)
        return -1;
    if (request->again)
        return 0;
    if (final && is_redirect(request->response.status)) {
        const char *to = NULL;
        curl_easy_getinfo(request->curl, CURLINFO_REDIRECT_URL, &to);
        request->next = to ? strdup(to) : NULL;
        return request->next ? 0 : judge_status(request);
    }
    if (final && !request->taking)
        return request->whole ? 0 : judge_status(request);
    if (code == CURLE_OK && request->taking)
        return 0;
    return sb_result_fail(request->result, cause_of_curl(code), "%s",
                          error[0] ? error : curl_easy_strerror(code));
}

static int run(struct request *request, const char *uri, bool with_secrets)
{
    char error[CURL_ERROR_SIZE] = "";
    int r = prepare(request, uri, with_secrets, error);
    request->heard = sb_tell_clock();
    if (r == 0)
        r = judge(request, curl_easy_perform(request->curl), error);
    curl_easy_cleanup(request->curl);
    curl_slist_free_all(request->headers);
    curl_slist_free_all(request->hosts);
    sb_response_done(&request->response);
    return r;
}

/* The next hop is asked only if the door's rules would have let it be asked for at first. */
static int follow(const char *to, const struct sb_want *want, struct sb_uri *uri,
                  struct sb_result *result)
{
    struct sb_uri next = { 0 };
    char *text = NULL;
    if (sb_uri_parse(to, &next, &text) < 0 ||
        sb_uri_allowed(&want->rules, &next, &text) != SB_CAUSE_NONE ||
        strcmp(next.scheme, "file") == 0) {
        (void)sb_result_fail(result, SB_CAUSE_INVALID_URI, "a redirect was refused: %s",
                             text ? text : "it leads to a file");
        free(text);
        sb_uri_done(&next);
        return -1;
    }
    sb_uri_done(uri);
    *uri = next;
    return 0;
}

int sb_http_get(const struct sb_want *want, struct sb_uri *uri, struct sb_part *part)
{
    sb_cleanup(sb_freep) char *at = strdup(want->uri);
    bool with_secrets = true;
    if (!at)
        return sb_result_fail(part->result, SB_CAUSE_NO_MEMORY, "out of memory");
    for (int hop = 0; hop <= REDIRECTS_MAX; hop++) {
        struct request request = { .want = want, .uri = uri, .part = part, .result = part->result };
        if (run(&request, at, with_secrets) < 0) {
            free(request.next);
            return -1;
        }
        if (request.again)
            continue;
        if (!request.next)
            return 0;
        free(at);
        at = request.next;
        struct sb_uri from = *uri;
        *uri = (struct sb_uri){ 0 };
        int r = follow(at, want, uri, part->result);
        with_secrets = with_secrets && r == 0 && sb_uri_same_origin(&from, uri);
        sb_uri_done(&from);
        if (r < 0)
            return -1;
    }
    return sb_result_fail(part->result, SB_CAUSE_DOWNLOAD_FAILED, "more than %d redirects",
                          REDIRECTS_MAX);
}
