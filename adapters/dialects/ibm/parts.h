/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the IBM conversation share: its state, and one step's turn. Internal.
 */
#pragma once

#include "adapters/dialects/effects.h"
#include "adapters/dialects/ibm/codec.h"
#include "adapters/dialects/ibm/conversation.h"
#include "adapters/dialects/ibm/ibm.h"

struct sb_ibm_ask { /* an accepted request whose task is not final yet */
    char *id;       /* reqId */
    enum sb_op op;
    bool custom;   /* answered when it has ended */
    bool answered; /* 202, or "still running" of a custom one */
    bool begun;    /* its task was handed over */
    int64_t task;  /* 0: no verdict yet */
};

struct sb_ibm_firmware {                   /* mgmt.firmware, and the task that moves it */
    char *version, *name, *uri, *verifier; /* as the platform wrote them; may be NULL */
    int state, status;
    int told_state, told_status; /* what the platform has last been told, or wrote itself */
    bool kept;      /* the platform wrote what is staged: state 0, but an update may follow */
    int64_t task;   /* that moves it now; 0 none */
    enum sb_op op;  /* of that task */
    bool own;       /* it was asked for here */
    bool under_way; /* handed over */
};

enum sb_ibm_hold { SB_IBM_HOLD_NONE, SB_IBM_HOLD_RETURN, SB_IBM_HOLD_TIME, SB_IBM_HOLD_MAX_ };
SB_NAMES_DECLARE(sb_ibm_hold)
enum sb_ibm_restart { SB_IBM_REBOOTS, SB_IBM_RESETS, SB_IBM_RESTARTS };

struct sb_ibm_state {
    /* saved */
    char *name; /* under which it was last managed; NULL: never, or the gateway */
    bool observed;
    bool error_told;                        /* the platform holds an error code of this device */
    enum sb_ibm_hold hold[SB_IBM_RESTARTS]; /* why no manage, after a reboot or reset failed */
    struct sb_ibm_firmware firmware;
    struct sb_ibm_ask *asks;
    size_t ask_count;
    json_t *seen; /* reqIds that were worked on, oldest first: {id: answer}; see state.c */
    /* of this run */
    bool up;
    bool no_bundle;          /* the platform refused the bundle, until the next connect */
    bool catching_up;        /* gateway: its first manage since the connect has no reply yet */
    char *manage_id;         /* reqId of a manage without reply */
    unsigned manage_refused; /* in a row: retries double */
    unsigned manage_silent;  /* manages in a row without reply: patience doubles */
    json_t *managed;         /* the content of the last one */
};

struct sb_ibm_turn { /* one step */
    struct sb_ibm_state *state;
    const struct sb_input *in;
    struct sb_effects *effects;
};

/* state.c */
struct sb_ibm_ask *sb_ibm_ask_add(struct sb_ibm_state *state, const char *id, enum sb_op op,
                                  bool custom);
struct sb_ibm_ask *sb_ibm_ask_find(struct sb_ibm_state *state, const char *id);
void sb_ibm_ask_remove(struct sb_ibm_state *state, const struct sb_ibm_ask *ask);
bool sb_ibm_seen(const struct sb_ibm_state *state, const char *id);
/* The answer that was given, a new reference; NULL: the request is open, or there is no memory. */
json_t *sb_ibm_seen_answer(const struct sb_ibm_state *state, const char *id);
bool sb_ibm_seen_open(const struct sb_ibm_state *state, const char *id);
/* Remembers an id; the oldest beyond `limit` that are not open go. answer NULL: it is open. */
int sb_ibm_seen_set(struct sb_ibm_state *state, const char *id, const json_t *answer,
                    size_t limit) SB_MUST_CHECK;
void sb_ibm_firmware_clear(struct sb_ibm_firmware *firmware); /* no image described: idle */
/* Forgets everything but what this run knows of the link. */
void sb_ibm_state_reset(struct sb_ibm_state *state);

/* talk.c: effects */
void sb_ibm_ask_timer(struct sb_ibm_turn *turn, const struct sb_ibm_ask *ask, int64_t ms);
struct sb_ibm_parcel {
    const char *suffix; /* name of the topic's rest in the mapping */
    json_t *payload;    /* taken; NULL: out of memory */
    enum sb_parcel_class class;
    const char *token, *key;
    const char *what;
    int64_t task;
};
void sb_ibm_send(struct sb_ibm_turn *turn, const struct sb_ibm_parcel *parcel);
/* Answers and remembers. message may be NULL; fields is borrowed. */
void sb_ibm_reply(struct sb_ibm_turn *turn, const char *id, int rc, const char *message,
                  const json_t *fields, int64_t task);
/* The mapping's cell of a cause as a refusal; text (may be NULL) wins over the cell's message. */
void sb_ibm_refuse(struct sb_ibm_turn *turn, const char *id, enum sb_op op, enum sb_cause cause,
                   const char *text, int64_t task);

/* attributes.c: what requests read and write */
void sb_ibm_update(struct sb_ibm_turn *turn);
void sb_ibm_observe(struct sb_ibm_turn *turn);
void sb_ibm_cancel(struct sb_ibm_turn *turn);

/* action.c: requests that start something */
void sb_ibm_submit(struct sb_ibm_turn *turn, enum sb_op op, bool custom, json_t *params,
                   json_t *package);
void sb_ibm_restart(struct sb_ibm_turn *turn);
void sb_ibm_custom(struct sb_ibm_turn *turn);

/* firmware.c */
bool sb_ibm_firmware_conflicts(const struct sb_ibm_turn *turn, const json_t *value);
void sb_ibm_firmware_write(struct sb_ibm_turn *turn, const json_t *value);
json_t *sb_ibm_firmware_value(const struct sb_ibm_turn *turn);
void sb_ibm_firmware_told(struct sb_ibm_turn *turn); /* the platform has just heard it all */
void sb_ibm_download(struct sb_ibm_turn *turn);
void sb_ibm_install(struct sb_ibm_turn *turn);
/* Its task was accepted: it moves the view from now on. */
void sb_ibm_firmware_expect(struct sb_ibm_turn *turn, const struct sb_ibm_ask *ask);
/* A task moved: the view follows and is told. answered: the platform expects its outcome. */
void sb_ibm_firmware_follow(struct sb_ibm_turn *turn, const struct sb_task *task, bool own,
                            bool answered);
void sb_ibm_firmware_staged(struct sb_ibm_turn *turn); /* the staged image changed */
void sb_ibm_firmware_loaded(struct sb_ibm_turn *turn); /* after a restart */
void sb_ibm_firmware_lost(struct sb_ibm_turn *turn);   /* its task ended unseen */

/* progress.c: what becomes of an action */
void sb_ibm_verdict(struct sb_ibm_turn *turn);
void sb_ibm_task_news(struct sb_ibm_turn *turn);
void sb_ibm_task_lost(struct sb_ibm_turn *turn, int64_t id);
void sb_ibm_ask_due(struct sb_ibm_turn *turn, struct sb_ibm_ask *ask); /* its timer */

/* manage.c */
enum sb_ibm_occasion { SB_IBM_ALWAYS, SB_IBM_IF_CHANGED };
void sb_ibm_manage(struct sb_ibm_turn *turn, enum sb_ibm_occasion occasion);
void sb_ibm_manage_reply(struct sb_ibm_turn *turn);
void sb_ibm_manage_due(struct sb_ibm_turn *turn);
void sb_ibm_leave(struct sb_ibm_turn *turn, const char *name); /* unmanage under that name */
void sb_ibm_hold(struct sb_ibm_turn *turn, enum sb_ibm_restart which, enum sb_ibm_hold hold);
/* And manages, if nothing else holds it back. */
void sb_ibm_hold_end(struct sb_ibm_turn *turn, enum sb_ibm_restart which);
extern const char *const sb_ibm_hold_tags[SB_IBM_RESTARTS]; /* of their timers */

/* diag.c */
void sb_ibm_diag_failure(struct sb_ibm_turn *turn, const struct sb_task *task);
void sb_ibm_diag_success(struct sb_ibm_turn *turn, const struct sb_task *task);
void sb_ibm_diag_log(struct sb_ibm_turn *turn, const char *text, enum sb_ibm_severity severity,
                     int64_t task);
