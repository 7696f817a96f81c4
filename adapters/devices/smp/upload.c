/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upload of an image, block by block.
 *
 * The device's answer says where to go on; it is obeyed forwards and backwards, a bounded number
 * of times. A block that is too long for the device's buffer is met with silence, not with an
 * error (observed with MCUboot), so the first block shrinks when nothing comes back.
 *
 * Going on after an interruption: Zephyr knows the file by its sha and answers the first block
 * with the offset to go on at. MCUboot starts over at offset 0 but answers a block with any wrong
 * offset with the one it expects, without writing. So offset 1, which no device expects, is asked
 * first when this file had been begun before.
 */
#include <errno.h>

#include "adapters/devices/smp/firmware.h"
#include "bridge/base/crypto.h"

#define BUFFER_UNKNOWN 340  /* frame bytes when the device does not tell: some 256 of data */
#define BUFFER_MOST    2048 /* frame bytes when it tells of more */
#define BUFFER_LEAST   180  /* some 96 of data; a device takes at least that */
#define DATA_LEAST     32   /* the image header must be in the first block */
#define BACKWARDS_MAX  64   /* answers that do not lead forward */
#define FIRST_TRIES    2    /* per length of the first block */

struct upload {
    struct sb_smp *smp;
    const struct sb_smp_file *file;
    int image; /* in requests; -1: left out */
    size_t buffer;
    int64_t offset;
    bool moved; /* a block was taken in this session: its length is right */
    unsigned backwards;
};

/* What the device says about its receive buffer; 0 when it does not. */
static enum sb_cause ask_buffer(struct sb_smp *smp, int64_t *ret)
{
    const struct sb_smp_call call = { .group = SB_SMP_OS, .command = SB_SMP_OS_PARAMS };
    struct sb_smp_reply reply = { 0 };
    enum sb_cause cause = sb_smp_ask(smp, &call, &reply);
    *ret =
        cause == SB_CAUSE_NONE && reply.code.code == 0 ? sb_json_int(reply.body, "buf_size", 0) : 0;
    sb_smp_reply_done(&reply);
    return cause;
}

static enum sb_cause choose_buffer(struct upload *up)
{
    int64_t size = up->smp->config->buffer;
    enum sb_cause cause = size > 0 ? SB_CAUSE_NONE : ask_buffer(up->smp, &size);
    int64_t most = up->smp->config->buffer > 0 ? SB_SMP_PACKET_MAX : BUFFER_MOST;
    up->buffer =
        size <= 0 ? BUFFER_UNKNOWN : (size_t)SB_MAX(SB_MIN(size, most), (int64_t)BUFFER_LEAST);
    return cause;
}

/* What slot info says about the slot the image goes to. */
static enum sb_cause ask_slot(struct upload *up, const struct sb_smp_goal *goal, int64_t *ret_size)
{
    const struct sb_smp_call call = { .group = SB_SMP_IMAGE, .command = SB_SMP_IMAGE_SLOTS };
    struct sb_smp_reply reply = { 0 };
    enum sb_cause cause = sb_smp_ask(up->smp, &call, &reply);
    size_t i, j;
    json_t *image, *slot;
    *ret_size = 0;
    json_array_foreach (sb_json_array(reply.body, "images"), i, image) {
        if (sb_json_int(image, "image", 0) != goal->image)
            continue;
        json_array_foreach (sb_json_array(image, "slots"), j, slot) {
            if (sb_json_int(slot, "slot", 0) != (goal->direct ? 0 : 1))
                continue;
            int64_t id = sb_json_int(slot, "upload_image_id", -1);
            *ret_size = sb_json_int(slot, "size", 0);
            up->image = up->image < 0 && id >= 0 && id <= UINT8_MAX ? (int)id : up->image;
        }
        int64_t most = sb_json_int(image, "max_image_size", 0);
        *ret_size = most > 0 && (*ret_size == 0 || most < *ret_size) ? most : *ret_size;
    }
    sb_smp_reply_done(&reply);
    return cause;
}

static enum sb_cause check_room(struct upload *up, const struct sb_smp_goal *goal)
{
    int64_t room = 0;
    enum sb_cause cause = ask_slot(up, goal, &room);
    if (cause == SB_CAUSE_NONE && room > 0 && up->file->size > room)
        return sb_smp_fail(up->smp, SB_CAUSE_NO_SPACE,
                           "the image has %lld bytes, the device's slot %lld",
                           (long long)up->file->size, (long long)room);
    return cause;
}

/* The members of a request beside its data; `data` is the last key, its value still missing. */
static void put_head(const struct upload *up, struct sb_cbor *body, int64_t offset)
{
    uint8_t sha[SB_SHA256_HEX / 2];
    bool first = offset == 0;
    bool with_sha =
        first && up->file->sha256 && sb_hex_decode(up->file->sha256, sha, sizeof(sha)) == 0;
    bool with_image = first && up->image >= 0;
    sb_cbor_map(body, 2u + first + with_sha + with_image);
    if (with_image) {
        sb_cbor_text(body, "image");
        sb_cbor_int(body, up->image);
    }
    if (first) {
        sb_cbor_text(body, "len");
        sb_cbor_int(body, up->file->size);
    }
    sb_cbor_text(body, "off");
    sb_cbor_int(body, offset);
    if (with_sha) {
        sb_cbor_text(body, "sha");
        sb_cbor_bytes(body, sha, sizeof(sha));
    }
    sb_cbor_text(body, "data");
}

static int put_block(const struct upload *up, struct sb_cbor *body)
{
    put_head(up, body, up->offset);
    size_t overhead = sb_smp_call_size(body) + 3; /* the head of a byte string up to 64 KiB */
    size_t room = up->buffer > overhead + DATA_LEAST ? up->buffer - overhead : DATA_LEAST;
    size_t n = (size_t)SB_MIN((int64_t)room, up->file->size - up->offset);
    if (n > 64 && (int64_t)n < up->file->size - up->offset)
        n -= n % 8; /* flash is written in words */
    sb_cleanup(sb_freep) uint8_t *data = malloc(n);
    if (!data)
        return -ENOMEM;
    int r = sb_read_at(up->file->fd, up->offset, data, n);
    sb_cbor_bytes(body, data, n);
    return r < 0 ? r : body->broken ? -ENOMEM : 0;
}

/* Sends the block at the offset. `*ret_silent`: nothing came back. */
static enum sb_cause send_block(struct upload *up, struct sb_smp_reply *ret, bool *ret_silent)
{
    struct sb_smp *smp = up->smp;
    struct sb_cbor body = { 0 };
    *ret_silent = false;
    enum sb_cause cause = sb_smp_connect(smp);
    int r = cause == SB_CAUSE_NONE ? put_block(up, &body) : 0;
    const struct sb_smp_call call = { .group = SB_SMP_IMAGE,
                                      .command = SB_SMP_IMAGE_UPLOAD,
                                      .write = true,
                                      .body = &body,
                                      .timeout = up->moved ? 0 : smp->config->first_timeout,
                                      .tries = up->moved ? 0 : FIRST_TRIES };
    if (cause == SB_CAUSE_NONE && r == 0)
        r = sb_smp_request(&smp->client, &call, ret);
    sb_cbor_done(&body);
    *ret_silent = r == -ETIMEDOUT;
    if (cause != SB_CAUSE_NONE)
        return cause;
    return r < 0 ? sb_smp_trouble(smp, r) : SB_CAUSE_NONE;
}

/* The offset an answer names; a cause when it makes no sense. */
static enum sb_cause take_answer(struct upload *up, const struct sb_smp_reply *reply)
{
    struct sb_smp *smp = up->smp;
    bool first_refused = up->offset == 0 && !reply->code.err && reply->code.code == 3;
    enum sb_cause cause = sb_smp_judge(smp, reply, "upload");
    if (cause == SB_CAUSE_INSTALL_FAILED)
        cause = SB_CAUSE_WRITE_FAILED;
    if (cause != SB_CAUSE_NONE)
        return first_refused ? SB_CAUSE_UNSUPPORTED_IMAGE : cause;
    if (json_is_false(json_object_get(reply->body, "match")))
        return sb_smp_fail(smp, SB_CAUSE_VERIFY_FAILED,
                           "the device received something else than was sent");
    int64_t next = sb_json_int(reply->body, "off", -1);
    if (next < 0 || next > up->file->size)
        return sb_smp_fail(smp, SB_CAUSE_WRITE_FAILED,
                           "the device answered the upload without a possible offset");
    if (next <= up->offset && ++up->backwards > BACKWARDS_MAX)
        return sb_smp_fail(smp, SB_CAUSE_WRITE_FAILED,
                           "the device asked again and again for what it had been sent");
    up->offset = next;
    up->moved = true;
    return SB_CAUSE_NONE;
}

/* Asks where the device stands, by an offset that is never right. */
static enum sb_cause probe_offset(struct upload *up)
{
    struct sb_cbor body = { 0 };
    struct sb_smp_reply reply = { 0 };
    put_head(up, &body, 1);
    sb_cbor_bytes(&body, "", 1);
    const struct sb_smp_call call = {
        .group = SB_SMP_IMAGE, .command = SB_SMP_IMAGE_UPLOAD, .write = true, .body = &body
    };
    enum sb_cause cause = sb_smp_ask(up->smp, &call, &reply);
    sb_cbor_done(&body);
    int64_t at = reply.code.code == 0 ? sb_json_int(reply.body, "off", 0) : 0;
    sb_smp_reply_done(&reply);
    if (cause == SB_CAUSE_NONE && at > 1 && at < up->file->size) {
        sb_session_note(up->smp->session, "upload goes on at %lld of %lld bytes", (long long)at,
                        (long long)up->file->size);
        up->offset = at;
    }
    return cause;
}

/* A block was met with silence: shorter, as long as it may be the length. */
static bool shrink(struct upload *up)
{
    if (up->moved || up->buffer <= BUFFER_LEAST)
        return false;
    up->buffer = SB_MAX(up->buffer / 2, (size_t)BUFFER_LEAST);
    sb_session_note(up->smp->session, "no answer to the first block: trying %zu bytes", up->buffer);
    sb_session_progress(up->smp->session, SB_PHASE_TRANSFERRING, (uint64_t)up->offset,
                        (uint64_t)up->file->size);
    return true;
}

static enum sb_cause send_all(struct upload *up)
{
    while (up->offset < up->file->size) {
        struct sb_smp_reply reply = { 0 };
        bool silent = false;
        enum sb_cause cause = send_block(up, &reply, &silent);
        if (silent && shrink(up))
            continue;
        if (cause == SB_CAUSE_NONE)
            cause = take_answer(up, &reply);
        sb_smp_reply_done(&reply);
        if (cause != SB_CAUSE_NONE)
            return cause;
        sb_session_progress(up->smp->session, SB_PHASE_TRANSFERRING, (uint64_t)up->offset,
                            (uint64_t)up->file->size);
    }
    return SB_CAUSE_NONE;
}

enum sb_cause sb_smp_upload(struct sb_smp *smp, const struct sb_smp_file *file,
                            const struct sb_smp_goal *goal, bool probe)
{
    struct upload up = { .smp = smp, .file = file };
    up.image = (int)smp->config->upload_image;
    sb_session_progress(smp->session, SB_PHASE_TRANSFERRING, 0, (uint64_t)file->size);
    enum sb_cause cause = choose_buffer(&up);
    if (cause == SB_CAUSE_NONE)
        cause = check_room(&up, goal);
    if (up.image < 0 && goal->image > 0)
        up.image = (int)goal->image;
    if (cause == SB_CAUSE_NONE && probe)
        cause = probe_offset(&up);
    return cause == SB_CAUSE_NONE ? send_all(&up) : cause;
}
