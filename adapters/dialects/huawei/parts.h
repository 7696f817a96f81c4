/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the Huawei conversation share: its state, and one step's turn. Internal.
 */
#pragma once

#include "adapters/dialects/effects.h"
#include "adapters/dialects/huawei/codec.h"
#include "adapters/dialects/huawei/conversation.h"

struct sb_huawei_ask { /* a request that is not answered yet */
    int kind;          /* enum sb_huawei_kind */
    char *id;          /* request_id */
    char *name;        /* of a command: its name; of a get: the service; or NULL */
    char *tag;         /* of its submit, and of its timer */
    bool begun;        /* its task was handed over */
    int64_t task;      /* 0: no verdict yet */
};

struct sb_huawei_upgrade { /* the last one that the platform asked for */
    int64_t task;          /* open; 0 none */
    char *version;         /* its target */
    char *module;          /* or NULL: the whole device */
    char *event;           /* event_id, or NULL */
};

struct sb_huawei_state {
    /* saved */
    struct sb_huawei_upgrade upgrade;
    json_t *outcome; /* paras of the last final report; NULL: none since the upgrade began */
    char *gateway;   /* the gateway: whose list it is, its id; NULL: not known */
    int64_t version; /* the gateway: of the list of sub-devices, as last heard */
    json_t *deleted; /* the gateway: {name: true} by the platform */
    json_t *leaving; /* the gateway: {name: true} to be deleted at the platform */
    /* of this run, a device */
    struct sb_huawei_ask *asks;
    size_t ask_count;
    unsigned tags;
    struct sb_huawei_upgrade asked; /* submitted, no verdict yet */
    json_t *waiting;                /* event of an upgrade that is not taken yet; NULL: none */
    int64_t waiting_until;          /* monotonic: then it is refused; 0: it is new */
    char *called;                   /* as it was handed over to the gateway; NULL: not yet */
    const char *status;             /* likewise: ONLINE, OFFLINE; static */
    bool online;                    /* the platform has it so */
    bool queried;                   /* a version_query waits until the device answers */
    json_t *told;                   /* paras of the last version_report of this connection */
    json_t *values;                 /* properties as they were last reported */
    int shown_state, shown_percent; /* of the last progress report; -1 none */
    /* of this run, the gateway */
    json_t *wanted;    /* {name: status} as the devices are */
    json_t *known;     /* {name: status} as the platform has acknowledged */
    json_t *refused;   /* {name: monotonic ms when to try again} */
    json_t *reports;   /* {name: services} that wait to be sent */
    json_t *batch;     /* {name: status} of a request under way; NULL: none */
    char *batch_id;    /* its event_id */
    int64_t batch_due; /* monotonic: then it has failed */
    int64_t due;       /* monotonic: when its timer fires; 0: it is not set */
};

struct sb_huawei_turn { /* one step */
    struct sb_huawei_state *state;
    const struct sb_input *in;
    struct sb_effects *effects;
    const struct sb_huawei_config *config;
};

/* state.c */
void sb_huawei_upgrade_clear(struct sb_huawei_upgrade *upgrade);
void sb_huawei_link_lost(struct sb_huawei_state *state); /* what dies with the connection */
void sb_huawei_state_reset(struct sb_huawei_state *state);
void sb_huawei_json_clear(json_t **slot);

/* talk.c */
/* Whom it is about: the device's name, the gateway's id. */
const char *sb_huawei_who(const struct sb_huawei_turn *turn);
struct sb_huawei_parcel {
    const char *word;    /* of the topic */
    const char *request; /* request_id, or NULL */
    json_t *payload;     /* taken; NULL: out of memory */
    enum sb_parcel_class class;
    bool superseding; /* one of its kind about this device is enough */
    const char *what;
    int64_t task;
};
void sb_huawei_send(struct sb_huawei_turn *turn, const struct sb_huawei_parcel *parcel);
/* An event of the gateway's (device NULL) or about a device. Takes paras. */
void sb_huawei_send_event(struct sb_huawei_turn *turn, const char *service, const char *type,
                          const char *id, json_t *paras);
void sb_huawei_submit(struct sb_huawei_turn *turn, const char *tag, const char *id, enum sb_op op,
                      json_t *params, json_t *package);     /* takes both */
bool sb_huawei_is_ready(const struct sb_huawei_turn *turn); /* the device answers */
const char *sb_huawei_version(const struct sb_huawei_turn *turn, const char *module); /* or NULL */

/* ota.c */
void sb_huawei_ota(struct sb_huawei_turn *turn, const json_t *service);
void sb_huawei_ota_verdict(struct sb_huawei_turn *turn);
void sb_huawei_ota_follow(struct sb_huawei_turn *turn, const struct sb_task *task);
void sb_huawei_ota_due(struct sb_huawei_turn *turn); /* its timer, SB_HUAWEI_UPGRADE */
void sb_huawei_ota_lost(struct sb_huawei_turn *turn);
void sb_huawei_ota_gone(struct sb_huawei_turn *turn);   /* its device leaves */
void sb_huawei_ota_resume(struct sb_huawei_turn *turn); /* says again how far it is */

/* request.c */
void sb_huawei_request(struct sb_huawei_turn *turn);
struct sb_huawei_ask *sb_huawei_ask_find(struct sb_huawei_state *state, const char *tag);
void sb_huawei_ask_verdict(struct sb_huawei_turn *turn, struct sb_huawei_ask *ask);
void sb_huawei_ask_due(struct sb_huawei_turn *turn, struct sb_huawei_ask *ask);
void sb_huawei_asks_follow(struct sb_huawei_turn *turn, const struct sb_task *task);
void sb_huawei_asks_drop(struct sb_huawei_turn *turn);
void sb_huawei_asks_refuse(struct sb_huawei_turn *turn, enum sb_cause cause);

/* report.c: what a device says of itself */
void sb_huawei_status(struct sb_huawei_turn *turn);
void sb_huawei_versions(struct sb_huawei_turn *turn, bool again);
void sb_huawei_values(struct sb_huawei_turn *turn);
void sb_huawei_values_due(struct sb_huawei_turn *turn);
json_t *sb_huawei_services(struct sb_huawei_turn *turn, const json_t *values, const char *service);
void sb_huawei_leave(struct sb_huawei_turn *turn);
/* The platform has it online now, which is true, or has deleted it. */
bool sb_huawei_told_device(struct sb_huawei_turn *turn);

/* family.c: the gateway's part */
void sb_huawei_family(struct sb_huawei_turn *turn, const json_t *service);
void sb_huawei_family_up(struct sb_huawei_turn *turn);
void sb_huawei_family_due(struct sb_huawei_turn *turn);
void sb_huawei_told_family(struct sb_huawei_turn *turn);
