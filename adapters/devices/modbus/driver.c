/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/modbus/driver.h"

#include "adapters/devices/modbus/talk.h"
#include "adapters/devices/modbus/update.h"

typedef enum sb_cause (*operation_fn)(struct sb_modbus *modbus);

static const operation_fn operations[] = {
    [SB_OP_FIRMWARE_DOWNLOAD] = sb_modbus_op_update,
    [SB_OP_FIRMWARE_INSTALL] = sb_modbus_op_update,
    [SB_OP_FIRMWARE_UPDATE] = sb_modbus_op_update,
    [SB_OP_REBOOT] = sb_modbus_op_reboot,
    [SB_OP_FACTORY_RESET] = sb_modbus_op_factory_reset,
    [SB_OP_CONFIGURE] = sb_modbus_op_write,
    [SB_OP_READ] = sb_modbus_op_read,
    [SB_OP_WRITE] = sb_modbus_op_write,
    [SB_OP_INVOKE] = sb_modbus_op_invoke,
    [SB_COMMAND_IDENTIFY] = sb_modbus_op_identify,
};
_Static_assert(SB_COUNT(operations) == SB_OP_MAX_ + 1, "an operation without a function");

static enum sb_cause operate(struct sb_modbus *modbus)
{
    const struct sb_command *command = modbus->command;
    enum sb_cause cause = SB_CAUSE_NONE;
    sb_cleanup(sb_freep) char *why = NULL;
    if (command->op < 0 || (size_t)command->op >= SB_COUNT(operations))
        return sb_modbus_fail(modbus, SB_CAUSE_UNSUPPORTED, "no such operation");
    if (modbus->unit == 0 || modbus->unit > SB_MODBUS_UNIT_MAX)
        return sb_modbus_fail(modbus, SB_CAUSE_INVALID_REQUEST,
                              "the device has no address (give it address: { unit: 1..%d })",
                              SB_MODBUS_UNIT_MAX);
    if (command->op != SB_COMMAND_IDENTIFY)
        cause = sb_modbus_accepts(modbus->type, command->op, command->params, &why);
    if (cause != SB_CAUSE_NONE)
        return sb_modbus_fail(modbus, cause, "%s", why ? why : "not possible");
    if (command->resumed && command->committed)
        cause = sb_modbus_commit(modbus); /* what could not be stopped then cannot be now */
    return cause == SB_CAUSE_NONE ? operations[command->op](modbus) : cause;
}

static void run(struct sb_session *session, const struct sb_command *command,
                struct sb_outcome *ret)
{
    const struct sb_modbus_type *config = sb_modbus_type_of(command->type);
    struct sb_modbus modbus = { .session = session,
                                .command = command,
                                .type = command->type,
                                .config = config,
                                .outcome = ret,
                                .phase = SB_PHASE_STARTING,
                                .master = { .session = session,
                                            .timeout = config->timeout,
                                            .tries = (unsigned)config->tries,
                                            .busy = config->busy,
                                            .gap = config->gap,
                                            .echo = config->echo } };
    sb_modbus_tune(&modbus, 0, 0);
    enum sb_cause cause = operate(&modbus);
    sb_modbus_untune(&modbus);
    ret->cause = cause;
    if (cause == SB_CAUSE_NONE) { /* what was forgiven on the way is no one's concern */
        sb_native_done(&ret->native);
        free(ret->text);
        ret->text = modbus.said ? strdup(modbus.said) : NULL;
    } else {
        ret->verified = NULL;
    }
}

const struct sb_driver_ops sb_modbus_driver = {
    .name = "modbus",
    .address_fields = sb_modbus_address_fields,
    .address_size = sizeof(struct sb_modbus_address),
    .type_fields = sb_modbus_type_fields,
    .type_size = sizeof(struct sb_modbus_type),
    .check_type = sb_modbus_check_type,
    .caps = sb_modbus_caps,
    .accepts = sb_modbus_accepts,
    .run = run,
};
