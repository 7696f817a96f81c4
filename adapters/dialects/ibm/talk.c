/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "adapters/dialects/ibm/parts.h"
#include "bridge/base/str.h"

#define ANSWER_MAX_ 1024 /* a longer answer is remembered without its values */

void sb_ibm_ask_timer(struct sb_ibm_turn *turn, const struct sb_ibm_ask *ask, int64_t ms)
{
    sb_cleanup(sb_freep) char *tag = sb_format("ask:%s", ask->id);
    if (tag)
        sb_effects_timer(turn->effects, tag, ms);
    else
        turn->effects->broken = true;
}

/* ---- sending ---- */

/* Where things about this device go. NULL without memory. */
static char *topic_of(const struct sb_ibm_turn *turn, const char *suffix)
{
    const struct sb_ibm_config *config = turn->in->config;
    const char *pattern = sb_words_name(turn->in->words, "out");
    const char *what = sb_words_name(turn->in->words, suffix);
    const char *name = turn->in->self ? NULL : turn->in->name;
    if (!name)
        return sb_words_fill(pattern, "type", config->type, "id", config->id, "what", what, NULL);
    const char *slash = strchr(name, '/');
    sb_cleanup(sb_freep) char *type = strndup(name, slash ? (size_t)(slash - name) : 0);
    return type ? sb_words_fill(pattern, "type", type, "id", slash ? slash + 1 : name, "what", what,
                                NULL)
                : NULL;
}

void sb_ibm_send(struct sb_ibm_turn *turn, const struct sb_ibm_parcel *parcel)
{
    sb_effects_send(turn->effects, &(struct sb_send){ .topic = topic_of(turn, parcel->suffix),
                                                      .json = parcel->payload,
                                                      .qos = 1,
                                                      .class = parcel->class,
                                                      .token = parcel->token,
                                                      .key = parcel->key,
                                                      .what = parcel->what,
                                                      .task = parcel->task });
}

/* Values may be many; a long answer is remembered without them. */
static json_t *short_form(const json_t *answer)
{
    sb_cleanup(sb_freep) char *text = sb_json_text(answer);
    json_t *form = text ? json_copy((json_t *)answer) : NULL;
    if (form && strlen(text) > ANSWER_MAX_)
        (void)json_object_del(form, "d");
    return form;
}

static int remember(struct sb_ibm_turn *turn, const char *id, const json_t *answer)
{
    if (strlen(id) > SB_IBM_ID_MAX)
        return 0; /* refused at once; should it come again, it is refused again */
    bool has_values = json_object_get(answer, "d") != NULL;
    sb_cleanup(json_decrefp) json_t *shorter = has_values ? short_form(answer) : NULL;
    if (has_values && !shorter)
        return -ENOMEM;
    turn->effects->save = turn->effects->save || turn->in->ready;
    return sb_ibm_seen_set(turn->state, id, shorter ? shorter : answer,
                           (size_t)sb_words_limit(turn->in->words, "seen_requests"));
}

void sb_ibm_reply(struct sb_ibm_turn *turn, const char *id, int rc, const char *message,
                  const json_t *fields, int64_t task)
{
    if (!id)
        return;
    sb_cleanup(sb_freep) char *what = sb_format("%d", rc);
    sb_cleanup(sb_freep) char *text = message ? sb_dialect_presentable(message) : NULL;
    json_t *answer = sb_ibm_answer(rc, text, id, fields);
    if (!answer || !text != !message || remember(turn, id, answer) < 0)
        turn->effects->broken = true;
    sb_ibm_send(turn, &(struct sb_ibm_parcel){ .suffix = "out_response",
                                               .payload = answer,
                                               .class = SB_PARCEL_ANSWER,
                                               .what = what,
                                               .task = task });
}

/* ---- words ---- */

static const char *first_text(const char *a, const char *b, const char *c)
{
    return a && *a ? a : b ? b : c;
}

void sb_ibm_refuse(struct sb_ibm_turn *turn, const char *id, enum sb_op op, enum sb_cause cause,
                   const char *text, int64_t task)
{
    const json_t *cell =
        sb_words_cell(turn->in->words, SB_ROLE_SENDS, op, SB_TASK_FAILED, cause, SB_PHASE_WAITING);
    const char *say = first_text(text, sb_json_str(cell, "message"), sb_cause_name((int)cause));
    sb_ibm_reply(turn, id, (int)sb_json_int(cell, "rc", SB_IBM_RC_FAILED), say, NULL, task);
}
