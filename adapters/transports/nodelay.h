/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP_NODELAY for sockets that a library opened and does not show.
 *
 * Paho 1.3 leaves Nagle's algorithm on: an answer at QoS 1 then waits for the peer's delayed
 * acknowledgement of the packet before it, 40 ms on a LAN. Any thread; harmless to repeat.
 */
#pragma once

/* Every connected TCP socket of this process. */
void sb_nodelay_all(void);
