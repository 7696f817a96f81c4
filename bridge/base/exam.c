/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/exam.h"

#include "bridge/base/str.h"

SB_NAMES(sb_health, SB_HEALTH_MAX_, [SB_HEALTH_OK] = "ok", [SB_HEALTH_WARNING] = "warning",
         [SB_HEALTH_FAILED] = "failed");

static bool make_room(struct sb_exam *exam)
{
    if (exam->count == SB_EXAM_LIMIT)
        return false;
    struct sb_exam_line *lines =
        reallocarray(exam->lines, exam->count + 1, sizeof(struct sb_exam_line));
    exam->broken |= !lines;
    exam->lines = lines ? lines : exam->lines;
    return lines != NULL;
}

void sb_exam_take(struct sb_exam *exam, enum sb_health health, char *remedy, char *text)
{
    exam->broken |= !text;
    if (text && make_room(exam)) {
        exam->lines[exam->count++] =
            (struct sb_exam_line){ .health = health, .text = text, .remedy = remedy };
        return;
    }
    free(text);
    free(remedy);
}

void sb_exam_say(struct sb_exam *exam, enum sb_health health, const char *remedy, const char *fmt,
                 ...)
{
    struct sb_str text = { 0 };
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    char *copy = remedy ? strdup(remedy) : NULL;
    exam->broken |= remedy && !copy;
    sb_exam_take(exam, health, copy, sb_str_take(&text));
}

bool sb_exam_well(const struct sb_exam *exam)
{
    for (size_t i = 0; i < exam->count; i++)
        if (exam->lines[i].health != SB_HEALTH_OK)
            return false;
    return !exam->broken;
}

void sb_exam_done(struct sb_exam *exam)
{
    for (size_t i = 0; i < exam->count; i++) {
        free(exam->lines[i].text);
        free(exam->lines[i].remedy);
    }
    free(exam->lines);
    *exam = (struct sb_exam){ 0 };
}
