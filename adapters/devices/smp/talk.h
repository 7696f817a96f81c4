/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command under way, as the parts of this driver share it, and how they talk to the device.
 *
 * Convention: a step returns a cause; NONE goes on, anything else ends the command, and the
 * outcome's text (and native code) has been set then. Thread: the worker's.
 */
#pragma once

#include "adapters/devices/smp/client.h"
#include "adapters/devices/smp/type.h"

#define SB_SMP_SLOTS   16
#define SB_SMP_POLL_MS 1000 /* patience of one look at a restarting device */

enum sb_smp_os_command {
    SB_SMP_OS_ECHO = 0,
    SB_SMP_OS_RESET = 5,
    SB_SMP_OS_PARAMS = 6,
    SB_SMP_OS_INFO = 7
};
enum sb_smp_image_command {
    SB_SMP_IMAGE_STATE = 0,
    SB_SMP_IMAGE_UPLOAD = 1,
    SB_SMP_IMAGE_SLOTS = 6
};
enum sb_smp_settings_command {
    SB_SMP_SETTINGS_VALUE = 0,
    SB_SMP_SETTINGS_COMMIT = 2,
    SB_SMP_SETTINGS_SAVE = 3
};
enum sb_smp_basic_command { SB_SMP_BASIC_ERASE_STORAGE = 0 };

struct sb_smp {
    struct sb_session *session;
    const struct sb_command *command;
    const struct sb_type *type;
    const struct sb_smp_type *config;
    struct sb_outcome *outcome;
    bool committed;   /* this session has passed its commit point */
    const char *said; /* the sentence of a success; static */
    struct sb_smp_client client;
};

/* Sets the outcome's text and returns the cause. */
enum sb_cause sb_smp_fail(struct sb_smp *smp, enum sb_cause cause, const char *fmt, ...)
    SB_PRINTF(3, 4);
/* The same for a mechanical error of the line or the session. */
enum sb_cause sb_smp_trouble(struct sb_smp *smp, int error);
/* Opens the port if it is not, or not any more. */
enum sb_cause sb_smp_connect(struct sb_smp *smp);

/* NONE when answered, whatever the code. */
enum sb_cause sb_smp_ask(struct sb_smp *smp, const struct sb_smp_call *call,
                         struct sb_smp_reply *ret);
/* Turns a reply's code into the outcome: cause, native code, "<what>: <text>". */
enum sb_cause sb_smp_judge(struct sb_smp *smp, const struct sb_smp_reply *reply, const char *what);
/* Both; ret may be NULL, else gets the body (caller's reference). */
enum sb_cause sb_smp_talk(struct sb_smp *smp, const struct sb_smp_call *call, const char *what,
                          json_t **ret);
/* The device says that it does not know the command. */
bool sb_smp_is_unsupported(const struct sb_smp_reply *reply);

enum sb_cause sb_smp_checkpoint(struct sb_smp *smp, json_t *checkpoint); /* takes it */
enum sb_cause sb_smp_commit(struct sb_smp *smp); /* once per session; further calls do nothing */

/* ---- the images a device holds ---- */

struct sb_smp_slot { /* texts borrowed from the list */
    uint32_t image, slot;
    const char *version, *hash; /* never NULL; "" when not told; hash in hex */
    bool active, confirmed, pending;
};
struct sb_smp_list {
    json_t *body;
    size_t count;
    struct sb_smp_slot slots[SB_SMP_SLOTS];
};
enum sb_cause sb_smp_list_get(struct sb_smp *smp, struct sb_smp_list *ret);
void sb_smp_list_parse(json_t *body, struct sb_smp_list *ret); /* takes the reference; pure */
void sb_smp_list_done(struct sb_smp_list *list);
const struct sb_smp_slot *sb_smp_list_active(const struct sb_smp_list *list, uint32_t image);
/* The one with the hash; the active one first; NULL: none. */
const struct sb_smp_slot *sb_smp_list_find(const struct sb_smp_list *list, uint32_t image,
                                           const char *hash);

/* ---- who is there ---- */

/* Puts the active versions into the outcome. */
enum sb_cause sb_smp_tell_versions(struct sb_smp *smp, const struct sb_smp_list *list);
enum sb_cause sb_smp_identify(struct sb_smp *smp); /* list and os info */

/* ---- restarts ---- */

/* The time the type gives a device to come back. */
int64_t sb_smp_restart_time(const struct sb_smp *smp);
/* One look: 0 with a list, -ETIMEDOUT (silent, its line away, or not ready), -ECANCELED. */
int sb_smp_poll(struct sb_smp *smp, struct sb_smp_list *ret);
/* Sends the reset once. 0: answered; -ETIMEDOUT: perhaps; else the cause is in *ret_cause. */
int sb_smp_send_reset(struct sb_smp *smp, enum sb_cause *ret_cause);
/* Resets the device and waits until it is back. */
enum sb_cause sb_smp_restart(struct sb_smp *smp);
enum sb_cause sb_smp_reboot(struct sb_smp *smp); /* the operation */
