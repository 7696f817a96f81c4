/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/dialog/driver.h"

#include <errno.h>

#include "adapters/devices/dialog/talk.h"
#include "bridge/base/str.h"

typedef enum sb_cause (*operation_fn)(struct sb_dialog *dialog);

static const operation_fn operations[] = {
    [SB_OP_FIRMWARE_DOWNLOAD] = sb_dialog_firmware,
    [SB_OP_FIRMWARE_INSTALL] = sb_dialog_firmware,
    [SB_OP_FIRMWARE_UPDATE] = sb_dialog_firmware,
    [SB_OP_REBOOT] = sb_dialog_reboot,
    [SB_OP_FACTORY_RESET] = sb_dialog_factory_reset,
    [SB_OP_CONFIGURE] = sb_dialog_write,
    [SB_OP_READ] = sb_dialog_read,
    [SB_OP_WRITE] = sb_dialog_write,
    [SB_OP_INVOKE] = sb_dialog_invoke,
    [SB_COMMAND_IDENTIFY] = sb_dialog_identify,
};
_Static_assert(SB_COUNT(operations) == SB_OP_MAX_ + 1, "an operation without a function");

static enum sb_cause operate(struct sb_dialog *dialog)
{
    const struct sb_command *command = dialog->command;
    enum sb_cause cause = SB_CAUSE_NONE;
    if (command->op < 0 || (size_t)command->op >= SB_COUNT(operations))
        return sb_dialog_fail(dialog, SB_CAUSE_UNSUPPORTED, "no such operation");
    if (command->resumed && command->committed)
        cause = sb_dialog_commit(dialog); /* what could not be stopped then cannot be now */
    return cause == SB_CAUSE_NONE ? operations[command->op](dialog) : cause;
}

/* The scripts were checked when the type was loaded; they are read anew for this command. */
static int prepare(struct sb_dialog *dialog)
{
    struct sb_diags diags = { 0 };
    json_t **const trees[] = { &dialog->texts, &dialog->captured, &dialog->properties,
                               &dialog->identity, &dialog->versions };
    for (size_t i = 0; i < SB_COUNT(trees); i++)
        if (!(*trees[i] = json_object()))
            return -ENOMEM;
    int r = sb_dialog_scripts_read(dialog->config->scripts, dialog->config->patterns,
                                   &dialog->scripts, &diags);
    sb_diags_done(&diags);
    int64_t now = sb_session_now(dialog->session), limit = dialog->command->deadline_ms;
    dialog->deadline = now + dialog->config->time_limit;
    if (limit > 0)
        dialog->deadline = SB_MIN(dialog->deadline, now + limit);
    return r;
}

static void run(struct sb_session *session, const struct sb_command *command,
                struct sb_outcome *ret)
{
    struct sb_dialog *dialog = calloc(1, sizeof(*dialog));
    if (!dialog) {
        ret->cause = SB_CAUSE_NO_MEMORY;
        return;
    }
    dialog->session = session;
    dialog->command = command;
    dialog->type = command->type;
    dialog->config = sb_dialog_type_of(command->type);
    dialog->outcome = ret;
    int r = prepare(dialog);
    enum sb_cause cause = r < 0 ? sb_dialog_trouble(dialog, r) : operate(dialog);
    ret->cause = sb_dialog_tell(dialog, cause);
    if (cause == SB_CAUSE_NONE) { /* what was forgiven on the way is no one's concern */
        sb_native_done(&ret->native);
        free(ret->text);
        ret->text = dialog->said ? strdup(dialog->said) : NULL;
    } else {
        ret->verified = NULL;
    }
    sb_dialog_forget(dialog);
    free(dialog);
}

static const struct sb_field no_address[] = { { 0 } }; /* it is alone on its line */

const struct sb_driver_ops sb_dialog_driver = {
    .name = "dialog",
    .point_to_point = true,
    .address_fields = no_address,
    .type_fields = sb_dialog_type_fields,
    .type_size = sizeof(struct sb_dialog_type),
    .check_type = sb_dialog_check_type,
    .caps = sb_dialog_caps,
    .accepts = sb_dialog_accepts,
    .run = run,
};
