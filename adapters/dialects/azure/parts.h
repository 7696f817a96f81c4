/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the Azure conversation share: its state, and one step's turn. Internal.
 */
#pragma once

#include "adapters/dialects/azure/codec.h"
#include "adapters/dialects/azure/conversation.h"
#include "adapters/dialects/effects.h"

#define SB_AZURE_TASKS_MAX 64 /* own tasks whose end is awaited */
#define SB_AZURE_SEEN      32 /* $rids of this connection */

struct sb_azure_ask { /* a method that is not answered yet */
    char *rid;
    char *tag; /* of its submit */
    enum sb_op op;
    bool final;   /* answered with the result */
    bool begun;   /* its task was handed over */
    int64_t task; /* 0: no verdict yet */
};

struct sb_azure_wish { /* a desired property: what it asks for, and what became of that */
    char *content;     /* digest of what it asks for; NULL: nothing is wished */
    json_t *spec;      /* the desired value */
    int64_t version;   /* $version with which it came */
    bool due;          /* could not be acted on yet */
    bool begun;
    int64_t task; /* open; 0 none */
    int ac;       /* 0: nothing to say yet */
    char *ad;
};

struct sb_azure_open { /* an own task whose end is awaited */
    int64_t task;
    enum sb_op op;
    bool answers; /* nothing but methods that wait for its result has asked for it */
};

struct sb_azure_state {
    /* saved */
    json_t *doc; /* {firmware, iothubDM}: what tasks did; the rest follows from the record */
    struct sb_azure_wish firmware, configuration;
    int64_t moving;        /* the task that doc.firmware follows; 0 none */
    bool own;              /* it was asked for here */
    bool under_way;        /* and handed over */
    bool committed;        /* and cannot be taken back */
    int64_t reboot, reset; /* the tasks that doc.dm shows */
    struct sb_azure_open tasks[SB_AZURE_TASKS_MAX];
    size_t task_count;
    char *name;       /* mode gateway, a device: under which its part stands in the twin */
    json_t *children; /* mode gateway: {key: document}; null of those that left: these are saved */
    /* of this run */
    struct sb_azure_ask *asks;
    size_t ask_count;
    unsigned tags;
    char *seen[SB_AZURE_SEEN];
    unsigned seen_next;
    json_t *told;            /* reported properties as the hub has them; NULL: not read yet */
    json_t *desired;         /* NULL: not read yet */
    int64_t newest;          /* the highest $version of desired heard of */
    char *get_id, *patch_id; /* $rid of what has no answer; or NULL */
    json_t *patch;
    unsigned put_off; /* in a row */
    bool waiting;     /* for the timer, before the next patch or read */
    bool renewing;
    int64_t renew_last; /* monotonic: then it is renewed whatever is owed */
    size_t few;         /* leaves of the next patch at the most, after a refusal; 0: all */
    unsigned refused;   /* patches in a row */
    size_t left_out;    /* how much of the twin has no room: see room.c */
    int64_t answered;   /* monotonic: when a method was answered last; 0 never */
    int64_t final_task; /* of the last final state that the next patch tells; 0 none */
    char *what;         /* that state, and which of other tasks the patch tells */
    json_t *handed;     /* mode gateway, a device: the document as it was handed over last */
    json_t *wished;     /* mode gateway: {key: part of desired} as the devices were told */
    json_t *owners;     /* mode gateway: {key: device id} */
};

struct sb_azure_turn { /* one step */
    struct sb_azure_state *state;
    const struct sb_input *in;
    struct sb_effects *effects;
    const struct sb_azure_config *config;
    bool child; /* a device whose part is in the gateway's twin */
};

/* state.c */
void sb_azure_state_reset(struct sb_azure_state *state);
void sb_azure_wish_clear(struct sb_azure_wish *wish);
/* Its end, also over a restart. NULL: there is no task. */
struct sb_azure_open *sb_azure_await(struct sb_azure_turn *turn, int64_t task, enum sb_op op);
void sb_azure_await_end(struct sb_azure_turn *turn, int64_t task);
struct sb_azure_open *sb_azure_awaits(struct sb_azure_state *state, int64_t task);
void sb_azure_link_lost(struct sb_azure_state *state); /* what dies with the connection */

/* talk.c: effects, words */
struct sb_azure_parcel {
    char *topic;     /* taken; NULL: out of memory */
    json_t *payload; /* taken; NULL: empty */
    const char *token, *what;
    int qos;
    int64_t task;
};
void sb_azure_send(struct sb_azure_turn *turn, const struct sb_azure_parcel *parcel);
/* Takes params and package. */
void sb_azure_submit(struct sb_azure_turn *turn, const char *tag, enum sb_op op, bool final,
                     json_t *params, json_t *package);
void sb_azure_now(struct sb_azure_turn *turn, json_t *object, const char *key); /* the time */

/* package.c: what an update asks for */
/*
 * {uri, version, sha256 | md5} of a method's payload or a desired firmware. NULL with *ret_wrong,
 * static: it cannot be used.
 */
json_t *sb_azure_package(struct sb_azure_turn *turn, const json_t *asked, const char **ret_wrong);
const char *sb_azure_version(const json_t *asked); /* or NULL */
/* Digest of a wish, over what makes it another one: credentials in the URI do not. */
char *sb_azure_firmware_content(const json_t *asked);
char *sb_azure_values_content(const json_t *values);

/* method.c */
void sb_azure_method(struct sb_azure_turn *turn);
void sb_azure_method_verdict(struct sb_azure_turn *turn, struct sb_azure_ask *ask);
struct sb_azure_ask *sb_azure_ask_find(struct sb_azure_state *state, const char *tag);
void sb_azure_ask_due(struct sb_azure_turn *turn, struct sb_azure_ask *ask);
void sb_azure_asks_follow(struct sb_azure_turn *turn, const struct sb_task *task);
void sb_azure_asks_drop(struct sb_azure_turn *turn); /* their connection is gone */
void sb_azure_asks_refuse(struct sb_azure_turn *turn, enum sb_cause cause);

/* wish.c */
void sb_azure_wishes(struct sb_azure_turn *turn, const json_t *desired, int64_t version);
bool sb_azure_wish_verdict(struct sb_azure_turn *turn); /* false: not of a wish */
void sb_azure_wish_due(struct sb_azure_turn *turn);
void sb_azure_wishes_follow(struct sb_azure_turn *turn, const struct sb_task *task);
void sb_azure_wishes_loaded(struct sb_azure_turn *turn);

/* report.c: the document */
json_t *sb_azure_document(struct sb_azure_turn *turn); /* new reference; NULL: no memory */
void sb_azure_follow(struct sb_azure_turn *turn, const struct sb_task *task, bool own);
void sb_azure_at_rest(struct sb_azure_turn *turn); /* a wish that is so already */
void sb_azure_refused(struct sb_azure_turn *turn, const struct sb_azure_wish *wish,
                      enum sb_cause cause, const char *text); /* a wish for firmware */

/* twin.c: the document and the hub */
void sb_azure_read(struct sb_azure_turn *turn);
void sb_azure_report(struct sb_azure_turn *turn);
/* The next patch tells the end of this task, beside those that it tells already. */
void sb_azure_ended(struct sb_azure_turn *turn, int64_t task, const char *what);
void sb_azure_result(struct sb_azure_turn *turn);
void sb_azure_desired(struct sb_azure_turn *turn);
void sb_azure_twin_due(struct sb_azure_turn *turn);

/* room.c: leaves out of a document what a twin has no room for */
void sb_azure_fit(struct sb_azure_turn *turn, json_t *document);

/* family.c: mode gateway */
void sb_azure_hand_over(struct sb_azure_turn *turn); /* a device's document to the gateway */
bool sb_azure_told(struct sb_azure_turn *turn);      /* true: there may be something to report */
void sb_azure_tell_wishes(struct sb_azure_turn *turn);
void sb_azure_family_settled(struct sb_azure_turn *turn);
void sb_azure_leave(struct sb_azure_turn *turn); /* a device */
void sb_azure_alone(struct sb_azure_turn *turn); /* a device, loaded */
