/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link as an uplink door: the glue between a dialect's pure codec and conversation, its MQTT
 * connections, and the host. Knows no dialect.
 *
 *     MQTT message -> decode -> step of the device's conversation -> effects -> host calls
 *     core news, timers, connections going up and down -> the same
 *
 * Conversations live in memory, one per device and one of the link itself (device ""), which is
 * also the gateway's own record. They are read back when first needed, and saved in the turn's
 * batch with what they caused. A message for an unknown device meets a fresh conversation that is
 * forgotten again; what it answers goes out where the message came in.
 *
 * Connections: the link's own, and one of each device that the dialect wants to have one
 * (has_connection). They are opened `connect_rate` in a second, share the threads of
 * one crew (mqtt.h), and fail and come back each for itself. A connection's parcels wait for it
 * alone. One whose device was removed goes on for 10 s, so that its last reports leave.
 * After a connect the link's own conversation is told first, then those of the devices that use
 * its connection, `connect_rate` in a second; one that is spoken to earlier is told at once.
 *
 * Backlog: with a kept session, what arrives between the connect and SB_OUT_CURRENT waited at
 * the broker. How long a connection was down is measured, or, over a restart of the process, taken
 * from the link's last sign of life, which is saved when the last one goes down and every half
 * `stale_after`.
 *
 * Settling: a parcel without token by its PUBACK, one with a token by SB_OUT_SETTLE, or, when the
 * far side does not reply within `reply_timeout` of the PUBACK, by that: the broker has it, and
 * sending it again would not help. A token may be settled from another conversation than the one
 * that sent it: its device may be gone, or be called otherwise now.
 *
 * Limits of a mapping that are used here where a dialect has them: stale_after, reply_timeout,
 * connect_rate.
 * Thread: the loop; nothing blocks but the disconnect in close().
 */
#pragma once

#include "adapters/dialects/dialect.h"

/* ops: the door the dialect exports; its adapter is the dialect's struct sb_dialect_ops. */
int sb_uplink_open(const struct sb_door_ops *ops, struct sb_host *host, const char *link,
                   const void *config, const struct sb_words *words,
                   struct sb_door **ret) SB_MUST_CHECK;
void sb_uplink_start(struct sb_door *door);
void sb_uplink_hear(struct sb_door *door, const struct sb_news *news);
int sb_uplink_send(struct sb_door *door, const struct sb_parcel *parcel);
/* For the door of a dialect that offers packages as "stream:...". */
int sb_uplink_pull(struct sb_door *door, const struct sb_pull *pull);
void sb_uplink_close(struct sb_door *door);
/* Where it would connect; reads its secrets. See struct sb_door_ops. */
int sb_uplink_reach(const struct sb_door_ops *ops, const void *config, const struct sb_words *words,
                    int64_t wall, struct sb_reach *ret, char **ret_error) SB_MUST_CHECK;
