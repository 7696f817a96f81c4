/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bench of scripted devices behind the driver contract: what they hold survives power cuts of
 * the gateway, as real devices' flash does. Asynchronous, on the simulated clock.
 *
 * A firmware command goes: look - transfer 0/50/100 - checkpoint - commit - (the device installs)
 * - restart - done. A reboot keeps the boot count in its checkpoint, so that after a crash it can
 * be told whether it happened. Every step takes `step_ms`.
 */
#pragma once

#include "bridge/base/map.h"
#include "bridge/driver.h"
#include "bridge/loop.h"

enum bench_step { /* where a fault strikes */
                  BENCH_LOOK,
                  BENCH_TRANSFER,
                  BENCH_CHECKPOINT,
                  BENCH_COMMIT,
                  BENCH_RESTART,
                  BENCH_DONE,
                  BENCH_NEVER,
};

struct bench_device {
    char id[32]; /* its address's "unit", else the device's id */
    char version[32];
    char staged[32];
    unsigned installs, boots, resets, actions;
    bool offline; /* answers nothing: link_lost */
    /* the next command only: */
    enum bench_step fault; /* BENCH_NEVER: none */
    enum sb_cause cause;   /* what it fails with there; NONE: falls silent there */
    unsigned faults;       /* how many commands in a row */
    bool deaf;             /* does not stop when asked */
    bool lies;             /* says it is done and still runs the old version */
    const char *verified;  /* what it says its success was read from; NULL: "version" */
    bool mute;             /* gives no text with what goes wrong */
    bool secret;           /* never says its version */
    bool modest;           /* does not say its version after what is no firmware command */
    unsigned pieces;       /* of a transfer, each with its progress; 0: two */
    size_t chatter;        /* bytes of result with which a read ends */
};

struct bench {
    struct sb_loop *loop;
    int64_t step_ms;
    struct bench_device **devices;
    size_t count;
    struct sb_map by_id;
    struct bench_session *sessions;
    unsigned open, peak; /* sessions: now, and most at once */
};

extern struct bench bench;
extern const struct sb_driver_ops bench_driver; /* "bench" */

void bench_reset(void);
void bench_power_on(struct sb_loop *loop);         /* of the gateway */
void bench_power_off(void);                        /* its sessions are gone, the devices stay */
struct bench_device *bench_device(const char *id); /* made when missing: version 1.0.0 */
unsigned bench_sessions(void);
