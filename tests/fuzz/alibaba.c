/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripts for a small world: each line of the input is a topic and a payload of the platform, or
 * "!" and an event of the world. Whatever comes: nothing is said for a sub-device that is not
 * logged in, what is kept stays bounded, and the state survives being saved and read back.
 */
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/alibaba_world.h"
#include "tests/fuzz/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_state(const struct ali *ali, int actor)
{
    sb_cleanup(json_decrefp) json_t *saved =
        script_keeps(&sb_alibaba_dialect, ali->core.states[actor]);
    script_check(json_array_size(json_object_get(saved, "updates")) <= 8);
    script_check(json_array_size(json_object_get(saved, "asks")) <= 32);
}

static void block(struct ali *ali, unsigned offset, unsigned size, unsigned flip)
{
    static const char bytes[256 * 255];
    sb_cleanup(sb_freep) char *header = sb_format(
        "{\"id\":%u,\"code\":%d,\"data\":{\"fileLength\":%d,\"bSize\":%u,\"bOffset\":%u}}", flip,
        flip % 7 ? 200 : 400, flip % 5 ? 40000 : 0, size * 256 + flip % 3, offset * 256);
    script_check(header);
    ali_block(ali, header, bytes, (size_t)size * 256, (uint16_t)(flip % 4));
}

/* What is supplied is a piece of the file, as large as was asked for at the most. */
static void check_supplied(const struct ali *ali)
{
    script_check(
        ali->core.supplied.cause != SB_CAUSE_NONE || ali->core.supplied.count == 0 ||
        (ali->core.supplied.bytes && ali->core.supplied.size > 0 &&
         ali->core.supplied.size <= 5120 &&
         ali->core.supplied.offset + (int64_t)ali->core.supplied.size <= ali->core.supplied.total));
}

static void event(void *arg, const struct script_event *event)
{
    struct ali *ali = arg;
    unsigned a = event->a, b = event->b, c = event->c;
    enum core_actor actor = (enum core_actor)(a % CORE_ACTORS);
    switch (event->what) {
    case 'u':
        ali_up(ali);
        break;
    case 'd':
        ali_down(ali);
        break;
    case 'r':
        ali_restarts(ali);
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
    default:
        script_core_event(&ali->core, event);
        break;
    }
}

/* Topics of a sub-device are the platform's while it is logged in. */
static void hears(void *arg, const char *topic, const void *payload, size_t n)
{
    struct ali *ali = arg;
    if (ali->core.up[CORE_GATEWAY])
        ali_bytes(ali, topic, payload, n);
}

static void look(void *arg)
{
    for (int i = 0; i < CORE_ACTORS; i++)
        check_state(arg, i);
    check_supplied(arg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct script script = { event, hears, look };
    struct ali *ali = ali_new();
    ali->core.ready = true;
    script_run(&script, ali, data, size);
    ali_free(ali);
    return 0;
}
