/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeds every file of a corpus folder to a fuzz target once: the fuzzer as an ordinary test.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "bridge/base/str.h"
#include "bridge/base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return -1;
    size_t room = 1u << 20;
    sb_cleanup(sb_freep) uint8_t *data = malloc(room);
    size_t n = data ? fread(data, 1, room, file) : 0;
    (void)fclose(file);
    return data ? LLVMFuzzerTestOneInput(data, n) : -1;
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (!folder) {
        (void)fprintf(stderr, "usage: %s CORPUS-FOLDER (which must exist)\n", argv[0]);
        return 2;
    }
    int fed = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        sb_cleanup(sb_freep) char *path = sb_format("%s/%s", argv[1], entry->d_name);
        if (!path || feed(path) < 0)
            return 1;
        fed++;
    }
    (void)closedir(folder);
    (void)printf("%d inputs replayed\n", fed);
    return fed > 0 ? 0 : 1; /* an empty corpus tests nothing */
}
