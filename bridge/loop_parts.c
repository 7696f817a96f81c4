/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/loop_parts.h"

#include <errno.h>
#include <stdatomic.h>

struct sb_timer {
    struct sb_loop *loop;
    struct sb_loop_parts *parts; /* NULL: the loop is gone */
    sb_timer_fn fn;
    void *arg;
    int64_t when;
    uint64_t sequence;
    size_t index; /* in parts->timers */
};

struct notes {
    struct sb_note *list;
    size_t count, room;
};

struct sb_mailbox {
    atomic_uint refs;
    size_t limit;
    sb_note_fn fn;
    void *arg;

    pthread_mutex_t open;        /* held while one posts; closing waits for it */
    struct sb_loop_parts *parts; /* NULL: closed; changes with it held */
    pthread_mutex_t mutex;       /* guards the next one; never held while the loop is woken */
    struct notes in;

    struct notes out;          /* loop: being read */
    struct sb_mailbox *next;   /* loop: in parts->boxes */
    struct sb_mailbox *behind; /* parts->mutex: in parts->ready or parts->draining */
};

/* ---- timers: a binary heap of the armed ones, then the others in any order ---- */

static bool before(const struct sb_timer *a, const struct sb_timer *b)
{
    return a->when != b->when ? a->when < b->when : a->sequence < b->sequence;
}

static void place(struct sb_loop_parts *parts, size_t index, struct sb_timer *timer)
{
    parts->timers[index] = timer;
    timer->index = index;
}

static void sift_up(struct sb_loop_parts *parts, size_t index)
{
    struct sb_timer *timer = parts->timers[index];
    while (index > 0 && before(timer, parts->timers[(index - 1) / 2])) {
        place(parts, index, parts->timers[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    place(parts, index, timer);
}

static void sift_down(struct sb_loop_parts *parts, size_t index)
{
    struct sb_timer *timer = parts->timers[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child + 1 < parts->armed && before(parts->timers[child + 1], parts->timers[child]))
            child++;
        if (child >= parts->armed || !before(parts->timers[child], timer))
            break;
        place(parts, index, parts->timers[child]);
        index = child;
    }
    place(parts, index, timer);
}

bool sb_timer_armed(const struct sb_timer *timer)
{
    return timer->parts && timer->index < timer->parts->armed;
}

/* The last armed one takes its place, and it becomes the first of the unarmed. */
void sb_timer_stop(struct sb_timer *timer)
{
    struct sb_loop_parts *parts = timer->parts;
    size_t index = timer->index;

    if (!sb_timer_armed(timer))
        return;
    struct sb_timer *last = parts->timers[--parts->armed];
    place(parts, parts->armed, timer);
    if (last == timer)
        return;
    place(parts, index, last);
    sift_up(parts, index);
    sift_down(parts, last->index);
}

static int add_timer(struct sb_loop_parts *parts, struct sb_timer *timer)
{
    if (parts->count == parts->room) {
        size_t room = parts->room ? 2 * parts->room : 16;
        struct sb_timer **timers = reallocarray(parts->timers, room, sizeof(struct sb_timer *));
        if (!timers)
            return -ENOMEM;
        parts->timers = timers;
        parts->room = room;
    }
    place(parts, parts->count++, timer);
    return 0;
}

int sb_timer_new(struct sb_loop *loop, sb_timer_fn fn, void *arg, struct sb_timer **ret)
{
    struct sb_loop_parts *parts = sb_loop_parts_of(loop);
    sb_cleanup(sb_freep) struct sb_timer *timer = calloc(1, sizeof(*timer));

    if (!timer || add_timer(parts, timer) < 0)
        return -ENOMEM;
    timer->loop = loop;
    timer->parts = parts;
    timer->fn = fn;
    timer->arg = arg;
    *ret = SB_STEAL(timer);
    return 0;
}

/* A time in the past means now: so what is armed during a turn sorts behind what was due in it. */
void sb_timer_at(struct sb_timer *timer, int64_t when)
{
    struct sb_loop_parts *parts = timer->parts;
    int64_t now;

    if (!parts)
        return;
    sb_timer_stop(timer);
    now = sb_loop_now(timer->loop);
    timer->when = SB_MAX(when, now);
    timer->sequence = parts->sequence++;
    place(parts, timer->index, parts->timers[parts->armed]);
    place(parts, parts->armed, timer);
    sift_up(parts, parts->armed++);
}

void sb_timer_in(struct sb_timer *timer, int64_t ms)
{
    int64_t when;

    if (!timer->parts)
        return;
    if (__builtin_add_overflow(sb_loop_now(timer->loop), ms, &when))
        when = SB_NEVER;
    sb_timer_at(timer, when);
}

struct sb_timer *sb_timer_free(struct sb_timer *timer)
{
    if (!timer)
        return NULL;
    sb_timer_stop(timer);
    if (timer->parts)
        place(timer->parts, timer->index, timer->parts->timers[--timer->parts->count]);
    free(timer);
    return NULL;
}

static void run_timers(struct sb_loop_parts *parts, int64_t now)
{
    uint64_t end = parts->sequence; /* armed during this turn: next turn */

    while (parts->armed > 0 && parts->timers[0]->when <= now && parts->timers[0]->sequence < end) {
        struct sb_timer *timer = parts->timers[0];
        sb_timer_stop(timer);
        timer->fn(timer->arg); /* may free it */
    }
}

/* ---- mailboxes ---- */

static void drop_notes(struct notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        free(notes->list[i].data);
    free(notes->list);
    *notes = (struct notes){ 0 };
}

static int grow(struct notes *notes, size_t room)
{
    struct sb_note *list = reallocarray(notes->list, room, sizeof(*list));

    if (!list)
        return -ENOMEM;
    notes->list = list;
    notes->room = room;
    return 0;
}

int sb_mailbox_new(struct sb_loop *loop, size_t limit, sb_note_fn fn, void *arg,
                   struct sb_mailbox **ret)
{
    struct sb_loop_parts *parts = sb_loop_parts_of(loop);
    struct sb_mailbox *box = calloc(1, sizeof(*box));

    if (!box || grow(&box->in, 1) < 0 || grow(&box->out, 1) < 0) {
        free(box ? box->in.list : NULL);
        free(box);
        return -ENOMEM;
    }
    atomic_init(&box->refs, 1);
    pthread_mutex_init(&box->open, NULL);
    pthread_mutex_init(&box->mutex, NULL);
    box->limit = limit;
    box->fn = fn;
    box->arg = arg;
    box->parts = parts;
    box->next = parts->boxes;
    parts->boxes = box;
    *ret = box;
    return 0;
}

struct sb_mailbox *sb_mailbox_ref(struct sb_mailbox *box)
{
    atomic_fetch_add(&box->refs, 1);
    return box;
}

struct sb_mailbox *sb_mailbox_unref(struct sb_mailbox *box)
{
    if (!box || atomic_fetch_sub(&box->refs, 1) > 1)
        return NULL;
    drop_notes(&box->in);
    drop_notes(&box->out);
    pthread_mutex_destroy(&box->open);
    pthread_mutex_destroy(&box->mutex);
    free(box);
    return NULL;
}

static int push(struct notes *notes, size_t limit, const struct sb_note *note)
{
    if (notes->count >= limit)
        return -ENOBUFS;
    if (notes->count == notes->room && grow(notes, SB_MIN(limit, SB_MAX(2 * notes->room, 8U))) < 0)
        return -ENOMEM;
    notes->list[notes->count++] = *note;
    return 0;
}

static void announce(struct sb_loop_parts *parts, struct sb_mailbox *box)
{
    pthread_mutex_lock(&parts->mutex);
    box->behind = NULL;
    *parts->ready_end = box;
    parts->ready_end = &box->behind;
    bool asleep = parts->asleep;
    parts->asleep = false;
    pthread_mutex_unlock(&parts->mutex);
    if (asleep)
        sb_loop_parts_wake(parts);
}

static int add_note(struct sb_mailbox *box, const struct sb_note *note, bool *ret_first)
{
    pthread_mutex_lock(&box->mutex);
    int r = push(&box->in, box->limit, note);
    *ret_first = r == 0 && box->in.count == 1;
    pthread_mutex_unlock(&box->mutex);
    return r;
}

/* The loop cannot go meanwhile, since closing waits; nor does it wake into a locked mutex. */
int sb_mailbox_post(struct sb_mailbox *box, const struct sb_note *note)
{
    bool first = false;

    pthread_mutex_lock(&box->open);
    int r = box->parts ? add_note(box, note, &first) : -EPIPE;
    if (first)
        announce(box->parts, box);
    pthread_mutex_unlock(&box->open);
    return r;
}

static bool unlink_ready(struct sb_mailbox **list, const struct sb_mailbox *box)
{
    for (; *list; list = &(*list)->behind)
        if (*list == box) {
            *list = box->behind;
            return true;
        }
    return false;
}

static void forget_ready(struct sb_loop_parts *parts, const struct sb_mailbox *box)
{
    pthread_mutex_lock(&parts->mutex);
    if (!unlink_ready(&parts->draining, box) && unlink_ready(&parts->ready, box)) {
        parts->ready_end = &parts->ready;
        while (*parts->ready_end)
            parts->ready_end = &(*parts->ready_end)->behind;
    }
    pthread_mutex_unlock(&parts->mutex);
}

/* Closed: no further note is taken or read. The reference of the owner stays. */
static void detach(struct sb_mailbox *box)
{
    struct sb_loop_parts *parts = box->parts;

    pthread_mutex_lock(&box->open);
    box->parts = NULL;
    drop_notes(&box->in);
    pthread_mutex_unlock(&box->open);
    forget_ready(parts, box);
    for (struct sb_mailbox **at = &parts->boxes; *at; at = &(*at)->next)
        if (*at == box) {
            *at = box->next;
            break;
        }
}

struct sb_mailbox *sb_mailbox_close(struct sb_mailbox *box)
{
    if (!box)
        return NULL;
    if (box->parts) /* only the loop's thread writes it */
        detach(box);
    return sb_mailbox_unref(box);
}

static void take_notes(struct sb_mailbox *box)
{
    pthread_mutex_lock(&box->mutex);
    struct notes empty = box->out;
    box->out = box->in;
    box->in = empty;
    pthread_mutex_unlock(&box->mutex);
}

static void read_notes(struct sb_mailbox *box)
{
    sb_mailbox_ref(box); /* its function may close it */
    take_notes(box);
    for (size_t i = 0; i < box->out.count; i++) {
        struct sb_note *note = &box->out.list[i];
        if (box->parts)
            box->fn(box->arg, note);
        free(SB_STEAL(note->data));
    }
    box->out.count = 0;
    sb_mailbox_unref(box);
}

static struct sb_mailbox *next_box(struct sb_loop_parts *parts)
{
    pthread_mutex_lock(&parts->mutex);
    struct sb_mailbox *box = parts->draining;
    if (box)
        parts->draining = box->behind;
    pthread_mutex_unlock(&parts->mutex);
    return box;
}

static void run_notes(struct sb_loop_parts *parts)
{
    struct sb_mailbox *box;

    pthread_mutex_lock(&parts->mutex);
    parts->asleep = false;
    parts->draining = SB_STEAL(parts->ready);
    parts->ready_end = &parts->ready;
    pthread_mutex_unlock(&parts->mutex);
    while ((box = next_box(parts)))
        read_notes(box);
}

bool sb_loop_parts_waiting(struct sb_loop_parts *parts)
{
    pthread_mutex_lock(&parts->mutex);
    bool waiting = parts->ready != NULL;
    pthread_mutex_unlock(&parts->mutex);
    return waiting;
}

bool sb_loop_parts_sleep(struct sb_loop_parts *parts)
{
    pthread_mutex_lock(&parts->mutex);
    bool asleep = parts->asleep = !parts->ready;
    pthread_mutex_unlock(&parts->mutex);
    return asleep;
}

/* ---- turns ---- */

int sb_loop_on_turn_end(struct sb_loop *loop, sb_turn_fn fn, void *arg)
{
    struct sb_loop_parts *parts = sb_loop_parts_of(loop);

    if (parts->hook_count == SB_LOOP_HOOKS)
        return -ENOSPC;
    parts->hooks[parts->hook_count++] = (struct sb_loop_hook){ fn, arg };
    return 0;
}

void sb_loop_off_turn_end(struct sb_loop *loop, sb_turn_fn fn, void *arg)
{
    struct sb_loop_parts *parts = sb_loop_parts_of(loop);

    for (unsigned i = 0; i < parts->hook_count; i++) {
        if (parts->hooks[i].fn != fn || parts->hooks[i].arg != arg)
            continue;
        parts->hook_count--;
        memmove(&parts->hooks[i], &parts->hooks[i + 1],
                (parts->hook_count - i) * sizeof(parts->hooks[0]));
        return;
    }
}

void sb_loop_parts_turn(struct sb_loop_parts *parts, int64_t now)
{
    run_timers(parts, now);
    run_notes(parts);
    for (size_t i = 0; i < parts->hook_count; i++)
        parts->hooks[i].fn(parts->hooks[i].arg);
}

int64_t sb_loop_parts_next(const struct sb_loop_parts *parts)
{
    return parts->armed > 0 ? parts->timers[0]->when : SB_NEVER;
}

void sb_loop_parts_init(struct sb_loop_parts *parts)
{
    *parts = (struct sb_loop_parts){ 0 };
    pthread_mutex_init(&parts->mutex, NULL);
    parts->ready_end = &parts->ready;
}

void sb_loop_parts_done(struct sb_loop_parts *parts)
{
    for (size_t i = 0; i < parts->count; i++)
        parts->timers[i]->parts = NULL;
    free(parts->timers);
    while (parts->boxes)
        detach(parts->boxes);
    pthread_mutex_destroy(&parts->mutex);
}
