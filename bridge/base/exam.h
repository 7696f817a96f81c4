/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an examination found, one line each: how it is, what is so, what to do about it. Written by
 * whoever examines something for `southbridgectl doctor` (transports, doors, the doctor itself).
 *
 * Bounded: after SB_EXAM_LIMIT lines only the last one's place is lost. Texts are for people, name
 * the thing and never hold a secret's value. One thread.
 */
#pragma once

#include "bridge/base/names.h"
#include "bridge/base/util.h"

#define SB_EXAM_LIMIT 100

enum sb_health {
    SB_HEALTH_OK,
    SB_HEALTH_WARNING, /* works, but not for ever or not for everybody */
    SB_HEALTH_FAILED,  /* something does not work because of it */
    SB_HEALTH_MAX_,
};
SB_NAMES_DECLARE(sb_health)

struct sb_exam_line {
    enum sb_health health;
    char *text;
    char *remedy; /* NULL: nothing is to be done */
};

struct sb_exam {
    struct sb_exam_line *lines;
    size_t count;
    bool broken; /* without memory: a line is missing */
};

/* remedy: NULL, or what to do; copied. */
void sb_exam_say(struct sb_exam *exam, enum sb_health health, const char *remedy, const char *fmt,
                 ...) SB_PRINTF(4, 5);
/* The same with a remedy made for it, which is taken (NULL: without memory, none). */
void sb_exam_take(struct sb_exam *exam, enum sb_health health, char *remedy, char *text);
bool sb_exam_well(const struct sb_exam *exam); /* no line says otherwise */
void sb_exam_done(struct sb_exam *exam);
