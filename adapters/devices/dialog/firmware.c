/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware: first look what the device has, then say the script, then look again.
 */
#include <errno.h>

#include "adapters/devices/dialog/talk.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/job/version.h"

struct update {
    struct sb_dialog *dialog;
    const char *module;
    char *before; /* version that ran when we came; NULL: not known */
    bool tried;   /* an interrupted run had come to the restart */
};

static const char *running(const struct update *fw)
{
    return sb_json_str(fw->dialog->versions, fw->module);
}

static const char *wanted(const struct update *fw)
{
    const struct sb_image *image = fw->dialog->command->image;
    return image ? image->version : NULL;
}

static int verify_by(const struct update *fw)
{
    return fw->dialog->type->verify;
}

static enum sb_cause check_text(struct sb_dialog *dialog, const char *what, const char *text)
{
    sb_cleanup(sb_freep) char *error = NULL;
    if (!text || sb_dialog_text_check(text, NULL, &error) == 0)
        return SB_CAUSE_NONE;
    return sb_dialog_fail(dialog, SB_CAUSE_INVALID_REQUEST, "the image's %s: %s", what,
                          error ? error : "not usable");
}

/* Any version would be right otherwise, also the one that is there. */
static bool lacks_version(const struct update *fw)
{
    const struct sb_image *image = fw->dialog->command->image;
    return fw->dialog->type->verify == SB_VERIFY_VERSION && image && !image->version &&
           fw->dialog->command->op != SB_OP_FIRMWARE_DOWNLOAD;
}

static enum sb_cause prepare(struct update *fw)
{
    struct sb_dialog *dialog = fw->dialog;
    const struct sb_command *command = dialog->command;
    const struct sb_image *image = command->image;
    enum sb_cause cause = check_text(dialog, "version", image ? image->version : NULL);
    if (cause == SB_CAUSE_NONE)
        cause = check_text(dialog, "name", image ? image->name : NULL);
    if (cause == SB_CAUSE_NONE && lacks_version(fw))
        return sb_dialog_fail(dialog, SB_CAUSE_INVALID_REQUEST,
                              "this device type is verified by its version: the job must say "
                              "which one the image is");
    fw->module = image && image->module ? image->module : "";
    fw->tried = command->resumed &&
                sb_streq(sb_json_str(command->checkpoint, "stage"), SB_DIALOG_AT_RESTART) &&
                (!image || sb_streq(sb_json_str(command->checkpoint, "sha256"), image->sha256));
    return cause;
}

/* Who is there, and what it runs; a device that may be restarting gets its time. */
static enum sb_cause look(struct update *fw, bool patient)
{
    struct sb_dialog *dialog = fw->dialog;
    (void)json_object_clear(dialog->versions);
    enum sb_cause cause = sb_dialog_attach(dialog, patient);
    return cause == SB_CAUSE_NONE ? sb_dialog_play(dialog, SB_SCRIPT_IDENTIFY) : cause;
}

/* By the device's own words: *ret whether it has the image. */
static enum sb_cause has_it(struct update *fw, bool *ret)
{
    struct sb_dialog *dialog = fw->dialog;
    const char *now = running(fw);
    *ret = false;
    if (verify_by(fw) == SB_VERIFY_VERSION)
        *ret = now && wanted(fw) && sb_version_equal(now, wanted(fw));
    if (verify_by(fw) != SB_VERIFY_HASH || !dialog->command->image)
        return SB_CAUSE_NONE;
    enum sb_cause cause = sb_dialog_play(dialog, SB_SCRIPT_VERIFY);
    *ret = cause == SB_CAUSE_NONE;
    sb_native_done(&dialog->outcome->native); /* that it has not is no failure */
    return dialog->hard || cause == SB_CAUSE_LINK_LOST ? cause : SB_CAUSE_NONE;
}

static enum sb_cause check_downgrade(struct update *fw)
{
    const struct sb_dialog *dialog = fw->dialog;
    int order = 0;
    if (dialog->command->allow_downgrade || dialog->type->allow_downgrade || !wanted(fw) ||
        !running(fw) || sb_version_compare(wanted(fw), running(fw), &order) < 0 || order >= 0)
        return SB_CAUSE_NONE;
    return sb_dialog_fail(fw->dialog, SB_CAUSE_DOWNGRADE_REFUSED,
                          "the device runs %s, the image is %s", running(fw), wanted(fw));
}

/* ---- the way ---- */

static enum sb_cause play(struct update *fw, const char *script)
{
    struct sb_dialog *dialog = fw->dialog;
    if (!sb_dialog_can(dialog->type, script))
        return sb_dialog_fail(dialog, SB_CAUSE_UNSUPPORTED, "this device type has no script %s",
                              script);
    dialog->sums_agreed = false;
    return sb_dialog_play(dialog, script);
}

static enum sb_cause play_scripts(struct update *fw)
{
    struct sb_dialog *dialog = fw->dialog;
    bool two_steps = sb_dialog_caps(dialog->type) & SB_CAP_STAGE_ON_DEVICE;
    int op = dialog->command->op;
    if (op == SB_OP_FIRMWARE_DOWNLOAD)
        return play(fw, "download");
    if (op == SB_OP_FIRMWARE_INSTALL && two_steps)
        return play(fw, "install");
    if (sb_dialog_can(dialog->type, "update"))
        return play(fw, "update");
    enum sb_cause cause = play(fw, "download");
    return cause == SB_CAUSE_NONE ? play(fw, "install") : cause;
}

static enum sb_cause judge_version(struct update *fw)
{
    struct sb_dialog *dialog = fw->dialog;
    const char *now = running(fw);
    if (!now)
        return sb_dialog_fail(dialog, SB_CAUSE_OUTCOME_UNKNOWN,
                              "the device does not say which version it runs now");
    if (wanted(fw) && sb_version_equal(now, wanted(fw)))
        return SB_CAUSE_NONE;
    if (!wanted(fw) && !(fw->before && sb_version_equal(now, fw->before))) {
        dialog->outcome->verified = (char *)"status"; /* another one than before */
        return SB_CAUSE_NONE;
    }
    if (!wanted(fw))
        return sb_dialog_fail(dialog, SB_CAUSE_OUTCOME_UNKNOWN,
                              "the device runs %s as before, and which version was staged on it is "
                              "not known",
                              now);
    if (fw->before && sb_version_equal(now, fw->before))
        return sb_dialog_fail(dialog, SB_CAUSE_ROLLED_BACK,
                              "the device runs %s as before: it did not keep %s", now, wanted(fw));
    return sb_dialog_fail(dialog, SB_CAUSE_VERSION_MISMATCH, "the device runs %s, not %s", now,
                          wanted(fw));
}

/* What the device shows after it. */
static enum sb_cause read_back(struct update *fw)
{
    struct sb_dialog *dialog = fw->dialog;
    sb_session_progress(dialog->session, SB_PHASE_CONFIRMING, 0, 0);
    enum sb_cause cause = look(fw, false);
    if (cause != SB_CAUSE_NONE)
        return cause;
    switch (verify_by(fw)) {
    case SB_VERIFY_VERSION:
        dialog->outcome->verified = (char *)"version";
        return judge_version(fw);
    case SB_VERIFY_HASH:
        dialog->outcome->verified = (char *)(dialog->command->image ? "hash" : "status");
        return dialog->command->image ? play(fw, SB_SCRIPT_VERIFY) : SB_CAUSE_NONE;
    default:
        dialog->outcome->verified = (char *)(verify_by(fw) == SB_VERIFY_STATUS ? "status" : "none");
        return SB_CAUSE_NONE;
    }
}

static enum sb_cause go(struct update *fw)
{
    struct sb_dialog *dialog = fw->dialog;
    bool download = dialog->command->op == SB_OP_FIRMWARE_DOWNLOAD;
    enum sb_cause cause = check_downgrade(fw);
    if (cause == SB_CAUSE_NONE)
        cause = sb_dialog_checkpoint(dialog, "scripts");
    if (cause == SB_CAUSE_NONE)
        cause = play_scripts(fw);
    if (cause == SB_CAUSE_NONE && download)
        dialog->outcome->verified = (char *)(dialog->sums_agreed ? "hash" : "status");
    dialog->said = download ? "the device holds the image" : "the device runs the image";
    return cause == SB_CAUSE_NONE && !download ? read_back(fw) : cause;
}

/* It was told to install and restart before we were interrupted, and runs something else. */
static enum sb_cause after_restart(struct update *fw)
{
    return sb_dialog_fail(fw->dialog, SB_CAUSE_ROLLED_BACK,
                          "after its restart the device runs %s: it did not keep %s",
                          running(fw) ? running(fw) : "an unknown version", wanted(fw));
}

enum sb_cause sb_dialog_firmware(struct sb_dialog *dialog)
{
    struct update fw = { .dialog = dialog };
    bool there = false;
    sb_session_progress(dialog->session, SB_PHASE_STARTING, 0, 0);
    enum sb_cause cause = prepare(&fw);
    if (cause == SB_CAUSE_NONE)
        cause = look(&fw, fw.tried);
    if (cause == SB_CAUSE_NONE && sb_set_string(&fw.before, running(&fw)) < 0)
        cause = sb_dialog_trouble(dialog, -ENOMEM);
    if (cause == SB_CAUSE_NONE)
        cause = has_it(&fw, &there);
    dialog->said = "the device had the image already";
    dialog->outcome->verified = (char *)(verify_by(&fw) == SB_VERIFY_HASH ? "hash" : "version");
    if (cause == SB_CAUSE_NONE && !there) {
        bool gone_back = fw.tried && verify_by(&fw) == SB_VERIFY_VERSION && wanted(&fw);
        cause = gone_back ? after_restart(&fw) : go(&fw);
    }
    if (cause == SB_CAUSE_NONE)
        dialog->outcome->result =
            json_pack("{s:s*, s:s*}", "version", wanted(&fw), "sha256",
                      dialog->command->image ? dialog->command->image->sha256 : NULL);
    free(fw.before);
    return cause;
}
