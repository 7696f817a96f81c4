/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/space.h"

#include <errno.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define FRESH SB_SECOND

struct sb_space {
    struct sb_loop *loop;
    struct sb_packages *packages;
    const char *state;
    char *depot;
    struct sb_space_view view;
    char *why;
    int64_t looked; /* when; 0: never */
};

static bool is_short(const struct sb_space *space, int64_t bytes)
{
    return bytes >= 0 && bytes < space->view.floor;
}

static void measure(struct sb_space *space)
{
    space->view.store_free = sb_disk_free(space->state);
    space->view.depot_free = sb_disk_free(space->depot);
}

/* Images that nobody needs now give way before a job has to. */
static void make_room(struct sb_space *space)
{
    if (!is_short(space, space->view.store_free) && !is_short(space, space->view.depot_free))
        return;
    int r = sb_depot_make_room(space->packages, 0);
    if (r < 0 && r != -ENOSPC)
        sb_warning(NULL, "no room can be made in '%s': %s", space->depot, strerror(-r));
    measure(space);
}

static char *explain(const struct sb_space *space)
{
    bool store = is_short(space, space->view.store_free);
    if (!store && !is_short(space, space->view.depot_free))
        return NULL;
    sb_cleanup(sb_freep) char *left =
        sb_size_text(store ? space->view.store_free : space->view.depot_free);
    sb_cleanup(sb_freep) char *floor = sb_size_text(space->view.floor);
    char *text =
        sb_format("only %s are free on the disk of '%s', less than the floor of %s "
                  "(artifacts.free_floor); free space on it",
                  left ? left : "?", store ? space->state : space->depot, floor ? floor : "?");
    return text ? text : strdup("the disk is nearly full");
}

static void tell(const struct sb_space *space, bool before, bool now)
{
    if (now && !before)
        sb_warning(NULL, "new jobs are refused: %s", space->why);
    if (!now && before)
        sb_notice(NULL, "there is room on the disk again: new jobs are taken");
}

bool sb_space_look(struct sb_space *space, struct sb_space_view *ret)
{
    int64_t now = sb_loop_now(space->loop);
    if (!space->looked || now - space->looked >= FRESH) {
        bool before = space->why != NULL;
        space->looked = now;
        measure(space);
        make_room(space);
        free(space->why);
        space->why = explain(space);
        tell(space, before, space->why != NULL);
    }
    space->view.why = space->why;
    if (ret)
        *ret = space->view;
    return !space->why;
}

int sb_space_new(struct sb_loop *loop, struct sb_packages *packages, const char *state,
                 int64_t floor, struct sb_space **ret)
{
    sb_cleanup(sb_space_freep) struct sb_space *space = calloc(1, sizeof(*space));
    if (!space)
        return -ENOMEM;
    space->loop = loop;
    space->packages = packages;
    space->state = state;
    space->view.floor = floor;
    space->depot = sb_format("%s/artifacts", state);
    if (!space->depot)
        return -ENOMEM;
    *ret = SB_STEAL(space);
    return 0;
}

struct sb_space *sb_space_free(struct sb_space *space)
{
    if (!space)
        return NULL;
    free(space->depot);
    free(space->why);
    free(space);
    return NULL;
}
