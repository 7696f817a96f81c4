/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request and its answer on a line that others share: silence before the frame, an answer in
 * any pieces, what does not belong to it dropped until the deadline, silence met by another try.
 *
 * A device that is busy (exceptions 5 and 6) is asked again within a bound; a write that it has
 * acknowledged (5) counts as taken. An answer that came only after another try leaves more of its
 * kind under way: they are waited out, for nothing in a late answer tells which request it is of.
 *
 * What it does not do: open or choose the port, causes. Thread: the worker's.
 */
#pragma once

#include "adapters/devices/modbus/frame.h"
#include "bridge/driver.h"
#include "bridge/port.h"

struct sb_modbus_master {
    struct sb_session *session;
    struct sb_port *port; /* may be NULL while it is away */
    int64_t timeout;      /* of one try, ms, on top of the time on the wire */
    unsigned tries;
    int64_t busy; /* how long exceptions 5 and 6 are waited out, ms */
    int64_t gap;  /* silence between frames, ms; 0: by the line's speed */
    bool echo;    /* the line gives back what was sent */
    /* of the last exchange */
    unsigned strange; /* bytes that belonged to no answer */
};

struct sb_modbus_call {
    uint8_t unit; /* 0: to all, nobody answers */
    struct sb_modbus_pdu request;
    int64_t timeout; /* 0: the master's */
    unsigned tries;  /* 0: the master's */
};

/*
 * 0: answered; *ret_exception is 0 or the exception's code. -ETIMEDOUT: silence, however often;
 * -ECANCELED; -ENODEV or -EIO: the line is gone. ret may be NULL.
 */
int sb_modbus_exchange(struct sb_modbus_master *master, const struct sb_modbus_call *call,
                       struct sb_modbus_pdu *ret, uint8_t *ret_exception) SB_MUST_CHECK;
