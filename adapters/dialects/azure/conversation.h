/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Azure conversation of one device, or of the gateway's own identity. Pure: the world comes in
 * as sb_input and goes out as sb_effects.
 *
 * Reported properties (report.c, twin.c) are a document that follows from the device record and
 * from what its tasks did last; that is saved. After each connect the twin is read, and what
 * differs is sent: so the twin comes right however long the gateway was away, and nothing has to
 * be queued for it. One patch at a time is on its way; what changes meanwhile goes with the next.
 * A patch or a read that the hub throttles or fails comes again, ever later. One that gets no
 * answer is followed by a read. One that it refuses is sent again by halves, until what it does not
 * take is found and left out. What a document that is too large loses: room.c. A status never
 * falls: of a task that is tried again it is the furthest, and the substatus says where it is.
 *
 * Desired properties (wish.c) are wishes that stand. Each content is acted on once: not again when
 * it comes again, nor after a failure, nor because somebody else has changed the device since. It
 * is acted on again when it was taken away in between. What cannot be taken now is tried again.
 * The answer is in the reported part: ac (status), av ($version), ad (text).
 * A patch of desired properties that is not the next one means that one was missed: the twin is
 * read again.
 *
 * Methods (method.c) are answered once: a firmware update, reboot or reset when it is accepted, the
 * others with their result, or after `final_within` without it; what has not begun then is taken
 * back, unless a wish asks for it as well. An answer dies with the connection, so nothing of it is
 * kept, and what has not begun then is taken back likewise. The same request again while it is open
 * is the same task. A repeated $rid is not answered twice.
 *
 * Mode gateway: the conversation of a device hands its document to the gateway's own, which has
 * the twin, and hears its part of the desired properties from there (SB_OUT_TELL).
 *
 * The connection is made anew before its token ends, when no answer is owed.
 * Thread: any, one at a time per state. Errors: -ENOMEM, after which the effects are not to be
 * carried out.
 */
#pragma once

#include "adapters/dialects/dialect.h"

void *sb_azure_load(const json_t *saved);
json_t *sb_azure_save(const void *data);
void sb_azure_drop(void *state);
int sb_azure_step(void *state, const struct sb_input *input, struct sb_effects *effects);
bool sb_azure_has_connection(const void *data, const struct sb_device *device);
