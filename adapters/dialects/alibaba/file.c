/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files over MQTT: the gateway asks for what is pulled, a block at a time, until it is there. A
 * block that is damaged is asked for again at once, one that does not come after a while; what was
 * asked for before the connection was lost, after it is back - each time by the stream that the
 * platform has named last: it pushes anew after a connect, and the old one may have ended. A late
 * answer to an earlier try of the same block is as good as any, so that a slow line gets on.
 */
#include <errno.h>

#include "adapters/dialects/alibaba/parts.h"
#include "bridge/base/str.h"

#define TIMER "file"

static void give_up(struct sb_ali_turn *turn, enum sb_cause cause, const char *text)
{
    struct sb_ali_file *file = &turn->state->file;
    struct sb_output *output = sb_effects_add(turn->effects, SB_OUT_SUPPLY);
    if (!output)
        return;
    output->download = file->download;
    output->offset = file->offset;
    output->cause = cause;
    sb_effects_set(turn->effects, &output->text, text);
    file->wanted = false;
    sb_effects_timer(turn->effects, TIMER, -1);
}

static void ask(struct sb_ali_turn *turn)
{
    const struct sb_ali_file *file = &turn->state->file;
    json_t *params =
        json_pack("{s:{s:I,s:I},s:{s:I,s:I}}", "fileInfo", "streamId", (json_int_t)file->stream.id,
                  "fileId", (json_int_t)file->stream.file, "fileBlock", "size",
                  (json_int_t)sb_words_limit(turn->in->words, "block_size"), "offset",
                  (json_int_t)file->offset);
    sb_ali_send(turn,
                &(struct sb_ali_parcel){ .base = "topic_sys",
                                         .rest = sb_words_name(turn->in->words, "file_download"),
                                         .gateway = true,
                                         .payload = sb_ali_request(turn, NULL, params, NULL) });
    sb_effects_timer(turn->effects, TIMER, sb_words_limit(turn->in->words, "block_timeout"));
}

/* SB_IN_PULL comes at once, and asks. */
static void ask_anew(struct sb_ali_turn *turn)
{
    struct sb_output *output = sb_effects_add(turn->effects, SB_OUT_SUPPLY);
    if (!output)
        return;
    output->download = turn->state->file.download;
    output->offset = turn->state->file.offset;
}

/* One try was in vain; `why` is what a person reads if it was the last. */
static void try_again(struct sb_ali_turn *turn, const char *why)
{
    struct sb_ali_file *file = &turn->state->file;
    if (++file->failures >= (unsigned)sb_words_limit(turn->in->words, "block_tries"))
        give_up(turn, SB_CAUSE_DOWNLOAD_FAILED, why);
    else
        ask_anew(turn);
}

void sb_ali_file_pull(struct sb_ali_turn *turn)
{
    const struct sb_pull *pull = turn->in->pull;
    struct sb_ali_file *file = &turn->state->file;
    if (pull->over) {
        if (pull->download == file->download)
            file->wanted = false;
        if (!file->wanted)
            sb_effects_timer(turn->effects, TIMER, -1);
        return;
    }
    bool same = pull->download == file->download;
    if (!same)
        file->failures = 0;
    if (!same || !file->wanted || pull->offset != file->offset) { /* another block */
        file->first_id = turn->state->ids + 1;
        file->refusal = 0;
    }
    file->download = pull->download;
    file->offset = pull->offset;
    file->wanted = true;
    if (!sb_alibaba_stream_of(pull->uri, &file->stream))
        give_up(turn, SB_CAUSE_INVALID_URI, "the package's stream cannot be read");
    else if (file->failures >= (unsigned)sb_words_limit(turn->in->words, "block_tries"))
        give_up(turn, SB_CAUSE_DOWNLOAD_FAILED, "the platform sends blocks that are too short");
    else if (turn->in->connected)
        ask(turn);
}

void sb_ali_file_up(struct sb_ali_turn *turn)
{
    struct sb_ali_file *file = &turn->state->file;
    file->failures = 0;
    file->first_id = turn->state->ids + 1;
    if (file->wanted)
        ask_anew(turn);
}

void sb_ali_file_due(struct sb_ali_turn *turn)
{
    const struct sb_ali_file *file = &turn->state->file;
    if (!file->wanted || !turn->in->connected)
        return;
    sb_cleanup(sb_freep) char *refused =
        file->refusal ? sb_format("the platform refuses a block: code %d", file->refusal) : NULL;
    try_again(turn, refused ? refused : "the platform does not send a block that was asked for");
}

/* Of this block, by the number of one of its tries; what has none may be. */
static bool is_answer(const struct sb_ali_turn *turn, const struct sb_message *message)
{
    const struct sb_ali_file *file = &turn->state->file;
    if (!turn->in->self || !file->wanted)
        return false;
    if (!message->id || !*message->id)
        return true;
    char *end = NULL;
    unsigned long id = strtoul(message->id, &end, 10);
    return *end == '\0' && id >= file->first_id && id <= turn->state->ids;
}

static void supply(struct sb_ali_turn *turn, const struct sb_message *message, int64_t total)
{
    struct sb_ali_file *file = &turn->state->file;
    bool last = file->offset + (int64_t)message->size == total;
    bool whole = last || (int64_t)message->size >= sb_words_limit(turn->in->words, "block_size");
    struct sb_output *output = sb_effects_add(turn->effects, SB_OUT_SUPPLY);
    if (!output)
        return;
    output->bytes = malloc(message->size);
    if (!output->bytes) {
        turn->effects->broken = true;
        return;
    }
    memcpy(output->bytes, message->data, message->size);
    output->size = message->size;
    output->download = file->download;
    output->offset = file->offset;
    output->total = total;
    file->wanted = false;
    file->failures = whole ? 0 : file->failures + 1;
    sb_effects_timer(turn->effects, TIMER, -1);
}

void sb_ali_file_reply(struct sb_ali_turn *turn)
{
    const struct sb_message *message = turn->in->message;
    struct sb_ali_file *file = &turn->state->file;
    if (!is_answer(turn, message))
        return;
    int64_t offset = sb_json_int(message->body, "bOffset", -1);
    int64_t total = sb_json_int(message->body, "fileLength", -1);
    if (message->error)
        try_again(turn, message->error);
    else if (message->code != SB_ALIBABA_OK)
        file->refusal = message->code; /* it may think better of it: the timer asks again */
    else if (offset != file->offset)
        return; /* of another block: late, or twice */
    else if (total < 1 || total - offset < (int64_t)message->size ||
             (int64_t)message->size > sb_words_limit(turn->in->words, "block_size"))
        try_again(turn, "the platform sends more than was asked for, or than the file has");
    else
        supply(turn, message, total);
}
