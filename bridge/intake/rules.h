/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules: open jobs that keep matching. Whoever comes to match - a new device, one that joined a
 * group, one that says another version than before - gets a task of the job.
 *
 * Policy: once per device and rule, whatever becomes of the task and whoever changes the device
 * afterwards: the task itself is the memory of that, in the store, so a crash makes no second one
 * and two clouds cannot flash a device back and forth. A device that was removed and registered
 * anew is another one. A device that the rule cannot act on (unable, unfit, not the link's to
 * command) does not match. One that is in another activity's way waits for its end, unless the
 * job's policy replaces that. Rules are looked at in order of their age. The end time of a rule
 * switches it off.
 *
 * Thread: the loop. sb_rules_turn() is called in each turn; it does nothing where nothing changed.
 */
#pragma once

#include "bridge/intake/intake.h"

struct sb_rules;
int sb_rules_new(struct sb_intake *intake, struct sb_rules **ret) SB_MUST_CHECK;
struct sb_rules *sb_rules_free(struct sb_rules *rules);
SB_DEFINE_CLEANUP(struct sb_rules *, sb_rules_free)

/* For all news: what may make a device match is looked at in the next turn. */
void sb_rules_hear(struct sb_rules *rules, const struct sb_news *news);
/* True: somebody joined, or a rule ended. */
bool sb_rules_turn(struct sb_rules *rules);
