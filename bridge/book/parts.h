/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What book.c (records and their changes) and index.c (finding them in memory) share. Private
 * to them.
 */
#pragma once

#include "bridge/base/map.h"
#include "bridge/book/book.h"
#include "bridge/book/leaving.h"

struct sb_book {
    struct sb_leaving leaving;
    struct sb_loop *loop;
    struct sb_store *store;
    struct sb_audit *audit;
    struct sb_job **jobs; /* by id, ascending */
    size_t job_count, job_room;
    struct sb_task **open; /* by id, ascending */
    size_t open_count, open_room;
    struct sb_map devices; /* device -> struct device_tasks */
    struct sb_map origins; /* origin -> struct origin_tasks */
    uint64_t ended;        /* jobs */
    bool stale;            /* a job is done or a task final: retire has work */
};

/* Lists stay in order of their numbers; a task that is final is not listed. */
int sb_book_index_job(struct sb_book *book, struct sb_job *job) SB_MUST_CHECK;
int sb_book_index_task(struct sb_book *book, struct sb_task *task) SB_MUST_CHECK;
/* From the lists of its device and origin; the caller goes through the list of all. */
void sb_book_unindex(struct sb_book *book, const struct sb_task *task);
void sb_book_index_done(struct sb_book *book);
