/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker with blocking drivers that do just what each test needs, on a line that is a
 * socket pair. The loop is the real one.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "bridge/base/str.h"
#include "bridge/runner/worker.h"
#include "tests/test.h"

#define LIMIT_MS 10000

/* ---- a transport: each opening makes a socket pair, the far end is the test's ---- */

static struct {
    atomic_int opens, closes;
    atomic_int far; /* the newest one's far end */
    int refuse;     /* error of the next opening */
    bool silent;    /* refuses without a text */
} line;

static void line_close(struct sb_port *port)
{
    (void)close(port->fd);
    (void)close(port->interrupt);
    free(port);
    atomic_fetch_add(&line.closes, 1);
}

static int line_open(const void *config, struct sb_port **ret, int *ret_owner, char **ret_error)
{
    int ends[2];
    assert_ptr_equal(config, &line);
    if (line.refuse) {
        *ret_owner = 4711;
        *ret_error = line.silent ? NULL : sb_format("held by process 4711");
        return line.refuse;
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    struct sb_port *port = calloc(1, sizeof(*port));
    assert_non_null(port);
    *port = (struct sb_port){ .fd = ends[0],
                              .interrupt = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                              .close = line_close };
    atomic_store(&line.far, ends[1]);
    atomic_fetch_add(&line.opens, 1);
    *ret = port;
    return 0;
}

static const struct sb_port_ops line_ops = { .name = "line", .open = line_open };

/* ---- what the loop was told ---- */

struct seen {
    enum sb_driver_event_kind kind;
    uint64_t session;
    enum sb_phase phase;
    uint8_t percent;
    enum sb_cause cause;
    bool stopped;
    char *text;
};

struct fixture {
    struct sb_loop *loop;
    struct sb_worker *worker;
    struct sb_timer *tick;
    struct seen seen[400];
    size_t count;
    bool grant; /* answer at once, with: */
    int grant_error;
    uint64_t stop_at_ask; /* instead of an answer: stop this session */
    json_t *checkpoint;   /* the newest */
    bool (*until)(struct fixture *);
    int64_t deadline;
    bool free_at_done;
};

static size_t count_of(const struct fixture *f, enum sb_driver_event_kind kind, uint64_t session)
{
    size_t n = 0;
    for (size_t i = 0; i < f->count; i++)
        n += f->seen[i].kind == kind && f->seen[i].session == session;
    return n;
}

static const struct seen *last_of(const struct fixture *f, enum sb_driver_event_kind kind,
                                  uint64_t session)
{
    for (size_t i = f->count; i-- > 0;) {
        if (f->seen[i].kind == kind && f->seen[i].session == session)
            return &f->seen[i];
    }
    fail_msg("no event of kind %d in session %d", (int)kind, (int)session);
    return NULL;
}

static void on_event(void *arg, const struct sb_driver_event *event)
{
    struct fixture *f = arg;
    assert_true(f->count < SB_COUNT(f->seen));
    struct seen *seen = &f->seen[f->count++];
    *seen = (struct seen){ .kind = event->kind,
                           .session = event->session,
                           .phase = event->phase,
                           .percent = event->percent };
    const char *text = event->kind == SB_DRIVER_DONE ? event->outcome->text : event->text;
    seen->text = text ? strdup(text) : NULL;
    if (event->kind == SB_DRIVER_DONE) {
        seen->cause = event->outcome->cause;
        seen->stopped = event->outcome->stopped;
        if (f->free_at_done)
            f->worker = sb_worker_free(f->worker);
    }
    if (event->kind == SB_DRIVER_CHECKPOINT) {
        json_decref(f->checkpoint);
        f->checkpoint = json_incref(event->checkpoint);
    }
    bool asks = event->kind == SB_DRIVER_CHECKPOINT || event->kind == SB_DRIVER_COMMIT;
    if (asks && f->grant)
        sb_worker_granted(f->worker, event->session, f->grant_error);
    if (asks && f->stop_at_ask)
        assert_int_equal(sb_worker_stop(f->worker, f->stop_at_ask), 0);
}

static void on_tick(void *arg)
{
    struct fixture *f = arg;
    if (f->until(f) || sb_loop_now(f->loop) > f->deadline)
        sb_loop_stop(f->loop);
    else
        sb_timer_in(f->tick, 2);
}

static void run_until(struct fixture *f, bool (*until)(struct fixture *))
{
    f->until = until;
    f->deadline = sb_port_clock() + LIMIT_MS;
    sb_timer_in(f->tick, 0);
    assert_int_equal(sb_loop_run(f->loop), 0);
    if (!until(f))
        fail_msg("waited %d ms in vain", LIMIT_MS);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    memset(&line, 0, sizeof(line));
    atomic_store(&line.far, -1);
    f->grant = true;
    assert_int_equal(sb_loop_new(&f->loop), 0);
    assert_int_equal(sb_timer_new(f->loop, on_tick, f, &f->tick), 0);
    assert_int_equal(sb_worker_new(f->loop, "bench", &line_ops, &line, on_event, f, &f->worker), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    sb_worker_free(f->worker);
    assert_int_equal(atomic_load(&line.opens), atomic_load(&line.closes));
    if (atomic_load(&line.far) >= 0)
        (void)close(atomic_load(&line.far));
    sb_timer_free(f->tick);
    sb_loop_free(f->loop);
    for (size_t i = 0; i < f->count; i++)
        free(f->seen[i].text);
    json_decref(f->checkpoint);
    free(f);
    return 0;
}

/* ---- drivers ---- */

static atomic_int step; /* where the driver is, for tests that must wait for it */
static int answers[4];  /* what its calls returned; read after DONE */

static unsigned sharing(const struct sb_type *type SB_UNUSED)
{
    return SB_CAP_SHARES_BUS | SB_CAP_CANCEL;
}

static const struct sb_type *const some_type = (const struct sb_type *)&line; /* never looked at */

static struct sb_command commands[4];

static void start(struct fixture *f, const struct sb_driver_ops *driver, uint64_t session)
{
    commands[session] = (struct sb_command){
        .session = session, .op = SB_OP_INVOKE, .device = "d", .type = some_type
    };
    assert_int_equal(sb_worker_start(f->worker, driver, &commands[session]), 0);
}

static bool done1(struct fixture *f)
{
    return count_of(f, SB_DRIVER_DONE, 1) == 1;
}

static bool done2(struct fixture *f)
{
    return count_of(f, SB_DRIVER_DONE, 2) == 1;
}

static bool done3(struct fixture *f)
{
    return count_of(f, SB_DRIVER_DONE, 3) == 1;
}

static bool done_both(struct fixture *f)
{
    return done1(f) && done2(f);
}

static bool at_step1(struct fixture *f SB_UNUSED)
{
    return atomic_load(&step) >= 1;
}

static void run_progress(struct sb_session *session, const struct sb_command *command SB_UNUSED,
                         struct sb_outcome *ret)
{
    sb_session_progress(session, SB_PHASE_STARTING, 0, 0);
    int64_t end = sb_session_now(session) + 700;
    for (uint64_t i = 0; sb_session_now(session) < end; i++)
        sb_session_progress(session, SB_PHASE_TRANSFERRING, i % 90, 100);
    sb_session_progress(session, SB_PHASE_TRANSFERRING, 100, 100);
    sb_session_progress(session, SB_PHASE_VERIFYING, 7, 10);
    sb_session_note(session, "that was %d", 1);
    ret->text = strdup("fine");
}

#define WITH_WORKER(test) SB_TEST_OF(struct fixture *f, test, setup, teardown)

WITH_WORKER(test_progress_is_thinned)
{
    start(f, &(struct sb_driver_ops){ .name = "p", .run = run_progress }, 1);
    assert_true(sb_worker_busy(f->worker));
    assert_false(sb_worker_shareable(f->worker));
    run_until(f, done1);
    assert_false(sb_worker_busy(f->worker));
    size_t n = count_of(f, SB_DRIVER_PROGRESS, 1);
    assert_in_range(n, 4, 8); /* 2 phase changes, 100 %, and one per 200 ms */
    assert_int_equal(f->seen[0].phase, SB_PHASE_STARTING);
    assert_int_equal(f->seen[1].phase, SB_PHASE_TRANSFERRING);
    assert_int_equal(last_of(f, SB_DRIVER_PROGRESS, 1)->phase, SB_PHASE_VERIFYING);
    assert_int_equal(last_of(f, SB_DRIVER_PROGRESS, 1)->percent, 70);
    bool full = false;
    for (size_t i = 0; i < f->count; i++)
        full = full || (f->seen[i].phase == SB_PHASE_TRANSFERRING && f->seen[i].percent == 100);
    assert_true(full);
    assert_string_equal(last_of(f, SB_DRIVER_NOTE, 1)->text, "that was 1");
    assert_string_equal(last_of(f, SB_DRIVER_DONE, 1)->text, "fine");
    assert_int_equal(last_of(f, SB_DRIVER_DONE, 1)->cause, SB_CAUSE_NONE);
}

static void run_flood(struct sb_session *session, const struct sb_command *command SB_UNUSED,
                      struct sb_outcome *ret SB_UNUSED)
{
    for (uint64_t i = 0; i < 1000; i++) {
        enum sb_phase phase = i % 2 ? SB_PHASE_TRANSFERRING : SB_PHASE_WRITING;
        sb_session_progress(session, phase, i, 1000);
        sb_session_note(session, "%0*d", 3000, (int)i);
    }
    atomic_store(&step, 1);
}

WITH_WORKER(test_a_loop_that_lags_loses_no_end)
{
    atomic_store(&step, 0);
    start(f, &(struct sb_driver_ops){ .name = "p", .run = run_flood }, 1);
    int64_t end = sb_port_clock() + LIMIT_MS;
    while (!atomic_load(&step) && sb_port_clock() < end)
        (void)usleep(1000); /* the loop does not run meanwhile */
    run_until(f, done1);
    assert_in_range(f->count, 10, 64);
    assert_int_equal(last_of(f, SB_DRIVER_PROGRESS, 1)->percent, 99); /* the newest */
    assert_int_equal(strlen(last_of(f, SB_DRIVER_NOTE, 1)->text), 1000);
}

static void run_sleep(struct sb_session *session, const struct sb_command *command SB_UNUSED,
                      struct sb_outcome *ret)
{
    atomic_store(&step, 1);
    answers[0] = sb_session_sleep(session, 60000);
    ret->cause = SB_CAUSE_TIMEOUT;
}

WITH_WORKER(test_stop_ends_a_sleep)
{
    atomic_store(&step, 0);
    start(f, &(struct sb_driver_ops){ .name = "s", .run = run_sleep }, 1);
    run_until(f, at_step1);
    assert_int_equal(sb_worker_stop(f->worker, 99), -ENOENT);
    assert_int_equal(sb_worker_stop(f->worker, 1), 0);
    run_until(f, done1);
    assert_int_equal(answers[0], -ECANCELED);
    assert_true(last_of(f, SB_DRIVER_DONE, 1)->stopped);
    assert_int_equal(sb_worker_stop(f->worker, 1), -ENOENT);
}

static int parted[3];

/* Stopped, it takes its leave: waits work again, and it still counts as stopped. */
static void run_parting(struct sb_session *session, const struct sb_command *command SB_UNUSED,
                        struct sb_outcome *ret)
{
    atomic_store(&step, 1);
    ret->cause = SB_CAUSE_OPERATOR;
    answers[0] = sb_session_sleep(session, 60000);
    parted[0] = sb_session_part(session);
    parted[1] = sb_session_sleep(session, 5);
    parted[2] = sb_session_stopped(session);
}

WITH_WORKER(test_a_stopped_driver_takes_its_leave)
{
    atomic_store(&step, 0);
    start(f, &(struct sb_driver_ops){ .name = "l", .run = run_parting }, 1);
    run_until(f, at_step1);
    assert_int_equal(sb_worker_stop(f->worker, 1), 0);
    run_until(f, done1);
    assert_int_equal(answers[0], -ECANCELED);
    assert_int_equal(parted[0], 0);
    assert_int_equal(parted[1], 0);
    assert_false(parted[2]);
    assert_true(last_of(f, SB_DRIVER_DONE, 1)->stopped);
}

static void run_nap(struct sb_session *session, const struct sb_command *command SB_UNUSED,
                    struct sb_outcome *ret)
{
    int64_t before = sb_session_now(session);
    answers[0] = sb_session_sleep(session, 60);
    answers[1] = (int)(sb_session_now(session) - before);
    ret->cause = SB_CAUSE_REFUSED;
}

WITH_WORKER(test_a_sleep_lasts)
{
    start(f, &(struct sb_driver_ops){ .name = "s", .run = run_nap }, 1);
    run_until(f, done1);
    assert_int_equal(answers[0], 0);
    assert_in_range(answers[1], 59, 5000);
    assert_false(last_of(f, SB_DRIVER_DONE, 1)->stopped);
}

static void run_read(struct sb_session *session, const struct sb_command *command SB_UNUSED,
                     struct sb_outcome *ret)
{
    uint8_t byte;
    size_t n;
    struct sb_port *port = sb_session_port(session, ret);
    if (!port)
        return;
    atomic_store(&step, 1);
    answers[0] = sb_port_read(port, &byte, 1, sb_session_now(session) + 60000, &n);
    if (answers[0] == 0) {
        answers[1] = byte;
        return;
    }
    ret->cause = SB_CAUSE_LINK_LOST;
}

WITH_WORKER(test_stop_ends_a_read_and_the_port_stays_usable)
{
    const struct sb_driver_ops driver = { .name = "r", .run = run_read };
    atomic_store(&step, 0);
    start(f, &driver, 1);
    run_until(f, at_step1);
    assert_int_equal(sb_worker_stop(f->worker, 1), 0);
    run_until(f, done1);
    assert_int_equal(answers[0], -ECANCELED);
    assert_true(last_of(f, SB_DRIVER_DONE, 1)->stopped);

    assert_int_equal(write(atomic_load(&line.far), "x", 1), 1);
    start(f, &driver, 2);
    run_until(f, done2);
    assert_int_equal(answers[0], 0);
    assert_int_equal(answers[1], 'x');
    assert_int_equal(atomic_load(&line.opens), 1); /* kept open in between */
}

WITH_WORKER(test_a_lost_line_is_opened_anew)
{
    const struct sb_driver_ops driver = { .name = "r", .run = run_read };
    atomic_store(&step, 0);
    start(f, &driver, 1);
    run_until(f, at_step1);
    (void)close(atomic_load(&line.far)); /* unplugged while reading */
    run_until(f, done1);
    assert_int_equal(answers[0], -ENODEV);
    assert_int_equal(atomic_load(&line.closes), 1);

    atomic_store(&step, 0);
    start(f, &driver, 2);
    run_until(f, at_step1);
    assert_int_equal(write(atomic_load(&line.far), "y", 1), 1);
    run_until(f, done2);
    assert_int_equal(answers[1], 'y');

    (void)close(atomic_load(&line.far)); /* unplugged while nobody looked */
    atomic_store(&step, 0);
    start(f, &driver, 3);
    run_until(f, at_step1);
    assert_int_equal(write(atomic_load(&line.far), "z", 1), 1);
    run_until(f, done3);
    assert_int_equal(answers[1], 'z');
    assert_int_equal(atomic_load(&line.opens), 3);
}

static void refused_with(struct fixture *f, uint64_t session, int error, enum sb_cause cause,
                         const char *text)
{
    line.refuse = error;
    start(f, &(struct sb_driver_ops){ .name = "r", .run = run_read }, session);
    run_until(f, session == 1 ? done1 : done2);
    assert_int_equal(last_of(f, SB_DRIVER_DONE, session)->cause, cause);
    assert_string_equal(last_of(f, SB_DRIVER_DONE, session)->text, text);
    assert_false(last_of(f, SB_DRIVER_DONE, session)->stopped);
}

WITH_WORKER(test_a_port_that_cannot_be_opened)
{
    refused_with(f, 1, -EBUSY, SB_CAUSE_BUSY, "held by process 4711");
    line.silent = true;
    refused_with(f, 2, -ENOENT, SB_CAUSE_LINK_LOST,
                 "bus bench cannot be opened: No such file or directory");
}

WITH_WORKER(test_a_bus_without_a_port)
{
    sb_worker_free(f->worker);
    assert_int_equal(sb_worker_new(f->loop, "bare", NULL, NULL, on_event, f, &f->worker), 0);
    refused_with(f, 1, 0, SB_CAUSE_INTERNAL, "bus bare has no port");
}

static void run_checkpoint(struct sb_session *session, const struct sb_command *command SB_UNUSED,
                           struct sb_outcome *ret)
{
    json_t *checkpoint = json_pack("{s:s}", "stage", "test");
    answers[0] = sb_session_checkpoint(session, checkpoint);
    (void)json_object_set_new(checkpoint, "stage", json_string("later")); /* the copy stays */
    json_decref(checkpoint);
    answers[1] = answers[0] == 0 ? sb_session_commit_point(session) : -EPROTO;
    atomic_store(&step, 1);
    answers[2] = answers[1] == 0 ? sb_session_sleep(session, 80) : -EPROTO;
    ret->cause = answers[2] == 0 ? SB_CAUSE_NONE : SB_CAUSE_INTERNAL;
}

static const struct sb_driver_ops checkpointer = { .name = "c", .run = run_checkpoint };

WITH_WORKER(test_after_the_commit_point_a_stop_is_refused)
{
    atomic_store(&step, 0);
    start(f, &checkpointer, 1);
    run_until(f, at_step1);
    assert_int_equal(sb_worker_stop(f->worker, 1), -EBUSY);
    run_until(f, done1);
    assert_int_equal(answers[0], 0);
    assert_int_equal(answers[1], 0);
    assert_int_equal(answers[2], 0);
    assert_int_equal(last_of(f, SB_DRIVER_DONE, 1)->cause, SB_CAUSE_NONE);
    assert_string_equal(sb_json_str(f->checkpoint, "stage"), "test");
}

WITH_WORKER(test_a_store_that_fails_ends_the_driver)
{
    f->grant_error = -ENOSPC;
    start(f, &checkpointer, 1);
    run_until(f, done1);
    assert_int_equal(answers[0], -EIO);
    assert_int_equal(last_of(f, SB_DRIVER_DONE, 1)->cause, SB_CAUSE_INTERNAL);
    assert_false(last_of(f, SB_DRIVER_DONE, 1)->stopped);
    assert_int_equal(count_of(f, SB_DRIVER_COMMIT, 1), 0);
}

WITH_WORKER(test_a_stop_ends_the_wait_for_an_answer)
{
    f->grant = false;
    f->stop_at_ask = 1;
    start(f, &checkpointer, 1);
    run_until(f, done1);
    assert_int_equal(answers[0], -ECANCELED);
    assert_true(last_of(f, SB_DRIVER_DONE, 1)->stopped);
    sb_worker_granted(f->worker, 1, 0); /* too late: nothing happens */
}

static void run_outer(struct sb_session *session, const struct sb_command *command SB_UNUSED,
                      struct sb_outcome *ret)
{
    struct sb_port *port = sb_session_port(session, ret);
    uint8_t byte;
    size_t n;
    atomic_store(&step, 1);
    while (atomic_load(&step) < 2) /* the guest has run */
        sb_session_share(session);
    answers[2] = sb_session_stopped(session);
    answers[3] = sb_port_read(port, &byte, 1, sb_session_now(session) + 60000, &n);
    ret->cause = SB_CAUSE_OPERATOR;
}

static void run_guest(struct sb_session *session, const struct sb_command *command SB_UNUSED,
                      struct sb_outcome *ret)
{
    uint8_t byte;
    size_t n;
    struct sb_port *port = sb_session_port(session, ret);
    sb_session_share(session); /* one level only: must not run anything */
    answers[0] = sb_port_read(port, &byte, 1, sb_session_now(session) + 60000, &n);
    answers[1] = sb_session_stopped(session);
    atomic_store(&step, 2);
}

WITH_WORKER(test_a_short_command_runs_inside_a_long_one)
{
    const struct sb_driver_ops outer = { .name = "o", .run = run_outer, .caps = sharing };
    const struct sb_driver_ops guest = { .name = "g", .run = run_guest };
    atomic_store(&step, 0);
    start(f, &outer, 1);
    run_until(f, at_step1);
    assert_true(sb_worker_shareable(f->worker));
    start(f, &guest, 2);
    assert_false(sb_worker_shareable(f->worker));
    commands[3] = (struct sb_command){ .session = 3, .type = some_type };
    assert_int_equal(sb_worker_start(f->worker, &guest, &commands[3]), -EBUSY);

    /* The outer one is stopped while the guest runs: the guest is not disturbed. */
    assert_int_equal(sb_worker_stop(f->worker, 1), 0);
    assert_int_equal(write(atomic_load(&line.far), "g", 1), 1);
    run_until(f, done_both);
    assert_int_equal(answers[0], 0);
    assert_false(answers[1]);
    assert_true(answers[2]);
    assert_int_equal(answers[3], -ECANCELED);
    assert_false(last_of(f, SB_DRIVER_DONE, 2)->stopped);
    assert_true(last_of(f, SB_DRIVER_DONE, 1)->stopped);
    assert_int_equal(atomic_load(&line.opens), 1);
}

WITH_WORKER(test_one_command_at_a_time)
{
    atomic_store(&step, 0);
    const struct sb_driver_ops sleeper = { .name = "s", .run = run_sleep };
    start(f, &sleeper, 1);
    commands[2] = (struct sb_command){ .session = 2, .type = some_type };
    assert_int_equal(sb_worker_start(f->worker, &sleeper, &commands[2]), -EBUSY);
    const struct sb_driver_ops asynchronous = { .name = "a" };
    assert_int_equal(sb_worker_start(f->worker, &asynchronous, &commands[2]), -EINVAL);
    assert_int_equal(sb_worker_stop(f->worker, 1), 0); /* perhaps before it began */
    run_until(f, done1);
    assert_true(last_of(f, SB_DRIVER_DONE, 1)->stopped);
}

static void run_committed_sleep(struct sb_session *session,
                                const struct sb_command *command SB_UNUSED,
                                struct sb_outcome *ret SB_UNUSED)
{
    answers[0] = sb_session_commit_point(session);
    atomic_store(&step, 1);
    answers[1] = sb_session_sleep(session, 60000);
    answers[2] = sb_session_checkpoint(session, NULL);
    json_t *late = json_object();
    answers[3] = sb_session_checkpoint(session, late);
    json_decref(late);
}

WITH_WORKER(test_the_end_of_the_daemon_ends_everything)
{
    atomic_store(&step, 0);
    start(f, &(struct sb_driver_ops){ .name = "s", .run = run_committed_sleep }, 1);
    run_until(f, at_step1);
    f->worker = sb_worker_free(f->worker);
    assert_int_equal(answers[0], 0);
    assert_int_equal(answers[1], -ECANCELED); /* past the commit point as well */
    assert_int_equal(answers[2], -ENOMEM);
    assert_int_equal(answers[3], -ECANCELED);
    assert_int_equal(count_of(f, SB_DRIVER_DONE, 1), 0);
}

WITH_WORKER(test_a_worker_may_be_freed_by_its_own_event)
{
    f->free_at_done = true;
    start(f, &(struct sb_driver_ops){ .name = "s", .run = run_nap }, 1);
    run_until(f, done1);
    assert_null(f->worker);
}

/* ---- the port's own calls ---- */

SB_TEST(test_port_deadline_interrupt_drain)
{
    struct sb_port *port;
    int owner;
    char *error;
    uint8_t byte[8];
    size_t n;
    memset(&line, 0, sizeof(line));
    assert_int_equal(line_open(&line, &port, &owner, &error), 0);
    int64_t start_at = sb_port_clock();
    assert_int_equal(sb_port_read(port, byte, 8, start_at + 40, &n), -ETIMEDOUT);
    assert_in_range(sb_port_clock() - start_at, 39, 5000);

    sb_port_interrupt(port, true);
    sb_port_interrupt(port, true);
    assert_int_equal(sb_port_read(port, byte, 8, start_at + 60000, &n), -ECANCELED);
    assert_int_equal(sb_port_write(port, "a", 1, start_at + 60000), -ECANCELED);
    sb_port_interrupt(port, false);
    sb_port_interrupt(port, false);
    assert_int_equal(sb_port_write(port, "a", 1, start_at + 60000), 0);

    assert_int_equal(write(line.far, "old stuff", 9), 9);
    assert_int_equal(sb_port_drain(port, 20, 1000), 0);
    assert_int_equal(sb_port_read(port, byte, 8, 0, &n), -ETIMEDOUT);
    assert_int_equal(write(line.far, "new", 3), 3);
    assert_int_equal(sb_port_read(port, byte, 8, 0, &n), 0); /* what is there is given */
    assert_int_equal(n, 3);
    assert_true(sb_port_alive(port));

    sb_cleanup(sb_freep) char *much = calloc(1, 1 << 22); /* more than the line holds */
    assert_non_null(much);
    assert_int_equal(sb_port_write(port, much, 1 << 22, sb_port_clock() + 50), -ETIMEDOUT);
    (void)close(line.far);
    assert_false(sb_port_alive(port));
    assert_int_equal(sb_port_write(port, "b", 1, sb_port_clock() + 50), -ENODEV);
    assert_true(port->failed);
    line_close(port);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    return sb_tests_run(NULL, NULL);
}
