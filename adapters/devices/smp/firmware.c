/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/smp/firmware.h"

#include <errno.h>
#include <fcntl.h>

/* ---- what is wanted ---- */

static int read_image(void *arg, int64_t at, void *ret, size_t n)
{
    return sb_read_at(*(int *)arg, at, ret, n);
}

static enum sb_cause open_image(struct sb_smp_update *fw)
{
    struct sb_smp *smp = fw->smp;
    const struct sb_image *image = smp->command->image;
    sb_cleanup(sb_freep) char *error = NULL;
    struct sb_smp_image info;
    fw->file.fd = open(image->path, O_RDONLY | O_CLOEXEC);
    if (fw->file.fd < 0)
        return sb_smp_fail(smp, SB_CAUSE_INTERNAL, "the image's file cannot be opened: %s",
                           strerror(errno));
    fw->file.size = image->size;
    fw->file.sha256 = image->sha256;
    int r = sb_smp_image_read(read_image, &fw->file.fd, image->size, &info, &error);
    if (r < 0)
        return sb_smp_fail(smp, r == -EBADMSG ? SB_CAUSE_UNSUPPORTED_IMAGE : SB_CAUSE_INTERNAL,
                           "%s", error ? error : strerror(-r));
    if (smp->type->max_image > 0 && image->size > smp->type->max_image)
        return sb_smp_fail(smp, SB_CAUSE_NO_SPACE, "the image is larger than this type takes");
    memcpy(fw->goal.hash, info.hash, sizeof(info.hash));
    fw->version = sb_smp_image_version(&info);
    return fw->version ? SB_CAUSE_NONE : sb_smp_trouble(smp, -ENOMEM);
}

static bool usable_hash(const char *hash)
{
    uint8_t bytes[SB_SHA256_HEX / 2];
    return hash && sb_hex_decode(hash, bytes, sizeof(bytes)) == 0;
}

/* Install of what is staged on the device: what the second slot holds, or held when we began. */
static enum sb_cause staged_image(struct sb_smp_update *fw)
{
    const char *hash = NULL;
    const struct sb_smp_slot *active = sb_smp_list_active(&fw->list, fw->goal.image);
    if (fw->smp->command->resumed)
        hash = sb_json_str(fw->smp->command->checkpoint, "hash");
    for (size_t i = 0; i < fw->list.count && !hash; i++) {
        const struct sb_smp_slot *slot = &fw->list.slots[i];
        if (slot->image == fw->goal.image && slot != active)
            hash = slot->hash;
    }
    if (!usable_hash(hash))
        return sb_smp_fail(fw->smp, SB_CAUSE_NOT_READY, "no image is staged on the device");
    memcpy(fw->goal.hash, hash, SB_SHA256_HEX + 1);
    const struct sb_smp_slot *slot = sb_smp_list_find(&fw->list, fw->goal.image, hash);
    return slot && sb_set_string(&fw->version, slot->version) < 0 ? sb_smp_trouble(fw->smp, -ENOMEM)
                                                                  : SB_CAUSE_NONE;
}

/* What the checkpoint of the interrupted run says, if it was about the same image. */
static void recall(struct sb_smp_update *fw)
{
    const struct sb_command *command = fw->smp->command;
    if (!command->resumed || !sb_streq(sb_json_str(command->checkpoint, "hash"), fw->goal.hash))
        return;
    fw->goal.reset_sent = sb_json_bool(command->checkpoint, "reset_sent", false);
    fw->goal.begun = !fw->goal.reset_sent;
}

/* The first look. A device that was told to restart before we were interrupted gets its time. */
static enum sb_cause first_look(struct sb_smp_update *fw)
{
    struct sb_smp *smp = fw->smp;
    const struct sb_command *command = smp->command;
    bool patient = command->resumed &&
                   (command->committed || sb_json_bool(command->checkpoint, "reset_sent", false));
    int64_t begin = sb_session_now(smp->session), end = begin + sb_smp_restart_time(smp);
    sb_session_progress(smp->session, SB_PHASE_STARTING, 0, 0);
    while (patient && sb_session_now(smp->session) < end) {
        int r = sb_smp_poll(smp, &fw->list);
        if (r != -ETIMEDOUT)
            return r < 0 ? sb_smp_trouble(smp, r) : SB_CAUSE_NONE;
        sb_session_progress(smp->session, SB_PHASE_RESTARTING,
                            (uint64_t)(sb_session_now(smp->session) - begin),
                            (uint64_t)sb_smp_restart_time(smp));
    }
    return sb_smp_list_get(smp, &fw->list);
}

static enum sb_cause check_downgrade(struct sb_smp_update *fw)
{
    struct sb_smp *smp = fw->smp;
    const struct sb_smp_slot *active = sb_smp_list_active(&fw->list, fw->goal.image);
    int order = 0;
    if (smp->command->allow_downgrade || smp->type->allow_downgrade || !active)
        return SB_CAUSE_NONE;
    if (sb_smp_version_compare(fw->version, active->version, &order) < 0) {
        sb_session_note(smp->session, "versions '%s' and '%s' cannot be compared",
                        fw->version ? fw->version : "", active->version);
        return SB_CAUSE_NONE;
    }
    if (order >= 0)
        return SB_CAUSE_NONE;
    return sb_smp_fail(smp, SB_CAUSE_DOWNGRADE_REFUSED, "the device runs %s, the image is %s",
                       active->version, fw->version);
}

/* ---- the way ---- */

static enum sb_cause upload_and_verify(struct sb_smp_update *fw, bool probe)
{
    struct sb_smp *smp = fw->smp;
    enum sb_cause cause = sb_smp_upload(smp, &fw->file, &fw->goal, probe);
    if (cause != SB_CAUSE_NONE)
        return cause;
    sb_session_progress(smp->session, SB_PHASE_VERIFYING, 0, 0);
    cause = sb_smp_list_get(smp, &fw->list);
    if (cause != SB_CAUSE_NONE)
        return cause;
    const struct sb_smp_slot *held = sb_smp_list_find(&fw->list, fw->goal.image, fw->goal.hash);
    if (held)
        return SB_CAUSE_NONE;
    return sb_smp_fail(smp, SB_CAUSE_VERIFY_FAILED,
                       "the device took the image but does not list it: its signature or content "
                       "is not accepted");
}

static enum sb_cause do_upload(struct sb_smp_update *fw)
{
    struct sb_smp *smp = fw->smp;
    if (!smp->command->image)
        return sb_smp_fail(smp, SB_CAUSE_NOT_READY, "the staged image is not on the device");
    bool probe = fw->goal.begun;
    fw->goal.begun = true;
    enum sb_cause cause = sb_smp_keep(fw, "upload");
    if (cause == SB_CAUSE_NONE)
        cause = upload_and_verify(fw, probe);
    if (cause == SB_CAUSE_VERIFY_FAILED && probe) {
        /* What the device had kept may have been of another file. */
        sb_session_note(smp->session, "the resumed upload was not right: once more from the start");
        cause = upload_and_verify(fw, false);
    }
    const struct sb_smp_slot *held = sb_smp_list_find(&fw->list, fw->goal.image, fw->goal.hash);
    if (cause == SB_CAUSE_NONE && held && held == sb_smp_list_active(&fw->list, fw->goal.image))
        fw->goal.direct = true; /* this device wrote the slot it boots from */
    return cause;
}

static enum sb_cause do_test(struct sb_smp_update *fw)
{
    sb_session_progress(fw->smp->session, SB_PHASE_ACTIVATING, 0, 0);
    enum sb_cause cause = sb_smp_keep(fw, "test");
    if (cause == SB_CAUSE_NONE)
        cause = sb_smp_write_state(fw, false, "mark for test");
    if (cause == SB_CAUSE_NOT_READY)
        return SB_CAUSE_VERIFY_FAILED; /* no such image any more */
    if (cause != SB_CAUSE_NONE)
        return cause;
    const struct sb_smp_slot *held = sb_smp_list_find(&fw->list, fw->goal.image, fw->goal.hash);
    return held && held->pending
               ? SB_CAUSE_NONE
               : sb_smp_fail(fw->smp, SB_CAUSE_INSTALL_FAILED,
                             "the device did not mark the image for its next start");
}

static enum sb_cause go(struct sb_smp_update *fw, enum sb_smp_stage stage)
{
    enum sb_cause cause = SB_CAUSE_NONE;
    bool only_download = fw->smp->command->op == SB_OP_FIRMWARE_DOWNLOAD;
    if (stage == SB_SMP_AT_ROLLED_BACK)
        return sb_smp_rolled_back(fw);
    if (stage < SB_SMP_AT_CONFIRM && !fw->goal.reset_sent)
        cause = check_downgrade(fw);
    if (cause == SB_CAUSE_NONE && stage == SB_SMP_AT_UPLOAD) {
        cause = do_upload(fw);
        stage = sb_smp_decide(&fw->list, &fw->goal);
    }
    if (cause != SB_CAUSE_NONE || only_download)
        return cause;
    if (stage == SB_SMP_AT_TEST) {
        cause = do_test(fw);
        stage = SB_SMP_AT_RESET;
    }
    if (cause == SB_CAUSE_NONE && stage == SB_SMP_AT_RESET)
        cause = sb_smp_do_reset(fw, &stage);
    if (cause == SB_CAUSE_NONE && stage == SB_SMP_AT_ROLLED_BACK)
        return sb_smp_rolled_back(fw);
    if (cause == SB_CAUSE_NONE && stage == SB_SMP_AT_CONFIRM)
        cause = sb_smp_do_confirm(fw);
    return cause;
}

/* Result, what it was read from, and the versions; also after a failure, as far as known. */
static enum sb_cause tell(struct sb_smp_update *fw, enum sb_cause cause)
{
    struct sb_smp *smp = fw->smp;
    if (fw->list.body && sb_smp_tell_versions(smp, &fw->list) != SB_CAUSE_NONE)
        return cause == SB_CAUSE_NONE ? SB_CAUSE_NO_MEMORY : cause;
    if (cause != SB_CAUSE_NONE)
        return cause;
    smp->outcome->verified = (char *)"hash";
    smp->outcome->result = json_pack("{s:s, s:s*}", "hash", fw->goal.hash, "version", fw->version);
    return smp->outcome->result ? SB_CAUSE_NONE : sb_smp_trouble(smp, -ENOMEM);
}

static enum sb_cause prepare(struct sb_smp_update *fw)
{
    struct sb_smp *smp = fw->smp;
    const char *module = smp->command->image ? smp->command->image->module : NULL;
    int image = sb_smp_image_of_module(smp->type, module);
    if (image < 0)
        return sb_smp_fail(smp, SB_CAUSE_INVALID_REQUEST, "this device type has no module '%s'",
                           module ? module : "");
    fw->goal.image = (uint32_t)image;
    fw->goal.direct = smp->config->method == SB_SMP_DIRECT;
    fw->goal.confirm = smp->command->confirm == SB_CONFIRM_AUTO;
    return smp->command->image ? open_image(fw) : SB_CAUSE_NONE;
}

/* What is said of it if all goes well from here. */
static const char *sentence(const struct sb_smp_update *fw, enum sb_smp_stage stage)
{
    const struct sb_smp_slot *held = sb_smp_list_find(&fw->list, fw->goal.image, fw->goal.hash);
    bool permanent = fw->goal.direct || fw->goal.confirm;
    if (stage == SB_SMP_AT_END && (permanent || (held && held->confirmed)))
        return "the device had the image already";
    if (fw->smp->command->op == SB_OP_FIRMWARE_DOWNLOAD)
        return "the device holds the image";
    return permanent ? "the device runs the image"
                     : "the device runs the image unconfirmed: its next restart undoes it, unless "
                       "it is confirmed before";
}

enum sb_cause sb_smp_firmware(struct sb_smp *smp)
{
    struct sb_smp_update fw = { .smp = smp, .file = { .fd = -1 } };
    enum sb_cause cause = prepare(&fw);
    if (cause == SB_CAUSE_NONE)
        cause = first_look(&fw);
    if (cause == SB_CAUSE_NONE && !smp->command->image)
        cause = staged_image(&fw);
    if (cause == SB_CAUSE_NONE) {
        recall(&fw);
        enum sb_smp_stage stage = sb_smp_decide(&fw.list, &fw.goal);
        smp->said = sentence(&fw, stage);
        cause = go(&fw, stage);
    }
    cause = tell(&fw, cause);
    if (fw.file.fd >= 0)
        (void)close(fw.file.fd);
    sb_smp_list_done(&fw.list);
    free(fw.version);
    return cause;
}

/* ---- a person's word ---- */

/* The image that runs; after an interruption the one that ran when we began. */
static enum sb_cause running_image(struct sb_smp_update *fw)
{
    const struct sb_command *command = fw->smp->command;
    const struct sb_smp_slot *active = sb_smp_list_active(&fw->list, fw->goal.image);
    const char *kept = command->resumed ? sb_json_str(command->checkpoint, "hash") : NULL;
    const char *hash = kept ? kept : active ? active->hash : NULL;
    if (!usable_hash(hash))
        return sb_smp_fail(fw->smp, SB_CAUSE_NOT_READY,
                           "the device does not say which image it runs");
    memcpy(fw->goal.hash, hash, SB_SHA256_HEX + 1);
    if (active && active->confirmed && !kept)
        return sb_smp_fail(fw->smp, SB_CAUSE_NOT_READY,
                           "nothing is to be confirmed: the device runs %s, and that is permanent",
                           active->version);
    return active && sb_set_string(&fw->version, active->version) < 0
               ? sb_smp_trouble(fw->smp, -ENOMEM)
               : SB_CAUSE_NONE;
}

static enum sb_cause confirm_running(struct sb_smp_update *fw)
{
    enum sb_cause cause = first_look(fw);
    if (cause == SB_CAUSE_NONE)
        cause = running_image(fw);
    if (cause != SB_CAUSE_NONE)
        return cause;
    fw->smp->said = "the image that runs is permanent now";
    switch (sb_smp_decide(&fw->list, &fw->goal)) {
    case SB_SMP_AT_CONFIRM:
        return sb_smp_do_confirm(fw);
    case SB_SMP_AT_END:
        return SB_CAUSE_NONE;
    default:
        return sb_smp_rolled_back(fw);
    }
}

enum sb_cause sb_smp_confirm(struct sb_smp *smp)
{
    struct sb_smp_update fw = { .smp = smp, .file = { .fd = -1 }, .goal = { .confirm = true } };
    const char *module = sb_json_str(sb_json_object(smp->command->params, "arguments"), "module");
    int image = sb_smp_image_of_module(smp->type, module);
    enum sb_cause cause = SB_CAUSE_NONE;
    if (image < 0)
        return sb_smp_fail(smp, SB_CAUSE_INVALID_REQUEST, "this device type has no module '%s'",
                           module ? module : "");
    fw.goal.image = (uint32_t)image;
    cause = tell(&fw, confirm_running(&fw));
    sb_smp_list_done(&fw.list);
    free(fw.version);
    return cause;
}
