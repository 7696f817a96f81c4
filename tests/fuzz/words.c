/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a dialect's words: refused with a finding, or total.
 */
#include <stdlib.h>

#include "bridge/mapping/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct sb_field cell[] = {
    { .key = "code", .type = SB_TYPE_INT, .min = -9, .max = 999 },
    { .key = "text", .type = SB_TYPE_STRING },
    { 0 },
};
static const struct sb_field limits[] = {
    { .key = "payload", .type = SB_TYPE_SIZE, .otherwise = "4K" },
    { 0 },
};
static const struct sb_field names[] = {
    { .key = "topic", .type = SB_TYPE_STRING, .otherwise = "up/{type}/{id}" },
    { 0 },
};

static void must_be_a_cell(const json_t *found)
{
    if (!json_is_object(found) || json_object_size(found) == 0)
        abort();
}

static void must_be_total(const struct sb_words *words)
{
    for (int role = SB_ROLE_SENDS; role <= SB_ROLE_SHOWS; role++) {
        enum sb_role r = (enum sb_role)role;
        for (int op = 0; op < SB_OP_MAX_; op++)
            for (int s = 0; s < SB_TASK_STATE_MAX_; s++)
                must_be_a_cell(sb_words_cell(words, r, (enum sb_op)op, (enum sb_task_state)s,
                                             SB_CAUSE_BUSY, SB_PHASE_WRITING));
        for (int c = 0; c < SB_CAUSE_MAX_; c++)
            for (int p = 0; p < SB_PHASE_MAX_; p++)
                must_be_a_cell(sb_words_cause(words, r, (enum sb_cause)c, (enum sb_phase)p));
    }
    sb_cleanup(sb_freep) char *topic =
        sb_words_fill(sb_words_name(words, "topic"), "type", "{id}", "id", "x", NULL);
    if (!topic)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int shows = 0; shows <= 1; shows++) {
        const struct sb_dialect_shape shape = { "test", cell, limits, names, shows };
        sb_cleanup(sb_words_freep) struct sb_words *words = NULL;
        struct sb_diags diags = { 0 };
        int error = sb_words_parse("fuzz", data, size, &shape, &words, &diags);
        if ((error == 0) != (words != NULL) || (error == 0) != (diags.total == 0))
            abort();
        if (words)
            must_be_total(words);
        sb_diags_done(&diags);
    }
    return 0;
}
