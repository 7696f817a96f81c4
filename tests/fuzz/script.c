/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/script.h"

#include "bridge/base/str.h"

void script_check(bool holds)
{
    if (!holds)
        abort();
}

json_t *script_keeps(const struct sb_dialect_ops *dialect, const void *state)
{
    json_t *saved = dialect->save(state);
    script_check(saved);
    void *again = dialect->load(saved);
    script_check(again);
    sb_cleanup(json_decrefp) json_t *resaved = dialect->save(again);
    script_check(json_equal(saved, resaved));
    dialect->drop(again);
    return saved;
}

enum sb_cause script_cause(enum sb_task_state state, unsigned cause)
{
    return state == SB_TASK_FAILED || state == SB_TASK_CANCELLED
               ? (enum sb_cause)(SB_CAUSE_NONE + 1 + cause % (SB_CAUSE_MAX_ - 1))
               : SB_CAUSE_NONE;
}

/* A task that is not final moves on; the machine leaves no final state. */
static void move(struct core *core, unsigned which, unsigned state, unsigned cause)
{
    size_t i = core->task_count > 0 ? which % core->task_count : 0;
    struct sb_task *task = &core->tasks[i].task;
    if (core->task_count == 0 || sb_task_state_is_final(task->state))
        return;
    enum sb_task_state next = (enum sb_task_state)(state % SB_TASK_STATE_MAX_);
    task->cause = script_cause(next, cause);
    task->phase = (enum sb_phase)(cause % SB_PHASE_MAX_);
    core_progress(core, i, next, (uint8_t)(cause % 101));
}

void script_core_event(struct core *core, const struct script_event *event)
{
    if (event->what == 't')
        move(core, event->a, event->b, event->c);
    else if (event->what == 'c')
        core->refuse = (enum sb_cause)(event->a % SB_CAUSE_MAX_);
    else if (event->what == 'y') {
        core->ready = event->a % 2;
        core->durable = event->a % 4 != 2;
    }
}

static unsigned byte_of(const char *text, size_t n, size_t at)
{
    return at < n ? (unsigned char)text[at] : 0;
}

static void line(const struct script *script, void *world, const char *text, size_t n)
{
    if (n > 0 && text[0] == '!') {
        const struct script_event event = { .what = (char)byte_of(text, n, 1),
                                            .a = byte_of(text, n, 2),
                                            .b = byte_of(text, n, 3),
                                            .c = byte_of(text, n, 4),
                                            .rest = n > 3 ? text + 3 : "",
                                            .n = n > 3 ? n - 3 : 0 };
        script->event(world, &event);
        return;
    }
    const char *space = memchr(text, ' ', n);
    sb_cleanup(sb_freep) char *topic = strndup(text, space ? (size_t)(space - text) : n);
    script_check(topic);
    const char *payload = space ? space + 1 : text + n;
    script->hears(world, topic, payload, n - (size_t)(payload - text));
}

void script_run(const struct script *script, void *world, const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;
    while (size > 0 && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        line(script, world, at, (size_t)(stop - at));
        script->look(world);
        at = stop + 1;
    }
}
