/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a link logs in: the settings that every dialect has, the login data made of them and of the
 * words of a mapping. A dialect adds its own identity and its proof. Pure, but for the files that
 * a proof is read from.
 */
#pragma once

#include <stdint.h>

#include "bridge/config/schema.h"
#include "bridge/mapping/words.h"

struct sb_link_settings { /* first in each dialect's own struct of a link's section */
    char *uri;            /* mqtt://, mqtts://, ws://, wss:// host:port[/path] */
    char *ca_file;
    char *cert_file, *key_file; /* {name} where each device has a connection of its own */
    bool verify;
    int64_t keepalive; /* ms */
};

/* A second client of the same name puts the first one out, for ever. */
#define SB_LINK_OWN        (SB_FIELD_REQUIRED | SB_FIELD_ALONE)
#define SB_LINK_AT(member) offsetof(struct sb_link_settings, member)
#define SB_LINK_TRUST                                                                              \
    { "ca_file", SB_TYPE_STRING, SB_LINK_AT(ca_file), SB_FIELD_FILE,                               \
      .doc = "Certificates to trust, PEM." },                                                      \
    {                                                                                              \
        "verify", SB_TYPE_BOOL, SB_LINK_AT(verify),                                                \
            .otherwise = "true", .doc = "Check the server's certificate and name."                 \
    }
#define SB_LINK_KEEPALIVE(least, most, default_)                                                   \
    {                                                                                              \
        "keepalive", SB_TYPE_DURATION, SB_LINK_AT(keepalive), 0, least, most, default_,            \
            .doc = "Longest silence before the client pings."                                      \
    }
/* A row of what a mapping may name: words with the same placeholders as the default. */
#define SB_LINK_NAME(key_, text, doc_)                                                             \
    {                                                                                              \
        key_, SB_TYPE_STRING, 0, 0, 1, 200, text, .doc = (doc_)                                    \
    }

/* ---- settings ---- */

/* What comes after mqtt://, mqtts://, ws://, wss://; NULL: another scheme. Borrowed. */
const char *sb_link_host(const struct sb_link_settings *link);
bool sb_link_is_secure(const struct sb_link_settings *link);
/* Where a finding about a setting belongs: at its key, else at the link. */
const struct sb_yaml *sb_link_place(const struct sb_yaml *yaml, const char *key);
/* Findings about what all links have: uri, cert_file and key_file together. */
void sb_link_check(const struct sb_link_settings *link, const struct sb_yaml *yaml,
                   struct sb_diags *diags);

/* ---- login data ---- */

struct sb_connect { /* what a link needs to log in; strings owned */
    char *uri;
    char *client_id, *user;
    char *password; /* secret: registered with the log by who makes it, until done */
    bool clean;
    int keepalive; /* s */
    char **topics; /* subscriptions */
    size_t topic_count;
    int qos;
    char *ca_file, *cert_file, *key_file;
    bool verify;
};
void sb_connect_done(struct sb_connect *connect); /* wipes the password */
int sb_connect_add_topic(struct sb_connect *connect, char *topic) SB_MUST_CHECK; /* takes it */

/*
 * A setting of many devices: "file:/etc/keys/{name}" with a device's name in place of {name}.
 * Names are the platform's words, so one with a slash, or that begins with a dot, is refused.
 * -EINVAL with a text, -ENOMEM. name NULL: what has the placeholder is refused.
 */
int sb_connect_fill(const char *setting, const char *name, char **ret,
                    char **ret_error) SB_MUST_CHECK;
/* Takes the settings over. name: whose connection it is, as in sb_connect_fill(); NULL the link's
 * own. */
int sb_connect_take(struct sb_connect *connect, const struct sb_link_settings *link,
                    const char *name, char **ret_error) SB_MUST_CHECK;
/*
 * Client id, user and subscriptions by the mapping's words "client", "user" and those in `filters`
 * (ends with NULL), with values as in sb_words_fill(). 0 or -ENOMEM.
 */
int sb_connect_call(struct sb_connect *connect, const struct sb_words *words,
                    const char *const *filters, ...) __attribute__((sentinel)) SB_MUST_CHECK;
