/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Known vectors (FIPS 180-4, RFC 1321, RFC 4648), ids, and secret files with every reason to refuse
 * one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "bridge/base/crypto.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "tests/test.h"

#define SHA256_ABC   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA256_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static char folder[] = "/tmp/sb-crypto-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* Writes folder/secret with this mode whatever the umask; the path is to be freed. */
static char *put_file(const void *bytes, size_t n, mode_t mode)
{
    char *path = sb_format("%s/secret", folder);
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
    return path;
}

/* RFC 4231 case 2, RFC 2202 case 2; and the shared access signature of an Azure device SDK. */
SB_TEST(keyed_codes_match_the_vectors)
{
    static const struct {
        enum sb_digest_kind kind;
        const char *key, *text, *hex;
    } cases[] = {
        { SB_SHA256, "Jefe", "what do ya want for nothing?",
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
        { SB_SHA1, "Jefe", "what do ya want for nothing?",
          "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79" },
        { SB_MD5, "Jefe", "what do ya want for nothing?", "750c783e6ab0b503eaa86e310a5db738" },
        { SB_SHA256, "", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        uint8_t code[SB_HMAC_MAX];
        int n = sb_hmac(cases[i].kind, cases[i].key, strlen(cases[i].key), cases[i].text,
                        strlen(cases[i].text), code);
        assert_true(n > 0);
        sb_cleanup(sb_freep) char *hex = sb_hex(code, (size_t)n);
        assert_string_equal(hex, cases[i].hex);
    }
    uint8_t code[SB_HMAC_MAX];
    assert_int_equal(sb_hmac((enum sb_digest_kind)99, "", 0, "", 0, code), -EIO);
}

SB_TEST(digests_match_the_vectors)
{
    static const struct {
        enum sb_digest_kind kind;
        const char *text, *hex;
    } cases[] = {
        { SB_SHA256, "abc", SHA256_ABC },
        { SB_SHA256, "", SHA256_EMPTY },
        { SB_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d" },
        { SB_MD5, "abc", "900150983cd24fb0d6963f7d28e17f72" },
        { SB_MD5, "", "d41d8cd98f00b204e9800998ecf8427e" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_digest_freep) struct sb_digest *digest = sb_digest_new(cases[i].kind);
        for (const char *p = cases[i].text; *p; p++)
            assert_int_equal(sb_digest_add(digest, p, 1), 0);
        sb_cleanup(sb_freep) char *hex = sb_digest_hex(digest);
        assert_string_equal(hex, cases[i].hex);
        assert_int_equal(sb_digest_add(digest, "x", 1), -EINVAL); /* spent */
        assert_null(sb_digest_hex(digest));
    }
    assert_null(sb_digest_new((enum sb_digest_kind)99));
    sb_digest_free(NULL);
    sb_cleanup(sb_freep) char *once = sb_sha256_hex("abc", 3);
    assert_string_equal(once, SHA256_ABC);
}

SB_TEST(files_are_digested)
{
    sb_cleanup(sb_freep) char *path = put_file("abc", 3, 0600);
    sb_cleanup(sb_freep) char *hex = sb_sha256_file(path);
    assert_string_equal(hex, SHA256_ABC);
    size_t n = 200000; /* several pieces */
    sb_cleanup(sb_freep) uint8_t *bytes = calloc(n, 1);
    sb_cleanup(sb_freep) char *big = put_file(bytes, n, 0600);
    sb_cleanup(sb_freep) char *of_file = sb_sha256_file(big);
    sb_cleanup(sb_freep) char *of_bytes = sb_sha256_hex(bytes, n);
    assert_string_equal(of_file, of_bytes);
    assert_int_equal(unlink(path), 0);
    assert_null(sb_sha256_file(path));
    assert_int_equal(errno, ENOENT);
    assert_null(sb_sha256_file(folder));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(mkfifo(path, 0600), 0); /* nobody writes: must not wait */
    assert_null(sb_sha256_file(path));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(unlink(path), 0);
}

SB_TEST(hex_goes_both_ways)
{
    uint8_t bytes[4] = { 9, 9, 9, 9 };
    assert_int_equal(sb_hex_decode("00fFA5", bytes, 3), 0);
    assert_memory_equal(bytes, "\x00\xff\xa5\x09", 4);
    sb_cleanup(sb_freep) char *text = sb_hex(bytes, 3);
    assert_string_equal(text, "00ffa5");
    sb_cleanup(sb_freep) char *empty = sb_hex(NULL, 0);
    assert_string_equal(empty, "");
    assert_int_equal(sb_hex_decode("", bytes, 0), 0);
    static const char *const wrong[] = { "00", "00ff", "00ff0", "00ff000", "00ff0g", "00 ff0", "" };
    for (size_t i = 0; i < SB_COUNT(wrong); i++)
        assert_int_equal(sb_hex_decode(wrong[i], bytes, 3), -EINVAL);
    assert_int_equal(sb_hex_decode(NULL, bytes, 3), -EINVAL);
    assert_memory_equal(bytes, "\x00\xff\xa5\x09", 4); /* untouched */
    assert_null(sb_hex(bytes, SIZE_MAX / 2));
}

SB_TEST(base64_goes_both_ways)
{
    static const char *const cases[][2] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
        { "\xfb\xff\xbf", "+/+/" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        size_t n = strlen(cases[i][0]);
        sb_cleanup(sb_freep) char *text = sb_base64(cases[i][0], n);
        assert_string_equal(text, cases[i][1]);
        sb_cleanup(sb_freep) uint8_t *bytes = NULL;
        size_t back = 99;
        assert_int_equal(sb_base64_decode(text, strlen(text), &bytes, &back), 0);
        assert_int_equal(back, n);
        assert_memory_equal(bytes, cases[i][0], n + 1);
    }
    assert_null(sb_base64("", SIZE_MAX));
}

SB_TEST(base64_is_strict)
{
    static const char *const wrong[] = {
        "Zg",   "Zg=",  "Zg===", "Z===",   "====", "=AAA",     "Zh==",
        "Zm9=", "Zm+=", "Z g=",  "Zm8=\n", "Zm-_", "Zg==Zg==", "\xff\xff\xff\xff"
    };
    for (size_t i = 0; i < SB_COUNT(wrong); i++) {
        uint8_t *bytes = NULL;
        size_t n = 99;
        if (sb_base64_decode(wrong[i], strlen(wrong[i]), &bytes, &n) != -EINVAL)
            fail_msg("accepted '%s'", wrong[i]);
        assert_null(bytes);
        assert_int_equal(n, 99);
    }
}

static void check_uuid(const char *uuid)
{
    assert_int_equal(strlen(uuid), SB_UUID_TEXT);
    for (int i = 0; i < SB_UUID_TEXT; i++)
        assert_non_null(
            strchr(i == 8 || i == 13 || i == 18 || i == 23 ? "-" : "0123456789abcdef", uuid[i]));
    assert_int_equal(uuid[14], '4');
    assert_non_null(strchr("89ab", uuid[19]));
}

SB_TEST(ids_are_random_unless_seeded)
{
    char first[SB_UUID_TEXT + 1], second[SB_UUID_TEXT + 1], third[SB_UUID_TEXT + 1];
    sb_uuid(first);
    sb_uuid(second);
    check_uuid(first);
    assert_string_not_equal(first, second);
    sb_random_seed(1);
    sb_uuid(first);
    sb_uuid(second);
    uint32_t number = sb_random(1000000);
    check_uuid(first);
    assert_string_not_equal(first, second);
    /* SplitMix64 from 1: 910a2dec89025cc1 beeb8da1658eec67, version and variant set */
    assert_string_equal(first, "910a2dec-8902-4cc1-beeb-8da1658eec67");
    sb_random_seed(1);
    sb_uuid(third);
    assert_string_equal(third, first);
    sb_uuid(third);
    assert_int_equal(sb_random(1000000), number);
    sb_random_seed(0);
    sb_uuid(third);
    assert_string_not_equal(third, first);
}

SB_TEST(random_stays_below)
{
    unsigned seen[4] = { 0 };
    for (int i = 0; i < 4000; i++)
        seen[sb_random(4)]++; /* the sanitizer watches the bound */
    for (size_t i = 0; i < SB_COUNT(seen); i++)
        assert_in_range(seen[i], 700, 1300); /* ten sigmas */
    assert_int_equal(sb_random(0), 0);
    assert_int_equal(sb_random(1), 0);
}

SB_TEST(secrets_compare)
{
    assert_true(sb_secret_equal("abc", "abc"));
    assert_true(sb_secret_equal("", ""));
    assert_false(sb_secret_equal("abc", "abd"));
    assert_false(sb_secret_equal("abc", "ab"));
    assert_false(sb_secret_equal("ab", "abc"));
    assert_false(sb_secret_equal(NULL, NULL));
    assert_false(sb_secret_equal("", NULL));
    assert_false(sb_secret_equal(NULL, ""));
}

/* Loads the setting, which must be refused with this error and a text that says this. */
static void refused(const char *setting, int expected, const char *says)
{
    char *secret = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    assert_int_equal(sb_secret_load(setting, &secret, &error), expected);
    assert_null(secret);
    assert_non_null(error);
    if (!strstr(error, says))
        fail_msg("'%s' does not say '%s'", error, says);
    assert_int_equal(sb_secret_load(setting, &secret, NULL), expected);
}

static void refused_file(const char *bytes, size_t n, mode_t mode, int expected, const char *says)
{
    sb_cleanup(sb_freep) char *path = put_file(bytes, n, mode);
    sb_cleanup(sb_freep) char *setting = sb_format("file:%s", path);
    refused(setting, expected, says);
    assert_int_equal(unlink(path), 0);
}

SB_TEST(secret_is_loaded_hidden_and_forgotten)
{
    static const char *const texts[] = { "s3cret-key", "s3cret-key\n", "s3cret-key\r\n" };
    for (size_t i = 0; i < SB_COUNT(texts); i++) {
        sb_cleanup(sb_freep) char *path = put_file(texts[i], strlen(texts[i]), 0400);
        sb_cleanup(sb_freep) char *setting = sb_format("file:%s", path);
        char *secret = NULL, *error = NULL;
        assert_int_equal(sb_secret_load(setting, &secret, &error), 0);
        assert_null(error);
        assert_string_equal(secret, "s3cret-key");
        sb_cleanup(sb_freep) char *shown = sb_redact("key s3cret-key");
        assert_string_equal(shown, "key ***");
        sb_secret_free(secret);
        sb_cleanup(sb_freep) char *later = sb_redact("key s3cret-key");
        assert_string_equal(later, "key s3cret-key");
        assert_int_equal(unlink(path), 0);
    }
    sb_secret_free(NULL);
}

SB_TEST(secret_of_the_largest_size)
{
    sb_cleanup(sb_freep) char *bytes = malloc(65537);
    assert_non_null(bytes);
    memset(bytes, 'k', 65537);
    refused_file(bytes, 65537, 0600, -E2BIG, "larger than 65536");
    sb_cleanup(sb_freep) char *path = put_file(bytes, 65536, 0600);
    sb_cleanup(sb_freep) char *setting = sb_format("file:%s", path);
    sb_cleanup(sb_secret_freep) char *secret = NULL;
    assert_int_equal(sb_secret_load(setting, &secret, NULL), 0);
    assert_int_equal(strlen(secret), 65536);
    assert_int_equal(unlink(path), 0);
}

SB_TEST(bad_secret_files_are_refused)
{
    refused_file("secret", 6, 0604, -EACCES, "chmod 600");
    refused_file("secret", 6, 0601, -EACCES, "mode 0601");
    refused_file("", 0, 0600, -EBADMSG, "is empty");
    refused_file("\n", 1, 0600, -EBADMSG, "is empty");
    refused_file("one\ntwo\n", 8, 0600, -EBADMSG, "one line");
    refused_file("one\n\n", 5, 0600, -EBADMSG, "one line");
    refused_file("one\rtwo", 7, 0600, -EBADMSG, "one line");
    refused_file("a\0b", 3, 0600, -EBADMSG, "one line");
    sb_cleanup(sb_freep) char *missing = sb_format("file:%s/none", folder);
    refused(missing, -ENOENT, "No such file");
    sb_cleanup(sb_freep) char *directory = sb_format("file:%s", folder);
    refused(directory, -EINVAL, "not a regular file");
    sb_cleanup(sb_freep) char *fifo = sb_format("%s/fifo", folder);
    sb_cleanup(sb_freep) char *setting = sb_format("file:%s", fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    refused(setting, -EINVAL, "not a regular file");
    assert_int_equal(unlink(fifo), 0);
}

/* Only root's group may read along, which systemd's credentials look like. */
SB_TEST(group_access_depends_on_the_group)
{
    sb_cleanup(sb_freep) char *path = put_file("secret", 6, 0640);
    sb_cleanup(sb_freep) char *setting = sb_format("file:%s", path);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    if (st.st_gid == 0) {
        sb_cleanup(sb_secret_freep) char *secret = NULL;
        assert_int_equal(sb_secret_load(setting, &secret, NULL), 0);
        assert_string_equal(secret, "secret");
    }
    if (st.st_gid != 0 || chown(path, (uid_t)-1, 65534) == 0)
        refused(setting, -EACCES, "chmod 600");
    assert_int_equal(unlink(path), 0);
}

SB_TEST(other_forms_are_refused_unquoted)
{
    static const char *const forms[] = {
        "hunter2", "file:hunter2", "file:", "env:hunter2", "FILE:/hunter2", "", NULL
    };
    for (size_t i = 0; i < SB_COUNT(forms); i++) {
        char *secret = NULL;
        sb_cleanup(sb_freep) char *error = NULL;
        assert_int_equal(sb_secret_load(forms[i], &secret, &error), -EINVAL);
        assert_null(secret);
        assert_non_null(strstr(error, "file:/path"));
        assert_null(strstr(error, "hunter2"));
    }
}

SB_TEST(credentials_come_from_their_folder)
{
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    refused("credential:key", -ENOENT, "LoadCredential=key:");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "", 1), 0);
    refused("credential:key", -ENOENT, "LoadCredential=key:");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
    refused("credential:", -EINVAL, "name of a credential");
    refused("credential:../key", -EINVAL, "name of a credential");
    refused("credential:..", -EINVAL, "name of a credential");
    refused("credential:none", -ENOENT, "No such file");
    sb_cleanup(sb_freep) char *path = put_file("from-systemd", 12, 0400);
    sb_cleanup(sb_secret_freep) char *secret = NULL;
    assert_int_equal(sb_secret_load("credential:secret", &secret, NULL), 0);
    assert_string_equal(secret, "from-systemd");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

int main(void)
{
    return sb_tests_run(make_folder, remove_folder);
}
