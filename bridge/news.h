/* SPDX-License-Identifier: Apache-2.0 */
/*
 * News: what the core tells about tasks and devices, to doors and watchers.
 */
#pragma once

#include "bridge/device/device.h"
#include "bridge/job/job.h"

enum sb_news_kind {
    SB_NEWS_TASK,           /* a task changed */
    SB_NEWS_DEVICE_ADDED,   /* or changed: names, type */
    SB_NEWS_DEVICE_REMOVED, /* the record is valid during the call */
    SB_NEWS_PRESENCE,
    SB_NEWS_IDENTITY, /* versions or identity were read and differ from before */
    SB_NEWS_FIRMWARE, /* to other doors than the task's own: its firmware state changed */
    SB_NEWS_STAGED,   /* the staged image changed */
    SB_NEWS_JOB,      /* an open job was edited; to watchers only */
    SB_NEWS_MAX_,
};
SB_NAMES_DECLARE(sb_news)

/*
 * News of one turn about one task are merged: `before` is its state before the turn, the task
 * says where it ended up.
 */
struct sb_news {
    enum sb_news_kind kind;
    const struct sb_device *device; /* NULL when a task's device is gone */
    const struct sb_task *task;     /* TASK, FIRMWARE */
    const struct sb_job *job;       /* JOB */
    enum sb_task_state before;      /* TASK, FIRMWARE */
};
