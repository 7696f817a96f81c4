/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every dialect adapter is made of: a pure codec and a pure conversation; uplink.c is the
 * glue that gives them connections. No I/O, loop, clock or store here: all of it arrives as input
 * and leaves as effects, so that a test or a fuzzer can be the world.
 *
 *     message in -> decode -> step(state, input) -> effects -> encode is inside the effects
 *
 * Conversations. One per device and one of the link itself (device ""), which is the gateway's
 * own. State is per (link, device) and saved with what it caused, in one batch. A message belongs
 * to the device that decode() names; else to whose connection brought it. What concerns several
 * devices at once (a gateway's twin, a batch login, a topology) goes to the link's own
 * conversation, which passes each its part by SB_OUT_TELL; a device's conversation reaches the
 * gateway's the same way. Log a sub-device in, count what may be sent, batch: that is the work of
 * the link's own conversation.
 *
 * Connections. Most dialects have one, the link's own, and all conversations use it. Where the
 * platform wants one per device, has_connection() says for whom, and those conversations hear UP
 * and DOWN of their own. Each connection logs in, backs off and renews for itself. A login that
 * expires is the conversation's to renew, when it owes no answer: SB_OUT_RENEW.
 *
 * Acknowledgement. A parcel is delivered by its PUBACK, or, if it has a token, by SB_OUT_SETTLE of
 * that token, which the reply to it names (request id, $rid). Answers to requests that die with
 * the connection are SB_PARCEL_PASSING.
 *
 * Streams. A package whose bytes come over the link itself has the URI "stream:?...", whose query
 * is the dialect's own. They are pulled through the link's own conversation, one download at a
 * time: it asks the far side, and supplies what comes, in pieces as they suit it.
 *
 * Requests. An SB_OUT_SUBMIT with an `id`, the platform's own of this request, is the same as any
 * other with that id, over restarts (intake.h); without one, equal requests are one while they
 * are open. Properties are operations: get is SB_OP_READ {"names"}, set is SB_OP_WRITE {"values"},
 * settings and desired properties are SB_OP_CONFIGURE {"values"}, services of a type's own are
 * SB_OP_INVOKE {"action", "arguments"}; policy.answer SB_ANSWER_FINAL where the request wants the
 * result. A package is {uri, version, name, module, sha256, md5, size, extra}; what its download
 * needs beside the URI goes into extra.headers {"Authorization": "Bearer ..."}: it is kept secret
 * and sent to the URI's own origin only.
 *
 * What others do to a device arrives as news: SB_NEWS_IDENTITY (versions, identity), _PRESENCE,
 * _FIRMWARE (its firmware state, whoever moves it), _STAGED. Each dialect tells them in its tongue.
 */
#pragma once

#include <stdint.h>

#include "adapters/dialects/login.h"
#include "bridge/door.h"

struct sb_message { /* a decoded foreign message; strings owned */
    int kind;       /* the dialect's own enum */
    char *name;     /* the device's name in the dialect, or NULL: the link itself */
    char *id;       /* request id, or NULL */
    int code;       /* of a response */
    char *what;     /* action name, or NULL */
    json_t *body;   /* or NULL */
    void *data;     /* what is no JSON: a block of a file; or NULL */
    size_t size;    /* of data */
    char *error;    /* what is wrong with it, when the dialect answers that; or NULL */
};
void sb_message_done(struct sb_message *message);

enum sb_input_kind {
    SB_IN_MESSAGE, /* message */
    SB_IN_NEWS,    /* news; of a task that ended unseen: no task in it, value is its id */
    SB_IN_VERDICT, /* answer to an SB_OUT_SUBMIT: tag, verdict */
    SB_IN_TIMER,   /* tag */
    SB_IN_UP,      /* connected and subscribed; value: ms the link was down, -1 first time */
    SB_IN_DOWN,
    SB_IN_TOLD,   /* tag, told: by another conversation of this link (SB_OUT_TELL); name: whose,
                     in `from`, NULL the link's own */
    SB_IN_LOADED, /* after a restart: the state was read back; SB_OUT_LOOK finds its tasks */
    SB_IN_SECRET, /* answer to an SB_OUT_SECRET: secret, or NULL and error */
    SB_IN_PULL,   /* the link's own: pull. Bytes of a package that it offered as "stream:..." are
                     wanted (or not any more); they go out by SB_OUT_SUPPLY */
};

struct sb_input {
    enum sb_input_kind kind;
    const struct sb_message *message;
    const struct sb_news *news;
    const char *tag;
    const struct sb_verdict *verdict;
    const json_t *told;
    const char *from;
    const char *secret, *error;
    const struct sb_pull *pull;
    int64_t value;
    /* Facts, always there: */
    const char *link;               /* the link's name in the configuration */
    const char *name;               /* the device's name in the dialect; NULL for the link itself */
    const struct sb_device *device; /* NULL: unknown; self: the gateway's own record, or NULL */
    const struct sb_package *staged;
    const struct sb_words *words;
    const void *config; /* the link's settings */
    int64_t now, wall;
    int64_t outage;  /* of its connection, when backlog: how long it was down, ms; -1 unknown */
    const char *why; /* the core takes no new work: why not */
    bool self;       /* the conversation of the link itself */
    bool connected;  /* its connection is up */
    bool backlog;    /* the message was queued at the broker while that was down */
    bool ready;      /* the core takes new work */
    bool durable;    /* else the store takes none, and what is held in memory will be gone */
};

enum sb_output_kind {
    SB_OUT_SEND,   /* a parcel: topic, json or bytes, qos, class, key, token, task, what */
    SB_OUT_SUBMIT, /* a request: tag, id; answered by SB_IN_VERDICT with the tag, in this turn */
    SB_OUT_CANCEL, /* task, cause */
    SB_OUT_TIMER,  /* tag, value ms from now; < 0 stops it */
    SB_OUT_FACT,   /* name, json */
    SB_OUT_UNSTAGE,
    SB_OUT_SETTLE,  /* token: the far side acknowledged it */
    SB_OUT_TELL,    /* name (NULL: the link's own), tag, json: to that conversation, in this turn */
    SB_OUT_RENEW,   /* connect anew with fresh login data, losing nothing: DOWN and UP follow */
    SB_OUT_LOOK,    /* task: answered by SB_IN_NEWS as it stands now, in this turn */
    SB_OUT_SECRET,  /* the device's own, by the settings: answered by SB_IN_SECRET in this turn */
    SB_OUT_CURRENT, /* the link's own: what was queued at the broker has arrived, no backlog */
    SB_OUT_SUPPLY,  /* download, offset, bytes, size, total: for a pull; or cause and text; neither:
                       SB_IN_PULL is to come once more, with what the URI is now */
    SB_OUT_NOTE,    /* text, for the log */
};

struct sb_output { /* strings and json owned */
    enum sb_output_kind kind;
    char *tag, *id, *name, *text;
    char *topic, *key, *token, *what;
    json_t *json; /* SEND: the payload; FACT: the value; SUBMIT: params; TELL: what */
    void *bytes;  /* SEND: a payload that is no JSON, in its place; neither: an empty one; SUPPLY */
    size_t size;
    uint64_t download;
    int64_t offset, total;
    json_t *package;
    int qos;
    enum sb_parcel_class class;
    int64_t task, value;
    enum sb_cause cause;
    enum sb_op op;
    struct sb_policy policy;
};

/*
 * Outputs are carried out in order. The verdict of a SUBMIT, and what it makes known at once
 * (also the news of its task), reach step() before the outputs that follow it.
 */
struct sb_effects {
    struct sb_output *list;
    size_t count, room;
    bool save;   /* the state changed: save it */
    bool broken; /* out of memory while adding */
};
void sb_effects_done(struct sb_effects *effects);
struct sb_output *sb_effects_add(struct sb_effects *effects,
                                 enum sb_output_kind kind); /* or NULL */

/*
 * Does a topic fit a template "a/{x}/b/{rest}"? A placeholder takes one level, one at the very
 * end takes all that is left (at least one character). ret_parts: their values, borrowed from
 * the topic, in order; exactly `count` of them.
 */
struct sb_topic_part {
    const char *text;
    size_t length;
};
bool sb_topic_match(const char *pattern, const char *topic, struct sb_topic_part *ret_parts,
                    size_t count);

struct sb_dialect_ops {
    const char *name;
    /* Has it a connection of its own? device NULL, or the gateway's record: the link's own. May
     * be NULL: only the link has one. Pure. */
    bool (*has_connection)(const void *config, const struct sb_device *device);
    /* Login data, made anew for each try (tokens expire). name: whose connection it is, NULL the
     * link's own. *ret is zeroed. 0, or -errno with a text; sb_connect_done() either way. */
    int (*connect)(const struct sb_words *words, const void *config, const char *name, int64_t wall,
                   struct sb_connect *ret, char **ret_error);
    /* The secret of a device that logs in over the link's own connection. May be NULL: there are
     * none. 0, or -errno with a text. Reads files. */
    int (*secret)(const void *config, const char *name, char **ret, char **ret_error);
    /*
     * 0: *ret says what it is. -ENOMSG: not for us, ignore. Never fails on content: a message
     * that is wrong is decoded as far as it goes, with `error` set.
     */
    int (*decode)(const struct sb_words *words, const void *config, const char *topic,
                  const void *payload, size_t n, struct sb_message *ret);
    /* Conversation state: opaque. load(NULL) makes a fresh one; NULL without memory. */
    void *(*load)(const json_t *saved);
    json_t *(*save)(const void *state);
    void (*drop)(void *state);
    int (*step)(void *state, const struct sb_input *input, struct sb_effects *effects);
};
