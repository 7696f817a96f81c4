/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a device stands, and the second half of an update: restart, health, confirm; what comes
 * after the commit point.
 */
#include <errno.h>

#include "adapters/devices/smp/firmware.h"
#include "bridge/base/time.h"

#define GRACE_MS        3000 /* a reset that was taken has begun by then */
#define RESETS_MAX      3
#define SETTLE_MS       400 /* MCUboot goes some 250 ms after it has answered a reset */
#define HEALTH_STEP_MS  1000
#define HEALTH_SILENCES 3

enum sb_smp_stage sb_smp_decide(const struct sb_smp_list *list, const struct sb_smp_goal *goal)
{
    const struct sb_smp_slot *active = sb_smp_list_active(list, goal->image);
    const struct sb_smp_slot *held = sb_smp_list_find(list, goal->image, goal->hash);
    if (goal->direct) {
        if (!held || held->slot != 0)
            return SB_SMP_AT_UPLOAD;
        return goal->begun ? SB_SMP_AT_RESET : SB_SMP_AT_END;
    }
    if (held && held == active)
        return held->confirmed || !goal->confirm ? SB_SMP_AT_END : SB_SMP_AT_CONFIRM;
    if (goal->reset_sent && !(held && held->pending))
        return SB_SMP_AT_ROLLED_BACK; /* it was tried, and the old one runs */
    if (!held)
        return SB_SMP_AT_UPLOAD;
    return held->pending ? SB_SMP_AT_RESET : SB_SMP_AT_TEST;
}

enum sb_cause sb_smp_keep(struct sb_smp_update *fw, const char *stage)
{
    return sb_smp_checkpoint(fw->smp, json_pack("{s:s, s:s, s:b}", "stage", stage, "hash",
                                                fw->goal.hash, "reset_sent", fw->goal.reset_sent));
}

enum sb_cause sb_smp_write_state(struct sb_smp_update *fw, bool confirm, const char *what)
{
    struct sb_smp *smp = fw->smp;
    uint8_t hash[SB_SHA256_HEX / 2];
    struct sb_cbor body = { 0 };
    if (sb_hex_decode(fw->goal.hash, hash, sizeof(hash)) < 0)
        return sb_smp_trouble(smp, -EINVAL);
    sb_cbor_map(&body, confirm ? 1 : 2);
    if (!confirm) {
        sb_cbor_text(&body, "hash");
        sb_cbor_bytes(&body, hash, sizeof(hash));
    }
    sb_cbor_text(&body, "confirm");
    sb_cbor_bool(&body, confirm); /* without a hash: the running image */
    const struct sb_smp_call call = {
        .group = SB_SMP_IMAGE, .command = SB_SMP_IMAGE_STATE, .write = true, .body = &body
    };
    enum sb_cause cause = sb_smp_talk(smp, &call, what, NULL);
    sb_cbor_done(&body);
    return cause == SB_CAUSE_NONE ? sb_smp_list_get(smp, &fw->list) : cause;
}

/*
 * Waits for a restart that leads somewhere. *ret is RESET when the device still waits for one
 * (the request was lost). Never resets blindly: a second restart would undo a test boot.
 */
static enum sb_cause await_boot(struct sb_smp_update *fw, enum sb_smp_stage *ret)
{
    struct sb_smp *smp = fw->smp;
    int64_t begin = sb_session_now(smp->session), total = sb_smp_restart_time(smp);
    for (int64_t now = begin; now < begin + total; now = sb_session_now(smp->session)) {
        sb_session_progress(smp->session, SB_PHASE_RESTARTING, (uint64_t)(now - begin),
                            (uint64_t)total);
        int r = sb_session_sleep(smp->session, SETTLE_MS);
        r = r == 0 ? sb_smp_poll(smp, &fw->list) : r;
        if (r < 0 && r != -ETIMEDOUT)
            return sb_smp_trouble(smp, r);
        *ret = r == 0 ? sb_smp_decide(&fw->list, &fw->goal) : SB_SMP_AT_RESET;
        if (r == 0 && (*ret != SB_SMP_AT_RESET || now - begin > GRACE_MS))
            return SB_CAUSE_NONE;
    }
    return sb_smp_fail(smp, SB_CAUSE_LINK_LOST,
                       "the device did not come back within %lld s after its restart",
                       (long long)(total / SB_SECOND));
}

static enum sb_cause boot(struct sb_smp_update *fw, enum sb_smp_stage *ret)
{
    for (int i = 0; i < RESETS_MAX; i++) {
        enum sb_cause cause = SB_CAUSE_NONE;
        int r = sb_smp_send_reset(fw->smp, &cause);
        if (r < 0 && r != -ETIMEDOUT)
            return cause;
        cause = await_boot(fw, ret);
        if (cause != SB_CAUSE_NONE || *ret != SB_SMP_AT_RESET)
            return cause;
    }
    return sb_smp_fail(fw->smp, SB_CAUSE_INSTALL_FAILED, "the device does not restart");
}

/* Into the first slot: nothing is left but to start it. */
static enum sb_cause boot_direct(struct sb_smp_update *fw)
{
    struct sb_smp *smp = fw->smp;
    enum sb_cause cause = SB_CAUSE_NONE;
    if (smp->config->returns) {
        cause = sb_smp_restart(smp);
        return cause == SB_CAUSE_NONE ? sb_smp_list_get(smp, &fw->list) : cause;
    }
    int r = sb_smp_send_reset(smp, &cause);
    if (r == -ETIMEDOUT) /* lost on the way there or back; a bootloader takes it twice */
        r = sb_smp_send_reset(smp, &cause);
    return r == 0 || r == -ETIMEDOUT ? SB_CAUSE_NONE : cause;
}

enum sb_cause sb_smp_rolled_back(struct sb_smp_update *fw)
{
    const struct sb_smp_slot *active = sb_smp_list_active(&fw->list, fw->goal.image);
    return sb_smp_fail(fw->smp, SB_CAUSE_ROLLED_BACK,
                       "the device started the image and went back to %s",
                       active && *active->version ? active->version : "the old one");
}

enum sb_cause sb_smp_do_reset(struct sb_smp_update *fw, enum sb_smp_stage *ret)
{
    enum sb_cause cause = sb_smp_commit(fw->smp);
    if (cause != SB_CAUSE_NONE)
        return cause;
    if (fw->goal.reset_sent && !fw->goal.direct) {
        /* The interrupted run's reset may still be under way: a second one would undo it. */
        cause = await_boot(fw, ret);
        if (cause != SB_CAUSE_NONE || *ret != SB_SMP_AT_RESET)
            return cause;
    }
    fw->goal.begun = false;
    fw->goal.reset_sent = true;
    cause = sb_smp_keep(fw, "reset");
    if (cause != SB_CAUSE_NONE)
        return cause;
    if (fw->goal.direct) {
        cause = boot_direct(fw);
        *ret = sb_smp_decide(&fw->list, &fw->goal);
        if (cause == SB_CAUSE_NONE && *ret != SB_SMP_AT_END)
            return sb_smp_fail(fw->smp, SB_CAUSE_VERIFY_FAILED,
                               "after its restart the device does not hold the image");
        return cause;
    }
    return boot(fw, ret);
}

/* The new image must go on answering for a while, and at its end; a lost answer is not silence. */
static enum sb_cause probe_health(struct sb_smp_update *fw, bool *ret_well)
{
    struct sb_smp *smp = fw->smp;
    int64_t begin = sb_session_now(smp->session), total = smp->config->health;
    unsigned silent = 0;
    for (int64_t now = begin; silent < HEALTH_SILENCES && (now < begin + total || silent > 0);
         now = sb_session_now(smp->session)) {
        sb_session_progress(smp->session, SB_PHASE_CONFIRMING, (uint64_t)(now - begin),
                            (uint64_t)total);
        int r = sb_smp_poll(smp, &fw->list);
        if (r < 0 && r != -ETIMEDOUT)
            return sb_smp_trouble(smp, r);
        silent = r == 0 ? 0 : silent + 1;
        if (r == 0 && sb_smp_decide(&fw->list, &fw->goal) != SB_SMP_AT_CONFIRM)
            break; /* it has restarted or confirmed by itself */
        r = sb_session_sleep(smp->session, SB_MIN(HEALTH_STEP_MS, SB_MAX(begin + total - now, 0)));
        if (r < 0)
            return sb_smp_trouble(smp, r);
    }
    enum sb_smp_stage stage = sb_smp_decide(&fw->list, &fw->goal);
    *ret_well = silent == 0 && (stage == SB_SMP_AT_CONFIRM || stage == SB_SMP_AT_END);
    return SB_CAUSE_NONE;
}

/* Not confirmed, the old image comes back with the next restart. */
static enum sb_cause give_up(struct sb_smp_update *fw)
{
    enum sb_smp_stage stage = sb_smp_decide(&fw->list, &fw->goal);
    enum sb_cause cause = SB_CAUSE_NONE;
    if (stage == SB_SMP_AT_CONFIRM) {
        sb_session_note(fw->smp->session, "the new image is not well: back to the old one");
        cause = boot(fw, &stage);
    }
    if (cause == SB_CAUSE_NONE && stage == SB_SMP_AT_ROLLED_BACK)
        return sb_smp_rolled_back(fw);
    return sb_smp_fail(fw->smp, SB_CAUSE_INSTALL_FAILED,
                       "the new image did not pass its health check and was left unconfirmed");
}

enum sb_cause sb_smp_do_confirm(struct sb_smp_update *fw)
{
    struct sb_smp *smp = fw->smp;
    bool well = true;
    sb_session_progress(smp->session, SB_PHASE_CONFIRMING, 0, 0);
    enum sb_cause cause = sb_smp_commit(smp);
    if (cause == SB_CAUSE_NONE && smp->config->health > 0)
        cause = probe_health(fw, &well);
    if (cause == SB_CAUSE_NONE && !well)
        return give_up(fw);
    if (cause == SB_CAUSE_NONE && sb_smp_decide(&fw->list, &fw->goal) == SB_SMP_AT_END)
        return cause; /* the image has confirmed itself */
    if (cause == SB_CAUSE_NONE)
        cause = sb_smp_keep(fw, "confirm");
    if (cause == SB_CAUSE_NONE)
        cause = sb_smp_write_state(fw, true, "confirm");
    if (cause != SB_CAUSE_NONE)
        return cause;
    switch (sb_smp_decide(&fw->list, &fw->goal)) {
    case SB_SMP_AT_END:
        return SB_CAUSE_NONE;
    case SB_SMP_AT_CONFIRM:
        return sb_smp_fail(smp, SB_CAUSE_INSTALL_FAILED,
                           "the device did not make the image permanent");
    default:
        return sb_smp_rolled_back(fw); /* it restarted before it was confirmed */
    }
}
