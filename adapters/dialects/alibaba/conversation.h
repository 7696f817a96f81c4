/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Alibaba conversation of one sub-device, or of the gateway itself. Pure: the world comes in as
 * sb_input and goes out as sb_effects.
 *
 * Sessions. The gateway's own conversation (family.c) speaks for its sub-devices: it gathers what
 * they want while one request is on its way - registration, topology, login - and sends it in one,
 * as many as the platform takes. A batch is taken or refused as a whole, so one that was refused is
 * tried again one by one. A sub-device (session.c) goes register (unless its secret is given or
 * known), topology (if it is not in it), login. It is logged in while it can be reached: who is
 * offline here is offline there, and its work waits on the platform. A failure is tried again, ever
 * later; a disabled device waits for `enable`.
 *
 * Nothing that is told waits in the outbox: a topic of a sub-device is legal only after its login.
 * Each login tells anew what is of use then - versions, the step of an update, results - and asks
 * for work (firmware/get, job/get), which finds also what was lost (laws 8 and 9). A failure that
 * nobody could be told is told when the platform offers that version again: a step names no
 * version, and the platform takes a failure for the end of whatever it offers now. After one was
 * told the platform is asked once more, which says whether it has it.
 *
 * Updates (ota.c). The step never falls, over retries too, which the platform must not see; 100
 * only when the device restarts; success is the report of the version. A push while its update is
 * open is the same update with fresh credentials; after a failure it is a new one. A push cannot be
 * stopped by the platform; another one waits behind it.
 *
 * Requests (request.c, jobs.c): properties, services and device jobs, answered with their result;
 * they survive restarts and the connection.
 * Thread: any, one at a time per state. Errors: -ENOMEM, after which the effects are not to be
 * carried out.
 */
#pragma once

#include "adapters/dialects/dialect.h"

void *sb_alibaba_load(const json_t *saved);
json_t *sb_alibaba_save(const void *data);
void sb_alibaba_drop(void *data);
int sb_alibaba_step(void *state, const struct sb_input *input, struct sb_effects *effects);
