/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of what leads out of the gateway: buses and links. */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/bus.h"
#include "bridge/doctor/parts.h"
#include "bridge/host.h"

#define REACH_WAIT (10 * SB_SECOND)
#define NAME_WAIT  5 /* s beyond that for a name server that does not answer */
#define AT_ONCE    32

static void say_wrong(struct sb_exam *exam)
{
    sb_exam_say(exam, SB_HEALTH_FAILED, "see the findings of config and mappings above",
                "its settings are wrong: it is left out");
}

/* ---- buses ---- */

void sb_doctor_buses(struct sb_doctor *doctor)
{
    const json_t *known = doctor->parts->known;
    int daemon = known ? (int)sb_json_int(known, "pid", 0)
                       : sb_doctor_listener(doctor->config->control.socket);
    const struct sb_bus_config *bus;
    for (size_t i = 0; (bus = sb_config_bus(doctor->config, i)); i++) {
        struct sb_bus_parts parts = { 0 };
        struct sb_exam exam = { 0 };
        struct sb_diags ignored = { 0 };
        if (sb_bus_load(doctor->config, bus, doctor->parts->adapters, &parts, &ignored) < 0)
            say_wrong(&exam);
        else if (parts.ops->examine)
            parts.ops->examine(parts.config, SB_MAX(daemon, 0), &exam);
        sb_bus_parts_done(&parts);
        sb_diags_done(&ignored);
        sb_doctor_tell(doctor, bus->name, &exam);
    }
}

/* ---- links ---- */

/* One link's way to its server, tried on a thread of its own: all of them together then take no
 * longer than one, and a dead name server holds up only the thread. */
struct probe {
    struct probes *all;
    const char *name;
    struct sb_exam exam; /* of the settings; then of the server */
    struct sb_reach reach;
    bool started, ended; /* ended: under the lock */
    pthread_t thread;
};

struct probes {
    pthread_mutex_t lock;
    pthread_cond_t one_ended;
    struct probe list[];
};

static void *try(void *arg)
{
    struct probe *probe = arg;
    sb_reach_try(&probe->reach, REACH_WAIT, &probe->exam);
    (void)pthread_mutex_lock(&probe->all->lock);
    probe->ended = true;
    (void)pthread_cond_signal(&probe->all->one_ended);
    (void)pthread_mutex_unlock(&probe->all->lock);
    return NULL;
}

static void load_link(const struct sb_doctor *doctor, const struct sb_link_config *link,
                      struct probe *probe)
{
    struct sb_link_parts parts = { 0 };
    struct sb_diags ignored = { 0 };
    sb_cleanup(sb_freep) char *error = NULL;
    probe->name = link->name;
    int r = sb_link_load(doctor->config, link, doctor->parts->adapters, &parts, &ignored);
    if (r < 0) {
        say_wrong(&probe->exam);
    } else if (parts.ops->reach) {
        r = parts.ops->reach(parts.ops, parts.config, parts.words, doctor->parts->wall,
                             &probe->reach, &error);
        if (r < 0)
            sb_exam_say(&probe->exam, SB_HEALTH_FAILED,
                        "the link cannot log in before this is put right", "%s",
                        error ? error : strerror(-r));
        else
            probe->started = pthread_create(&probe->thread, NULL, try, probe) == 0;
    }
    sb_link_parts_done(&parts);
    sb_diags_done(&ignored);
}

static void say_login(const struct sb_doctor *doctor, const char *name, struct sb_exam *exam)
{
    const json_t *links = sb_json_array(doctor->parts->known, "links");
    size_t i;
    const json_t *link;
    json_array_foreach ((json_t *)links, i, link) {
        if (!sb_streq(sb_json_str(link, "name"), name))
            continue;
        bool up = sb_json_bool(link, "up", false);
        const char *text = sb_json_str(link, "text");
        int64_t since = sb_json_int(link, "since", 0);
        sb_cleanup(sb_freep) char *when = since > 0 ? sb_time_iso8601(since) : NULL;
        sb_exam_say(exam, up ? SB_HEALTH_OK : SB_HEALTH_FAILED,
                    up ? NULL
                       : "check the account's data there and here (token); the daemon tries again "
                         "by itself",
                    "%s%s%s: %s", up ? "logged in" : "not logged in", when ? " since " : "",
                    when ? when : "", text ? text : "?");
    }
}

/* False: it hangs, and is left alone: the process ends soon. */
static bool finish(struct probe *probe, const struct timespec *until)
{
    struct probes *all = probe->all;
    int r = 0;
    if (!probe->started)
        return true;
    (void)pthread_mutex_lock(&all->lock);
    while (!probe->ended && r == 0)
        r = pthread_cond_clockwait(&all->one_ended, &all->lock, CLOCK_MONOTONIC, until);
    bool ended = probe->ended;
    (void)pthread_mutex_unlock(&all->lock);
    if (ended)
        (void)pthread_join(probe->thread, NULL);
    return ended;
}

static bool tell_probe(struct sb_doctor *doctor, struct probe *probe, const struct timespec *until)
{
    struct sb_exam late = { 0 };
    bool done = finish(probe, until);
    struct sb_exam *exam = done ? &probe->exam : &late;
    if (done)
        sb_reach_done(&probe->reach);
    else
        sb_exam_say(&late, SB_HEALTH_FAILED, "check the name servers (/etc/resolv.conf)",
                    "the look-up of the server's name does not end");
    say_login(doctor, probe->name, exam);
    sb_doctor_tell(doctor, probe->name, exam);
    return done;
}

static void probe_links(struct sb_doctor *doctor, size_t first, size_t count)
{
    struct probes *probes = calloc(1, sizeof(*probes) + count * sizeof(struct probe));
    struct timespec until;
    bool all = true;
    if (!probes)
        return;
    (void)pthread_mutex_init(&probes->lock, NULL);
    (void)pthread_cond_init(&probes->one_ended, NULL);
    for (size_t i = 0; i < count; i++) {
        probes->list[i].all = probes;
        load_link(doctor, sb_config_link(doctor->config, first + i), &probes->list[i]);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += REACH_WAIT / SB_SECOND + NAME_WAIT;
    for (size_t i = 0; i < count; i++)
        all &= tell_probe(doctor, &probes->list[i], &until);
    if (!all)
        return; /* a thread still works with it */
    (void)pthread_cond_destroy(&probes->one_ended);
    (void)pthread_mutex_destroy(&probes->lock);
    free(probes);
}

void sb_doctor_links(struct sb_doctor *doctor)
{
    size_t count = doctor->config->links.count;
    for (size_t i = 0; i < count; i += AT_ONCE)
        probe_links(doctor, i, SB_MIN(count - i, (size_t)AT_ONCE));
}
