/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which numbers of the numbered tables are taken, so that none is given twice.
 *
 * After a start the next number follows the highest row - or the mark, which is kept in
 * SB_TABLE_META and grows, in the same batch, before a row at or above it is removed. Parcels come
 * and go all the time: their mark runs ahead, so that it is written once for a thousand removals.
 * For store.c only. Thread: the loop.
 */
#pragma once

#include "bridge/store/batch.h"

struct sb_numbers {
    int64_t next[SB_TABLE_MAX_];
    int64_t mark[SB_TABLE_MAX_]; /* numbers below it are covered; 0: has to be written again */
};

int sb_numbers_load(struct sb_numbers *numbers, struct sb_store *store) SB_MUST_CHECK;
int64_t sb_numbers_take(struct sb_numbers *numbers, enum sb_table table);
/* A row with this number is being put. */
void sb_numbers_used(struct sb_numbers *numbers, enum sb_table table, int64_t id);
/* A row with this number is being removed in the batch. */
int sb_numbers_keep(struct sb_numbers *numbers, enum sb_table table, int64_t id,
                    struct sb_batch *batch) SB_MUST_CHECK;
/* A batch was lost, perhaps with a mark in it. */
void sb_numbers_lost(struct sb_numbers *numbers);
