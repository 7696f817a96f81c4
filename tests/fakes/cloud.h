/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scripted cloud behind the door contract (dialect "cloud"): it hears what leaves the gateway,
 * and keeps it over the gateway's power cuts. Link "north".
 */
#pragma once

#include "bridge/door.h"

struct cloud_report {
    int64_t task;
    char state[16];
    char cause[24];
    int percent;
    bool final;
};

struct cloud {
    struct sb_door *door; /* while the gateway runs */
    struct sb_host *host;
    struct cloud_report *heard; /* in order of arrival */
    size_t count;
    unsigned news[SB_NEWS_MAX_];
    bool deaf;                      /* nothing is acknowledged */
    bool unlinked;                  /* the link stays down */
    struct cloud_report *unsettled; /* not used by tests directly */
};

extern struct cloud cloud;
extern const struct sb_door_ops cloud_door;

void cloud_reset(void);
void cloud_link(bool up);
/* What was heard of one task: final reports, and the last one. */
unsigned cloud_finals(int64_t task, const struct cloud_report **ret_last);
bool cloud_heard(int64_t task, const char *state);
