/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the Alibaba conversation share: its state, and one step's turn. Internal.
 */
#pragma once

#include "adapters/dialects/alibaba/codec.h"
#include "adapters/dialects/alibaba/conversation.h"
#include "adapters/dialects/effects.h"

#define SB_ALI_UPDATES 8  /* one per module */
#define SB_ALI_ASKS    32 /* requests and device jobs that are not through */

struct sb_ali_update { /* of one module */
    char *module;      /* "" the whole device */
    char *version;     /* the target */
    int64_t task;      /* 0: it has ended */
    int64_t other;     /* the same from another place, which takes over if it fails; 0: none */
    int step;          /* the last one told; -5: none yet */
    bool begun;        /* the device has begun with it */
    char *text;        /* of a failure */
    /* It failed, and that was told on this connection: */
    char *asked;        /* request that asks whether the platform has it; NULL: not told */
    int64_t late_until; /* monotonic: what it offers until then may be from before */
};

enum sb_ali_ask_kind { SB_ALI_REQUEST, SB_ALI_JOB };

struct sb_ali_ask {
    enum sb_ali_ask_kind kind;
    char *id;    /* of the message; of a device job, its taskId */
    char *topic; /* the rest of the answer's topic; NULL: of a device job */
    char *tag;   /* of its submit; not saved */
    enum sb_op op;
    int64_t task;  /* 0: it has ended */
    json_t *reply; /* what is still to be said when it can be; NULL: nothing yet */
    int percent;   /* last told of a device job */
    char *message; /* of a device job: id of the last message about it; not saved */
    bool told;     /* its reply, on this connection */
};

enum sb_ali_stage { /* of a sub-device on this connection */
                    SB_ALI_OUT,
                    SB_ALI_REGISTERS,
                    SB_ALI_JOINS, /* the topology */
                    SB_ALI_LOGS_IN,
                    SB_ALI_IN,
                    SB_ALI_DISABLED,
                    SB_ALI_TAKEN_OUT, /* of the topology, by the platform */
                    SB_ALI_STAGE_MAX_,
};

struct sb_ali_file { /* what is pulled over MQTT */
    uint64_t download;
    struct sb_alibaba_stream stream;
    int64_t offset; /* of the block that is asked for */
    bool wanted;
    uint32_t first_id; /* of the requests for it */
    unsigned failures; /* of it, and blocks in a row that were too short */
    int refusal;       /* code of the last; 0 none */
};

struct sb_ali_state {
    /* saved */
    char *config; /* configId and sign of the file that was taken last, or NULL */
    char *secret; /* that the platform gave on registration; registered with the log */
    bool out;     /* of the topology, by the platform: it does not join again unasked */
    struct sb_ali_update updates[SB_ALI_UPDATES];
    size_t update_count;
    struct sb_ali_ask asks[SB_ALI_ASKS];
    size_t ask_count;
    json_t *leaving; /* the gateway: {name: identity} to be taken out of the topology */
    /* of this run: a sub-device */
    enum sb_ali_stage stage;
    bool joined, renewed; /* since the connect: was put into the topology, registered anew */
    unsigned failures;    /* in a row */
    unsigned lost;        /* sessions in a row that did not last */
    int64_t since;        /* monotonic: of the last login */
    struct sb_alibaba_who called; /* as it was when it asked for its session; "" not yet */
    json_t *informed;             /* {module: version} since the login */
    char *config_offer;           /* of the file whose verdict is awaited; or NULL */
    json_t *offer;                /* data of the push whose verdict is awaited; or NULL */
    unsigned tags;
    /* of this run: the gateway */
    uint32_t ids;
    json_t *wants;      /* [{name, kind, params}] */
    json_t *flying;     /* of these, what is on its way; NULL: nothing */
    char *flying_id;    /* its message id */
    int flying_kind;    /* enum sb_ali_want */
    json_t *topology;   /* {name: true} as the platform has it; NULL: not read yet */
    unsigned throttled; /* in a row */
    bool paused;        /* until the timer */
    struct sb_ali_file file;
};

struct sb_ali_turn { /* one step */
    struct sb_ali_state *state;
    const struct sb_input *in;
    struct sb_effects *effects;
    const struct sb_alibaba_config *config;
    struct sb_alibaba_who who; /* whose conversation it is */
    bool named;                /* false: it has no product, and cannot speak */
};

/* state.c */
void sb_ali_link_lost(struct sb_ali_state *state);
struct sb_ali_update *sb_ali_update_of(struct sb_ali_state *state, const char *module);
struct sb_ali_update *sb_ali_update_by_task(struct sb_ali_state *state, int64_t task);
/* The oldest that has ended gives way; NULL: all are open, or no memory. */
struct sb_ali_update *sb_ali_update_add(struct sb_ali_turn *turn, const char *module,
                                        const char *version, int64_t task);
void sb_ali_update_end(struct sb_ali_turn *turn, struct sb_ali_update *update);
struct sb_ali_ask *sb_ali_ask_find(struct sb_ali_state *state, const char *tag);
struct sb_ali_ask *sb_ali_ask_of(struct sb_ali_state *state, enum sb_ali_ask_kind kind,
                                 const char *id, const char *topic);
/* NULL: too many, or no memory. */
struct sb_ali_ask *sb_ali_ask_add(struct sb_ali_turn *turn, enum sb_ali_ask_kind kind,
                                  const char *id, const char *topic, enum sb_op op);
void sb_ali_ask_end(struct sb_ali_turn *turn, struct sb_ali_ask *ask);

/* talk.c: effects, words */
struct sb_ali_parcel {
    const char *base; /* word of the topic: topic_sys, topic_session, topic_inform... */
    const char *rest; /* its rest, or NULL */
    bool gateway;     /* on the gateway's topic, also of a sub-device */
    const char *what; /* for the audit, or NULL */
    json_t *payload;  /* taken; NULL: out of memory */
    int qos;
    int64_t task;
};
void sb_ali_send(struct sb_ali_turn *turn, const struct sb_ali_parcel *parcel);
/* {id, code, data, message} on the rest of the topic with "_reply". Takes data (NULL: {}). */
json_t *sb_ali_answer(struct sb_ali_turn *turn, const char *id, int code, const char *text,
                      json_t *data);
void sb_ali_reply(struct sb_ali_turn *turn, const char *rest, json_t *answer, int64_t task);
/* {id, version, params, method} of a request; ret_id (may be NULL): its id, caller frees. */
json_t *sb_ali_request(struct sb_ali_turn *turn, const char *method, json_t *params, char **ret_id);
void sb_ali_submit(struct sb_ali_turn *turn, const char *tag, const char *id, enum sb_op op,
                   json_t *params, json_t *package);
const char *sb_ali_version(const struct sb_ali_turn *turn, const char *module); /* or NULL */
/* What a service or job of this name is: its operation and params (new). False: none. */
bool sb_ali_operation(struct sb_ali_turn *turn, const char *name, const json_t *arguments,
                      enum sb_op *ret_op, json_t **ret_params);
void sb_ali_keep(struct sb_ali_turn *turn, int r); /* r < 0: the effects are broken */

/* family.c: the gateway's own */
enum sb_ali_want {
    SB_ALI_REGISTER,
    SB_ALI_JOIN,
    SB_ALI_LOGIN,
    SB_ALI_LOGOUT,
    SB_ALI_LEAVE,
    SB_ALI_TOPOLOGY,
    SB_ALI_WANT_MAX_
};
SB_NAMES_DECLARE(sb_ali_want)
void sb_ali_family_up(struct sb_ali_turn *turn);
void sb_ali_family_told(struct sb_ali_turn *turn);
void sb_ali_family_reply(struct sb_ali_turn *turn);
void sb_ali_family_due(struct sb_ali_turn *turn);
void sb_ali_topology_notice(struct sb_ali_turn *turn);

/* session.c: a sub-device's */
void sb_ali_session_start(struct sb_ali_turn *turn);
void sb_ali_session_secret(struct sb_ali_turn *turn); /* SB_IN_SECRET */
void sb_ali_session_told(struct sb_ali_turn *turn);
void sb_ali_session_presence(struct sb_ali_turn *turn);
void sb_ali_session_name(struct sb_ali_turn *turn); /* whether it has another one now */
void sb_ali_session_leave(struct sb_ali_turn *turn);
void sb_ali_session_due(struct sb_ali_turn *turn);
void sb_ali_notice(struct sb_ali_turn *turn);
void sb_ali_error(struct sb_ali_turn *turn);

/* ota.c */
/* id: of the request that it answers; NULL: pushed. */
void sb_ali_offered(struct sb_ali_turn *turn, const json_t *data, const char *id);
void sb_ali_firmware_reply(struct sb_ali_turn *turn);
bool sb_ali_offer_verdict(struct sb_ali_turn *turn); /* false: not of a push */
void sb_ali_update_follow(struct sb_ali_turn *turn, struct sb_ali_update *update,
                          const struct sb_task *task);
void sb_ali_inform(struct sb_ali_turn *turn);        /* what differs from what was told */
void sb_ali_updates_login(struct sb_ali_turn *turn); /* after each login: of those under way */
void sb_ali_firmware_get(struct sb_ali_turn *turn);

/* file.c: the gateway's own */
void sb_ali_file_pull(struct sb_ali_turn *turn); /* SB_IN_PULL */
void sb_ali_file_reply(struct sb_ali_turn *turn);
void sb_ali_file_due(struct sb_ali_turn *turn);
void sb_ali_file_up(struct sb_ali_turn *turn);

/* request.c */
void sb_ali_property_set(struct sb_ali_turn *turn);
void sb_ali_property_get(struct sb_ali_turn *turn);
void sb_ali_service(struct sb_ali_turn *turn);
void sb_ali_config_push(struct sb_ali_turn *turn);
void sb_ali_config_get(struct sb_ali_turn *turn); /* at each login, where the link wants that */
void sb_ali_config_got(struct sb_ali_turn *turn);
bool sb_ali_config_verdict(struct sb_ali_turn *turn); /* false: not of one that was asked for */
void sb_ali_ask_verdict(struct sb_ali_turn *turn, struct sb_ali_ask *ask);
void sb_ali_ask_follow(struct sb_ali_turn *turn, struct sb_ali_ask *ask,
                       const struct sb_task *task);
void sb_ali_asks_login(struct sb_ali_turn *turn);
void sb_ali_post(struct sb_ali_turn *turn, const json_t *names); /* values; NULL: all */

/* jobs.c */
void sb_ali_job(struct sb_ali_turn *turn, const json_t *task);
void sb_ali_job_notify(struct sb_ali_turn *turn);
void sb_ali_job_next(struct sb_ali_turn *turn);
void sb_ali_job_updated(struct sb_ali_turn *turn);
void sb_ali_job_verdict(struct sb_ali_turn *turn, struct sb_ali_ask *ask);
void sb_ali_job_follow(struct sb_ali_turn *turn, struct sb_ali_ask *ask,
                       const struct sb_task *task);
void sb_ali_job_tell(struct sb_ali_turn *turn, struct sb_ali_ask *ask);
void sb_ali_job_get(struct sb_ali_turn *turn);
