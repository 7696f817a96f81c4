/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/package/package.h"
#include "tests/fakes/loop_sim.h"
#include "tests/fakes/store_mem.h"
#include "tests/test.h"

struct bench {
    struct sb_store_mem *disk;
    struct sb_loop *loop;
    struct sb_store *store;
    struct sb_packages *packages;
    struct sb_depot_limits limits;
    char directory[64], *depot;
};

static void power_on(struct bench *b)
{
    assert_int_equal(0, sb_loop_new(&b->loop));
    assert_int_equal(0, sb_store_mem_start(b->disk, b->loop, &b->store));
    assert_int_equal(0, sb_packages_new(b->store, b->depot, &b->limits, &b->packages));
}

static void power_off(struct bench *b)
{
    b->packages = sb_packages_free(b->packages);
    b->store = sb_store_free(b->store);
    b->loop = sb_loop_free(b->loop);
}

static void restart(struct bench *b)
{
    sb_sim_advance(b->loop, 100);
    power_off(b);
    power_on(b);
}

/* As the core does it after a failed commit. */
static void anew(struct bench *b)
{
    sb_packages_free(b->packages);
    assert_int_equal(0, sb_packages_new(b->store, b->depot, &b->limits, &b->packages));
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    strcpy(b->directory, "/tmp/sb-package-XXXXXX");
    assert_non_null(mkdtemp(b->directory));
    b->depot = sb_format("%s/depot", b->directory);
    b->limits = (struct sb_depot_limits){ .bytes = 1000, .file_bytes = 600 };
    assert_int_equal(0, sb_store_mem_new(&b->disk));
    power_on(b);
    *state = b;
    return 0;
}

static void remove_tree(const char *path)
{
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        sb_cleanup(sb_freep) char *below = sb_format("%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlink(below) < 0)
            remove_tree(below);
    }
    if (folder)
        (void)closedir(folder);
    assert_int_equal(0, rmdir(path));
}

static int teardown(void **state)
{
    struct bench *b = *state;
    power_off(b);
    sb_store_mem_free(b->disk);
    remove_tree(b->directory);
    free(b->depot);
    free(b);
    return 0;
}

static int resolve(struct bench *b, const char *text, int64_t wall, struct sb_package **ret)
{
    sb_cleanup(json_decrefp) json_t *spec = json_loads(text, 0, NULL);
    if (!spec)
        fail_msg("not JSON: %s", text);
    return sb_packages_resolve(b->packages, spec, wall, ret);
}

static struct sb_package *package(struct bench *b, const char *text, int64_t wall)
{
    struct sb_package *found = NULL;
    int r = resolve(b, text, wall, &found);
    if (r < 0)
        fail_msg("%s: %d", text, r);
    return found;
}

static void write_file(const char *path, size_t size, char fill, mode_t mode)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    for (size_t i = 0; i < size; i++)
        assert_int_not_equal(EOF, fputc(fill, out));
    assert_int_equal(0, fclose(out));
    assert_int_equal(0, chmod(path, mode));
}

static void set_age(const char *path, int64_t seconds)
{
    const struct timespec times[2] = { { .tv_sec = time(NULL) - seconds },
                                       { .tv_sec = time(NULL) - seconds } };
    assert_int_equal(0, utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
}

static char *digest_of(size_t size, char fill)
{
    char bytes[1000];
    assert_true(size <= sizeof(bytes));
    memset(bytes, fill, size);
    return sb_sha256_hex(bytes, size);
}

/* Brings a file of `size` bytes into the depot. 0 or -errno; its digest in *ret (may be NULL). */
static int adopt(struct bench *b, size_t size, char fill, char **ret)
{
    sb_cleanup(sb_freep) char *sha256 = digest_of(size, fill);
    sb_cleanup(sb_freep) char *part = sb_depot_part(b->packages, "p-test");
    write_file(part, size, fill, 0640);
    int r = sb_depot_adopt(b->packages, part, sha256);
    if (ret)
        *ret = SB_STEAL(sha256);
    return r;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* ---- records ---- */

#define URI "https://user:pw@cloud.example.com:8443/fw/a.bin"

#define TEST(name) SB_TEST_OF(struct bench *b, name, setup, teardown)

/* What a door supplies itself is told by its digest: each device may have a stream of its own. */
TEST(streams_of_one_file_are_one_package)
{
    struct sb_package *first = package(b,
                                       "{\"uri\":\"stream:?id=1\",\"version\":\"2.0\",\"door\":"
                                       "\"plant\",\"md5\":\"93230c3bde425a9d7984a594ac55ea1e\"}",
                                       100);
    struct sb_package *again = package(b,
                                       "{\"uri\":\"stream:?id=2\",\"version\":\"2.0\",\"door\":"
                                       "\"plant\",\"md5\":\"93230c3bde425a9d7984a594ac55ea1e\"}",
                                       200);
    assert_ptr_equal(first, again);
    assert_string_equal("stream:?id=2", again->uri); /* the latest is asked for */
    struct sb_package *other = package(b,
                                       "{\"uri\":\"stream:?id=3\",\"version\":\"2.0\",\"door\":"
                                       "\"plant\",\"md5\":\"a3230c3bde425a9d7984a594ac55ea1e\"}",
                                       300);
    assert_ptr_not_equal(first, other);
}

TEST(a_uri_leads_to_one_package)
{
    struct sb_package *first =
        package(b, "{\"uri\":\"" URI "?sig=1\",\"version\":\"2.0\",\"door\":\"plant\"}", 100);
    sb_cleanup(sb_freep) char *id = strdup(first->id);
    sb_cleanup(sb_freep) char *hash = sb_sha256_hex(first->key, strlen(first->key));
    assert_int_equal(0, strncmp("p-", id, 2));
    assert_int_equal(14, strlen(id));
    assert_int_equal(0, strncmp(hash, id + 2, 12));
    assert_null(strstr(first->key, "pw"));
    assert_null(strstr(first->key, "sig"));
    struct sb_package *again =
        package(b,
                "{\"uri\":\"https://cloud.example.com:8443/fw/a.bin?sig=2#x\",\"version\":\"2.0\","
                "\"door\":\"plant\",\"name\":\"pump\",\"size\":77,\"extra\":{\"token\":\"t2\"}}",
                200);
    assert_ptr_equal(first, again);
    assert_non_null(strstr(again->uri, "sig=2")); /* the fresh credentials */
    assert_string_equal("t2", sb_json_str(again->extra, "token"));
    assert_string_equal("pump", again->name);
    assert_int_equal(77, again->size);
    assert_int_equal(100, again->created);
    assert_int_equal(200, again->used);
    restart(b);
    const struct sb_package *kept = sb_packages_get(b->packages, id);
    assert_non_null(kept);
    assert_non_null(strstr(kept->uri, "sig=2"));
    assert_string_equal("t2", sb_json_str(kept->extra, "token"));
    assert_string_equal("2.0", kept->version);
    assert_string_equal("plant", kept->door);
    assert_int_equal(77, kept->size);
    assert_ptr_equal(
        kept, package(b, "{\"uri\":\"" URI "\",\"version\":\"2.0\",\"door\":\"plant\"}", 150));
    assert_int_equal(200, kept->used); /* time does not go back */
    assert_int_equal(77, kept->size);
    (void)package(b, "{\"uri\":\"" URI "\",\"version\":\"2.0\",\"door\":\"plant\",\"size\":78}",
                  150);
    assert_int_equal(78, kept->size); /* it was wrong, and is put right */
}

TEST(other_content_is_another_package)
{
    static const char *const specs[] = {
        "{\"uri\":\"" URI "\",\"version\":\"1\"}",
        "{\"uri\":\"" URI "\",\"version\":\"2\"}",
        "{\"uri\":\"" URI "\"}",
        "{\"uri\":\"" URI "x\",\"version\":\"1\"}",
        "{\"uri\":\"https://cloud.example.com/fw/a.bin\",\"version\":\"1\"}",
        "{\"uri\":\"" URI "\",\"version\":\"1\",\"md5\":\"0123456789abcdef0123456789abcdef\"}",
        "{\"uri\":\"" URI "\",\"version\":\"1\",\"door\":\"another\"}", /* its rules apply */
        "{\"name\":\"pump\",\"version\":\"1\"}",
        "{\"name\":\"pump\",\"version\":\"1\",\"module\":\"radio\"}",
        "{\"uri\":\"file:///a@b/c\"}",
        "{\"uri\":\"file:///b/c\"}",
        "{\"uri\":\"nonsense\"}",
    };
    for (size_t i = 0; i < SB_COUNT(specs); i++)
        (void)package(b, specs[i], 1);
    for (size_t i = 0; i < SB_COUNT(specs); i++)
        (void)package(b, specs[i], 2);
    for (size_t i = 0; i < SB_COUNT(specs); i++)
        assert_int_equal(2, sb_packages_at(b->packages, i)->used);
    assert_null(sb_packages_at(b->packages, SB_COUNT(specs)));
}

TEST(specs_are_bounded_and_checked)
{
    struct sb_package *found = NULL;
    static const char *const wrong[] = {
        "{}",
        "{\"version\":\"1\"}",
        "{\"uri\":7}",
        "{\"uri\":\"" URI "\",\"sha256\":\"abc\"}",
        "{\"uri\":\"" URI "\",\"sha256\":"
        "\"ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789\"}",
        "{\"uri\":\"" URI "\",\"md5\":\"0123\"}",
        "{\"uri\":\"" URI "\",\"version\":{}}",
        "{\"name\":\"a\",\"id\":\"../x\"}",
        "{\"name\":\"a\",\"id\":\"\"}",
        "{\"name\":\"a\",\"id\":\".part\"}",
        "{\"name\":\"a\",\"fits\":[]}",
        "{\"name\":\"a\",\"fits\":{\"modle\":[\"x\"]}}",
        "{\"name\":\"a\",\"fits\":{\"model\":\"x\"}}",
        "{\"name\":\"a\",\"fits\":{\"model\":[]}}",
        "{\"name\":\"a\",\"fits\":{\"model\":[7]}}",
    };
    for (size_t i = 0; i < SB_COUNT(wrong); i++)
        if (resolve(b, wrong[i], 1, &found) != -EINVAL)
            fail_msg("taken: %s", wrong[i]);
    sb_cleanup(sb_freep) char *text = calloc(1, 2100);
    memset(text, 'a', 2099);
    sb_cleanup(json_decrefp) json_t *spec = json_pack("{s:s}", "uri", text);
    assert_int_equal(-EINVAL, sb_packages_resolve(b->packages, spec, 1, &found));
    assert_null(found);
    assert_string_equal("mine", package(b, "{\"name\":\"a\",\"id\":\"mine\"}", 1)->id);
    assert_int_equal(-EEXIST, resolve(b, "{\"name\":\"b\",\"id\":\"mine\"}", 1, &found));
    assert_string_equal("mine", package(b, "{\"name\":\"a\",\"id\":\"mine\"}", 1)->id);
}

TEST(people_see_no_credentials)
{
    const struct sb_package *one = package(
        b,
        "{\"uri\":\"" URI "?sig=SECRETSIG\",\"version\":\"2.0\",\"fits\":{\"model\":[\"x\"]},"
        "\"extra\":{\"token\":\"opensesame\"}}",
        1);
    sb_cleanup(json_decrefp) json_t *json = sb_package_json(one);
    sb_cleanup(sb_freep) char *text = sb_json_text(json);
    static const char *const secrets[] = { "pw", "SECRETSIG", "opensesame", "extra", "\"key\"" };
    for (size_t i = 0; i < SB_COUNT(secrets); i++)
        if (strstr(text, secrets[i]))
            fail_msg("'%s' in %s", secrets[i], text);
    assert_non_null(strstr(text, "cloud.example.com"));
    assert_non_null(strstr(text, "\"2.0\""));
    assert_non_null(strstr(text, "fits"));
}

TEST(a_failing_store_refuses)
{
    struct sb_package *found = NULL;
    (void)package(b, "{\"name\":\"kept\"}", 1);
    sb_sim_advance(b->loop, 100);
    sb_store_mem_fail_next(b->disk, 1, -ENOSPC);
    (void)package(b, "{\"name\":\"lost\"}", 1);
    for (int i = 0; i < 10 && sb_store_ready(b->store, NULL); i++)
        sb_sim_turn(b->loop);
    assert_int_equal(-EAGAIN, resolve(b, "{\"name\":\"later\"}", 1, &found));
    anew(b);
    assert_string_equal("kept", sb_packages_at(b->packages, 0)->name);
    assert_null(sb_packages_at(b->packages, 1));
    sb_sim_advance(b->loop, 60000);
    sb_store_mem_fail_reads(b->disk, 1, -EIO);
    sb_cleanup(sb_packages_freep) struct sb_packages *unread = NULL;
    assert_int_equal(-EIO, sb_packages_new(b->store, b->depot, &b->limits, &unread));
    assert_null(unread);
}

static bool is_needed(void *arg, const struct sb_package *one)
{
    return sb_streq(one->name, arg);
}

static size_t trim(struct bench *b, size_t keep, int64_t before, char *needed)
{
    const struct sb_packages_bounds bounds = { .keep = keep, .before = before, .most = 100 };
    return sb_packages_trim(b->packages, &bounds, is_needed, needed);
}

TEST(retention_takes_the_least_used)
{
    (void)package(b, "{\"name\":\"mine\"}", 1); /* an operator's is never taken */
    for (int i = 2; i < 10; i++) {
        sb_cleanup(sb_freep) char *text =
            sb_format("{\"name\":\"n%d\",\"door\":\"plant\",\"sha256\":\"%064d\"}", i, i);
        (void)package(b, text, i);
    }
    sb_cleanup(sb_freep) char *third = sb_format("%064d", 3);
    sb_depot_pin(b->packages, third);
    char needed[] = "n4";
    assert_int_equal(0, trim(b, 9, 0, needed));
    assert_int_equal(3, trim(b, 6, 0, needed));
    static const char *const left[] = { "mine", "n3", "n4", "n7", "n8", "n9" };
    for (size_t i = 0; i < SB_COUNT(left); i++)
        assert_string_equal(left[i], sb_packages_at(b->packages, i)->name);
    assert_int_equal(1, trim(b, 9, 8, needed)); /* by age: n7 */
    assert_int_equal(2, trim(b, 0, 0, needed));
    sb_depot_unpin(b->packages, third);
    assert_int_equal(1, trim(b, 0, 0, needed));
}

/* ---- files ---- */

TEST(a_part_becomes_an_artifact)
{
    struct stat st;
    sb_cleanup(sb_freep) char *sha256 = NULL;
    sb_cleanup(sb_freep) char *part = sb_depot_part(b->packages, "p-test");
    sb_cleanup(sb_freep) char *meta = sb_format("%s.meta", part);
    write_file(meta, 5, 'm', 0600);
    assert_int_equal(0, adopt(b, 300, 'a', &sha256));
    sb_cleanup(sb_freep) char *path = sb_depot_path(b->packages, sha256);
    sb_cleanup(sb_freep) char *found = sb_sha256_file(path);
    assert_string_equal(sha256, found);
    assert_int_equal(0, stat(path, &st));
    assert_int_equal(0600, st.st_mode & 0777);
    assert_true(sb_depot_has(b->packages, sha256));
    assert_false(exists(part));
    assert_false(exists(meta));
    write_file(meta, 5, 'm', 0600);
    assert_int_equal(0, adopt(b, 300, 'a', NULL)); /* once more: one file */
    assert_false(exists(part));
    assert_false(exists(meta));
    restart(b);
    assert_true(sb_depot_has(b->packages, sha256));
    sb_cleanup(sb_freep) char *other = digest_of(1, 'o');
    assert_int_equal(-ENOENT, sb_depot_adopt(b->packages, part, other));
    assert_int_equal(-EINVAL, sb_depot_adopt(b->packages, part, "../../etc/passwd"));
    assert_null(sb_depot_path(b->packages, "../../etc/passwd"));
    assert_null(sb_depot_part(b->packages, "../x"));
    assert_null(sb_depot_part(b->packages, ".."));
}

TEST(a_known_digest_needs_no_download)
{
    sb_cleanup(sb_freep) char *sha256 = NULL;
    assert_int_equal(0, adopt(b, 100, 'a', &sha256));
    sb_cleanup(sb_freep) char *spec =
        sb_format("{\"uri\":\"https://b.example.com/x\",\"sha256\":\"%s\"}", sha256);
    sb_cleanup(sb_freep) char *id = strdup(package(b, spec, 1)->id);
    assert_string_equal(sha256, sb_packages_get(b->packages, id)->artifact);
    restart(b);
    assert_string_equal(sha256, sb_packages_get(b->packages, id)->artifact);
    sb_cleanup(sb_freep) char *path = sb_depot_path(b->packages, sha256);
    assert_int_equal(0, unlink(path));
    restart(b); /* somebody removed the file */
    assert_null(sb_packages_get(b->packages, id)->artifact);
    assert_int_equal(0, adopt(b, 100, 'a', NULL));
    assert_string_equal(sha256, package(b, spec, 2)->artifact);
}

TEST(the_least_used_files_make_room)
{
    char *sha[4] = { 0 };
    for (int i = 0; i < 4; i++) {
        assert_int_equal(0, adopt(b, 200, (char)('a' + i), &sha[i]));
        sb_cleanup(sb_freep) char *path = sb_depot_path(b->packages, sha[i]);
        set_age(path, 1000 - i); /* 0 is the oldest by its file */
    }
    sb_cleanup(sb_freep) char *spec = sb_format("{\"name\":\"x\",\"sha256\":\"%s\"}", sha[0]);
    sb_cleanup(sb_freep) char *second = sb_format("{\"name\":\"y\",\"sha256\":\"%s\"}", sha[1]);
    (void)package(b, second, 5);
    restart(b);
    (void)package(b, spec, (int64_t)time(NULL) * 1000); /* but used just now */
    assert_int_equal(0, sb_depot_make_room(b->packages, 200));
    assert_true(sb_depot_has(b->packages, sha[1]));
    assert_int_equal(0, sb_depot_make_room(b->packages, 201));
    assert_false(sb_depot_has(b->packages, sha[1]));
    for (size_t i = 0; sb_packages_at(b->packages, i); i++) /* its record knows */
        if (sb_streq(sb_packages_at(b->packages, i)->name, "y"))
            assert_null(sb_packages_at(b->packages, i)->artifact);
    assert_true(sb_depot_has(b->packages, sha[0]));
    sb_depot_pin(b->packages, sha[2]);
    sb_depot_pin(b->packages, sha[2]);
    assert_int_equal(0, sb_depot_make_room(b->packages, 600));
    assert_true(sb_depot_has(b->packages, sha[2]));
    assert_false(sb_depot_has(b->packages, sha[3]));
    assert_true(sb_depot_has(b->packages, sha[0]));
    assert_int_equal(-ENOSPC, sb_depot_make_room(b->packages, 601)); /* more than one may have */
    sb_depot_pin(b->packages, sha[0]);
    sb_depot_unpin(b->packages, sha[2]);
    assert_int_equal(0, adopt(b, 600, 'z', NULL));
    assert_true(sb_depot_has(b->packages, sha[2]));
    for (int i = 0; i < 4; i++)
        free(sha[i]);
}

TEST(pinned_files_and_packages_stay)
{
    sb_cleanup(sb_freep) char *sha256 = NULL;
    assert_int_equal(0, adopt(b, 500, 'a', &sha256));
    sb_cleanup(sb_freep) char *spec =
        sb_format("{\"name\":\"x\",\"id\":\"x\",\"sha256\":\"%s\"}", sha256);
    (void)package(b, spec, 1);
    sb_depot_pin(b->packages, sha256);
    assert_int_equal(-ENOSPC, sb_depot_make_room(b->packages, 501));
    assert_int_equal(-EBUSY, sb_packages_remove(b->packages, "x"));
    sb_depot_unpin(b->packages, sha256);
    sb_depot_unpin(b->packages, sha256); /* no harm */
    assert_int_equal(0, sb_packages_remove(b->packages, "x"));
    assert_int_equal(-ENOENT, sb_packages_remove(b->packages, "x"));
    assert_int_equal(0, sb_depot_make_room(b->packages, 501));
    /* a pin on what is still to come */
    sb_depot_pin(b->packages, sha256);
    assert_false(sb_depot_has(b->packages, sha256));
    assert_int_equal(0, adopt(b, 500, 'a', NULL));
    assert_int_equal(-ENOSPC, sb_depot_make_room(b->packages, 501));
    sb_depot_pin(b->packages, "not a digest");
    sb_depot_unpin(b->packages, "not a digest");
    sb_depot_unpin(b->packages, NULL);
    assert_false(sb_depot_has(b->packages, NULL));
    restart(b);
    assert_null(sb_packages_get(b->packages, "x"));
}

TEST(too_large_files_are_not_adopted)
{
    sb_cleanup(sb_freep) char *kept = NULL;
    assert_int_equal(0, adopt(b, 400, 'a', &kept));
    assert_int_equal(-ENOSPC, adopt(b, 601, 'b', NULL));
    assert_true(sb_depot_has(b->packages, kept)); /* nothing was dropped in vain */
}

TEST(under_the_floor_nothing_begins)
{
    sb_cleanup(sb_freep) char *sha256 = NULL;
    assert_int_equal(0, adopt(b, 100, 'a', &sha256));
    assert_false(sb_depot_is_short(b->packages, 100, 0));
    b->limits.free_floor = INT64_MAX;
    restart(b);
    assert_true(sb_depot_is_short(b->packages, 1, 0));
    assert_true(sb_depot_is_short(b->packages, -1, 0));
    assert_false(sb_depot_is_short(b->packages, 601, 0)); /* waiting would not help */
}

TEST(what_has_begun_ends_under_the_floor)
{
    sb_cleanup(sb_freep) char *first = NULL, *second = NULL;
    assert_int_equal(0, adopt(b, 500, 'a', &first));
    b->limits.free_floor = INT64_MAX;
    restart(b);
    assert_int_equal(0, sb_depot_make_room(b->packages, 1));
    assert_int_equal(0, adopt(b, 400, 'b', &second));
    assert_true(sb_depot_has(b->packages, first)); /* dropping it would not reach the floor */
    sb_depot_pin(b->packages, first);
    sb_depot_pin(b->packages, second);
    assert_int_equal(-ENOSPC, sb_depot_make_room(b->packages, 101)); /* other bounds hold */
}

TEST(what_is_on_its_way_has_its_room)
{
    assert_false(sb_depot_is_short(b->packages, 500, 500));
    assert_true(sb_depot_is_short(b->packages, 500, 501)); /* 1000 in all */
}

TEST(the_start_counts_and_cleans)
{
    sb_cleanup(sb_freep) char *sha256 = NULL;
    assert_int_equal(0, adopt(b, 500, 'a', &sha256));
    sb_cleanup(sb_freep) char *path = sb_depot_path(b->packages, sha256);
    assert_int_equal(0, chmod(path, 0644));
    static const struct {
        const char *name;
        int64_t age;
        bool stays;
    } files[] = { { "tmp/new.part", 6 * 86400, true },
                  { "tmp/new.part.meta", 10, true },
                  { "tmp/old.part", 8 * 86400, false },
                  { "tmp/old.part.meta", 8 * 86400, false },
                  { "tmp/other", 10, false },
                  { "tmp/.part", 10, false },
                  { "stranger", 10, false },
                  { "ABCDEF", 10, false } };
    for (size_t i = 0; i < SB_COUNT(files); i++) {
        sb_cleanup(sb_freep) char *name = sb_format("%s/%s", b->depot, files[i].name);
        write_file(name, 10, 'x', 0600);
        set_age(name, files[i].age);
    }
    restart(b);
    for (size_t i = 0; i < SB_COUNT(files); i++) {
        sb_cleanup(sb_freep) char *name = sb_format("%s/%s", b->depot, files[i].name);
        if (exists(name) != files[i].stays)
            fail_msg("%s", name);
    }
    struct stat st;
    assert_int_equal(0, stat(path, &st));
    assert_int_equal(0600, st.st_mode & 0777);
    sb_depot_pin(b->packages, sha256);
    assert_int_equal(0, sb_depot_make_room(b->packages, 500)); /* 500 of 1000 were counted */
    assert_int_equal(-ENOSPC, sb_depot_make_room(b->packages, 501));
}

TEST(stale_parts_also_go_while_it_runs)
{
    sb_cleanup(sb_freep) char *part = sb_depot_part(b->packages, "p-old");
    write_file(part, 10, 'x', 0600);
    assert_int_equal(0, sb_depot_make_room(b->packages, 1));
    assert_true(exists(part));
    set_age(part, 8 * 86400);
    assert_int_equal(0, sb_depot_make_room(b->packages, 1));
    assert_false(exists(part));
}

TEST(a_directory_of_somebody_else_is_left_alone)
{
    struct sb_packages *other = NULL;
    sb_cleanup(sb_freep) char *home = sb_format("%s/home", b->directory);
    sb_cleanup(sb_freep) char *letter = sb_format("%s/home/letter.txt", b->directory);
    sb_cleanup(sb_freep) char *missing = sb_format("%s/no/such/folder", b->directory);
    assert_int_equal(0, mkdir(home, 0700));
    write_file(letter, 10, 'x', 0644);
    assert_int_equal(-ENOTEMPTY, sb_packages_new(b->store, home, &b->limits, &other));
    assert_true(exists(letter));
    assert_int_equal(-ENOENT, sb_packages_new(b->store, missing, &b->limits, &other));
    assert_int_equal(-ENOTDIR, sb_packages_new(b->store, letter, &b->limits, &other));
    assert_null(other);
}
