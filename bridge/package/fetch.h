/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Downloads, each in a small helper process (southbridge-fetch) with resource limits, which also
 * contains a hostile server. Resume by Range and If-Range, size limit, rate limit, digest while
 * streaming. A cloud's URI is untrusted: per door allowed schemes and hosts; loopback, link-local
 * and private addresses - also after DNS and redirects - only where listed.
 *
 * Supplied downloads. A door that has a package's bytes gives them itself, piece by piece; such a
 * package has a URI that is its door's own, "stream:..." (sb_uri_is_stream()). The helper asks for
 * what it needs next, so that what is there already is gone on with, checks, writes and verifies as
 * with any other download; one piece is asked for at a time. What was told as received is on disk.
 *
 * Policy: at most `parallel` helpers; further requests wait in order. One download per part file:
 * a second request for the same one joins it, unless it demands a digest that the first does not.
 * Beside these, one supplied download per door: what a silent door keeps waiting is its own.
 * Thread: the loop; never blocks.
 *
 * Causes: invalid_uri (malformed, scheme, host or address not allowed, 4xx but 408/425/429),
 * download_failed (5xx, TLS, DNS, nobody listens), link_lost (connection broke, stalled), no_space
 * (disk full, or larger than max_bytes), verify_failed (digest or size differ), no_memory, internal
 * (helper missing, crashed or hung). After no_space and verify_failed the part file is gone.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/json.h"
#include "bridge/config/schema.h"
#include "bridge/job/job.h"
#include "bridge/loop.h"
#include "bridge/supply.h"

struct sb_uri_rules {           /* of one door, from the configuration */
    struct sb_strings schemes;  /* default: https */
    struct sb_strings hosts;    /* "firmware.example.com", "*.example.com"; empty: any public */
    struct sb_strings networks; /* CIDRs that are allowed though private: "10.1.0.0/16" */
};
extern const struct sb_field sb_uri_rules_fields[];
/* Syntax, scheme and host of a URI. NONE, or INVALID_URI with a text to be freed. Pure. */
enum sb_cause sb_uri_check(const struct sb_uri_rules *rules, const char *uri, char **ret_text);
/* Is it a door's own stream, which only that door can give? Pure. */
bool sb_uri_is_stream(const char *uri);
/* Is a resolved address (text form) allowed? Pure. */
bool sb_address_allowed(const struct sb_uri_rules *rules, const char *address);

/* By whom a supplied download is supplied. */
struct sb_supplier {
    /* 0: it will answer, now or later, or be asked anew; -errno: it never will. */
    int (*pull)(void *arg, const char *package, const struct sb_pull *pull);
    void *arg;
    const char *package; /* whose bytes */
    const char *door;    /* which gives them */
};

struct sb_fetch_spec {
    const char *uri; /* NULL: it is supplied */
    const struct sb_supplier *supplier;
    const char *part;   /* file to write; what is there is resumed; see <part>.meta */
    const char *sha256; /* demanded, or NULL */
    const char *md5;    /* demanded, or NULL */
    int64_t size;       /* demanded, or -1 */
    int64_t max_bytes;
    int64_t stall_ms;      /* no byte for so long: link_lost; 0: 60 s */
    int64_t rate;          /* bytes per second, 0 unlimited */
    int64_t tries;         /* a broken connection is taken up again: so often in a row in vain */
    const char *ca_file;   /* or NULL: the system's */
    const char *proxy;     /* http:// or https:// URI, or NULL */
    const json_t *headers; /* object name -> value, or NULL; secret; not sent to another origin */
    const struct sb_uri_rules *rules;
};

struct sb_fetch_event {
    bool done;
    enum sb_cause cause;     /* when done; NONE: the file is complete, digests match, synced */
    const char *text;        /* one sentence, or NULL */
    const char *sha256;      /* when done well */
    int64_t received, total; /* total -1 unknown */
};
typedef void (*sb_fetch_fn)(void *arg, const struct sb_fetch_event *event);

/* The contract; tests put a scripted one in its place. */
struct sb_fetcher_ops {
    /*
     * 0 and an id by which it is stopped; progress at most 5 times a second, then done once, never
     * from inside start(). -EINVAL: no part, limit or illegal headers; -E2BIG; -ENOMEM.
     */
    int (*start)(void *fetcher, const struct sb_fetch_spec *spec, sb_fetch_fn fn, void *arg,
                 uint64_t *ret_id);
    void (*stop)(void *fetcher, uint64_t id); /* no further event; the part file stays */
    /* An answer to a pull. One that nobody waits for (any more) is dropped. May be NULL. */
    void (*supply)(void *fetcher, const struct sb_piece *piece);
    void (*close)(void *fetcher); /* ends the helpers and waits; not from a fetch function */
};

/* The real one. helper: path of southbridge-fetch. */
int sb_fetcher_new(struct sb_loop *loop, const char *helper, unsigned parallel,
                   const struct sb_fetcher_ops **ret_ops, void **ret) SB_MUST_CHECK;
