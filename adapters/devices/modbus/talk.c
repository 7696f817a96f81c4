/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/modbus/talk.h"

#include <errno.h>

#include "bridge/base/str.h"

#define LINE_AWAY_MS 500 /* between looks for a line that is unplugged */
#define KNOCK_MS     500 /* patience of one look at a restarting device */
#define SHARE_MS     50  /* others are asked so often during a wait */

enum sb_cause sb_modbus_fail(struct sb_modbus *modbus, enum sb_cause cause, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    sb_set_vformat(&modbus->outcome->text, fmt, ap);
    va_end(ap);
    return cause;
}

void sb_modbus_forgive(struct sb_modbus *modbus)
{
    free(SB_STEAL(modbus->outcome->text));
    sb_native_done(&modbus->outcome->native);
    modbus->outcome->cause = SB_CAUSE_NONE;
}

enum sb_cause sb_modbus_trouble(struct sb_modbus *modbus, int error)
{
    switch (error) {
    case -ETIMEDOUT:
        return sb_modbus_fail(
            modbus, SB_CAUSE_LINK_LOST, "unit %u does not answer%s", modbus->unit,
            modbus->master.strange ? " (what comes from the line is no answer of it)" : "");
    case -ECANCELED:
        return sb_modbus_fail(modbus, SB_CAUSE_OPERATOR, "stopped");
    case -ENODEV:
    case -EIO:
        return sb_modbus_fail(modbus, SB_CAUSE_LINK_LOST, "the line has gone while in use");
    default:
        return sb_modbus_fail(modbus, SB_CAUSE_INTERNAL, "the gateway failed: %s",
                              strerror(-error));
    }
}

/* ---- the line ---- */

static enum sb_cause set_speed(struct sb_modbus *modbus)
{
    struct sb_port *port = modbus->master.port;
    uint32_t wanted = modbus->speed ? modbus->speed : modbus->bus_speed;
    if (port->speed == wanted || !wanted)
        return SB_CAUSE_NONE;
    int r = port->set_speed ? port->set_speed(port, wanted) : -ENOTSUP;
    return r < 0 ? sb_modbus_fail(modbus, SB_CAUSE_INTERNAL, "the line does not take %u baud: %s",
                                  wanted, strerror(-r))
                 : SB_CAUSE_NONE;
}

enum sb_cause sb_modbus_connect(struct sb_modbus *modbus)
{
    if (!modbus->master.port || modbus->master.port->failed) {
        modbus->master.port = sb_session_port(modbus->session, modbus->outcome);
        if (!modbus->master.port)
            return modbus->outcome->cause;
        if (!modbus->bus_speed)
            modbus->bus_speed = modbus->master.port->speed;
    }
    return set_speed(modbus);
}

void sb_modbus_tune(struct sb_modbus *modbus, int64_t unit, int64_t baud)
{
    int64_t own = sb_json_int(modbus->command->address, "unit", 0);
    modbus->unit = (uint8_t)(unit ? unit : own);
    modbus->speed = (uint32_t)baud;
}

void sb_modbus_untune(struct sb_modbus *modbus)
{
    struct sb_port *port = modbus->master.port;
    if (port && !port->failed && modbus->bus_speed && port->speed != modbus->bus_speed &&
        port->set_speed)
        (void)port->set_speed(port, modbus->bus_speed);
}

void sb_modbus_share(struct sb_modbus *modbus)
{
    sb_modbus_untune(modbus);
    sb_session_share(modbus->session);
}

enum sb_cause sb_modbus_wait(struct sb_modbus *modbus, int64_t ms)
{
    int64_t end = sb_session_now(modbus->session) + ms;
    for (int64_t left = ms; left > 0; left = end - sb_session_now(modbus->session)) {
        int r = sb_session_sleep(modbus->session,
                                 modbus->shares ? SB_MIN(left, (int64_t)SHARE_MS) : left);
        if (r < 0)
            return sb_modbus_trouble(modbus, r);
        if (modbus->shares)
            sb_modbus_share(modbus);
    }
    return SB_CAUSE_NONE;
}

/* ---- exceptions ---- */

static const struct {
    enum sb_cause cause, firmware; /* in general, and while an image is at stake */
    const char *text;
} exceptions[] = {
    [1] = { SB_CAUSE_UNSUPPORTED, SB_CAUSE_UNSUPPORTED, "the device does not know the function" },
    [2] = { SB_CAUSE_REFUSED, SB_CAUSE_REFUSED, "the device has no such address" },
    [3] = { SB_CAUSE_REFUSED, SB_CAUSE_UNSUPPORTED_IMAGE, "the device does not take the value" },
    [4] = { SB_CAUSE_REFUSED, SB_CAUSE_WRITE_FAILED, "the device failed" },
    [5] = { SB_CAUSE_BUSY, SB_CAUSE_BUSY, "the device is still at it" },
    [6] = { SB_CAUSE_BUSY, SB_CAUSE_BUSY, "the device is busy" },
    [7] = { SB_CAUSE_REFUSED, SB_CAUSE_REFUSED, "the device cannot do that now" },
    [8] = { SB_CAUSE_REFUSED, SB_CAUSE_VERIFY_FAILED, "the device's memory is damaged" },
    [10] = { SB_CAUSE_LINK_LOST, SB_CAUSE_LINK_LOST, "a gateway on the line has no path" },
    [11] = { SB_CAUSE_LINK_LOST, SB_CAUSE_LINK_LOST, "a device behind a gateway does not answer" },
};

static bool is_known(uint8_t code)
{
    return code < SB_COUNT(exceptions) && exceptions[code].text;
}

enum sb_cause sb_modbus_cause_of(uint8_t code, bool firmware)
{
    if (!is_known(code))
        return SB_CAUSE_REFUSED;
    return firmware ? exceptions[code].firmware : exceptions[code].cause;
}

enum sb_cause sb_modbus_exception(struct sb_modbus *modbus, uint8_t code, const char *what)
{
    const char *text = is_known(code) ? exceptions[code].text : "the device refuses";
    sb_cleanup(sb_freep) char *number = sb_format("%u", code);
    int op = modbus->command->op;
    bool firmware = op >= 0 && op < SB_OP_MAX_ && sb_op_is_firmware((enum sb_op)op);
    if (!number || sb_native_set(&modbus->outcome->native, "modbus", "exception", number, text) < 0)
        return sb_modbus_trouble(modbus, -ENOMEM);
    return sb_modbus_fail(modbus, sb_modbus_cause_of(code, firmware), "%s: %s (exception %u)", what,
                          text, code);
}

/* ---- requests ---- */

enum sb_cause sb_modbus_ask(struct sb_modbus *modbus, const struct sb_modbus_call *call,
                            const char *what, struct sb_modbus_pdu *ret)
{
    uint8_t code = 0;
    enum sb_cause cause = sb_modbus_connect(modbus);
    if (cause != SB_CAUSE_NONE)
        return cause;
    int r = sb_modbus_exchange(&modbus->master, call, ret, &code);
    if (r < 0)
        return sb_modbus_trouble(modbus, r);
    return code ? sb_modbus_exception(modbus, code, what) : SB_CAUSE_NONE;
}

int sb_modbus_knock(struct sb_modbus *modbus, const struct sb_modbus_pdu *request,
                    struct sb_modbus_pdu *ret, uint8_t *ret_exception)
{
    if (sb_modbus_connect(modbus) != SB_CAUSE_NONE) {
        modbus->outcome->cause = SB_CAUSE_NONE;
        int r = sb_session_sleep(modbus->session, LINE_AWAY_MS);
        return r < 0 ? r : -ETIMEDOUT;
    }
    const struct sb_modbus_call call = { .unit = modbus->unit,
                                         .request = *request,
                                         .timeout =
                                             SB_MIN(modbus->config->timeout, (int64_t)KNOCK_MS),
                                         .tries = 1 };
    int r = sb_modbus_exchange(&modbus->master, &call, ret, ret_exception);
    return r == -ENODEV || r == -EIO ? -ETIMEDOUT : r;
}

static const uint8_t readers[] = {
    [SB_MODBUS_HOLDING] = SB_MODBUS_READ_HOLDING,
    [SB_MODBUS_INPUT] = SB_MODBUS_READ_INPUT,
    [SB_MODBUS_COIL] = SB_MODBUS_READ_COILS,
    [SB_MODBUS_DISCRETE] = SB_MODBUS_READ_DISCRETES,
};

enum sb_cause sb_modbus_get(struct sb_modbus *modbus, int table, uint16_t address, uint16_t count,
                            uint16_t *ret, const char *what)
{
    struct sb_modbus_call call = { .unit = modbus->unit };
    struct sb_modbus_pdu answer = { .n = 0 };
    sb_modbus_read(&call.request, readers[table], address, count);
    enum sb_cause cause = sb_modbus_ask(modbus, &call, what, &answer);
    for (size_t i = 0; cause == SB_CAUSE_NONE && i < count; i++)
        ret[i] =
            (uint16_t)(sb_modbus_is_bit_table(table) ? answer.bytes[2 + i / 8] >> i % 8 & 1
                                                     : sb_modbus_u16(answer.bytes + 2 + 2 * i));
    return cause;
}

enum sb_cause sb_modbus_put(struct sb_modbus *modbus, int table, uint16_t address,
                            const uint16_t *words, uint16_t count, const char *what)
{
    struct sb_modbus_call call = { .unit = modbus->unit };
    bool one = count == 1 && modbus->config->write_single;
    uint8_t function = table == SB_MODBUS_COIL
                           ? (count == 1 ? SB_MODBUS_WRITE_COIL : SB_MODBUS_WRITE_COILS)
                           : (one ? SB_MODBUS_WRITE_REGISTER : SB_MODBUS_WRITE_REGISTERS);
    if (!sb_modbus_write(&call.request, function, address, words, count))
        return sb_modbus_fail(modbus, SB_CAUSE_INVALID_REQUEST, "%s: too long for a frame", what);
    return sb_modbus_ask(modbus, &call, what, NULL);
}

enum sb_cause sb_modbus_put_bits(struct sb_modbus *modbus, uint16_t address, uint16_t word,
                                 uint16_t mask, const char *what)
{
    uint16_t now;
    if (modbus->config->mask_write) {
        struct sb_modbus_call call = { .unit = modbus->unit };
        sb_modbus_mask(&call.request, address, (uint16_t)~mask, (uint16_t)(word & mask));
        return sb_modbus_ask(modbus, &call, what, NULL);
    }
    enum sb_cause cause = sb_modbus_get(modbus, SB_MODBUS_HOLDING, address, 1, &now, what);
    if (cause != SB_CAUSE_NONE)
        return cause;
    now = (uint16_t)((now & ~mask) | (word & mask));
    return sb_modbus_put(modbus, SB_MODBUS_HOLDING, address, &now, 1, what);
}

/* ---- what must be durable ---- */

enum sb_cause sb_modbus_checkpoint(struct sb_modbus *modbus, json_t *checkpoint)
{
    int r = checkpoint ? sb_session_checkpoint(modbus->session, checkpoint) : -ENOMEM;
    json_decref(checkpoint);
    if (r == -EIO)
        return sb_modbus_fail(modbus, SB_CAUSE_INTERNAL, "the gateway cannot keep its own state");
    return r < 0 ? sb_modbus_trouble(modbus, r) : SB_CAUSE_NONE;
}

enum sb_cause sb_modbus_commit(struct sb_modbus *modbus)
{
    int r = modbus->committed ? 0 : sb_session_commit_point(modbus->session);
    modbus->committed = r == 0;
    if (r == -EIO)
        return sb_modbus_fail(modbus, SB_CAUSE_INTERNAL, "the gateway cannot keep its own state");
    return r < 0 ? sb_modbus_trouble(modbus, r) : SB_CAUSE_NONE;
}
