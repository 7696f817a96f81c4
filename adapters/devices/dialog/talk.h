/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command under way, as the parts of this driver share it.
 *
 * Convention: a step returns a cause; NONE goes on, anything else ends the command, and the
 * outcome's text (and native code) has been set then. Thread: the worker's.
 */
#pragma once

#include "adapters/devices/dialog/console.h"
#include "adapters/devices/dialog/type.h"

#define SB_DIALOG_SECRETS      8
#define SB_DIALOG_STEPS_PLAYED 2000      /* of one script of the driver's choice */
#define SB_DIALOG_LOOK_MS      200       /* between two looks at a restarting device */
#define SB_DIALOG_AT_RESTART   "restart" /* stage of a checkpoint */

struct sb_dialog {
    struct sb_session *session;
    const struct sb_command *command;
    const struct sb_type *type;
    const struct sb_dialog_type *config;
    struct sb_dialog_scripts *scripts;
    struct sb_outcome *outcome;
    struct sb_port *port;
    struct sb_console console;
    uint8_t in[512]; /* arrived, not yet looked at */
    size_t in_at, in_n;
    /* what is known */
    json_t *texts;                             /* {name: text} captured or set */
    json_t *captured;                          /* {name: value} of the script under way */
    json_t *properties;                        /* {name: value} */
    json_t *identity, *versions;               /* as an identity wants them */
    json_t *args;                              /* {name: text} of an action */
    const struct sb_dialog_property *property; /* the one being read or written */
    char *value;                               /* what is being written, as a text; borrowed */
    struct {
        char *name, *text;
    } secrets[SB_DIALOG_SECRETS];
    size_t secret_count;
    char *crc32, *md5; /* of the image */
    /* how far it is */
    bool committed;   /* this session has passed its commit point */
    bool sums_agreed; /* a `same` of one of the image's sums was right */
    bool hard;        /* the failure is none that a script can answer */
    bool unanswered;  /* the failure is that nothing awaited came */
    bool attaching;   /* `attach` is being played */
    unsigned steps_left;
    int64_t deadline;
    const char *said; /* the sentence of a success; static */
};

/* Sets the outcome's text and returns the cause. */
enum sb_cause sb_dialog_fail(struct sb_dialog *dialog, enum sb_cause cause, const char *fmt, ...)
    SB_PRINTF(3, 4);
/* The same for a mechanical error of the line or the session: no script can answer it. */
enum sb_cause sb_dialog_trouble(struct sb_dialog *dialog, int error);
/* Opens the port if it is not, or not any more. */
enum sb_cause sb_dialog_connect(struct sb_dialog *dialog);
enum sb_cause sb_dialog_commit(struct sb_dialog *dialog); /* once per session */
enum sb_cause sb_dialog_checkpoint(struct sb_dialog *dialog, const char *stage);
/* Fills the names of a text. to_send: what comes from outside is checked and secrets are in it. */
enum sb_cause sb_dialog_fill(struct sb_dialog *dialog, const char *text, bool to_send, char **ret);
enum sb_cause sb_dialog_set(struct sb_dialog *dialog, const char *name, const char *text);
void sb_dialog_forget(struct sb_dialog *dialog); /* secrets and all it holds */

/* The next byte from the line: 0, or the port's errors; -ETIMEDOUT at the deadline. */
int sb_dialog_byte(struct sb_dialog *dialog, int64_t deadline, uint8_t *ret) SB_MUST_CHECK;
void sb_dialog_discard(struct sb_dialog *dialog); /* what has arrived until now */
/* A line of the transcript: what was sent or heard. */
void sb_dialog_log(struct sb_dialog *dialog, const char *mark, const char *text);

/* Plays a script by its name; NONE when there is none. */
enum sb_cause sb_dialog_play(struct sb_dialog *dialog, const char *name);
/* Finds out where the device stands; patient: for the time of a restart. */
enum sb_cause sb_dialog_attach(struct sb_dialog *dialog, bool patient);
/* A `restart` step. */
enum sb_cause sb_dialog_await_restart(struct sb_dialog *dialog);
enum sb_cause sb_dialog_send(struct sb_dialog *dialog, const struct sb_dialog_step *step,
                             bool again);
enum sb_cause sb_dialog_transfer(struct sb_dialog *dialog, enum sb_xmodem_kind kind);
int sb_dialog_image_sums(struct sb_dialog *dialog); /* {image.crc32}, {image.md5} */

/* The operations. */
enum sb_cause sb_dialog_identify(struct sb_dialog *dialog);
enum sb_cause sb_dialog_read(struct sb_dialog *dialog);
enum sb_cause sb_dialog_write(struct sb_dialog *dialog); /* WRITE and CONFIGURE */
enum sb_cause sb_dialog_invoke(struct sb_dialog *dialog);
enum sb_cause sb_dialog_reboot(struct sb_dialog *dialog);
enum sb_cause sb_dialog_factory_reset(struct sb_dialog *dialog);
enum sb_cause sb_dialog_firmware(struct sb_dialog *dialog);
/* Puts what was learnt of the device into the outcome. */
enum sb_cause sb_dialog_tell(struct sb_dialog *dialog, enum sb_cause cause);
