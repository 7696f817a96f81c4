/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records between a download and the door that supplies its bytes: what is asked for, and what
 * comes.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/util.h"
#include "bridge/job/job.h"

/* What a door is asked for: bytes of its own stream from an offset on. */
struct sb_pull {
    uint64_t download; /* names it in the answer */
    const char *uri;   /* as the door made it, with its latest credentials */
    int64_t offset;    /* over: what was asked for is wanted no more, and no more follows */
    bool over;
};

#define SB_PIECE_MAX ((size_t)131072) /* bytes of one */

struct sb_piece { /* and what it answers: bytes, or why there are none */
    uint64_t download;
    bool again; /* nothing yet: it is to be pulled once more, by what it is called now */
    int64_t offset;
    const void *bytes;
    size_t size;
    int64_t total;       /* of the whole file, above 0 */
    enum sb_cause cause; /* not NONE: the download ends so; the part file stays */
    const char *text;
};
