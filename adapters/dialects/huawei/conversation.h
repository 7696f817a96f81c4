/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Huawei conversation of one sub-device, or of the gateway itself. Pure: the world comes in as
 * sb_input and goes out as sb_effects.
 *
 * Upgrades (ota.c). An event becomes a request of the core under its task_id, where it has one: so
 * a redelivered one is done once. Reports have no task id: what the platform has asked for last is
 * all that is reported. A success is one when the version that was read back is the one asked for;
 * what has that version already, and answers, is a success without a download. Progress is
 * superseded by newer progress while it waits; how it ended is kept until the broker has it, and
 * told again when the same event comes again.
 *
 * Requests (request.c): commands and properties are answered once, with their result, or after
 * `final_within` without it; what has not begun then is taken back. The answer dies with the
 * connection.
 *
 * The family (family.c) is the gateway's own work: it gathers what its devices hand over (statuses,
 * values) and sends it in batches, asks for changes of the list that it missed, and tells each
 * device when the platform has it online. Then (report.c) that device says its versions and values
 * and how far its upgrade is; all again after each reconnect. What is not ready is not spoken for:
 * versions are told of devices that answer.
 *
 * Thread: any, one at a time per state. Errors: -ENOMEM, after which the effects are not to be
 * carried out.
 */
#pragma once

#include "adapters/dialects/dialect.h"

void *sb_huawei_load(const json_t *saved);
json_t *sb_huawei_save(const void *data);
void sb_huawei_drop(void *state);
int sb_huawei_step(void *state, const struct sb_input *input, struct sb_effects *effects);
