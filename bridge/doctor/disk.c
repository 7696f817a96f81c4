/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of the disk: store, images, free space. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/doctor/parts.h"
#include "bridge/store/store.h"

#define STORE_WAIT (15 * SB_SECOND)
#define MIB        INT64_C(1048576)

static bool writable(const char *path)
{
    return faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0;
}

/* ---- the store ---- */

static bool look_at_state(const char *state, struct sb_exam *exam)
{
    struct stat st;
    if (stat(state, &st) < 0 && errno == ENOENT) {
        sb_cleanup(sb_freep) char *copy = strdup(state);
        const char *above = copy ? dirname(copy) : "/";
        bool can = writable(above);
        sb_exam_take(exam, can ? SB_HEALTH_OK : SB_HEALTH_FAILED,
                     can ? NULL
                         : sb_format("mkdir -m 750 %s and give it to the daemon's user", state),
                     sb_format("%s is not there%s", state,
                               can ? "; the daemon's first start makes it" : ""));
        return false;
    }
    if (faccessat(AT_FDCWD, state, R_OK | W_OK | X_OK, AT_EACCESS) == 0)
        return true;
    sb_exam_say(exam, SB_HEALTH_FAILED,
                errno == EROFS ? "mount it writable, or name another directory (state)"
                               : "give it to the daemon's user: chown",
                "the state directory %s cannot be written: %s", state, strerror(errno));
    return errno != EROFS && access(state, X_OK) == 0;
}

static void look_at_file(const char *path, struct sb_exam *exam)
{
    if (access(path, F_OK) < 0 && errno == ENOENT) {
        sb_exam_say(exam, SB_HEALTH_OK, NULL, "%s is made at the daemon's first start", path);
        return;
    }
    if (!writable(path))
        sb_exam_say(exam, SB_HEALTH_FAILED, "give it to the daemon's user: chown",
                    "the store %s cannot be written: %s", path, strerror(errno));
    sb_sqlite_examine(path, STORE_WAIT, exam);
}

static void look_at_daemons_view(const json_t *store, struct sb_exam *exam)
{
    const char *why = sb_json_str(store, "why");
    if (store && !sb_json_bool(store, "ready", true))
        sb_exam_say(exam, SB_HEALTH_FAILED,
                    "free space, or repair the disk; the daemon tries again by itself",
                    "the daemon cannot keep changes: %s", why ? why : "no reason given");
}

/* Retention takes what has ended; reports that wait, devices and packages stay. A little above the
 * limit is its everyday. */
static void look_at_share(const struct sb_config *config, const json_t *store, struct sb_exam *exam)
{
    int64_t limit = config->retention.bytes, used = sb_json_int(store, "bytes", 0);
    int64_t reports = config->outbox.bytes * (int64_t)config->links.count;
    if (used > limit + limit / 8)
        sb_exam_say(exam, SB_HEALTH_WARNING,
                    "see what waits (southbridgectl link list), or raise retention.bytes",
                    "it takes %lld MiB, more than retention.bytes (%lld MiB): ended jobs are "
                    "removed early, and what is left is still in use",
                    (long long)(used / MIB), (long long)(limit / MIB));
    if (reports > limit)
        sb_exam_say(exam, SB_HEALTH_WARNING, "raise retention.bytes, or lower outbox.bytes",
                    "reports that wait for %zu links may take %lld MiB, more than retention.bytes "
                    "(%lld MiB): no ended job would be kept then",
                    config->links.count, (long long)(reports / MIB), (long long)(limit / MIB));
}

void sb_doctor_store(struct sb_doctor *doctor)
{
    struct sb_exam exam = { 0 };
    sb_cleanup(sb_freep) char *path = sb_format("%s/southbridge.db", doctor->config->state);
    look_at_daemons_view(sb_json_object(doctor->parts->known, "store"), &exam);
    if (path && look_at_state(doctor->config->state, &exam))
        look_at_file(path, &exam);
    look_at_share(doctor->config, sb_json_object(doctor->parts->known, "store"), &exam);
    exam.broken |= !path;
    sb_doctor_tell(doctor, "", &exam);
}

/* ---- images and space ---- */

static int64_t size_of_files(const char *directory)
{
    int64_t sum = 0;
    DIR *files = opendir(directory);
    for (struct dirent *entry; files && (entry = readdir(files));) {
        struct stat st;
        if (fstatat(dirfd(files), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode))
            sum += st.st_size;
    }
    if (files)
        (void)closedir(files);
    return sum;
}

static void look_at_images(const struct sb_config *config, struct sb_exam *exam)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/artifacts", config->state);
    if (!path || (access(path, F_OK) < 0 && errno == ENOENT))
        return;
    if (faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) < 0)
        sb_exam_say(exam, SB_HEALTH_FAILED, "give it to the daemon's user: chown -R",
                    "the images' directory %s cannot be written: %s", path, strerror(errno));
    else
        sb_exam_say(exam, SB_HEALTH_OK, NULL, "images: %lld of %lld MiB in %s",
                    (long long)(size_of_files(path) / MIB),
                    (long long)(config->artifacts.limit / MIB), path);
}

static void look_at_free(const struct sb_config *config, const char *where, struct sb_exam *exam)
{
    struct statvfs fs;
    if (statvfs(where, &fs) < 0)
        return;
    int64_t room = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    int64_t floor = config->artifacts.free_floor, image = config->artifacts.file_limit;
    bool few_files = fs.f_files > 0 && fs.f_favail == 0;
    enum sb_health health = few_files || room < floor ? SB_HEALTH_FAILED
                            : room < floor + image    ? SB_HEALTH_WARNING
                                                      : SB_HEALTH_OK;
    const char *effect = few_files                ? ", and no room for another file"
                         : room < floor           ? ": new jobs are refused"
                         : health != SB_HEALTH_OK ? ": an image of the largest size may not fit"
                                                  : "";
    sb_exam_say(exam, health,
                health == SB_HEALTH_OK ? NULL
                                       : "free some, or lower artifacts.limit; see what takes it: "
                                         "du -x",
                "%lld MiB free at %s, the floor is %lld MiB%s", (long long)(room / MIB), where,
                (long long)(floor / MIB), effect);
}

/* Images may have a file system of their own. */
static bool is_elsewhere(const char *state, const char *images)
{
    struct stat one, other;
    return stat(state, &one) == 0 && stat(images, &other) == 0 && one.st_dev != other.st_dev;
}

void sb_doctor_space(struct sb_doctor *doctor)
{
    struct sb_exam exam = { 0 };
    const char *state = doctor->config->state;
    sb_cleanup(sb_freep) char *copy = strdup(state);
    sb_cleanup(sb_freep) char *images = sb_format("%s/artifacts", state);
    look_at_images(doctor->config, &exam);
    if (copy)
        look_at_free(doctor->config, access(state, F_OK) == 0 ? state : dirname(copy), &exam);
    if (images && is_elsewhere(state, images))
        look_at_free(doctor->config, images, &exam);
    sb_doctor_tell(doctor, "", &exam);
}
