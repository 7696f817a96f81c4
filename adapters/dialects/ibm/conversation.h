/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IBM conversation of one device (or of the gateway itself), uplink role. Pure: the world
 * comes in as sb_input and goes out as sb_effects.
 *
 * Answers. Every request with a reqId is answered once; a repeated reqId gets the same answer
 * again, or silence while the first is open (state.c remembers the last ones). Accepted actions
 * are answered 202 when the task is handed over, or after `answer_within` while it is queued;
 * custom actions when they have ended, or after `custom_within`: still queued ones are then
 * withdrawn, others go on and their end is told in the diagnostic log. What was refused, or
 * failed before its 202, is answered with the response code of its cause. Later failures have no
 * response any more: they go into mgmt.firmware, the diagnostic log and the error codes; the next
 * success clears the codes.
 *
 * mgmt.firmware (firmware.c) is this device's view of its firmware work, whoever does it; while a
 * request of the platform is open, the newest of them. While observed, each change is one notify
 * with state and updateStatus; unobserved, it is told in the next observe answer. State 0 with
 * updateStatus 0 reads as a success, so it is notified of nothing else: an image that somebody took
 * away is seen in the next observe answer. The platform resets state to 0 when it writes the
 * attribute; if it wrote the very image that is staged, an update may follow at once.
 *
 * Manage (manage.c). The platform takes the next manage of a device after an accepted reboot or
 * factory reset for its completion, so manage is withheld
 *   - while such an action is open; its success then sends one;
 *   - after a reboot failed past its commit point in a way that leaves open whether the device
 *     restarted (the cause's cell says `maybe`: no answer in time, link lost), and the device is
 *     away: until it is back (ready, or with a new identity), which is the completion;
 *   - after any other failure of a reboot or reset, and at the longest: until
 *     `withhold_after_failure` has passed, or another one of the same kind has succeeded. That of
 *     the other kind is told only then. A device whose lifetime ends meanwhile is dormant until
 *     then: the lesser evil beside a success that did not happen.
 * While a firmware update is open, a changed identity waits for its notify: first the result,
 * then manage with the new version.
 *
 * Thread: any, one at a time per state. Errors: -ENOMEM, after which the effects are not to be
 * carried out.
 */
#pragma once

#include "adapters/dialects/dialect.h"

void *sb_ibm_load(const json_t *saved);
json_t *sb_ibm_save(const void *state);
void sb_ibm_drop(void *state);
int sb_ibm_step(void *state, const struct sb_input *input, struct sb_effects *effects);
