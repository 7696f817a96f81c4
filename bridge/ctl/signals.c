/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/ctl/signals.h"

#include <poll.h>

static volatile sig_atomic_t came;

static void note(int number)
{
    came = number;
}

void sb_signals_catch(struct sb_signals *signals)
{
    struct sigaction action = { .sa_handler = note };
    sigset_t both;
    came = 0;
    (void)sigemptyset(&action.sa_mask);
    (void)sigemptyset(&both);
    (void)sigaddset(&both, SIGINT);
    (void)sigaddset(&both, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &both, &signals->waiting);
    (void)sigdelset(&signals->waiting, SIGINT);
    (void)sigdelset(&signals->waiting, SIGTERM);
    (void)sigaction(SIGINT, &action, &signals->before_int);
    (void)sigaction(SIGTERM, &action, &signals->before_term);
}

void sb_signals_release(struct sb_signals *signals)
{
    (void)sigaction(SIGINT, &signals->before_int, NULL);
    (void)sigaction(SIGTERM, &signals->before_term, NULL);
    (void)sigprocmask(SIG_SETMASK, &signals->waiting, NULL);
}

bool sb_signals_came(void)
{
    return came != 0;
}

bool sb_signals_wait(struct sb_signals *signals, int64_t ms)
{
    const struct timespec limit = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    if (!came)
        (void)ppoll(NULL, 0, &limit, &signals->waiting);
    return came != 0;
}
