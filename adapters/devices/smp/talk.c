/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/smp/talk.h"

#include <errno.h>

enum sb_cause sb_smp_fail(struct sb_smp *smp, enum sb_cause cause, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    sb_set_vformat(&smp->outcome->text, fmt, ap);
    va_end(ap);
    return cause;
}

enum sb_cause sb_smp_trouble(struct sb_smp *smp, int error)
{
    switch (error) {
    case -ETIMEDOUT:
        return sb_smp_fail(smp, SB_CAUSE_LINK_LOST, "the device does not answer%s",
                           smp->client.strange || smp->client.decoder.skipped
                               ? " (what comes from the line is no SMP answer)"
                               : "");
    case -ECANCELED:
        return sb_smp_fail(smp, SB_CAUSE_OPERATOR, "stopped");
    case -ENODEV:
    case -EIO:
        return sb_smp_fail(smp, SB_CAUSE_LINK_LOST, "the line has gone while in use");
    case -EMSGSIZE:
        return sb_smp_fail(smp, SB_CAUSE_INVALID_REQUEST, "the request is too long for a packet");
    default:
        return sb_smp_fail(smp, SB_CAUSE_INTERNAL, "the gateway failed: %s", strerror(-error));
    }
}

enum sb_cause sb_smp_connect(struct sb_smp *smp)
{
    if (smp->client.port && !smp->client.port->failed)
        return SB_CAUSE_NONE;
    smp->client.port = sb_session_port(smp->session, smp->outcome);
    return smp->client.port ? SB_CAUSE_NONE : smp->outcome->cause;
}

enum sb_cause sb_smp_ask(struct sb_smp *smp, const struct sb_smp_call *call,
                         struct sb_smp_reply *ret)
{
    enum sb_cause cause = sb_smp_connect(smp);
    if (cause != SB_CAUSE_NONE)
        return cause;
    int r = sb_smp_request(&smp->client, call, ret);
    return r < 0 ? sb_smp_trouble(smp, r) : SB_CAUSE_NONE;
}

/* A few codes of version 1 mean another thing when no image is at stake. */
static enum sb_cause without_image(enum sb_cause cause)
{
    switch (cause) {
    case SB_CAUSE_INSTALL_FAILED:
        return SB_CAUSE_REFUSED;
    case SB_CAUSE_NO_SPACE:
        return SB_CAUSE_NO_MEMORY;
    case SB_CAUSE_NOT_READY: /* no such entry */
        return SB_CAUSE_INVALID_REQUEST;
    default:
        return cause;
    }
}

enum sb_cause sb_smp_judge(struct sb_smp *smp, const struct sb_smp_reply *reply, const char *what)
{
    enum sb_cause cause = sb_smp_cause(&reply->code);
    if (smp->command->op > SB_OP_FIRMWARE_UPDATE)
        cause = without_image(cause);
    if (cause == SB_CAUSE_NONE)
        return cause;
    if (sb_smp_native(&reply->code, &smp->outcome->native) < 0)
        return sb_smp_trouble(smp, -ENOMEM);
    return sb_smp_fail(smp, cause, "%s: %s (%s %s)", what, smp->outcome->native.text,
                       smp->outcome->native.vocabulary, smp->outcome->native.code);
}

enum sb_cause sb_smp_talk(struct sb_smp *smp, const struct sb_smp_call *call, const char *what,
                          json_t **ret)
{
    struct sb_smp_reply reply = { 0 };
    enum sb_cause cause = sb_smp_ask(smp, call, &reply);
    if (cause == SB_CAUSE_NONE)
        cause = sb_smp_judge(smp, &reply, what);
    if (cause == SB_CAUSE_NONE && ret)
        *ret = SB_STEAL(reply.body);
    sb_smp_reply_done(&reply);
    return cause;
}

bool sb_smp_is_unsupported(const struct sb_smp_reply *reply)
{
    return !reply->code.err && reply->code.code == 8;
}

enum sb_cause sb_smp_checkpoint(struct sb_smp *smp, json_t *checkpoint)
{
    int r = checkpoint ? sb_session_checkpoint(smp->session, checkpoint) : -ENOMEM;
    json_decref(checkpoint);
    if (r == -EIO)
        return sb_smp_fail(smp, SB_CAUSE_INTERNAL, "the gateway cannot keep its own state");
    return r < 0 ? sb_smp_trouble(smp, r) : SB_CAUSE_NONE;
}

enum sb_cause sb_smp_commit(struct sb_smp *smp)
{
    int r = smp->committed ? 0 : sb_session_commit_point(smp->session);
    smp->committed = r == 0;
    if (r == -EIO)
        return sb_smp_fail(smp, SB_CAUSE_INTERNAL, "the gateway cannot keep its own state");
    return r < 0 ? sb_smp_trouble(smp, r) : SB_CAUSE_NONE;
}

/* ---- the images a device holds ---- */

static uint32_t small(const json_t *object, const char *key)
{
    int64_t value = sb_json_int(object, key, 0);
    return value < 0 || value > UINT16_MAX ? UINT16_MAX : (uint32_t)value;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = sb_json_str(object, key);
    return text ? text : "";
}

void sb_smp_list_parse(json_t *body, struct sb_smp_list *ret)
{
    size_t i;
    json_t *entry;
    *ret = (struct sb_smp_list){ .body = body };
    json_array_foreach (sb_json_array(body, "images"), i, entry) {
        if (ret->count == SB_SMP_SLOTS || !json_is_object(entry))
            continue;
        ret->slots[ret->count++] =
            (struct sb_smp_slot){ .image = small(entry, "image"),
                                  .slot = small(entry, "slot"),
                                  .version = text_of(entry, "version"),
                                  .hash = text_of(entry, "hash"),
                                  .active = sb_json_bool(entry, "active", false),
                                  .confirmed = sb_json_bool(entry, "confirmed", false),
                                  .pending = sb_json_bool(entry, "pending", false) };
    }
}

void sb_smp_list_done(struct sb_smp_list *list)
{
    json_decref(list->body);
    *list = (struct sb_smp_list){ 0 };
}

enum sb_cause sb_smp_list_get(struct sb_smp *smp, struct sb_smp_list *ret)
{
    const struct sb_smp_call call = { .group = SB_SMP_IMAGE, .command = SB_SMP_IMAGE_STATE };
    json_t *body = NULL;
    enum sb_cause cause = sb_smp_talk(smp, &call, "list of images", &body);
    if (cause != SB_CAUSE_NONE)
        return cause;
    sb_smp_list_done(ret);
    sb_smp_list_parse(body, ret);
    return SB_CAUSE_NONE;
}

const struct sb_smp_slot *sb_smp_list_active(const struct sb_smp_list *list, uint32_t image)
{
    const struct sb_smp_slot *first = NULL;
    for (size_t i = 0; i < list->count; i++) {
        const struct sb_smp_slot *slot = &list->slots[i];
        if (slot->image == image && slot->active)
            return slot;
        if (slot->image == image && slot->slot == 0)
            first = slot; /* a bootloader may not say which one it would boot */
    }
    return first;
}

const struct sb_smp_slot *sb_smp_list_find(const struct sb_smp_list *list, uint32_t image,
                                           const char *hash)
{
    const struct sb_smp_slot *active = sb_smp_list_active(list, image);
    if (active && sb_streq(active->hash, hash))
        return active;
    for (size_t i = 0; i < list->count; i++) {
        if (list->slots[i].image == image && sb_streq(list->slots[i].hash, hash))
            return &list->slots[i];
    }
    return NULL;
}
