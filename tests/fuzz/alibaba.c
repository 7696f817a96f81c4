/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripts for a small world: each line of the input is a topic and a payload of the platform, or
 * "!" and an event of the world. Whatever comes: nothing is said for a sub-device that is not
 * logged in, what is kept stays bounded, and the state survives being saved and read back.
 */
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/alibaba_world.h"

#include "adapters/dialects/alibaba/conversation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static struct sb_words *the_words(void)
{
    static struct sb_words *words;
    if (!words)
        words = core_words(&sb_alibaba_shape, NULL);
    check(words);
    return words;
}

static void check_state(const struct ali *ali, int actor)
{
    sb_cleanup(json_decrefp) json_t *saved = sb_alibaba_save(ali->core.states[actor]);
    check(saved && json_array_size(json_object_get(saved, "updates")) <= 8 &&
          json_array_size(json_object_get(saved, "asks")) <= 32);
    void *again = sb_alibaba_load(saved);
    check(again);
    sb_cleanup(json_decrefp) json_t *resaved = sb_alibaba_save(again);
    check(json_equal(saved, resaved));
    sb_alibaba_drop(again);
}

/* A task that is not final moves on; the machine leaves no final state. */
static void move(struct ali *ali, unsigned which, unsigned state, unsigned cause)
{
    size_t i = ali->core.task_count > 0 ? which % ali->core.task_count : 0;
    if (ali->core.task_count == 0 || sb_task_state_is_final(ali->core.tasks[i].task.state))
        return;
    enum sb_task_state next = (enum sb_task_state)(state % SB_TASK_STATE_MAX_);
    ali->core.tasks[i].task.cause =
        next == SB_TASK_FAILED || next == SB_TASK_CANCELLED
            ? (enum sb_cause)(SB_CAUSE_NONE + 1 + cause % (SB_CAUSE_MAX_ - 1))
            : SB_CAUSE_NONE;
    core_progress(&ali->core, i, next, (uint8_t)(cause % 101));
}

static void block(struct ali *ali, unsigned offset, unsigned size, unsigned flip)
{
    static const char bytes[256 * 255];
    sb_cleanup(sb_freep) char *header = sb_format(
        "{\"id\":%u,\"code\":%d,\"data\":{\"fileLength\":%d,\"bSize\":%u,\"bOffset\":%u}}", flip,
        flip % 7 ? 200 : 400, flip % 5 ? 40000 : 0, size * 256 + flip % 3, offset * 256);
    check(header);
    ali_block(ali, header, bytes, (size_t)size * 256, (uint16_t)(flip % 4));
}

/* What is supplied is a piece of the file, as large as was asked for at the most. */
static void check_supplied(const struct ali *ali)
{
    check(
        ali->core.supplied.cause != SB_CAUSE_NONE || ali->core.supplied.count == 0 ||
        (ali->core.supplied.bytes && ali->core.supplied.size > 0 &&
         ali->core.supplied.size <= 5120 &&
         ali->core.supplied.offset + (int64_t)ali->core.supplied.size <= ali->core.supplied.total));
}

static void event(struct ali *ali, const char *text, size_t n)
{
    unsigned a = n > 1 ? (unsigned char)text[1] : 0, b = n > 2 ? (unsigned char)text[2] : 0;
    unsigned c = n > 3 ? (unsigned char)text[3] : 0;
    enum core_actor actor = (enum core_actor)(a % CORE_ACTORS);
    switch (n > 0 ? text[0] : 0) {
    case 'u':
        ali_up(ali);
        break;
    case 'd':
        ali_down(ali);
        break;
    case 'r':
        ali_restarts(ali);
        break;
    case 't':
        move(ali, a, b, c);
        break;
    case 'n':
        core_news(&ali->core, actor, b % 2 ? SB_NEWS_IDENTITY : SB_NEWS_DEVICE_ADDED);
        break;
    case 'o':
        core_presence(&ali->core, actor == CORE_GATEWAY ? CORE_PUMP : actor,
                      (enum sb_presence)(b % SB_PRESENCE_MAX_));
        break;
    case 'p':
        core_passes(&ali->core, (int64_t)a * a * SB_SECOND);
        break;
    case 'c':
        ali->core.refuse = (enum sb_cause)(a % SB_CAUSE_MAX_);
        break;
    case 'h':
        ali->silent = b % 2;
        ali->refuse_kind[a % 4] = c % 3 == 0 ? 0 : c % 3 == 1 ? 429 : 6287;
        break;
    case 'g': /* a file is pulled, or not any more */
        core_pulls(&ali->core, a % 3,
                   b % 4 ? "stream:?id=1&file=1"
                   : b   ? "stream:?id=1"
                         : NULL,
                   c * 256);
        break;
    case 'b': /* and a block of it comes: in order, or nearly */
        block(ali, a, b, c);
        break;
    case 'y':
        ali->core.ready = a % 2;
        break;
    default:
        break;
    }
}

/* Topics of a sub-device are the platform's while it is logged in. */
static void line(struct ali *ali, const char *text, size_t n)
{
    if (n > 0 && text[0] == '!') {
        event(ali, text + 1, n - 1);
        return;
    }
    const char *space = memchr(text, ' ', n);
    size_t length = space ? (size_t)(space - text) : n;
    sb_cleanup(sb_freep) char *topic = strndup(text, length);
    check(topic);
    const char *payload = space ? space + 1 : text + n;
    if (ali->core.up[CORE_GATEWAY])
        ali_bytes(ali, topic, payload, n - (size_t)(payload - text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ali *ali = ali_new(the_words());
    const char *at = (const char *)data, *end = at + size;
    ali->core.ready = true;
    while (size > 0 && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        line(ali, at, (size_t)(stop - at));
        for (int i = 0; i < CORE_ACTORS; i++)
            check_state(ali, i);
        check_supplied(ali);
        at = stop + 1;
    }
    ali_free(ali);
    return 0;
}
