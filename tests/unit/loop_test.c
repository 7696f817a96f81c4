/* SPDX-License-Identifier: Apache-2.0 */
/* The loop on the real clock, with real descriptors and threads. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "bridge/loop.h"
#include "tests/test.h"

#define GUARD_MS 20000

struct world {
    struct sb_loop *loop;
    struct sb_timer *guard, *t[4];
    struct sb_watch *w[2];
    struct sb_mailbox *box[2];
    int pipe[2], count, turns;
    unsigned ready;
    size_t length; /* of trace */
    char trace[64];
};

static void note(struct world *w, char what)
{
    assert_true(w->length < sizeof(w->trace) - 1);
    w->trace[w->length++] = what;
}

static void on_guard(void *arg)
{
    (void)arg;
    fail_msg("the loop did not stop in time");
}

static void run(struct world *w)
{
    sb_timer_in(w->guard, GUARD_MS);
    assert_int_equal(sb_loop_run(w->loop), 0);
    sb_timer_stop(w->guard);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_int_equal(sb_loop_new(&w->loop), 0);
    assert_int_equal(sb_timer_new(w->loop, on_guard, NULL, &w->guard), 0);
    assert_int_equal(pipe2(w->pipe, O_CLOEXEC | O_NONBLOCK), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < SB_COUNT(w->t); i++)
        sb_timer_free(w->t[i]);
    for (size_t i = 0; i < SB_COUNT(w->w); i++)
        sb_watch_free(w->w[i]);
    for (size_t i = 0; i < SB_COUNT(w->box); i++)
        sb_mailbox_close(w->box[i]);
    sb_timer_free(w->guard);
    sb_loop_free(w->loop);
    sb_closep(&w->pipe[0]);
    sb_closep(&w->pipe[1]);
    free(w);
    return 0;
}

static struct sb_timer *timer(struct world *w, sb_timer_fn fn, void *arg)
{
    struct sb_timer *made = NULL;
    assert_int_equal(sb_timer_new(w->loop, fn, arg, &made), 0);
    return made;
}

static struct sb_watch *watch(struct world *w, int fd, unsigned wanted, sb_watch_fn fn)
{
    struct sb_watch *made = NULL;
    assert_int_equal(sb_watch_new(w->loop, fd, wanted, fn, w, &made), 0);
    return made;
}

static void stop(void *arg)
{
    sb_loop_stop(((struct world *)arg)->loop);
}

static void burn_ms(long ms)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < ms);
}

/* ---- timers ---- */

static void note_a(void *arg)
{
    note(arg, 'a');
}

static void note_b(void *arg)
{
    note(arg, 'b');
}

static void note_c(void *arg)
{
    note(arg, 'c');
}

#define TEST(fn) SB_TEST_OF(struct world *w, fn, set_up, tear_down)

TEST(timers_run_in_order_of_time)
{
    int64_t start = sb_loop_now(w->loop);

    w->t[0] = timer(w, note_a, w);
    w->t[1] = timer(w, note_b, w);
    w->t[2] = timer(w, note_c, w);
    w->t[3] = timer(w, stop, w);
    sb_timer_at(w->t[3], start + 40);
    sb_timer_at(w->t[2], start + 20);
    sb_timer_at(w->t[1], start + 10);
    sb_timer_at(w->t[0], start + 20); /* same time as c, armed later */
    run(w);
    assert_string_equal(w->trace, "bca");
    assert_true(sb_loop_now(w->loop) >= start + 40);
    assert_false(sb_timer_armed(w->t[0]));
}

TEST(a_timer_is_replaced_or_stopped)
{
    w->t[0] = timer(w, note_a, w);
    w->t[1] = timer(w, note_b, w);
    w->t[2] = timer(w, stop, w);
    sb_timer_in(w->t[0], 5);
    sb_timer_in(w->t[0], 1); /* moves, does not double */
    sb_timer_in(w->t[1], 1);
    assert_true(sb_timer_armed(w->t[1]));
    sb_timer_stop(w->t[1]);
    assert_false(sb_timer_armed(w->t[1]));
    sb_timer_stop(w->t[1]);
    sb_timer_in(w->t[2], 20);
    run(w);
    assert_string_equal(w->trace, "a");
}

static void free_self_and_other(void *arg)
{
    struct world *w = arg;
    note(w, 'f');
    w->t[0] = sb_timer_free(w->t[0]);
    w->t[1] = sb_timer_free(w->t[1]); /* due as well */
}

TEST(a_timer_frees_itself_and_another)
{
    w->t[0] = timer(w, free_self_and_other, w);
    w->t[1] = timer(w, note_b, w);
    w->t[2] = timer(w, stop, w);
    sb_timer_in(w->t[0], 0);
    sb_timer_in(w->t[1], 0);
    sb_timer_in(w->t[2], 5);
    run(w);
    assert_string_equal(w->trace, "f");
}

static void again_at_once(void *arg)
{
    struct world *w = arg;
    note(w, '0' + (char)w->turns);
    if (++w->count < 3)
        sb_timer_at(w->t[0], 0); /* long past: now, but not in this turn */
    else
        stop(w);
}

static void count_turn(void *arg)
{
    ((struct world *)arg)->turns++;
}

TEST(a_timer_armed_in_its_function_waits_for_the_next_turn)
{
    assert_int_equal(sb_loop_on_turn_end(w->loop, count_turn, w), 0);
    w->t[0] = timer(w, again_at_once, w);
    sb_timer_in(w->t[0], -5);
    run(w);
    assert_int_equal(w->count, 3);
    assert_true(w->trace[0] < w->trace[1] && w->trace[1] < w->trace[2]);
}

TEST(a_far_timer_does_not_overflow)
{
    w->t[0] = timer(w, note_a, w);
    w->t[1] = timer(w, stop, w);
    sb_timer_in(w->t[0], INT64_MAX);
    sb_timer_in(w->t[1], 1);
    run(w);
    assert_true(sb_timer_armed(w->t[0]));
    assert_string_equal(w->trace, "");
}

TEST(random_timers)
{
    enum { MANY = 300 };
    struct sb_timer *many[MANY] = { 0 };
    unsigned seed = 7;

    for (int i = 0; i < MANY; i++) { /* arm, re-arm, stop and free in a mixed order */
        int victim = rand_r(&seed) % (i + 1);
        many[i] = timer(w, count_turn, w);
        sb_timer_in(many[i], rand_r(&seed) % 20);
        if (i % 3 == 0 && many[victim])
            sb_timer_stop(many[victim]);
        if (i % 7 == 0)
            many[victim] = sb_timer_free(many[victim]);
    }
    int expected = 0;
    for (int i = 0; i < MANY; i++)
        expected += many[i] && sb_timer_armed(many[i]);
    w->t[0] = timer(w, stop, w);
    sb_timer_in(w->t[0], 40);
    run(w);
    assert_true(expected > 50);
    assert_int_equal(w->turns, expected);
    for (int i = 0; i < MANY; i++)
        sb_timer_free(many[i]);
}

static void burn(void *arg)
{
    struct world *w = arg;
    int64_t now = sb_loop_now(w->loop), wall = sb_loop_wall(w->loop);

    burn_ms(20);
    assert_int_equal(sb_loop_now(w->loop), now);
    assert_int_equal(sb_loop_wall(w->loop), wall);
    sb_timer_in(w->t[1], 0); /* from the frozen time */
    stop(w);
}

TEST(time_stands_still_during_a_turn)
{
    int64_t before = sb_loop_now(w->loop);

    burn_ms(5);
    assert_true(sb_loop_now(w->loop) > before); /* not yet running: it flows */
    w->t[0] = timer(w, burn, w);
    w->t[1] = timer(w, note_a, w);
    sb_timer_in(w->t[0], 0);
    run(w);
    assert_true(sb_loop_wall(w->loop) > INT64_C(1735689600000));
}

/* ---- watches ---- */

static void read_one(void *arg, unsigned ready)
{
    struct world *w = arg;
    char c;

    assert_int_equal(ready, SB_READABLE);
    ssize_t n = read(w->pipe[0], &c, 1);
    assert_true(n >= 0);
    if (n == 1) {
        note(w, c);
    } else {
        w->w[0] = sb_watch_free(w->w[0]); /* end of file, inside its own function */
        stop(w);
    }
}

TEST(a_reader_gets_all_bytes_before_the_end)
{
    w->w[0] = watch(w, w->pipe[0], SB_READABLE, read_one);
    assert_int_equal(write(w->pipe[1], "hello", 5), 5);
    assert_int_equal(close(w->pipe[1]), 0); /* hangs up with five bytes unread */
    w->pipe[1] = -1;
    run(w);
    assert_string_equal(w->trace, "hello");
    assert_null(w->w[0]);
}

static void on_ready(void *arg, unsigned ready)
{
    struct world *w = arg;
    w->ready |= ready;
    w->count++;
    stop(w);
}

TEST(a_writer_hears_room_and_hang_up)
{
    w->w[0] = watch(w, w->pipe[1], SB_WRITABLE, on_ready);
    run(w);
    assert_int_equal(w->ready, SB_WRITABLE);
    w->ready = 0;
    assert_int_equal(close(w->pipe[0]), 0);
    w->pipe[0] = -1;
    run(w);
    assert_int_equal(w->ready, SB_READABLE | SB_WRITABLE);
}

TEST(an_unwanted_watch_is_silent_even_hung_up)
{
    w->w[0] = watch(w, w->pipe[0], 0, on_ready);
    w->t[0] = timer(w, stop, w);
    assert_int_equal(close(w->pipe[1]), 0);
    w->pipe[1] = -1;
    sb_timer_in(w->t[0], 10);
    run(w);
    assert_int_equal(w->count, 0);
    sb_watch_want(w->w[0], SB_READABLE);
    run(w);
    assert_int_equal(w->ready, SB_READABLE);
    sb_watch_want(w->w[0], 0);
    sb_timer_in(w->t[0], 10);
    run(w);
    assert_int_equal(w->count, 1);
}

TEST(wants_change)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    w->w[0] = watch(w, pair[0], SB_WRITABLE, on_ready);
    run(w);
    assert_int_equal(w->ready, SB_WRITABLE);
    w->ready = 0;
    sb_watch_want(w->w[0], SB_READABLE);
    run(w);
    assert_int_equal(w->ready, SB_READABLE);
    w->ready = 0;
    sb_watch_want(w->w[0], SB_READABLE | SB_WRITABLE);
    run(w);
    assert_int_equal(w->ready, SB_READABLE | SB_WRITABLE);
    close(pair[0]);
    close(pair[1]);
}

static void free_both(void *arg, unsigned ready)
{
    struct world *w = arg;
    (void)ready;
    w->count++;
    w->w[0] = sb_watch_free(w->w[0]);
    w->w[1] = sb_watch_free(w->w[1]);
    stop(w);
}

TEST(a_watch_frees_itself_and_another_that_is_ready)
{
    w->w[0] = watch(w, w->pipe[0], SB_READABLE, free_both);
    w->w[1] = watch(w, w->pipe[0], SB_READABLE, free_both); /* one descriptor, watched twice */
    assert_int_equal(write(w->pipe[1], "x", 1), 1);
    run(w);
    assert_int_equal(w->count, 1);
}

TEST(the_caller_may_close_its_descriptor)
{
    w->w[0] = watch(w, w->pipe[0], SB_READABLE, on_ready);
    close(w->pipe[0]);
    w->pipe[0] = -1;
    assert_int_equal(write(w->pipe[1], "x", 1), 1); /* the duplicate is open: no EPIPE */
    run(w);
    assert_int_equal(w->ready, SB_READABLE);
}

TEST(what_cannot_be_watched_is_refused)
{
    struct sb_watch *none = NULL;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    assert_true(file >= 0);
    assert_int_equal(sb_watch_new(w->loop, -1, SB_READABLE, on_ready, w, &none), -EBADF);
    assert_int_equal(sb_watch_new(w->loop, file, SB_READABLE, on_ready, w, &none), -EPERM);
    assert_int_equal(sb_watch_new(w->loop, file, 0, on_ready, w, &none), -EPERM);
    assert_null(none);
    close(file);
}

TEST(many_watches)
{
    enum { MANY = 200 };
    struct sb_watch *many[MANY];

    for (int i = 0; i < MANY; i++)
        many[i] = watch(w, w->pipe[0], SB_READABLE, on_ready);
    assert_int_equal(write(w->pipe[1], "x", 1), 1);
    for (int round = 0; round < 10; round++) /* a batch is smaller: none may starve */
        run(w);
    assert_true(w->count >= MANY);
    for (int i = 0; i < MANY; i++)
        sb_watch_free(many[i]);
}

static void due_again(void *arg)
{
    struct world *w = arg;
    if (++w->turns == 100)
        assert_int_equal(write(w->pipe[1], "x", 1), 1);
    sb_timer_in(w->t[0], 0);
}

/* Turns that follow each other without waiting look at descriptors all the same. */
TEST(a_timer_that_is_always_due_starves_no_watch)
{
    w->t[0] = timer(w, due_again, w);
    w->w[0] = watch(w, w->pipe[0], SB_READABLE, on_ready);
    sb_timer_in(w->t[0], 0);
    run(w);
    assert_int_equal(w->count, 1);
    assert_in_range(w->turns, 100, 103);
}

/* ---- mailboxes ---- */

static void on_note(void *arg, struct sb_note *n)
{
    struct world *w = arg;
    note(w, (char)n->kind);
    if (n->kind == '.')
        stop(w);
}

static void post(struct sb_mailbox *box, char kind)
{
    struct sb_note n = { .kind = kind, .data = strdup("owned by the note"), .size = 17 };
    assert_int_equal(sb_mailbox_post(box, &n), 0);
}

TEST(notes_arrive_in_order)
{
    assert_int_equal(sb_mailbox_new(w->loop, 8, on_note, w, &w->box[0]), 0);
    assert_int_equal(sb_mailbox_new(w->loop, 8, on_note, w, &w->box[1]), 0);
    post(w->box[0], 'a');
    post(w->box[1], 'c');
    post(w->box[0], 'b');
    post(w->box[1], '.');
    run(w);
    assert_string_equal(w->trace, "abc.");
}

TEST(a_full_mailbox_refuses)
{
    struct sb_note n = { .kind = 'x' };

    assert_int_equal(sb_mailbox_new(w->loop, 3, on_note, w, &w->box[0]), 0);
    post(w->box[0], 'a');
    post(w->box[0], 'b');
    post(w->box[0], '.');
    assert_int_equal(sb_mailbox_post(w->box[0], &n), -ENOBUFS); /* its data stays the caller's */
    run(w);
    assert_string_equal(w->trace, "ab.");
    post(w->box[0], '.');
    run(w);
    assert_string_equal(w->trace, "ab..");
}

TEST(a_closed_mailbox_refuses_and_outlives_the_loop)
{
    struct sb_note n = { .kind = 'x' };
    struct sb_mailbox *first = NULL, *second = NULL;
    struct sb_loop *other = NULL;

    assert_int_equal(sb_mailbox_new(w->loop, 3, on_note, w, &first), 0);
    sb_mailbox_ref(first);
    post(first, 'a'); /* dropped, freed */
    sb_mailbox_close(first);
    assert_int_equal(sb_mailbox_post(first, &n), -EPIPE);
    sb_mailbox_unref(first);

    assert_int_equal(sb_loop_new(&other), 0);
    assert_int_equal(sb_mailbox_new(other, 3, on_note, w, &second), 0);
    post(second, 'a');
    sb_loop_free(other);
    assert_int_equal(sb_mailbox_post(second, &n), -EPIPE);
    sb_mailbox_close(second);
    assert_string_equal(w->trace, "");
}

static void close_both(void *arg, struct sb_note *n)
{
    struct world *w = arg;
    note(w, (char)n->kind);
    w->box[0] = sb_mailbox_close(w->box[0]);
    w->box[1] = sb_mailbox_close(w->box[1]);
    stop(w);
}

TEST(a_mailbox_closes_itself_and_another)
{
    assert_int_equal(sb_mailbox_new(w->loop, 3, close_both, w, &w->box[0]), 0);
    assert_int_equal(sb_mailbox_new(w->loop, 3, on_note, w, &w->box[1]), 0);
    post(w->box[0], 'a');
    post(w->box[0], 'b');
    post(w->box[1], 'c');
    run(w);
    assert_string_equal(w->trace, "a");
}

static void post_to_self(void *arg, struct sb_note *n)
{
    struct world *w = arg;
    note(w, (char)n->kind);
    note(w, '0' + (char)w->turns);
    free(SB_STEAL(n->data));
    if (n->kind == 'a')
        post(w->box[0], 'b');
    else
        stop(w);
}

TEST(a_note_posted_by_a_note_waits_for_the_next_turn)
{
    assert_int_equal(sb_loop_on_turn_end(w->loop, count_turn, w), 0);
    assert_int_equal(sb_mailbox_new(w->loop, 3, post_to_self, w, &w->box[0]), 0);
    post(w->box[0], 'a');
    run(w);
    assert_string_equal(w->trace, "a0b1");
}

enum { POSTERS = 4, EACH = 5000 };

struct poster {
    pthread_t thread;
    struct sb_mailbox *box;
    uint64_t id;
};

struct crowd {
    struct world *w;
    uint64_t total, next[POSTERS];
};

static void *poster_main(void *arg)
{
    struct poster *p = arg;
    for (uint64_t i = 0; i < EACH; i++) {
        struct sb_note n = { .id = p->id, .generation = i, .data = malloc(8), .size = 8 };
        int r;
        while ((r = sb_mailbox_post(p->box, &n)) == -ENOBUFS)
            sched_yield();
        if (r < 0)
            free(n.data);
    }
    sb_mailbox_unref(p->box);
    return NULL;
}

static void on_crowd(void *arg, struct sb_note *n)
{
    struct crowd *c = arg;
    assert_int_equal(n->generation, c->next[n->id]);
    c->next[n->id]++;
    if (++c->total == POSTERS * EACH)
        stop(c->w);
}

TEST(threads_post_without_loss)
{
    struct crowd crowd = { .w = w };
    struct poster posters[POSTERS];

    assert_int_equal(sb_mailbox_new(w->loop, 64, on_crowd, &crowd, &w->box[0]), 0);
    for (uint64_t i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){ .box = sb_mailbox_ref(w->box[0]), .id = i };
        assert_int_equal(pthread_create(&posters[i].thread, NULL, poster_main, &posters[i]), 0);
    }
    run(w);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(posters[i].thread, NULL);
    assert_int_equal(crowd.total, POSTERS * EACH);
}

TEST(threads_may_post_while_the_loop_goes)
{
    for (int round = 0; round < 10; round++) {
        struct world own = { 0 };
        struct crowd crowd = { .w = &own };
        struct poster p = { .id = 0 };
        assert_int_equal(sb_loop_new(&own.loop), 0);
        assert_int_equal(sb_mailbox_new(own.loop, SIZE_MAX, on_crowd, &crowd, &own.box[0]), 0);
        p.box = sb_mailbox_ref(own.box[0]);
        assert_int_equal(pthread_create(&p.thread, NULL, poster_main, &p), 0);
        sb_loop_free(own.loop);
        sb_mailbox_close(own.box[0]);
        pthread_join(p.thread, NULL);
    }
}

/* ---- turns, stop ---- */

static void post_once(void *arg)
{
    struct world *w = arg;
    note(w, 'A');
    if (w->count++ == 0)
        post(w->box[0], '.');
}

static void note_end(void *arg)
{
    note(arg, 'B');
}

TEST(hooks_run_last_and_in_order)
{
    int r = 0;

    assert_int_equal(sb_mailbox_new(w->loop, 3, on_note, w, &w->box[0]), 0);
    w->t[0] = timer(w, note_c, w);
    sb_timer_in(w->t[0], 0);
    assert_int_equal(sb_loop_on_turn_end(w->loop, post_once, w), 0);
    assert_int_equal(sb_loop_on_turn_end(w->loop, note_end, w), 0);
    run(w);
    assert_string_equal(w->trace, "cAB.AB"); /* also at the end of the turn that stopped */
    for (int i = 2; i < 8; i++)
        r |= sb_loop_on_turn_end(w->loop, note_end, w);
    assert_int_equal(r, 0);
    assert_int_equal(sb_loop_on_turn_end(w->loop, note_end, w), -ENOSPC);
}

static void *stopper_main(void *arg)
{
    struct world *w = arg;
    struct pollfd p = { .fd = w->pipe[0], .events = POLLIN };
    poll(&p, 1, GUARD_MS); /* the loop runs by then */
    sb_loop_stop(w->loop);
    return NULL;
}

static void tell_thread(void *arg)
{
    struct world *w = arg;
    assert_int_equal(write(w->pipe[1], "x", 1), 1);
}

TEST(another_thread_stops_it)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, stopper_main, w), 0);
    w->t[0] = timer(w, tell_thread, w);
    sb_timer_in(w->t[0], 1);
    run(w);
    pthread_join(thread, NULL);
}

static struct sb_loop *signalled;

static void on_signal(int number)
{
    (void)number;
    sb_loop_stop(signalled);
}

TEST(a_signal_handler_stops_it)
{
    struct sigaction action = { .sa_handler = on_signal }, old;
    timer_t kick;
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
    struct itimerspec in = { .it_value.tv_nsec = 20000000 };

    signalled = w->loop;
    assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &kick), 0);
    assert_int_equal(timer_settime(kick, 0, &in, NULL), 0);
    run(w); /* nothing else would end its wait */
    timer_delete(kick);
    sigaction(SIGUSR1, &old, NULL);
}

TEST(a_stop_before_the_start_counts)
{
    sb_loop_stop(w->loop);
    run(w);
    w->t[0] = timer(w, stop, w); /* and it runs again */
    sb_timer_in(w->t[0], 1);
    run(w);
    assert_non_null(sb_loop_lws(w->loop));
}

TEST(what_is_left_may_be_freed_after_the_loop)
{
    struct sb_loop *loop = NULL;
    struct sb_timer *armed = NULL, *idle = NULL;
    struct sb_watch *left = NULL;

    assert_int_equal(sb_loop_new(&loop), 0);
    assert_int_equal(sb_timer_new(loop, note_a, w, &armed), 0);
    assert_int_equal(sb_timer_new(loop, note_a, w, &idle), 0);
    assert_int_equal(sb_watch_new(loop, w->pipe[0], SB_READABLE, on_ready, w, &left), 0);
    sb_timer_in(armed, 0);
    sb_loop_free(loop);
    assert_false(sb_timer_armed(armed));
    sb_timer_in(idle, 0);
    sb_watch_want(left, 0);
    sb_timer_free(armed);
    sb_timer_free(idle);
    sb_watch_free(left);
}
