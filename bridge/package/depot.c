/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "bridge/base/crypto.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/package/parts.h"

#define MARKER   "southbridge-depot" /* this directory is ours to clean */
#define PART_AGE (7 * SB_DAY)
#define ENTRIES  100000 /* of one directory, looked at */

bool sb_sha256_legal(const char *text)
{
    return text && strlen(text) == SB_SHA256_HEX &&
           strspn(text, "0123456789abcdef") == SB_SHA256_HEX;
}

static bool ends_with(const char *text, const char *tail)
{
    size_t n = strlen(text), m = strlen(tail);
    return n > m && strcmp(text + n - m, tail) == 0;
}

static int64_t mtime_ms(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
}

/* Ages of files are told by the clock they were stamped with. */
static int64_t file_clock(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct sb_depot_file *sb_depot_file(struct sb_packages *packages, const char *sha256)
{
    for (size_t i = 0; sha256 && i < packages->file_count; i++)
        if (strcmp(packages->files[i].sha256, sha256) == 0)
            return &packages->files[i];
    return NULL;
}

static struct sb_depot_file *add_file(struct sb_packages *packages, const char *sha256)
{
    if (packages->file_count == packages->file_room) {
        size_t room = packages->file_room ? packages->file_room * 2 : 8;
        void *files = realloc(packages->files, room * sizeof(struct sb_depot_file));
        if (!files)
            return NULL;
        packages->files = files;
        packages->file_room = room;
    }
    struct sb_depot_file *file = &packages->files[packages->file_count++];
    *file = (struct sb_depot_file){ .size = -1 };
    memcpy(file->sha256, sha256, SB_SHA256_HEX + 1);
    return file;
}

/* Forgets a file that is neither there nor pinned. */
static void settle(struct sb_packages *packages, struct sb_depot_file *file)
{
    if (file->size < 0 && file->pins == 0)
        *file = packages->files[--packages->file_count];
}

static int count_file(struct sb_packages *packages, const char *sha256, const struct stat *st)
{
    struct sb_depot_file *file = sb_depot_file(packages, sha256);
    if (!file)
        file = add_file(packages, sha256);
    if (!file)
        return -ENOMEM;
    file->size = st->st_size;
    file->used = mtime_ms(st);
    packages->bytes += st->st_size;
    return 0;
}

/* -- Reading the directories --------------------------------------------------------------------
 */

typedef int (*entry_fn)(struct sb_packages *packages, int folder, const char *name,
                        const struct stat *st);

static int each_entry(struct sb_packages *packages, const char *path, entry_fn fn)
{
    DIR *folder = opendir(path);
    if (!folder)
        return -errno;
    int r = 0;
    struct dirent *entry;
    for (int left = ENTRIES; r == 0 && left > 0 && (entry = readdir(folder)); left--) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            r = fn(packages, dirfd(folder), entry->d_name, &st);
    }
    (void)closedir(folder);
    return r;
}

static bool ours(const char *name, const struct stat *st)
{
    return strcmp(name, MARKER) == 0 || (S_ISDIR(st->st_mode) && strcmp(name, "tmp") == 0) ||
           (S_ISREG(st->st_mode) && sb_sha256_legal(name));
}

static int refuse_foreign(struct sb_packages *packages, int folder, const char *name,
                          const struct stat *st)
{
    (void)packages;
    (void)folder;
    return ours(name, st) ? 0 : -ENOTEMPTY;
}

static int read_file_entry(struct sb_packages *packages, int folder, const char *name,
                           const struct stat *st)
{
    if (S_ISREG(st->st_mode) && sb_sha256_legal(name)) {
        if ((st->st_mode & 077) && fchmodat(folder, name, 0600, 0) < 0)
            sb_warning(NULL, "depot: others may read '%s': %s", name, strerror(errno));
        return count_file(packages, name, st);
    }
    if (!ours(name, st) && !S_ISDIR(st->st_mode)) {
        sb_notice(NULL, "depot: dropping '%s', which is no artifact", name);
        (void)unlinkat(folder, name, 0);
    }
    return 0;
}

/* Unfinished downloads (and what the helper notes beside them) that nobody went on with. */
static int sweep_part(struct sb_packages *packages, int folder, const char *name,
                      const struct stat *st)
{
    (void)packages;
    if (S_ISDIR(st->st_mode))
        return 0;
    bool known = ends_with(name, ".part") || ends_with(name, ".part.meta");
    bool old = file_clock() - mtime_ms(st) > PART_AGE;
    if (!known || old || !S_ISREG(st->st_mode))
        (void)unlinkat(folder, name, 0);
    return 0;
}

static int sweep_parts(struct sb_packages *packages)
{
    sb_cleanup(sb_freep) char *tmp = sb_format("%s/tmp", packages->directory);
    return tmp ? each_entry(packages, tmp, sweep_part) : -ENOMEM;
}

static int make_folder(const char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    return -errno;
}

/* Cleaning is dangerous in a directory named by mistake: only what bears our mark is cleaned. */
static int claim(struct sb_packages *packages)
{
    sb_cleanup(sb_freep) char *marker = sb_format("%s/" MARKER, packages->directory);
    if (!marker)
        return -ENOMEM;
    if (access(marker, F_OK) == 0)
        return 0;
    int r = each_entry(packages, packages->directory, refuse_foreign);
    if (r < 0)
        return r;
    int fd = open(marker, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    (void)close(fd);
    return 0;
}

int sb_depot_open(struct sb_packages *packages)
{
    sb_cleanup(sb_freep) char *tmp = sb_format("%s/tmp", packages->directory);
    int r = tmp ? make_folder(packages->directory) : -ENOMEM;
    if (r == 0)
        r = claim(packages);
    if (r == 0)
        r = make_folder(tmp);
    if (r == 0)
        r = each_entry(packages, packages->directory, read_file_entry);
    return r == 0 ? sweep_parts(packages) : r;
}

void sb_depot_close(struct sb_packages *packages)
{
    free(packages->files);
    packages->files = NULL;
    packages->file_count = packages->file_room = 0;
}

/* -- What others ask ----------------------------------------------------------------------------
 */

void sb_depot_pin(struct sb_packages *packages, const char *sha256)
{
    if (!sb_sha256_legal(sha256))
        return;
    struct sb_depot_file *file = sb_depot_file(packages, sha256);
    if (!file)
        file = add_file(packages, sha256);
    if (file)
        file->pins++;
    else
        sb_error(NULL, "depot: out of memory, an artifact could not be pinned");
}

void sb_depot_unpin(struct sb_packages *packages, const char *sha256)
{
    struct sb_depot_file *file = sb_depot_file(packages, sha256);
    if (!file || file->pins == 0)
        return;
    file->pins--;
    settle(packages, file);
}

bool sb_depot_has(struct sb_packages *packages, const char *sha256)
{
    const struct sb_depot_file *file = sb_depot_file(packages, sha256);
    return file && file->size >= 0;
}

char *sb_depot_path(struct sb_packages *packages, const char *sha256)
{
    return sb_sha256_legal(sha256) ? sb_format("%s/%s", packages->directory, sha256) : NULL;
}

/* Package ids are words; anything else would be a way out of the folder. */
char *sb_depot_part(struct sb_packages *packages, const char *package_id)
{
    if (package_id[0] == '.' || strchr(package_id, '/'))
        return NULL;
    return sb_format("%s/tmp/%s.part", packages->directory, package_id);
}

static int64_t last_use(const struct sb_packages *packages, const struct sb_depot_file *file)
{
    int64_t used = file->used;
    for (size_t i = 0; i < packages->count; i++)
        if (sb_streq(packages->list[i]->artifact, file->sha256))
            used = SB_MAX(used, packages->list[i]->used);
    return used;
}

static struct sb_depot_file *least_used(struct sb_packages *packages)
{
    struct sb_depot_file *oldest = NULL;
    for (size_t i = 0; i < packages->file_count; i++) {
        struct sb_depot_file *file = &packages->files[i];
        if (file->size < 0 || file->pins)
            continue;
        if (!oldest || last_use(packages, file) < last_use(packages, oldest))
            oldest = file;
    }
    return oldest;
}

static int drop(struct sb_packages *packages, struct sb_depot_file *file)
{
    sb_cleanup(sb_freep) char *path = sb_depot_path(packages, file->sha256);
    if (!path)
        return -ENOMEM;
    int r = sb_packages_lost(packages, file->sha256);
    if (r < 0)
        return r;
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    packages->bytes -= file->size;
    file->size = -1;
    settle(packages, file);
    return 0;
}

void sb_depot_discard(struct sb_packages *packages, const char *sha256)
{
    struct sb_depot_file *file = sb_depot_file(packages, sha256);
    int r = file && file->size >= 0 && !file->pins ? drop(packages, file) : 0;
    if (r < 0)
        sb_warning(NULL, "depot: %s cannot be dropped: %s", sha256, strerror(-r));
}

bool sb_depot_check(struct sb_packages *packages, const char *sha256)
{
    struct stat st;
    struct sb_depot_file *file = sb_depot_file(packages, sha256);
    sb_cleanup(sb_freep) char *path =
        file && file->size >= 0 ? sb_depot_path(packages, sha256) : NULL;
    if (!path)
        return false;
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == file->size)
        return true;
    sb_warning(NULL, "depot: %s is gone or was changed by somebody else", sha256);
    int r = drop(packages, file);
    if (r < 0)
        sb_error(NULL, "depot: %s cannot be forgotten: %s", sha256, strerror(-r));
    return false;
}

/* Bytes missing, in the depot's own limit or on the file system; 0: there is room. */
static int64_t shortage(const struct sb_packages *packages, int64_t bytes, int64_t disk,
                        int64_t floor)
{
    const struct sb_depot_limits *limits = &packages->limits;
    int64_t own = bytes - (limits->bytes - packages->bytes);
    int64_t spare = sb_disk_free(packages->directory);
    if (spare < 0)
        return INT64_MAX;
    return SB_MAX(SB_MAX(own, disk + SB_MIN(floor, INT64_MAX / 4) - spare), INT64_C(0));
}

static int64_t droppable(const struct sb_packages *packages)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < packages->file_count; i++)
        if (packages->files[i].size > 0 && !packages->files[i].pins)
            bytes += packages->files[i].size;
    return bytes;
}

static int drop_until(struct sb_packages *packages, int64_t bytes, int64_t disk, int64_t floor)
{
    while (shortage(packages, bytes, disk, floor) > 0) {
        struct sb_depot_file *file = least_used(packages);
        int r = file ? drop(packages, file) : -ENOSPC;
        if (r < 0)
            return r;
    }
    return 0;
}

/* disk: how much of `bytes` is still to be written. Nothing is dropped in vain. The floor keeps
 * out what is new (sb_depot_is_short()); who got this far has begun, and may go below it. */
static int make_room(struct sb_packages *packages, int64_t bytes, int64_t disk)
{
    int64_t floor = packages->limits.free_floor, most = droppable(packages);
    if (shortage(packages, bytes, disk, floor) > most)
        floor = 0;
    if (shortage(packages, bytes, disk, floor) > most)
        return -ENOSPC;
    return drop_until(packages, bytes, disk, floor);
}

int sb_depot_make_room(struct sb_packages *packages, int64_t bytes)
{
    bytes = SB_MAX(bytes, INT64_C(0));
    if (bytes > packages->limits.file_bytes || bytes > packages->limits.bytes)
        return -ENOSPC; /* dropping others would not help */
    int r = sweep_parts(packages);
    return r == 0 ? make_room(packages, bytes, bytes) : r;
}

bool sb_depot_is_short(struct sb_packages *packages, int64_t bytes, int64_t promised)
{
    bytes = SB_MAX(bytes, INT64_C(0));
    if (bytes > packages->limits.file_bytes || bytes > packages->limits.bytes)
        return false; /* there never will be */
    bytes += SB_MAX(promised, INT64_C(0));
    return shortage(packages, bytes, bytes, packages->limits.free_floor) > droppable(packages);
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) < 0 ? -errno : 0;
    if (r == 0 && !(flags & O_DIRECTORY) && fchmod(fd, 0600) < 0)
        r = -errno;
    (void)close(fd);
    return r;
}

static void drop_part(const char *part)
{
    sb_cleanup(sb_freep) char *meta = sb_format("%s.meta", part);
    (void)unlink(part);
    if (meta)
        (void)unlink(meta);
}

static int move_in(struct sb_packages *packages, const char *part, const char *path)
{
    sb_cleanup(sb_freep) char *meta = sb_format("%s.meta", part);
    int r = meta ? sync_path(part, 0) : -ENOMEM;
    if (r == 0 && rename(part, path) < 0)
        r = -errno;
    if (r == 0)
        r = sync_path(packages->directory, O_DIRECTORY);
    if (r == 0)
        (void)unlink(meta);
    return r;
}

int sb_depot_adopt(struct sb_packages *packages, const char *part, const char *sha256)
{
    struct stat st;
    sb_cleanup(sb_freep) char *path = sb_depot_path(packages, sha256);
    if (!path)
        return sb_sha256_legal(sha256) ? -ENOMEM : -EINVAL;
    if (sb_depot_has(packages, sha256)) {
        drop_part(part);
        return 0;
    }
    if (lstat(part, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (st.st_size > packages->limits.file_bytes || st.st_size > packages->limits.bytes)
        return -ENOSPC;
    int r = make_room(packages, st.st_size, 0);
    if (r == 0)
        r = move_in(packages, part, path);
    return r == 0 ? count_file(packages, sha256, &st) : r;
}
