/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bench for tests of the IBM conversation. The test is the world: inputs in, effects out
 * (tests/fakes/ibm_world.h). The documented exchanges themselves are in ibm_transcript_test.c.
 */
#pragma once

#include "tests/fakes/ibm_world.h"
#include "tests/test.h"

#define REBOOT     "mgmt/initiate/device/reboot"
#define RESET      "mgmt/initiate/device/factory_reset"
#define DOWNLOAD   "mgmt/initiate/firmware/download"
#define INSTALL    "mgmt/initiate/firmware/update"
#define OBSERVE    "{\"reqId\":\"%s\",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\"}]}}"
#define MANAGE     "mgmt/manage"
#define SHA        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

#define TEST(name) SB_TEST_OF(struct wiot *w, name, fresh, gone)

int fresh(void **state);
int gone(void **state);

/* ---- what the platform says ---- */

void says(struct wiot *w, const char *suffix, const char *fmt, ...) SB_PRINTF(3, 4);
void asks(struct wiot *w, const char *suffix, const char *id);
void describes(struct wiot *w, const char *id, const char *version, const char *uri,
               const char *verifier); /* an image */
void observes(struct wiot *w, const char *id);

/* ---- what it hears ---- */

/* rc of the next response; its message must hold `part` if given. */
void answered(struct wiot *w, int rc, const char *part);
void notified(struct wiot *w, int state, int status);
void managed(struct wiot *w);
void diagnosed(struct wiot *w, int code);

/* ---- how far things are ---- */

/* Up, managed and accepted, observed, an image described; nothing left to read. */
void prepare(struct wiot *w);
void stage(struct wiot *w);
/* A download that has succeeded and was told. */
void download(struct wiot *w);
