/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/runner/internal.h"

#include "bridge/base/log.h"
#include "bridge/base/time.h"
#include "bridge/mapping/type.h"

/* A silent device is looked at ever more rarely. */
#define LOOK_FIRST (5 * SB_SECOND)
#define LOOK_LAST  (5 * SB_MINUTE)
/* A look at a port that is not there costs nobody anything. */
#define LOOK_PORT (5 * SB_SECOND)

/* What is polled changes all the time: it is written no more often, for the sake of the flash. */
#define VALUES_SAVE SB_MINUTE

#define LOOKS_BUS   2  /* under way at the same time: one on the line, one that waits for it */
#define LOOKS_MAX   64 /* of devices without one */

struct unit *sb_unit(struct sb_runner *runner, const char *device)
{
    struct unit *unit = sb_map_get(&runner->units, device);
    if (unit)
        return unit;
    unit = calloc(1, sizeof(*unit));
    if (unit && sb_map_set(&runner->units, device, unit) < 0) {
        free(unit);
        return NULL;
    }
    return unit;
}

bool sb_unit_can_look(struct sb_runner *runner, const struct sb_device *device)
{
    return device->type && device->type->driver && !device->gateway &&
           (!device->type->driver->run || sb_runner_bus(runner, device->bus));
}

void sb_unit_plan(struct sb_runner *runner, const char *id, int64_t in_ms)
{
    const struct sb_device *device = sb_registry_get(runner->parts.registry, id);
    struct unit *unit = device && sb_unit_can_look(runner, device) ? sb_unit(runner, id) : NULL;
    if (!unit)
        return;
    unit->look_at = sb_loop_now(runner->parts.loop) + in_ms;
    unit->bus = device->type->driver->run ? sb_runner_bus(runner, device->bus) : NULL;
    runner->look_at = SB_MIN(runner->look_at, unit->look_at);
}

void sb_unit_want(struct sb_runner *runner, const char *id)
{
    sb_unit_plan(runner, id, 0);
    struct unit *unit = sb_map_get(&runner->units, id);
    if (unit)
        unit->wanted = true;
    runner->dirty = true; /* a turn */
}

int sb_runner_identify(struct sb_runner *runner, const char *id)
{
    const struct sb_device *device = sb_registry_get(runner->parts.registry, id);
    if (!device || !sb_unit_can_look(runner, device))
        return -ENODEV;
    sb_unit_want(runner, id);
    return 0;
}

static bool has_run(const struct sb_runner *runner, const char *device)
{
    for (const struct run *run = runner->runs; run; run = run->next)
        if (strcmp(run->device, device) == 0)
            return true;
    return false;
}

/* Looks have their turn as others end: a fleet is not asked all at once, nor a line's queue filled.
 */
static bool has_room(const struct sb_runner *runner, const struct unit *unit)
{
    return unit->bus ? unit->bus->looks < LOOKS_BUS : runner->looks < LOOKS_MAX;
}

static void look(struct sb_runner *runner, const char *id, struct unit *unit)
{
    int64_t later = sb_loop_now(runner->parts.loop) + LOOK_FIRST;
    struct sb_device *device = sb_registry_get(runner->parts.registry, id);
    if (!device || has_run(runner, id)) {
        unit->look_at = device ? later : 0; /* its task asks it anyway */
        return;
    }
    unit->look_at = 0;
    if (sb_run_look(runner, device, unit->wanted) < 0)
        unit->look_at = later;
    unit->wanted = false;
}

/* The nearest time at which one is due and may begin; INT64_MAX: when another one ends. */
static int64_t look_at_units(struct sb_runner *runner, bool wanted)
{
    int64_t now = sb_loop_now(runner->parts.loop), next = INT64_MAX;
    size_t cursor = 0;
    const char *id;
    for (struct unit *unit; (unit = sb_map_next(&runner->units, &cursor, &id));) {
        if (!unit->look_at || unit->wanted != wanted)
            continue;
        bool due = unit->look_at <= now;
        if (due && !has_room(runner, unit)) {
            runner->looks_held = true;
            continue;
        }
        if (due)
            look(runner, id, unit);
        if (unit->look_at)
            next = SB_MIN(next, unit->look_at);
    }
    return next;
}

int64_t sb_units_look(struct sb_runner *runner)
{
    int64_t now = sb_loop_now(runner->parts.loop);
    if (runner->look_at <= now) {
        runner->looks_held = false;
        runner->look_at = INT64_MAX;
        int64_t wanted = look_at_units(runner, true);
        int64_t others = look_at_units(runner, false);
        runner->look_at = SB_MIN(runner->look_at, SB_MIN(wanted, others));
    }
    return runner->look_at == INT64_MAX ? 0 : SB_MAX(runner->look_at - now, 1);
}

/* Its run counts from its making to its end. */
void sb_look_counts(struct run *run, int more)
{
    unsigned *looks = run->bus ? &run->bus->looks : &run->runner->looks;
    *looks = (unsigned)((int)*looks + more);
    if (more < 0 && run->runner->looks_held)
        run->runner->look_at = 0; /* there is room for another one */
}

static void set_presence(struct sb_runner *runner, struct sb_device *device,
                         enum sb_presence presence)
{
    if (device->presence == presence)
        return;
    sb_info(SB_AT(.device = device->id, .bus = device->bus), "%s -> %s",
            sb_presence_name((int)device->presence), sb_presence_name((int)presence));
    device->presence = presence;
    runner->dirty = true;
    runner->parts.tell(runner->parts.arg,
                       &(struct sb_news){ .kind = SB_NEWS_PRESENCE, .device = device });
}

/* Merges an object of strings; true when something differs from before. */
static bool merge(json_t **into, const json_t *from)
{
    const char *key;
    json_t *value;
    bool changed = false;
    if (!from || !json_object_size(from))
        return false;
    if (!*into)
        *into = json_object();
    json_object_foreach ((json_t *)from, key, value) {
        if (json_equal(json_object_get(*into, key), value))
            continue;
        changed |= json_object_set(*into, key, value) == 0;
    }
    return changed;
}

/* Values read along the way; true: it is time to write them. */
static bool take_values(struct sb_runner *runner, struct sb_device *device, struct unit *unit,
                        const json_t *values)
{
    int64_t now = sb_loop_now(runner->parts.loop), wall = sb_loop_wall(runner->parts.loop);
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)values, name, value) {
        if (sb_device_set_property(device, name, value, wall) < 0)
            sb_warning(SB_AT(.device = device->id), "cannot keep the value of '%s'", name);
    }
    if (json_object_size(values) == 0 || (unit->kept && now - unit->kept < VALUES_SAVE))
        return false;
    unit->kept = now;
    return true;
}

/* Does it ask for what waits for it: as its driver says, or by a property of its type? */
static bool asks(const struct sb_device *device, const struct sb_identity *identity)
{
    const char *name = device->type ? device->type->asks : NULL;
    const json_t *value = name ? json_object_get(identity->properties, name) : NULL;
    return identity->asks || json_is_true(value) ||
           (json_is_number(value) && json_number_value(value) != 0);
}

void sb_unit_answered(struct sb_runner *runner, const char *id, const struct sb_identity *identity)
{
    struct sb_device *device = sb_registry_get(runner->parts.registry, id);
    struct unit *unit = device ? sb_unit(runner, id) : NULL;
    if (!unit)
        return;
    int64_t every = device->type ? device->type->identify_every : 0;
    unit->failures = 0;
    free(SB_STEAL(device->trouble));
    if (every)
        sb_unit_plan(runner, id, every);
    device->seen = sb_loop_wall(runner->parts.loop);
    bool changed = merge(&device->identity, identity->identity);
    changed |= merge(&device->versions, identity->versions);
    if (device->occupied && identity->idle) {
        free(SB_STEAL(device->occupied));
        runner->dirty = true;
        changed = true;
    }
    if (take_values(runner, device, unit, identity->properties) || changed)
        sb_runner_save_device(runner, device);
    if (changed)
        runner->parts.tell(runner->parts.arg,
                           &(struct sb_news){ .kind = SB_NEWS_IDENTITY, .device = device });
    set_presence(runner, device, SB_PRESENCE_READY);
    sb_wait_answered(runner, device, asks(device, identity));
}

/* Those who wait for the device hear why. */
static void note_trouble(struct sb_runner *runner, struct sb_device *device, const char *text)
{
    const struct sb_event event = { .kind = SB_EV_WAIT, .reason = SB_REASON_OFFLINE, .text = text };
    struct sb_task *task = NULL;
    if (!text || sb_streq(device->trouble, text) || sb_set_string(&device->trouble, text) < 0)
        return;
    sb_warning(SB_AT(.device = device->id, .bus = device->bus), "does not answer: %s", text);
    while ((task = sb_book_of_device(runner->parts.book, device->id, task)))
        if (task->state == SB_TASK_QUEUED && task->reason == SB_REASON_OFFLINE)
            sb_runner_apply(runner, task, &event, "core");
}

void sb_unit_silent(struct sb_runner *runner, const char *id, const struct sb_outcome *outcome)
{
    struct sb_device *device = sb_registry_get(runner->parts.registry, id);
    struct unit *unit = device ? sb_unit(runner, id) : NULL;
    if (!unit)
        return;
    int64_t wait = LOOK_FIRST << SB_MIN(unit->failures, 6u);
    unit->failures++;
    sb_unit_plan(runner, id, SB_MIN(wait, outcome->no_port ? LOOK_PORT : LOOK_LAST));
    note_trouble(runner, device, outcome->text);
    set_presence(runner, device, SB_PRESENCE_OFFLINE);
}
