/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs that are done, until that is durable: who reads them from the store meanwhile would see
 * them as they were. Part of the book (book.h). Thread: the loop.
 */
#pragma once

#include "bridge/job/job.h"
#include "bridge/store/store.h"

struct sb_leaving { /* zero-initialised but for the store */
    struct sb_store *store;
    struct leaver *first;
};

void sb_leaving_add(struct sb_leaving *leaving, struct sb_job *job); /* takes it over */
struct sb_job *sb_leaving_find(const struct sb_leaving *leaving, int64_t id);
struct sb_job *sb_leaving_same(const struct sb_leaving *leaving, const char *origin,
                               const char *key);
void sb_leaving_done(struct sb_leaving *leaving);
