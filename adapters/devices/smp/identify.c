/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is there, and which versions run; restarts and the wait for the return.
 */
#include <errno.h>

#include "adapters/devices/smp/talk.h"
#include "bridge/base/time.h"

#define LINE_AWAY_MS 500  /* between looks for a line that is unplugged */
#define GRACE_MS     3000 /* a reset that was taken has begun by then */
#define RESETS_MAX   3
#define IDENTITY_MAX 128 /* characters of what a device says of itself */

enum sb_cause sb_smp_tell_versions(struct sb_smp *smp, const struct sb_smp_list *list)
{
    json_t *versions = json_object();
    bool pending = false;
    int failed = versions == NULL;
    for (size_t i = 0; i < list->count && !failed; i++) {
        const struct sb_smp_slot *slot = &list->slots[i];
        pending = pending || slot->pending;
        if (slot != sb_smp_list_active(list, slot->image) || !*slot->version)
            continue;
        sb_cleanup(sb_freep) char *module = sb_smp_module_of_image(smp->type, slot->image);
        failed = !module || sb_json_put_str(versions, module, slot->version) < 0;
    }
    if (failed) {
        json_decref(versions);
        return sb_smp_trouble(smp, -ENOMEM);
    }
    json_decref(smp->outcome->after.versions);
    smp->outcome->after.versions = versions;
    /* It answers requests one by one, so only a pending swap can still change it. */
    smp->outcome->after.idle = !pending;
    return SB_CAUSE_NONE;
}

/* One piece of os info; *ret stays NULL when the device does not tell. */
static enum sb_cause os_info(struct sb_smp *smp, const char *format, char **ret)
{
    struct sb_cbor body = { 0 };
    struct sb_smp_reply reply = { 0 };
    sb_cbor_map(&body, 1);
    sb_cbor_text(&body, "format");
    sb_cbor_text(&body, format);
    const struct sb_smp_call call = { .group = SB_SMP_OS,
                                      .command = SB_SMP_OS_INFO,
                                      .body = &body };
    enum sb_cause cause = sb_smp_ask(smp, &call, &reply);
    sb_cbor_done(&body);
    const char *output = sb_json_str(reply.body, "output");
    if (cause == SB_CAUSE_NONE && reply.code.code == 0 && output && *output)
        *ret = strndup(output, IDENTITY_MAX);
    sb_smp_reply_done(&reply);
    return cause;
}

static enum sb_cause tell_identity(struct sb_smp *smp)
{
    sb_cleanup(sb_freep) char *hardware = NULL;
    enum sb_cause cause = os_info(smp, "i", &hardware); /* the board */
    if (cause != SB_CAUSE_NONE || !hardware)
        return cause;
    json_t *identity = json_object();
    if (!identity || sb_json_put_str(identity, "hardware", hardware) < 0) {
        json_decref(identity);
        return sb_smp_trouble(smp, -ENOMEM);
    }
    json_decref(smp->outcome->after.identity);
    smp->outcome->after.identity = identity;
    return SB_CAUSE_NONE;
}

enum sb_cause sb_smp_identify(struct sb_smp *smp)
{
    struct sb_smp_list list = { 0 };
    enum sb_cause cause = sb_smp_list_get(smp, &list);
    if (cause == SB_CAUSE_NONE)
        cause = sb_smp_tell_versions(smp, &list);
    sb_smp_list_done(&list);
    return cause == SB_CAUSE_NONE ? tell_identity(smp) : cause;
}

/* ---- restarts ---- */

int64_t sb_smp_restart_time(const struct sb_smp *smp)
{
    return smp->type->restart ? smp->type->restart : SB_MINUTE;
}

/* A try without consequences for the outcome: the line may be away for a while. */
static int quiet_request(struct sb_smp *smp, const struct sb_smp_call *call,
                         struct sb_smp_reply *ret)
{
    if (sb_smp_connect(smp) != SB_CAUSE_NONE) {
        smp->outcome->cause = SB_CAUSE_NONE;
        int r = sb_session_sleep(smp->session, LINE_AWAY_MS);
        return r < 0 ? r : -ETIMEDOUT;
    }
    int r = sb_smp_request(&smp->client, call, ret);
    return r == -ENODEV || r == -EIO ? -ETIMEDOUT : r;
}

int sb_smp_poll(struct sb_smp *smp, struct sb_smp_list *ret)
{
    const struct sb_smp_call call = {
        .group = SB_SMP_IMAGE, .command = SB_SMP_IMAGE_STATE, .timeout = SB_SMP_POLL_MS, .tries = 1
    };
    struct sb_smp_reply reply = { 0 };
    int r = quiet_request(smp, &call, &reply);
    if (r < 0)
        return r;
    if (reply.code.code != 0) { /* up, but not ready to say */
        sb_smp_reply_done(&reply);
        return -ETIMEDOUT;
    }
    sb_smp_list_done(ret);
    sb_smp_list_parse(SB_STEAL(reply.body), ret);
    return 0;
}

int sb_smp_send_reset(struct sb_smp *smp, enum sb_cause *ret_cause)
{
    const struct sb_smp_call call = {
        .group = SB_SMP_OS, .command = SB_SMP_OS_RESET, .write = true, .tries = 1
    };
    struct sb_smp_reply reply = { 0 };
    int r = quiet_request(smp, &call, &reply);
    if (r == 0)
        *ret_cause = sb_smp_judge(smp, &reply, "reset");
    else if (r != -ETIMEDOUT)
        *ret_cause = sb_smp_trouble(smp, r);
    sb_smp_reply_done(&reply);
    return r == 0 && *ret_cause != SB_CAUSE_NONE ? -EPROTO : r;
}

/* Whether the device answers anything at all. */
static int sign_of_life(struct sb_smp *smp)
{
    struct sb_cbor body = { 0 };
    struct sb_smp_reply reply = { 0 };
    sb_cbor_map(&body, 1);
    sb_cbor_text(&body, "d");
    sb_cbor_text(&body, "?");
    const struct sb_smp_call call = { .group = SB_SMP_OS,
                                      .command = SB_SMP_OS_ECHO,
                                      .write = true,
                                      .body = &body,
                                      .timeout = SB_SMP_POLL_MS / 4,
                                      .tries = 1 };
    int r = quiet_request(smp, &call, &reply);
    sb_cbor_done(&body);
    sb_smp_reply_done(&reply);
    return r;
}

/* What was seen of a device that was told to restart. */
struct watch {
    unsigned silent; /* looks in a row that were met with silence; two are no lost byte any more */
    bool was_away, back;
};

static enum sb_cause watch_restart(struct sb_smp *smp, int64_t begin, int64_t patience,
                                   struct watch *watch)
{
    int64_t total = sb_smp_restart_time(smp);
    *watch = (struct watch){ 0 };
    for (int64_t now = begin; now < begin + total; now = sb_session_now(smp->session)) {
        sb_session_progress(smp->session, SB_PHASE_RESTARTING, (uint64_t)(now - begin),
                            (uint64_t)total);
        int r = sign_of_life(smp);
        if (r < 0 && r != -ETIMEDOUT)
            return sb_smp_trouble(smp, r);
        watch->silent = r == 0 ? 0 : watch->silent + 1;
        watch->was_away = watch->was_away || watch->silent >= 2;
        watch->back = r == 0 && watch->was_away;
        if (watch->back || (r == 0 && now - begin >= patience))
            return SB_CAUSE_NONE;
        r = r == 0 ? sb_session_sleep(smp->session, 100) : 0;
        if (r < 0)
            return sb_smp_trouble(smp, r);
    }
    return sb_smp_fail(smp, SB_CAUSE_LINK_LOST, "the device did not come back within %lld s",
                       (long long)(total / SB_SECOND));
}

/* keep: write down that the device has taken the request. */
static enum sb_cause restart(struct sb_smp *smp, bool keep)
{
    struct watch watch;
    for (int i = 0; i < RESETS_MAX; i++) {
        enum sb_cause cause = SB_CAUSE_NONE;
        sb_session_progress(smp->session, SB_PHASE_RESTARTING, 0, 0);
        int r = sb_smp_send_reset(smp, &cause);
        if (r < 0 && r != -ETIMEDOUT)
            return cause;
        if (r == 0 && keep)
            cause = sb_smp_checkpoint(smp, json_pack("{s:s}", "stage", "restart"));
        if (cause != SB_CAUSE_NONE)
            return cause;
        cause = watch_restart(smp, sb_session_now(smp->session), GRACE_MS, &watch);
        /* Answered and never away: a restart quicker than our looks. */
        if (cause != SB_CAUSE_NONE || watch.back || r == 0)
            return cause;
    }
    return sb_smp_fail(smp, SB_CAUSE_TIMEOUT, "the device did not restart");
}

enum sb_cause sb_smp_restart(struct sb_smp *smp)
{
    return restart(smp, false);
}

/* We were interrupted at the restart. A device that had taken the request does it, or has done it;
 * else it may be seen to do it. Only in between is it unknown. */
static enum sb_cause resume_reboot(struct sb_smp *smp)
{
    struct watch watch;
    bool taken = sb_streq(sb_json_str(smp->command->checkpoint, "stage"), "restart");
    enum sb_cause cause = watch_restart(smp, sb_session_now(smp->session), GRACE_MS, &watch);
    if (cause != SB_CAUSE_NONE || watch.back || taken)
        return cause;
    return sb_smp_fail(smp, SB_CAUSE_OUTCOME_UNKNOWN,
                       "interrupted at the restart: the device answers, but whether it has "
                       "restarted cannot be known");
}

enum sb_cause sb_smp_reboot(struct sb_smp *smp)
{
    enum sb_cause cause = SB_CAUSE_NONE;
    if (smp->command->resumed && smp->command->committed) {
        cause = resume_reboot(smp);
    } else {
        cause = sb_smp_identify(smp);
        if (cause == SB_CAUSE_UNSUPPORTED)
            cause = SB_CAUSE_NONE; /* it answers; not every device has images */
        if (cause == SB_CAUSE_NONE)
            cause = sb_smp_commit(smp);
        if (cause == SB_CAUSE_NONE)
            cause = restart(smp, true);
    }
    if (cause != SB_CAUSE_NONE)
        return cause;
    smp->outcome->verified = (char *)"status";
    cause = sb_smp_identify(smp);
    return cause == SB_CAUSE_UNSUPPORTED ? SB_CAUSE_NONE : cause;
}
