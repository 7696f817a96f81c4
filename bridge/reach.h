/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can a server be reached? Name, TCP, TLS, one after the other, with what is wrong in words. For
 * `southbridgectl doctor`.
 *
 * It says nothing to the server beyond the TLS handshake: a login would take the place of the one
 * that a running daemon has. Blocks: at most `wait` ms, but for the name, whose look-up takes as
 * long as a dead name server likes. Any thread.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/exam.h"

struct sb_reach { /* strings owned */
    char *host, *port;
    bool tls;
    bool verify;   /* the server's certificate and name */
    char *ca_file; /* NULL: what the system trusts */
    char *cert_file, *key_file;
};
void sb_reach_done(struct sb_reach *reach);

/* One line in the exam, good or bad. */
void sb_reach_try(const struct sb_reach *reach, int64_t wait, struct sb_exam *exam);
