/* SPDX-License-Identifier: Apache-2.0 */
/* Input of a fuzzer as a file in a folder of the process's own; both are gone when it ends. */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "bridge/base/util.h"

static char fuzz_folder[32], fuzz_path[64];

static void fuzz_clean_up(void)
{
    (void)unlink(fuzz_path);
    (void)rmdir(fuzz_folder);
}

/* The file's path. */
static SB_UNUSED const char *fuzz_file(const uint8_t *data, size_t size)
{
    if (!*fuzz_folder) {
        (void)snprintf(fuzz_folder, sizeof(fuzz_folder), "/tmp/sb-fuzz-%d", (int)getpid());
        (void)snprintf(fuzz_path, sizeof(fuzz_path), "%s/input.yaml", fuzz_folder);
        if (mkdir(fuzz_folder, 0700) < 0 || atexit(fuzz_clean_up) != 0)
            abort();
    }
    /* not emptied first: some filesystems then write to the disk at the end */
    int fd = open(fuzz_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || ftruncate(fd, (off_t)size) < 0 ||
        close(fd) < 0)
        abort();
    return fuzz_path;
}
