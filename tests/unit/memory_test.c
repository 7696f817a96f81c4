/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every operation of base with its first, second, ... allocation failing: it fails cleanly until
 * there is enough memory, and the leak checker finds nothing left.
 *
 * The allocator is the one contract that a program cannot hand in, hence the linker's --wrap.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>

#include "bridge/base/crypto.h"
#include "bridge/base/diag.h"
#include "bridge/base/json.h"
#include "bridge/base/log.h"
#include "bridge/base/map.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/starved.h"
#include "tests/test.h"

static void *openssl_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(n);
}

static void *openssl_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return realloc(p, n);
}

static void openssl_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

/* An operation: whether it succeeded; checks itself that a failure was clean. */
typedef bool (*operation)(void);

static void starve(operation op)
{
    int failures = 0;
    for (int n = 0; n < STARVED_MOST; n++) {
        starved_grant(n);
        bool succeeded = op();
        starved_grant(STARVED_UNLIMITED);
        if (succeeded) {
            assert_true(failures > 0); /* else nothing was tested */
            return;
        }
        failures++;
    }
    fail_msg("fails with any amount of memory");
}

static bool set_string(void)
{
    char *slot = NULL;
    int r = sb_set_string(&slot, "text");
    assert_true(r == 0 ? sb_streq(slot, "text") : r == -ENOMEM && !slot);
    free(slot);
    return r == 0;
}

static bool format(void)
{
    sb_cleanup(sb_freep) char *text = sb_format("%0100d", 7); /* begins small, grows */
    assert_true(!text || strlen(text) == 100);
    return text;
}

static bool take_empty(void)
{
    struct sb_str s = { 0 };
    sb_cleanup(sb_freep) char *text = sb_str_take(&s);
    return text;
}

static bool diags(void)
{
    struct sb_diags list = { 0 };
    sb_diags_add(&list, "file", 1, 2, "wrong");
    assert_int_equal(list.total, 1); /* it counts whatever happens */
    sb_cleanup(sb_freep) char *text = sb_diags_text(&list);
    assert_true(!text || sb_streq(text, "file:1:2: wrong\n") || sb_streq(text, "and 1 more\n"));
    bool whole = text && list.count == 1;
    sb_diags_done(&list);
    return whole;
}

static bool json_good(void)
{
    sb_cleanup(json_decrefp) json_t *value = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    static const char text[] = "{\"a\":[1,2.5,\"x\"]}";
    int r = sb_json_parse(text, strlen(text), NULL, &value, &error);
    assert_true(r == 0 ? value && !error : !value);
    if (r < 0) {
        assert_true(r == -ENOMEM || r == -EBADMSG); /* the library may take it for a bad token */
        return false;
    }
    sb_cleanup(sb_freep) char *printed = sb_json_text(value);
    assert_true(!printed || sb_streq(printed, text));
    int put = sb_json_put_int(value, "n", 1);
    assert_true(put == 0 || put == -ENOMEM);
    return printed && put == 0;
}

static bool json_bad(void)
{
    json_t *value = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    int r = sb_json_parse("[1", 2, NULL, &value, &error);
    assert_true(r == -EBADMSG || r == -ENOMEM);
    return r == -EBADMSG && error;
}

static bool map(void)
{
    struct sb_map m = { 0 };
    int value = 5;
    int r = 0;
    char key[] = "a";
    for (; r == 0 && *key < 'z'; (*key)++)
        r = sb_map_set(&m, key, &value);
    assert_true(r == 0 || (r == -ENOMEM && !sb_map_get(&m, "z")));
    assert_int_equal(m.count, *key - 'a' - (r < 0 ? 1 : 0));
    sb_map_done(&m);
    return r == 0;
}

static bool times(void)
{
    sb_cleanup(sb_freep) char *stamp = sb_time_iso8601(0);
    sb_cleanup(sb_freep) char *span = sb_duration_text(5);
    sb_cleanup(sb_freep) char *size = sb_size_text(5);
    return stamp && span && size;
}

static bool digest(void)
{
    sb_cleanup(sb_freep) char *hex = sb_sha256_hex("abc", 3);
    assert_true(!hex || strlen(hex) == SB_SHA256_HEX);
    return hex;
}

static bool digest_of_file(void)
{
    sb_cleanup(sb_freep) char *hex = sb_sha256_file("/proc/self/exe");
    assert_true(hex || errno == ENOMEM || errno == EIO);
    return hex;
}

static bool base64(void)
{
    sb_cleanup(sb_freep) char *text = sb_base64("abc", 3);
    sb_cleanup(sb_freep) uint8_t *bytes = NULL;
    size_t n = 0;
    int r = sb_base64_decode("YWJj", 4, &bytes, &n);
    assert_true(r == 0 || (r == -ENOMEM && !bytes));
    return text && r == 0;
}

/* For a moment only: no piece of the text may be missing. */
SB_TEST(a_text_is_whole_or_none)
{
    sb_cleanup(json_decrefp) json_t *value = json_object();
    for (int i = 0; i < 30; i++) {
        sb_cleanup(sb_freep) char *key = sb_format("a key %d", i);
        assert_int_equal(sb_json_put_int(value, key, i), 0);
    }
    sb_cleanup(sb_freep) char *whole = sb_json_sorted(value);
    bool refused = true;
    for (int n = 0; refused; n++) {
        starved_refuse(n);
        sb_cleanup(sb_freep) char *text = sb_json_sorted(value);
        refused = starved_refused();
        starved_grant(STARVED_UNLIMITED);
        assert_true(refused ? !text : sb_streq(text, whole));
    }
}

static char secret_path[] = "/tmp/sb-memory-XXXXXX";

static void secret_put(void)
{
    int fd = mkstemp(secret_path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "s3cret-key\n", 11), 11);
    (void)close(fd);
}

static bool secret_from(const char *setting)
{
    char *secret = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    int r = sb_secret_load(setting, &secret, &error);
    assert_true(r == 0 ? sb_streq(secret, "s3cret-key") : r == -ENOMEM && !secret);
    sb_secret_free(secret);
    return r == 0;
}

static bool redact(void)
{
    sb_cleanup(sb_freep) char *shown = sb_redact("see https://u:p@h/x?y");
    assert_true(!shown || sb_streq(shown, "see https://***@h/x?***"));
    return shown;
}

static char logged[4096];

/* What one call wrote to stderr; it is in `logged`. */
static void log_one(void)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int real = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(real >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    (void)close(ends[1]);
    sb_info(SB_AT(.job = 7, .device = "pump-1"), "an %s", "entry");
    assert_true(dup2(real, STDERR_FILENO) >= 0);
    (void)close(real);
    ssize_t n = read(ends[0], logged, sizeof(logged) - 1);
    logged[n > 0 ? n : 0] = '\0';
    (void)close(ends[0]);
}

static bool log_entry(void)
{
    log_one();
    size_t n = strlen(logged);
    assert_true(n > 0 && logged[n - 1] == '\n'); /* always one line, which says what happened */
    bool lost = strstr(logged, "a log entry was lost: out of memory");
    assert_true(lost || strstr(logged, "msg=\"an entry\""));
    return !lost && strstr(logged, " job=7 device=pump-1\n") && strncmp(logged, "ts=-", 4) != 0;
}

static int tidy(void **state);

SB_TEST(starve_all, NULL, tidy)
{
    static const operation operations[] = {
        set_string, format, take_empty,     diags,  json_good, json_bad,  map,
        times,      digest, digest_of_file, base64, redact,    log_entry,
    };
    for (size_t i = 0; i < SB_COUNT(operations); i++)
        starve(operations[i]);
}

SB_TEST(starve_secrets, NULL, tidy)
{
    secret_put();
    sb_cleanup(sb_freep) char *setting = sb_format("file:%s", secret_path);
    char *slash = strrchr(secret_path, '/');
    sb_cleanup(sb_freep) char *named = sb_format("credential:%s", slash + 1);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/tmp", 1), 0);
    sb_log_secret("s3cret-key"); /* so that hiding it needs no memory; that comes last */
    const char *const settings[] = { setting, named };
    for (size_t i = 0; i < SB_COUNT(settings); i++) {
        int failures = 0;
        for (bool loaded = false; !loaded; failures++) {
            starved_grant(failures);
            loaded = secret_from(settings[i]);
            starved_grant(STARVED_UNLIMITED);
        }
        assert_true(failures > 2);
    }
    sb_log_forget("s3cret-key");
}

static int tidy(void **state)
{
    (void)state;
    starved_grant(STARVED_UNLIMITED); /* where a test has failed, too */
    (void)unlink(secret_path);
    return unsetenv("CREDENTIALS_DIRECTORY");
}

/* The last test: a secret that could not be remembered blinds the log for good. */
SB_TEST(a_secret_without_memory_hides_all)
{
    for (int n = 0; n < 2; n++) {
        starved_grant(n);
        sb_log_secret("hunter2");
        starved_grant(STARVED_UNLIMITED);
    }
    sb_cleanup(sb_freep) char *shown = sb_redact("is hunter2");
    assert_string_equal(shown, "***");
    log_one();
    assert_non_null(strstr(logged, "msg=\"***\""));
    sb_log_secret("hunter3");
    sb_log_forget("hunter3");
}

int main(void)
{
    if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1)
        return 1;
    starved_begin();
    free(sb_sha256_hex("", 0)); /* the library's own start is not what is tested */
    sb_log_setup(SB_LOG_INFO, SB_LOG_LOGFMT);
    return sb_tests_run(NULL, NULL);
}
