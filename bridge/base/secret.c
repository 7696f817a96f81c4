/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets from files. No error text repeats the setting when it may itself be a secret.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>

#include "bridge/base/crypto.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"

#define SECRET_MAX ((size_t)65536)

static int fail(char **ret_error, int error, char *text)
{
    if (ret_error)
        *ret_error = text;
    else
        free(text);
    return error;
}

/*
 * systemd gives a credential to the service user by an access list, whose mask shows as access of
 * the group; that group is root.
 */
static bool private(const struct stat *st)
{
    return (st->st_mode & S_IRWXO) == 0 && ((st->st_mode & S_IRWXG) == 0 || st->st_gid == 0);
}

static int check(const char *path, const struct stat *st, char **ret_error)
{
    if (!S_ISREG(st->st_mode))
        return fail(ret_error, -EINVAL, sb_format("secret file '%s' is not a regular file", path));
    if (!private(st))
        return fail(ret_error, -EACCES,
                    sb_format("secret file '%s' can be used by others (mode %04o): run chmod 600 "
                              "'%s' and let the service's user own it",
                              path, (unsigned)st->st_mode & 07777u, path));
    return 0;
}

/* Up to n bytes, or -errno. */
static ssize_t read_all(int fd, char *buffer, size_t n)
{
    size_t have = 0;
    while (have < n) {
        ssize_t r = read(fd, buffer + have, n - have);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (r == 0)
            break;
        have += (size_t)r;
    }
    return (ssize_t)have;
}

/* One line of text: the line's end goes, NULs, further lines and nothing at all are refused. */
static int one_line(const char *path, char *text, size_t n, char **ret_error)
{
    if (n > SECRET_MAX)
        return fail(ret_error, -E2BIG,
                    sb_format("secret file '%s' is larger than %zu bytes", path, SECRET_MAX));
    if (n > 0 && text[n - 1] == '\n')
        n -= n > 1 && text[n - 2] == '\r' ? 2 : 1;
    text[n] = '\0';
    if (n == 0)
        return fail(ret_error, -EBADMSG, sb_format("secret file '%s' is empty", path));
    if (strlen(text) != n || strpbrk(text, "\r\n"))
        return fail(ret_error, -EBADMSG,
                    sb_format("secret file '%s' must hold one line of text", path));
    return 0;
}

static int load_file(const char *path, char **ret, char **ret_error)
{
    /* not waiting for the far end of a pipe */
    sb_cleanup(sb_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        int error = errno;
        return fail(ret_error, -error,
                    sb_format("cannot open secret file '%s': %s", path, strerror(error)));
    }
    int r = check(path, &st, ret_error);
    if (r < 0)
        return r;
    char *text = OPENSSL_zalloc(SECRET_MAX + 2);
    if (!text)
        return fail(ret_error, -ENOMEM, NULL);
    ssize_t n = read_all(fd, text, SECRET_MAX + 1);
    r = n < 0 ? fail(ret_error, (int)n,
                     sb_format("cannot read secret file '%s': %s", path, strerror((int)-n)))
              : one_line(path, text, (size_t)n, ret_error);
    char *secret = r == 0 ? strdup(text) : NULL;
    OPENSSL_clear_free(text, SECRET_MAX + 2);
    if (r == 0 && !secret)
        return fail(ret_error, -ENOMEM, NULL);
    *ret = secret;
    return r;
}

static int load_credential(const char *name, char **ret, char **ret_error)
{
    if (!*name || strchr(name, '/') || name[0] == '.')
        return fail(ret_error, -EINVAL,
                    sb_format("'credential:' wants the name of a credential, not a path"));
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (!folder || !*folder)
        return fail(ret_error, -ENOENT,
                    sb_format("credential '%s': this service was given none; add "
                              "LoadCredential=%s:/path to the unit, or use 'file:/path'",
                              name, name));
    sb_cleanup(sb_freep) char *path = sb_format("%s/%s", folder, name);
    return path ? load_file(path, ret, ret_error) : fail(ret_error, -ENOMEM, NULL);
}

int sb_secret_load(const char *setting, char **ret, char **ret_error)
{
    char *secret = NULL;
    int r;
    if (setting && strncmp(setting, "file:/", 6) == 0)
        r = load_file(setting + 5, &secret, ret_error);
    else if (setting && strncmp(setting, "credential:", 11) == 0)
        r = load_credential(setting + 11, &secret, ret_error);
    else
        r = fail(ret_error, -EINVAL,
                 sb_format("a secret is not written into the configuration: use 'file:/path' (a "
                           "file of mode 600) or 'credential:NAME'"));
    if (r < 0)
        return r;
    sb_log_secret(secret);
    *ret = secret;
    return 0;
}

void sb_secret_free(char *secret)
{
    if (!secret)
        return;
    sb_log_forget(secret);
    OPENSSL_cleanse(secret, strlen(secret));
    free(secret);
}
