/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/smp/driver.h"

#include <errno.h>

#include "adapters/devices/smp/firmware.h"
#include "adapters/devices/smp/settings.h"

typedef enum sb_cause (*operation_fn)(struct sb_smp *smp);

static const operation_fn operations[] = {
    [SB_OP_FIRMWARE_DOWNLOAD] = sb_smp_firmware,
    [SB_OP_FIRMWARE_INSTALL] = sb_smp_firmware,
    [SB_OP_FIRMWARE_UPDATE] = sb_smp_firmware,
    [SB_OP_REBOOT] = sb_smp_reboot,
    [SB_OP_FACTORY_RESET] = sb_smp_factory_reset,
    [SB_OP_CONFIGURE] = sb_smp_write,
    [SB_OP_READ] = sb_smp_read,
    [SB_OP_WRITE] = sb_smp_write,
    [SB_OP_INVOKE] = sb_smp_invoke,
    [SB_COMMAND_IDENTIFY] = sb_smp_identify,
};
_Static_assert(SB_COUNT(operations) == SB_OP_MAX_ + 1, "an operation without a function");

static enum sb_cause operate(struct sb_smp *smp)
{
    const struct sb_command *command = smp->command;
    enum sb_cause cause = SB_CAUSE_NONE;
    if (command->op < 0 || (size_t)command->op >= SB_COUNT(operations))
        return sb_smp_fail(smp, SB_CAUSE_UNSUPPORTED, "no such operation");
    if (command->resumed && command->committed)
        cause = sb_smp_commit(smp); /* what could not be stopped then cannot be now */
    return cause == SB_CAUSE_NONE ? operations[command->op](smp) : cause;
}

static void run(struct sb_session *session, const struct sb_command *command,
                struct sb_outcome *ret)
{
    struct sb_smp *smp = calloc(1, sizeof(*smp));
    if (!smp) {
        ret->cause = SB_CAUSE_NO_MEMORY;
        return;
    }
    smp->session = session;
    smp->command = command;
    smp->type = command->type;
    smp->config = sb_smp_type_of(command->type);
    smp->outcome = ret;
    smp->client.timeout = smp->config->timeout;
    smp->client.tries = (unsigned)smp->config->tries;
    smp->client.seq = (uint8_t)command->session;
    enum sb_cause cause = operate(smp);
    ret->cause = cause;
    if (cause == SB_CAUSE_NONE) { /* what was forgiven on the way is no one's concern */
        sb_native_done(&ret->native);
        free(ret->text);
        ret->text = smp->said ? strdup(smp->said) : NULL;
    } else {
        ret->verified = NULL;
    }
    free(smp);
}

static const struct sb_field no_address[] = { { 0 } }; /* it is alone on its line */

const struct sb_driver_ops sb_smp_driver = {
    .name = "smp",
    .point_to_point = true,
    .address_fields = no_address,
    .type_fields = sb_smp_type_fields,
    .type_size = sizeof(struct sb_smp_type),
    .check_type = sb_smp_check_type,
    .caps = sb_smp_caps,
    .accepts = sb_smp_accepts,
    .run = run,
};
