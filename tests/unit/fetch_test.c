/* SPDX-License-Identifier: Apache-2.0 */
/* The real helper against a scripted web server (tests/simulators/http_server.py). */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/package/fetch.h"
#include "bridge/package/fetch_parts.h"
#include "tests/test.h"

#define GUARD_MS 30000
#define SIZE     300000

static struct {
    pid_t server;
    int to_server;
    unsigned port, tls_port;
    char directory[64], *helper;
} g;

static char *everything[] = { "http", "https", "file" }, *loopback[] = { "127.0.0.0/8", "::1" };
static const struct sb_uri_rules open_rules = { .schemes = { everything, 3 },
                                                .networks = { loopback, 2 } };
static const struct sb_uri_rules public_rules = { .schemes = { everything, 2 } };

/* ---- the server ---- */

static unsigned read_port(FILE *from)
{
    char line[32];
    assert_non_null(fgets(line, sizeof(line), from));
    return (unsigned)strtoul(line, NULL, 10);
}

static void start_server(void)
{
    int in[2], out[2];
    sb_cleanup(sb_freep) char *script =
        sb_format("%s/tests/simulators/http_server.py", getenv("SB_SOURCE"));
    char *const argv[] = { "/usr/bin/python3", script, "--tls", g.directory, NULL };
    posix_spawn_file_actions_t actions;
    assert_int_equal(0, pipe2(in, O_CLOEXEC));
    assert_int_equal(0, pipe2(out, O_CLOEXEC));
    assert_int_equal(0, posix_spawn_file_actions_init(&actions));
    assert_int_equal(0, posix_spawn_file_actions_adddup2(&actions, in[0], 0));
    assert_int_equal(0, posix_spawn_file_actions_adddup2(&actions, out[1], 1));
    assert_int_equal(0, posix_spawn(&g.server, argv[0], &actions, NULL, argv, environ));
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(in[0]);
    (void)close(out[1]);
    g.to_server = in[1];
    FILE *from = fdopen(out[0], "r");
    assert_non_null(from);
    g.port = read_port(from);
    g.tls_port = read_port(from);
    (void)fclose(from);
}

static json_t *ask_server(const char *path)
{
    struct sb_str answer = { 0 };
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)g.port),
                                    .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, connect(fd, (const struct sockaddr *)&to, sizeof(to)));
    sb_cleanup(sb_freep) char *request = sb_format("GET %s HTTP/1.1\r\n\r\n", path);
    assert_int_equal(strlen(request), write(fd, request, strlen(request)));
    assert_int_equal(0, shutdown(fd, SHUT_WR));
    char buffer[4096];
    for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;)
        sb_str_add_bytes(&answer, buffer, (size_t)n);
    (void)close(fd);
    const char *body = strstr(sb_str_get(&answer), "\r\n\r\n");
    json_t *json = body ? json_loads(body, 0, NULL) : NULL;
    if (!json)
        fail_msg("%s: %s", path, sb_str_get(&answer));
    sb_str_done(&answer);
    return json;
}

/* A header of the nth request since the last look; NULL: it had none. */
struct log {
    json_t *json;
    const json_t *requests;
};

static struct log look(void)
{
    struct log log = { .json = ask_server("/log") };
    log.requests = sb_json_array(log.json, "requests");
    return log;
}

static const char *asked(const struct log *log, size_t nth, const char *header)
{
    return sb_json_str(json_array_get(log->requests, nth), header);
}

static void look_done(struct log *log)
{
    json_decref(log->json);
}

/* ---- one bench per test ---- */

struct outcome {
    struct bench *bench;
    uint64_t id;
    unsigned progress, done;
    int64_t received, total;
    enum sb_cause cause;
    char *text, *sha256;
};

struct bench {
    struct sb_loop *loop;
    struct sb_timer *guard, *poll;
    const struct sb_fetcher_ops *ops;
    void *fetcher;
    char *part;
    struct outcome out;
    bool (*until)(struct bench *b);
};

static void on_guard(void *arg)
{
    (void)arg;
    fail_msg("what was waited for did not come");
}

static void on_poll(void *arg)
{
    struct bench *b = arg;
    if (b->until(b))
        sb_loop_stop(b->loop);
    else
        sb_timer_in(b->poll, 10);
}

static void run_until(struct bench *b, bool (*until)(struct bench *b))
{
    b->until = until;
    sb_timer_in(b->guard, GUARD_MS);
    sb_timer_in(b->poll, 0);
    assert_int_equal(0, sb_loop_run(b->loop));
    sb_timer_stop(b->guard);
    sb_timer_stop(b->poll);
}

static void open_bench(struct bench *b, const char *helper, unsigned parallel)
{
    assert_int_equal(0, sb_loop_new(&b->loop));
    assert_int_equal(0, sb_timer_new(b->loop, on_guard, b, &b->guard));
    assert_int_equal(0, sb_timer_new(b->loop, on_poll, b, &b->poll));
    assert_int_equal(0, sb_fetcher_new(b->loop, helper, parallel, &b->ops, &b->fetcher));
}

static void close_bench(struct bench *b)
{
    b->ops->close(b->fetcher);
    b->guard = sb_timer_free(b->guard);
    b->poll = sb_timer_free(b->poll);
    b->loop = sb_loop_free(b->loop);
}

static void outcome_done(struct outcome *out)
{
    free(out->text);
    free(out->sha256);
    *out = (struct outcome){ 0 };
}

static void remove_part(const char *part)
{
    sb_cleanup(sb_freep) char *meta = sb_format("%s.meta", part);
    (void)unlink(part);
    (void)unlink(meta);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    b->part = sb_format("%s/x.part", g.directory);
    open_bench(b, g.helper, 2);
    struct log log = look();
    look_done(&log);
    *state = b;
    return 0;
}

static int children(void);

static int teardown(void **state)
{
    struct bench *b = *state;
    close_bench(b);
    assert_int_equal(1, children()); /* the server alone */
    remove_part(b->part);
    outcome_done(&b->out);
    free(b->part);
    free(b);
    return 0;
}

static void on_event(void *arg, const struct sb_fetch_event *event)
{
    struct outcome *out = arg;
    assert_int_equal(0, out->done);
    out->received = event->received;
    out->total = event->total;
    if (!event->done) {
        out->progress++;
        return;
    }
    out->done++;
    out->cause = event->cause;
    out->text = event->text ? strdup(event->text) : NULL;
    out->sha256 = event->sha256 ? strdup(event->sha256) : NULL;
}

static bool is_done(struct bench *b)
{
    return b->out.done > 0;
}

static struct sb_fetch_spec spec_of(const struct bench *b, const char *uri)
{
    return (struct sb_fetch_spec){ .uri = uri,
                                   .part = b->part,
                                   .size = -1,
                                   .max_bytes = 1000000,
                                   .stall_ms = 10000,
                                   .rules = &open_rules };
}

static char *url(const char *query)
{
    return sb_format("http://127.0.0.1:%u/file?%s", g.port, query);
}

static void start(struct bench *b, const struct sb_fetch_spec *spec, struct outcome *out)
{
    outcome_done(out);
    assert_int_equal(0, b->ops->start(b->fetcher, spec, on_event, out, &out->id));
    assert_int_equal(0, out->progress + out->done);
}

static void fetch(struct bench *b, const struct sb_fetch_spec *spec)
{
    start(b, spec, &b->out);
    run_until(b, is_done);
}

static void assert_ended(const struct bench *b, enum sb_cause cause, const char *part)
{
    if (b->out.cause != cause || (part && (!b->out.text || !strstr(b->out.text, part))))
        fail_msg("%s (%s) instead of %s (%s)", sb_cause_name((int)b->out.cause),
                 b->out.text ? b->out.text : "-", sb_cause_name((int)cause), part ? part : "-");
}

static void fetch_ends(struct bench *b, const struct sb_fetch_spec *spec, enum sb_cause cause,
                       const char *part)
{
    fetch(b, spec);
    assert_ended(b, cause, part);
}

/* fetch of `query` must end so */
static void expect(struct bench *b, const char *query, enum sb_cause cause, const char *part)
{
    sb_cleanup(sb_freep) char *uri = url(query);
    const struct sb_fetch_spec spec = spec_of(b, uri);
    fetch_ends(b, &spec, cause, part);
}

static char *content(size_t size, unsigned seed)
{
    char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)((i % 251) ^ seed);
    return bytes;
}

static char *digest_of(size_t size, unsigned seed)
{
    sb_cleanup(sb_freep) char *bytes = content(size, seed);
    return sb_sha256_hex(bytes, size);
}

static void assert_file(const char *path, size_t size, unsigned seed)
{
    sb_cleanup(sb_freep) char *wanted = digest_of(size, seed);
    sb_cleanup(sb_freep) char *found = sb_sha256_file(path);
    struct stat st;
    assert_int_equal(0, stat(path, &st));
    assert_int_equal(size, st.st_size);
    assert_string_equal(wanted, found);
    assert_int_equal(0600, st.st_mode & 0777);
}

static int64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

static void write_part(const struct bench *b, const void *bytes, size_t n)
{
    FILE *out = fopen(b->part, "w");
    assert_non_null(out);
    assert_int_equal(n, fwrite(bytes, 1, n, out));
    assert_int_equal(0, fclose(out));
}

/* Our children, by /proc; the last one named like the helper in *ret. */
static int count_children(pid_t *ret_helper)
{
    int count = 0;
    DIR *proc = opendir("/proc");
    assert_non_null(proc);
    for (struct dirent *entry; (entry = readdir(proc));) {
        sb_cleanup(sb_freep) char *path = sb_format("/proc/%s/stat", entry->d_name);
        FILE *in = fopen(path, "r");
        char name[64], state;
        int pid, parent;
        if (in && fscanf(in, "%d (%63[^)]) %c %d", &pid, name, &state, &parent) == 4 &&
            parent == getpid()) {
            count++;
            if (ret_helper && pid != g.server)
                *ret_helper = pid;
        }
        if (in)
            (void)fclose(in);
    }
    (void)closedir(proc);
    return count;
}

static int children(void)
{
    return count_children(NULL);
}

/* ---- whole files, and going on ---- */

#define TEST(name) SB_TEST_OF(struct bench *b, name, setup, teardown)

TEST(a_whole_file_arrives)
{
    sb_cleanup(sb_freep) char *uri = url("size=300000&seed=3&rate=600000");
    sb_cleanup(sb_freep) char *sha256 = digest_of(SIZE, 3);
    struct sb_fetch_spec spec = spec_of(b, uri);
    spec.sha256 = sha256;
    spec.size = SIZE;
    fetch_ends(b, &spec, SB_CAUSE_NONE, NULL);
    assert_string_equal(sha256, b->out.sha256);
    assert_int_equal(SIZE, b->out.received);
    assert_int_equal(SIZE, b->out.total);
    assert_in_range(b->out.progress, 1, 5); /* half a second */
    assert_file(b->part, SIZE, 3);
}

TEST(chunked_and_empty_files_arrive)
{
    expect(b, "size=70000&chunked=1", SB_CAUSE_NONE, NULL);
    assert_file(b->part, 70000, 0);
    assert_int_equal(70000, b->out.total);
    remove_part(b->part);
    expect(b, "size=0", SB_CAUSE_NONE, NULL);
    assert_file(b->part, 0, 0);
}

TEST(a_dropped_connection_is_gone_on_with)
{
    static const char *const validators[] = { "etag=a", "lm=1" };
    for (size_t i = 0; i < SB_COUNT(validators); i++) {
        sb_cleanup(sb_freep) char *broken = sb_format("size=300000&drop=100000&%s", validators[i]);
        sb_cleanup(sb_freep) char *sound = sb_format("size=300000&%s", validators[i]);
        expect(b, broken, SB_CAUSE_LINK_LOST, NULL);
        assert_int_equal(100000, size_of(b->part));
        assert_int_equal(SIZE, b->out.total);
        expect(b, sound, SB_CAUSE_NONE, NULL);
        assert_file(b->part, SIZE, 0);
        struct log log = look();
        assert_int_equal(2, json_array_size(log.requests));
        assert_null(asked(&log, 0, "range"));
        assert_string_equal("bytes=100000-", asked(&log, 1, "range"));
        assert_string_equal(i == 0 ? "\"a\"" : "Mon, 06 Jan 2025 10:00:00 GMT",
                            asked(&log, 1, "if-range"));
        look_done(&log);
        remove_part(b->part);
    }
}

static bool helper_has_written(struct bench *b)
{
    return size_of(b->part) >= 20000;
}

TEST(a_killed_helper_is_internal_and_gone_on_with)
{
    pid_t helper = 0;
    sb_cleanup(sb_freep) char *slow = url("size=300000&rate=100000");
    const struct sb_fetch_spec spec = spec_of(b, slow);
    start(b, &spec, &b->out);
    run_until(b, helper_has_written);
    assert_int_equal(2, count_children(&helper));
    assert_int_equal(0, kill(helper, SIGKILL));
    run_until(b, is_done);
    assert_ended(b, SB_CAUSE_INTERNAL, "signal 9");
    expect(b, "size=300000", SB_CAUSE_NONE, NULL);
    assert_file(b->part, SIZE, 0);
    struct log log = look();
    assert_int_equal(2, json_array_size(log.requests));
    assert_non_null(asked(&log, 1, "range"));
    look_done(&log);
}

TEST(another_file_at_the_same_place_starts_over)
{
    expect(b, "size=300000&drop=100000&seed=1&etag=old", SB_CAUSE_LINK_LOST, NULL);
    expect(b, "size=200000&seed=2&etag=new", SB_CAUSE_NONE, NULL);
    assert_file(b->part, 200000, 2);
    struct log log = look();
    assert_string_equal("\"old\"", asked(&log, 1, "if-range"));
    look_done(&log);
}

TEST(a_server_without_ranges_starts_over)
{
    expect(b, "size=300000&drop=100000", SB_CAUSE_LINK_LOST, NULL);
    expect(b, "size=300000&noranges=1", SB_CAUSE_NONE, NULL);
    assert_file(b->part, SIZE, 0);
}

TEST(wrong_and_unasked_ranges_are_not_believed)
{
    expect(b, "size=300000&drop=100000", SB_CAUSE_LINK_LOST, NULL);
    expect(b, "size=300000&badrange=1", SB_CAUSE_NONE, NULL); /* asked again, from the start */
    assert_file(b->part, SIZE, 0);
    remove_part(b->part);
    expect(b, "size=300000&ranged=1", SB_CAUSE_DOWNLOAD_FAILED, "not asked for");
}

TEST(without_a_validator_only_a_digest_lets_go_on)
{
    expect(b, "size=300000&drop=100000&none=1", SB_CAUSE_LINK_LOST, NULL);
    expect(b, "size=300000&drop=200000&weak=1", SB_CAUSE_LINK_LOST, NULL);
    sb_cleanup(sb_freep) char *uri = url("size=300000&weak=1");
    sb_cleanup(sb_freep) char *sha256 = digest_of(SIZE, 0);
    struct sb_fetch_spec spec = spec_of(b, uri);
    spec.sha256 = sha256;
    fetch_ends(b, &spec, SB_CAUSE_NONE, NULL);
    struct log log = look();
    assert_null(asked(&log, 1, "range"));
    assert_string_equal("bytes=200000-", asked(&log, 2, "range"));
    assert_null(asked(&log, 2, "if-range"));
    look_done(&log);
}

TEST(a_part_of_before_the_last_boot_is_not_trusted)
{
    expect(b, "size=300000&drop=100000", SB_CAUSE_LINK_LOST, NULL);
    sb_cleanup(sb_freep) char *meta = sb_format("%s.meta", b->part);
    FILE *out = fopen(meta, "w");
    assert_non_null(out);
    (void)fprintf(out, "{\"validator\":\"\\\"v1\\\"\",\"boot\":\"another\"}");
    assert_int_equal(0, fclose(out));
    expect(b, "size=300000", SB_CAUSE_NONE, NULL);
    struct log log = look();
    assert_null(asked(&log, 1, "range"));
    look_done(&log);
}

TEST(a_damaged_part_is_fetched_once_more)
{
    sb_cleanup(sb_freep) char *uri = url("size=300000&seed=4");
    sb_cleanup(sb_freep) char *sha256 = digest_of(SIZE, 4);
    struct sb_fetch_spec spec = spec_of(b, uri);
    spec.sha256 = sha256;
    write_part(b, "garbage", 7);
    fetch_ends(b, &spec, SB_CAUSE_NONE, NULL);
    assert_file(b->part, SIZE, 4);
    struct log log = look();
    assert_string_equal("bytes=7-", asked(&log, 0, "range"));
    assert_null(asked(&log, 1, "range"));
    look_done(&log);
}

TEST(a_complete_part_needs_no_second_download)
{
    sb_cleanup(sb_freep) char *uri = url("size=300000");
    sb_cleanup(sb_freep) char *sha256 = digest_of(SIZE, 0);
    struct sb_fetch_spec spec = spec_of(b, uri);
    fetch(b, &spec);
    spec.sha256 = sha256;
    fetch(b, &spec); /* 416: nothing is left to send */
    assert_ended(b, SB_CAUSE_NONE, NULL);
    assert_int_equal(SIZE, b->out.received);
    spec.size = SIZE;
    fetch(b, &spec); /* known without asking */
    assert_ended(b, SB_CAUSE_NONE, NULL);
    struct log log = look();
    assert_int_equal(2, json_array_size(log.requests));
    assert_string_equal("bytes=300000-", asked(&log, 1, "range"));
    look_done(&log);
    assert_file(b->part, SIZE, 0);
    uri[strlen(uri) - 1] = '1'; /* the file has become shorter than what was gone on with */
    spec.sha256 = NULL;
    spec.size = -1;
    expect(b, "size=100&etag=v1", SB_CAUSE_NONE, NULL);
    assert_file(b->part, 100, 0);
}

/* ---- what is demanded ---- */

TEST(another_digest_or_size_fails_verification)
{
    sb_cleanup(sb_freep) char *uri = url("size=300000");
    sb_cleanup(sb_freep) char *sha256 = digest_of(SIZE, 9);
    struct sb_fetch_spec spec = spec_of(b, uri);
    spec.sha256 = sha256;
    fetch_ends(b, &spec, SB_CAUSE_VERIFY_FAILED, "SHA-256");
    assert_null(b->out.sha256);
    assert_int_equal(-1, size_of(b->part));
    spec.sha256 = NULL;
    spec.md5 = "0123456789abcdef0123456789abcdef";
    fetch_ends(b, &spec, SB_CAUSE_VERIFY_FAILED, "MD5");
    spec.md5 = NULL;
    spec.size = SIZE + 1;
    fetch_ends(b, &spec, SB_CAUSE_VERIFY_FAILED, "announced");
    sb_cleanup(sb_freep) char *silent = url("size=300000&chunked=1");
    spec.uri = silent;
    fetch_ends(b, &spec, SB_CAUSE_VERIFY_FAILED, "announced");
    sb_cleanup(sb_freep) char *bytes = content(SIZE, 0);
    struct sb_digest *digest = sb_digest_new(SB_MD5);
    assert_int_equal(0, sb_digest_add(digest, bytes, SIZE));
    sb_cleanup(sb_freep) char *md5 = sb_digest_hex(digest);
    sb_digest_free(digest);
    spec.size = SIZE;
    spec.md5 = md5;
    fetch_ends(b, &spec, SB_CAUSE_NONE, NULL);
}

TEST(what_is_too_large_is_refused)
{
    expect(b, "size=1000001", SB_CAUSE_NO_SPACE, "at most 1000000");
    expect(b, "endless=1", SB_CAUSE_NO_SPACE, "larger than the 1000000");
    assert_int_equal(-1, size_of(b->part));
    expect(b, "size=1000000", SB_CAUSE_NONE, NULL);
}

TEST(an_end_that_cannot_be_seen_is_not_believed)
{
    expect(b, "size=1000&close=1", SB_CAUSE_DOWNLOAD_FAILED, "where the file ends");
    expect(b, "size=1000&more=5", SB_CAUSE_LINK_LOST, NULL);
    remove_part(b->part);
    expect(b, "size=1000&chunked=1&drop=500", SB_CAUSE_LINK_LOST, NULL);
    remove_part(b->part);
    sb_cleanup(sb_freep) char *uri = url("size=1000&close=1");
    sb_cleanup(sb_freep) char *sha256 = digest_of(1000, 0);
    struct sb_fetch_spec spec = spec_of(b, uri);
    spec.sha256 = sha256;
    fetch_ends(b, &spec, SB_CAUSE_NONE, NULL);
}

TEST(a_stalled_server_is_left)
{
    static const char *const queries[] = { "size=300000&stall=100000", "stall=head" };
    for (size_t i = 0; i < SB_COUNT(queries); i++) {
        sb_cleanup(sb_freep) char *uri = url(queries[i]);
        struct sb_fetch_spec spec = spec_of(b, uri);
        spec.stall_ms = 700;
        fetch_ends(b, &spec, SB_CAUSE_LINK_LOST, "nothing came for 700 ms");
    }
    assert_int_equal(100000, size_of(b->part)); /* kept */
}

TEST(statuses_become_causes)
{
    static const struct {
        int status;
        enum sb_cause cause;
    } cases[] = { { 404, SB_CAUSE_INVALID_URI },     { 401, SB_CAUSE_INVALID_URI },
                  { 410, SB_CAUSE_INVALID_URI },     { 408, SB_CAUSE_DOWNLOAD_FAILED },
                  { 425, SB_CAUSE_DOWNLOAD_FAILED }, { 429, SB_CAUSE_DOWNLOAD_FAILED },
                  { 500, SB_CAUSE_DOWNLOAD_FAILED }, { 503, SB_CAUSE_DOWNLOAD_FAILED },
                  { 204, SB_CAUSE_DOWNLOAD_FAILED }, { 304, SB_CAUSE_DOWNLOAD_FAILED },
                  { 302, SB_CAUSE_DOWNLOAD_FAILED }, { 416, SB_CAUSE_DOWNLOAD_FAILED } };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *query = sb_format("status=%d", cases[i].status);
        sb_cleanup(sb_freep) char *said = sb_format("answered %d", cases[i].status);
        expect(b, query, cases[i].cause, said);
        assert_int_equal(0, size_of(b->part)); /* an error page is no firmware */
    }
}

TEST(hostile_headers_do_no_harm)
{
    expect(b, "head=flood", SB_CAUSE_DOWNLOAD_FAILED, NULL);
    expect(b, "head=long", SB_CAUSE_DOWNLOAD_FAILED, NULL);
    expect(b, "head=twice", SB_CAUSE_DOWNLOAD_FAILED, NULL);
    expect(b, "head=junk", SB_CAUSE_DOWNLOAD_FAILED, NULL);
    sb_cleanup(sb_freep) char *uri = url("head=nul");
    const struct sb_fetch_spec spec = spec_of(b, uri);
    fetch(b, &spec);
    assert_int_not_equal(SB_CAUSE_INTERNAL, b->out.cause);
}

TEST(nobody_listening_is_download_failed)
{
    struct sb_fetch_spec spec = spec_of(b, "http://127.0.0.1:1/x");
    fetch_ends(b, &spec, SB_CAUSE_DOWNLOAD_FAILED, NULL);
    spec.uri = "http://no-such-host.invalid/x";
    fetch_ends(b, &spec, SB_CAUSE_DOWNLOAD_FAILED, "cannot be resolved");
}

/* ---- where it may go ---- */

TEST(redirects_are_followed_within_the_rules)
{
    sb_cleanup(sb_freep) char *to = sb_format("http://127.0.0.1:%u/file%%3Fsize%%3D1000", g.port);
    sb_cleanup(sb_freep) char *good = sb_format("status=302&to=%s", to);
    expect(b, good, SB_CAUSE_NONE, NULL);
    assert_file(b->part, 1000, 0);
    expect(b, "status=307&to=/file%3Fsize%3D2000%26etag%3Db", SB_CAUSE_NONE, NULL);
    assert_file(b->part, 2000, 0);
    static const struct {
        const char *to, *said;
    } cases[] = { { "http://10.0.0.1/x", "address 10.0.0.1" },
                  { "http://169.254.169.254/latest/meta-data", "address 169.254.169.254" },
                  { "http://[::ffff:127.0.0.1]/x", "not public" },
                  { "ftp://127.0.0.1/x", "only https" },
                  { "file:///etc/passwd", "redirect was refused" },
                  { "http://0x0a000001/x", "address 10.0.0.1" } };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *query = sb_format("status=301&to=%s", cases[i].to);
        expect(b, query, SB_CAUSE_INVALID_URI, cases[i].said);
    }
    struct log log = look();
    look_done(&log);
    expect(b, "status=302&to=%3Fstatus=302%26to=/file%253Fstatus%253D302", SB_CAUSE_DOWNLOAD_FAILED,
           "answered 302");
}

TEST(a_ring_of_redirects_ends)
{
    sb_cleanup(sb_freep) char *uri = url("status=302&to=self");
    const struct sb_fetch_spec spec = spec_of(b, uri);
    fetch_ends(b, &spec, SB_CAUSE_DOWNLOAD_FAILED, "more than 5 redirects");
    struct log log = look();
    assert_int_equal(6, json_array_size(log.requests));
    look_done(&log);
}

TEST(loopback_is_refused_without_a_rule)
{
    sb_cleanup(sb_freep) char *literal = url("size=1000");
    sb_cleanup(sb_freep) char *name = sb_format("http://localhost:%u/file?size=1000", g.port);
    struct sb_fetch_spec spec = spec_of(b, literal);
    spec.rules = &public_rules;
    fetch_ends(b, &spec, SB_CAUSE_INVALID_URI, "address 127.0.0.1 is not public");
    spec.uri = name; /* a public name with a private address */
    fetch_ends(b, &spec, SB_CAUSE_INVALID_URI, "host localhost leads to");
    struct log log = look();
    assert_int_equal(0, json_array_size(log.requests));
    look_done(&log);
    spec.rules = NULL;
    fetch_ends(b, &spec, SB_CAUSE_INVALID_URI, "scheme http");
    spec.rules = &open_rules;
    fetch_ends(b, &spec, SB_CAUSE_NONE, NULL);
}

TEST(secret_headers_stay_at_home)
{
    sb_cleanup(json_decrefp) json_t *headers = json_pack("{s:s}", "X-Token", "opensesame");
    sb_cleanup(sb_freep) char *uri = sb_format("http://127.0.0.1:%u/file?status=302&to="
                                               "http://localhost:%u/file%%3Fsize%%3D10",
                                               g.port, g.port);
    sb_cleanup(sb_freep) char *near =
        sb_format("http://u:p@127.0.0.1:%u/file?status=302&to=/file%%3Fsize%%3D10", g.port);
    struct sb_fetch_spec spec = spec_of(b, uri);
    spec.headers = headers;
    fetch_ends(b, &spec, SB_CAUSE_NONE, NULL);
    remove_part(b->part);
    spec.uri = near;
    fetch_ends(b, &spec, SB_CAUSE_NONE, NULL);
    struct log log = look();
    assert_string_equal("opensesame", asked(&log, 0, "x-token"));
    assert_null(asked(&log, 1, "x-token"));
    assert_string_equal("opensesame", asked(&log, 3, "x-token"));
    assert_string_equal("Basic dTpw", asked(&log, 2, "authorization"));
    look_done(&log);
}

TEST(tls_is_verified)
{
    sb_cleanup(sb_freep) char *uri = sb_format("https://127.0.0.1:%u/file?size=1000", g.tls_port);
    sb_cleanup(sb_freep) char *name = sb_format("https://localhost:%u/file?size=1000", g.tls_port);
    sb_cleanup(sb_freep) char *ca = sb_format("%s/cert.pem", g.directory);
    struct sb_fetch_spec spec = spec_of(b, uri);
    fetch_ends(b, &spec, SB_CAUSE_DOWNLOAD_FAILED, "certificate");
    spec.ca_file = ca;
    fetch_ends(b, &spec, SB_CAUSE_NONE, NULL);
    spec.uri = name; /* the certificate is of the address only */
    fetch_ends(b, &spec, SB_CAUSE_DOWNLOAD_FAILED, NULL);
}

TEST(a_proxy_is_asked_and_host_rules_stay)
{
    char *hosts[] = { "*.example.com" }, *http[] = { "http" };
    const struct sb_uri_rules rules = { .schemes = { http, 1 }, .hosts = { hosts, 1 } };
    sb_cleanup(sb_freep) char *proxy = sb_format("http://localhost:%u", g.port);
    struct sb_fetch_spec spec = spec_of(b, "http://fw.example.com/file?size=1000");
    spec.proxy = proxy;
    spec.rules = &rules;
    fetch_ends(b, &spec, SB_CAUSE_NONE, NULL);
    spec.uri = "http://fw.example.org/file?size=1000";
    fetch_ends(b, &spec, SB_CAUSE_INVALID_URI, "host fw.example.org");
    spec.uri = "http://fw.example.com/file?status=302&to=http://10.0.0.1/";
    fetch_ends(b, &spec, SB_CAUSE_INVALID_URI, "redirect was refused");
    spec.uri = "http://fw.example.com/";
    spec.proxy = "socks5://localhost";
    fetch_ends(b, &spec, SB_CAUSE_INTERNAL, "proxy");
    struct log log = look();
    assert_int_equal(2, json_array_size(log.requests));
    assert_string_equal("http://fw.example.com/file?size=1000", asked(&log, 0, "target"));
    look_done(&log);
}

TEST(local_files_are_regular_and_listed)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/a b.bin", g.directory);
    sb_cleanup(sb_freep) char *pipe = sb_format("%s/pipe", g.directory);
    sb_cleanup(sb_freep) char *uri = sb_format("file://%s/a%%20b.bin", g.directory);
    sb_cleanup(sb_freep) char *pipe_uri = sb_format("file://%s/pipe", g.directory);
    sb_cleanup(sb_freep) char *bytes = content(SIZE, 5);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(SIZE, fwrite(bytes, 1, SIZE, out));
    assert_int_equal(0, fclose(out));
    assert_int_equal(0, mkfifo(pipe, 0600));
    struct sb_fetch_spec spec = spec_of(b, uri);
    fetch_ends(b, &spec, SB_CAUSE_NONE, NULL);
    assert_file(b->part, SIZE, 5);
    spec.max_bytes = SIZE - 1;
    fetch_ends(b, &spec, SB_CAUSE_NO_SPACE, "at most");
    spec.uri = pipe_uri;
    fetch_ends(b, &spec, SB_CAUSE_INVALID_URI, "no regular file");
    spec.uri = "file:///no/such/file";
    fetch_ends(b, &spec, SB_CAUSE_INVALID_URI, "cannot be opened");
    spec.uri = uri;
    spec.rules = &public_rules;
    fetch_ends(b, &spec, SB_CAUSE_INVALID_URI, "scheme file");
    (void)unlink(path);
    (void)unlink(pipe);
}

/* ---- several at once ---- */

static bool helper_is_gone(struct bench *b)
{
    (void)b;
    return children() == 1;
}

TEST(a_stopped_download_says_nothing_more)
{
    sb_cleanup(sb_freep) char *slow = url("size=300000&rate=100000");
    sb_cleanup(sb_freep) char *fast = url("size=300000");
    struct sb_fetch_spec spec = spec_of(b, slow);
    start(b, &spec, &b->out);
    run_until(b, helper_has_written);
    b->ops->stop(b->fetcher, b->out.id);
    b->ops->stop(b->fetcher, b->out.id); /* no harm */
    unsigned progress = b->out.progress;
    struct outcome stopped = b->out;
    b->out = (struct outcome){ 0 };
    spec.uri = fast;
    fetch(b, &spec); /* waits for the file to be free, then goes on */
    assert_ended(b, SB_CAUSE_NONE, NULL);
    assert_file(b->part, SIZE, 0);
    assert_int_equal(0, stopped.done);
    assert_int_equal(progress, stopped.progress);
    struct log log = look();
    assert_non_null(asked(&log, 1, "range"));
    look_done(&log);
    start(b, &spec, &b->out);
    b->ops->stop(b->fetcher, b->out.id); /* before it began */
    run_until(b, helper_is_gone);
    assert_int_equal(0, b->out.done);
}

static int most_children;

static bool all_done(struct bench *b)
{
    most_children = SB_MAX(most_children, children());
    const struct outcome *outs = (const struct outcome *)(const void *)b->out.text;
    for (int i = 0; i < 4; i++)
        if (!outs[i].done)
            return false;
    return true;
}

TEST(no_more_run_than_allowed)
{
    struct outcome outs[4] = { 0 };
    sb_cleanup(sb_freep) char *slow = url("size=100000&rate=200000");
    struct sb_fetch_spec spec = spec_of(b, slow);
    for (int i = 0; i < 4; i++) {
        sb_cleanup(sb_freep) char *part = sb_format("%s/%d.part", g.directory, i);
        spec.part = part;
        start(b, &spec, &outs[i]);
    }
    b->out.text = (char *)outs;
    most_children = 0;
    run_until(b, all_done);
    b->out.text = NULL;
    for (int i = 0; i < 4; i++) {
        sb_cleanup(sb_freep) char *part = sb_format("%s/%d.part", g.directory, i);
        assert_int_equal(SB_CAUSE_NONE, outs[i].cause);
        assert_file(part, 100000, 0);
        remove_part(part);
        outcome_done(&outs[i]);
    }
    struct log log = look();
    assert_int_equal(4, json_array_size(log.requests));
    assert_int_equal(1 + 2, most_children);
    look_done(&log);
}

TEST(a_second_request_joins_the_first)
{
    struct outcome second = { 0 }, third = { 0 };
    sb_cleanup(sb_freep) char *slow = url("size=100000&rate=100000");
    const struct sb_fetch_spec spec = spec_of(b, slow);
    start(b, &spec, &second);
    start(b, &spec, &b->out);
    start(b, &spec, &third);
    run_until(b, helper_has_written);
    b->ops->stop(b->fetcher, third.id); /* the others are not disturbed */
    unsigned progress = third.progress;
    run_until(b, is_done);
    assert_ended(b, SB_CAUSE_NONE, NULL);
    assert_int_equal(1, second.done);
    assert_int_equal(SB_CAUSE_NONE, second.cause);
    assert_int_equal(0, third.done);
    assert_int_equal(progress, third.progress);
    struct log log = look();
    assert_int_equal(1, json_array_size(log.requests));
    look_done(&log);
    outcome_done(&second);
}

static struct outcome *to_stop;

static void on_event_stopping(void *arg, const struct sb_fetch_event *event)
{
    struct outcome *out = arg;
    out->done += event->done;
    if (to_stop)
        out->bench->ops->stop(out->bench->fetcher, to_stop->id);
    to_stop = NULL;
}

TEST(one_may_stop_another_while_told)
{
    struct outcome first = { .bench = b }, second = { .bench = b };
    sb_cleanup(sb_freep) char *uri = url("size=1000");
    const struct sb_fetch_spec spec = spec_of(b, uri);
    to_stop = &second;
    assert_int_equal(0, b->ops->start(b->fetcher, &spec, on_event_stopping, &first, &first.id));
    assert_int_equal(0, b->ops->start(b->fetcher, &spec, on_event_stopping, &second, &second.id));
    start(b, &spec, &b->out);
    run_until(b, is_done);
    assert_int_equal(1, first.done);
    assert_int_equal(0, second.done);
    assert_ended(b, SB_CAUSE_NONE, NULL);
}

TEST(the_rate_is_kept)
{
    struct timespec from, to;
    sb_cleanup(sb_freep) char *uri = url("size=200000");
    struct sb_fetch_spec spec = spec_of(b, uri);
    spec.rate = 100000;
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    fetch(b, &spec);
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    assert_ended(b, SB_CAUSE_NONE, NULL);
    assert_true((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 > 1000);
}

TEST(closing_ends_the_helpers)
{
    sb_cleanup(sb_freep) char *uri = url("size=300000&rate=50000");
    const struct sb_fetch_spec spec = spec_of(b, uri);
    start(b, &spec, &b->out);
    run_until(b, helper_has_written);
    close_bench(b);
    assert_int_equal(1, children());
    assert_int_equal(0, b->out.done);
    open_bench(b, g.helper, 1);
}

/* ---- a helper that is not what it should be ---- */

static void with_helper(struct bench *b, const char *script, const char *said)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/helper", g.directory);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    (void)fprintf(out, "#!/bin/sh\n%s\n", script);
    assert_int_equal(0, fclose(out));
    assert_int_equal(0, chmod(path, 0700));
    close_bench(b);
    open_bench(b, path, 1);
    sb_fetcher_set_grace(b->fetcher, 300);
    struct sb_fetch_spec spec = spec_of(b, "https://example.com/");
    spec.stall_ms = 100;
    spec.sha256 = "0000000000000000000000000000000000000000000000000000000000000001";
    fetch_ends(b, &spec, SB_CAUSE_INTERNAL, said);
    (void)unlink(path);
}

TEST(a_helper_that_is_missing_or_mad_is_internal)
{
    close_bench(b);
    open_bench(b, "/no/such/southbridge-fetch", 1);
    const struct sb_fetch_spec spec = spec_of(b, "https://example.com/");
    fetch_ends(b, &spec, SB_CAUSE_INTERNAL,
               "/no/such/southbridge-fetch cannot be started: No such file");
    with_helper(b, "exit 3", "ended with status 3");
    with_helper(b, "kill -SEGV $$", "signal 11");
    with_helper(b, "exec sleep 60", "signal 9");
    with_helper(b, "echo nonsense; exec sleep 60", "signal 9");
    with_helper(b, "exec cat /dev/zero", "signal 9");
    with_helper(b, "echo '{\"received\":-5}'; exec sleep 60", "signal 9");
    with_helper(b,
                "echo '{\"received\":9223372036854775807,\"total\":1}'; "
                "echo '{\"done\":true,\"cause\":\"no_memory\",\"received\":1}'; exec sleep 60",
                "signal 9"); /* no percent can be computed */
    with_helper(b, "echo '{\"received\":5,\"total\":5}'", "ended with status 0");
    with_helper(b,
                "echo '{\"done\":true,\"cause\":\"none\",\"received\":1,\"sha256\":\"00000000000000"
                "00000000000000000000000000000000000000000000000002\"}'; exec sleep 60",
                "signal 9"); /* success without what was demanded */
    with_helper(b, "echo '{\"done\":true,\"cause\":\"wishful\",\"received\":1}'; exec sleep 60",
                "signal 9");
}

static int run_helper(const char *spec)
{
    sb_cleanup(sb_freep) char *command =
        sb_format("printf '%%s' '%s' | %s >/dev/null 2>&1", spec, g.helper);
    int status = system(command); /* NOLINT(cert-env33-c): our own words */
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Sanitizers make a leak an exit status. */
TEST(the_helper_ends_with_what_it_said)
{
    static const char *const queries[] = { "size=1000", "size=5000", "status=404", "head=flood",
                                           "status=302&to=http://10.0.0.1/" };
    for (size_t i = 0; i < SB_COUNT(queries); i++) {
        sb_cleanup(sb_freep) char *spec = sb_format(
            "{\"uri\":\"http://localhost:%u/file?%s\",\"part\":\"%s\",\"max_bytes\":4000,"
            "\"stall_ms\":5000,\"headers\":{\"X\":\"y\"},\"rules\":{\"schemes\":[\"http\"],"
            "\"hosts\":[],\"networks\":[\"127.0.0.0/8\"]}}",
            g.port, queries[i], b->part);
        assert_int_equal(0, run_helper(spec));
    }
    static const char *const broken[] = { "", "nonsense", "{}", "[]",
                                          "{\"uri\":\"x\",\"part\":\"y\"}" };
    for (size_t i = 0; i < SB_COUNT(broken); i++)
        assert_int_equal(2, run_helper(broken[i]));
}

TEST(bad_requests_are_refused_at_once)
{
    static const struct {
        const char *name, *value;
    } cases[] = { { "X", "a\r\nHost: b" }, { "X Y", "a" },  { "", "a" },  { "X:", "a" },
                  { "range", "bytes=1-" }, { "HOST", "b" }, { "X", NULL } };
    uint64_t id;
    struct sb_fetch_spec spec = spec_of(b, "https://example.com/");
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(json_decrefp) json_t *headers =
            json_pack("{s:s?}", cases[i].name, cases[i].value);
        spec.headers = headers;
        assert_int_equal(-EINVAL, b->ops->start(b->fetcher, &spec, on_event, &b->out, &id));
    }
    sb_cleanup(sb_freep) char *long_text = content(70000, 0);
    memset(long_text, 'x', 70000);
    long_text[69999] = '\0';
    sb_cleanup(json_decrefp) json_t *headers = json_pack("{s:s}", "X", long_text);
    spec.headers = headers;
    assert_int_equal(-E2BIG, b->ops->start(b->fetcher, &spec, on_event, &b->out, &id));
    spec.headers = NULL;
    spec.max_bytes = 0;
    assert_int_equal(-EINVAL, b->ops->start(b->fetcher, &spec, on_event, &b->out, &id));
    spec.max_bytes = 1;
    spec.sha256 = "short";
    assert_int_equal(-EINVAL, b->ops->start(b->fetcher, &spec, on_event, &b->out, &id));
    spec.sha256 = NULL;
    spec.uri = NULL;
    assert_int_equal(-EINVAL, b->ops->start(b->fetcher, &spec, on_event, &b->out, &id));
}

static int group_setup(void **state)
{
    (void)state;
    strcpy(g.directory, "/tmp/sb-fetch-XXXXXX");
    assert_non_null(mkdtemp(g.directory));
    const char *build = getenv("SB_BUILD");
    if (!build || !getenv("SB_SOURCE"))
        fail_msg("SB_BUILD and SB_SOURCE must be set (ctest does)");
    g.helper = sb_format("%s/bridge/programs/southbridge-fetch", build);
    assert_int_equal(0, setenv("RES_OPTIONS", "attempts:1 timeout:1", 1)); /* the helper's */
    start_server();
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    static const char *const files[] = { "cert.pem", "key.pem" };
    (void)close(g.to_server);
    (void)waitpid(g.server, NULL, 0);
    for (size_t i = 0; i < SB_COUNT(files); i++) {
        sb_cleanup(sb_freep) char *path = sb_format("%s/%s", g.directory, files[i]);
        (void)unlink(path);
    }
    free(g.helper);
    return rmdir(g.directory);
}

int main(void)
{
    return sb_tests_run(group_setup, group_teardown);
}
