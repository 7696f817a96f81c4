/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripted clouds behind the door contract (dialect "cloud"): they hear what leaves the gateway,
 * and keep it over the gateway's power cuts. Links "north" and "south".
 */
#pragma once

#include "bridge/door.h"

struct cloud_report {
    int64_t parcel; /* the same number: the same message again */
    int64_t task;
    char state[16];
    char cause[24];
    int percent, attempt;
    bool final;
};

struct cloud {
    struct sb_door *door; /* while the gateway runs */
    struct sb_host *host;
    struct cloud_report *heard; /* in order of arrival */
    size_t count, room;
    unsigned news[SB_NEWS_MAX_];
    unsigned lost;      /* reports that the outbox did not take */
    const char *broken; /* a promise of the core that news broke; NULL: none */
    bool deaf;          /* nothing is acknowledged */
    bool unlinked;      /* the link stays down */
};

extern struct cloud cloud, south; /* cloud is north */
extern const struct sb_door_ops cloud_door;

void cloud_reset(void); /* both */
void cloud_link(bool up);
void cloud_link_of(struct cloud *which, bool up);
/* What was heard of one task: final reports, and the last one. */
unsigned cloud_finals(int64_t task, const struct cloud_report **ret_last);
bool cloud_heard(int64_t task, const char *state);
/*
 * What must be true of all that a cloud ever heard: one outcome per task, nothing after it, within
 * an attempt neither state nor percent fall, 100 only from `restarting` on, a cause and a text
 * with each failure. NULL, or what is not.
 */
const char *cloud_judge(const struct cloud *which);
