/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGINT and SIGTERM while something is watched: noted instead of ending the program, and seen
 * only where it waits. One at a time.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct sb_signals {
    sigset_t waiting; /* what is blocked while waiting: as it was before */
    struct sigaction before_int, before_term;
};

void sb_signals_catch(struct sb_signals *signals);
void sb_signals_release(struct sb_signals *signals);
bool sb_signals_came(void);
/* Waits `ms`; true: a signal came. */
bool sb_signals_wait(struct sb_signals *signals, int64_t ms);
