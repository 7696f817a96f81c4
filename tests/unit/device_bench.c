/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/device_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bridge/base/crypto.h"
#include "bridge/base/time.h"

char *bench_path(const struct bench *bench, const char *name)
{
    char *path = sb_format("%s/%s", bench->folder, name);
    assert_non_null(path);
    return path;
}

/* ---- the loop ---- */

static void run_until(struct bench *bench, bool (*until)(struct bench *))
{
    int64_t end = sb_port_clock() + BENCH_LIMIT_MS;
    while (!until(bench) && sb_port_clock() < end) {
        sb_timer_in(bench->tick, 5);
        assert_int_equal(sb_loop_run(bench->loop), 0);
    }
    if (!until(bench))
        fail_msg("waited %d ms in vain", BENCH_LIMIT_MS);
}

static void on_tick(void *arg)
{
    struct bench *bench = arg;
    sb_loop_stop(bench->loop);
}

static void on_checkpoint(struct bench *bench, const struct sb_driver_event *event)
{
    int error = 0;
    if (event->checkpoint && sb_streq(sb_json_str(event->checkpoint, "stage"), bench->at_stage)) {
        if (bench->say_at_stage)
            bench_say(bench, bench->say_at_stage);
        if (bench->stop_at_stage)
            bench->stopped = sb_worker_stop(bench->worker, event->session);
        error = bench->refuse_at_stage;
        bench->died = bench->die_at_stage;
        bench->at_stage = NULL;
    }
    if (error == 0 && event->checkpoint) {
        json_decref(bench->checkpoint);
        bench->checkpoint = json_incref(event->checkpoint);
    }
    sb_worker_granted(bench->worker, event->session, error);
}

static void on_progress(struct bench *bench, const struct sb_driver_event *event)
{
    bench->progresses++;
    bench->phases |= 1u << event->phase;
    if (bench->stop_in && event->phase == bench->stop_in) {
        bench->stop_in = SB_PHASE_WAITING;
        bench->stopped = sb_worker_stop(bench->worker, event->session);
    }
    if (event->phase != SB_PHASE_TRANSFERRING)
        return;
    assert_true(event->percent >= bench->percent || bench->forgets);
    bench->percent = SB_MAX(bench->percent, event->percent);
    if (bench->stop_at_percent && event->percent >= bench->stop_at_percent) {
        bench->stop_at_percent = 0;
        bench->stopped = sb_worker_stop(bench->worker, event->session);
    }
    if (bench->say_at_percent && event->percent >= 20)
        bench_say(bench, SB_STEAL(bench->say_at_percent));
}

static void on_note(struct bench *bench, const char *text)
{
    char *notes = sb_format("%s%s\n", bench->notes ? bench->notes : "", text);
    free(bench->notes);
    bench->notes = notes;
}

static void on_event(void *arg, const struct sb_driver_event *event)
{
    struct bench *bench = arg;
    if (bench->died)
        return; /* nobody is there any more to hear or to answer */
    switch (event->kind) {
    case SB_DRIVER_PROGRESS:
        on_progress(bench, event);
        break;
    case SB_DRIVER_COMMIT:
        bench->commits++;
        sb_worker_granted(bench->worker, event->session, 0);
        break;
    case SB_DRIVER_CHECKPOINT:
        on_checkpoint(bench, event);
        break;
    case SB_DRIVER_NOTE:
        on_note(bench, event->text);
        break;
    case SB_DRIVER_DONE:
        sb_outcome_done(&bench->outcome);
        bench->outcome = *event->outcome;
        *event->outcome = (struct sb_outcome){ 0 };
        bench->done = true;
        break;
    default:
        fail_msg("unexpected event %d", (int)event->kind);
    }
}

/* ---- the device ---- */

char *bench_source(const char *name)
{
    const char *source = getenv("SB_SOURCE");
    char *path = sb_format("%s/%s", source ? source : ".", name);
    assert_non_null(path);
    return path;
}

static pid_t spawn(const char *const *argv, int in, const char *out)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    int log = open(out, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (log < 0 || (in >= 0 && dup2(in, 0) < 0) || dup2(log, 1) < 0)
        _exit(126);
    (void)execvp(argv[0], (char *const *)argv);
    _exit(127);
}

static void wait_link(struct bench *bench)
{
    int64_t end = sb_port_clock() + BENCH_LIMIT_MS;
    while (access(bench->link, F_OK) < 0) {
        if (sb_port_clock() > end)
            fail_msg("the device shows no port");
        (void)usleep(5000);
    }
}

void bench_start(struct bench *bench, const char *const *argv, const char *event)
{
    sb_cleanup(sb_freep) char *log = bench_path(bench, "events");
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int before = event ? bench_events(bench, event) : 0;
    bench->device = spawn(argv, ends[0], log);
    (void)close(ends[0]);
    bench->commands = ends[1];
    if (event)
        bench_wait_event(bench, event, before + 1);
    else
        wait_link(bench);
}

int bench_helper(struct bench *bench, const char *const *argv, const char *out)
{
    sb_cleanup(sb_freep) char *log = bench_path(bench, out);
    pid_t pid = spawn(argv, -1, log);
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void reap(struct bench *bench)
{
    int status;
    if (bench->device <= 0)
        return;
    while (waitpid(bench->device, &status, 0) < 0 && errno == EINTR)
        ;
    bench->device = 0;
    (void)close(bench->commands);
    bench->commands = -1;
}

void bench_simulate(struct bench *bench, const char *simulator, const char *const *words,
                    va_list more, const char *event)
{
    sb_cleanup(sb_freep) char *script = bench_source(simulator),
                              *flash = bench_path(bench, "flash");
    const char *argv[64] = { "/usr/bin/python3", script,     "run", "--state", flash,
                             "--link",           bench->link };
    size_t n = 7;
    while (*words && n < SB_COUNT(argv) - 1)
        argv[n++] = *words++;
    for (const char *word; (word = va_arg(more, const char *));) {
        assert_true(n < SB_COUNT(argv) - 1);
        argv[n++] = word;
    }
    bench_start(bench, argv, event);
}

const char *bench_make_image(struct bench *bench, const char *simulator, const char *name,
                             const char *version, int size, const char *option)
{
    static char *kept[16];
    static size_t next;
    sb_cleanup(sb_freep) char *script = bench_source(simulator), *number = sb_format("%d", size);
    char **slot = &kept[next++ % SB_COUNT(kept)];
    free(*slot);
    *slot = bench_path(bench, name);
    const char *const argv[] = { "/usr/bin/python3", script, "make-image", "--version", version,
                                 "--size",           number, *slot,        option,      NULL };
    assert_int_equal(bench_helper(bench, argv, "images"), 0);
    return *slot;
}

void bench_kill(struct bench *bench)
{
    if (bench->device > 0)
        (void)kill(bench->device, SIGKILL);
    reap(bench);
}

static char *read_file(const char *path)
{
    struct sb_str text = { 0 };
    char buffer[4096];
    FILE *file = fopen(path, "re");
    size_t n;
    while (file && (n = fread(buffer, 1, sizeof(buffer), file)) > 0)
        sb_str_add_bytes(&text, buffer, n);
    if (file)
        (void)fclose(file);
    return sb_str_take(&text);
}

static int scan_events(struct bench *bench, const char *event, json_t **ret_last)
{
    sb_cleanup(sb_freep) char *log = bench_path(bench, "events"), *text = read_file(log);
    int count = 0;
    assert_non_null(text);
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        if (*line != '{')
            continue;
        json_t *json = json_loadb(line, (size_t)(end - line), 0, NULL);
        assert_non_null(json); /* a traceback would be on stderr */
        if (sb_streq(sb_json_str(json, "event"), event)) {
            count++;
            if (ret_last) {
                json_decref(*ret_last);
                *ret_last = json_incref(json);
            }
        }
        json_decref(json);
    }
    return count;
}

int bench_events(struct bench *bench, const char *event)
{
    return scan_events(bench, event, NULL);
}

json_t *bench_last(struct bench *bench, const char *event)
{
    json_t *last = NULL;
    (void)scan_events(bench, event, &last);
    return last;
}

void bench_wait_event(struct bench *bench, const char *event, int count)
{
    int64_t end = sb_port_clock() + BENCH_LIMIT_MS;
    int status;
    while (bench_events(bench, event) < count) {
        if (bench->device > 0 && waitpid(bench->device, &status, WNOHANG) == bench->device) {
            bench->device = 0;
            fail_msg("the simulated device ended while '%s' was awaited", event);
        }
        if (sb_port_clock() > end)
            fail_msg("no event '%s' from the device", event);
        (void)usleep(5000);
    }
}

void bench_say(struct bench *bench, const char *text)
{
    int before = bench_events(bench, "done");
    sb_cleanup(sb_freep) char *line = sb_format("%s\n", text);
    assert_int_equal(write(bench->commands, line, strlen(line)), (ssize_t)strlen(line));
    bench_wait_event(bench, "done", before + 1);
}

/* ---- the type and the worker ---- */

void bench_load_type(struct bench *bench, const char *text)
{
    const struct sb_driver_ops *const drivers[] = { bench->kind->driver, NULL };
    sb_cleanup(sb_freep) char *path = bench_path(bench, "bench.yaml");
    struct sb_diags diags = { 0 };
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fprintf(file, "name: bench\ndriver: %s\n%s%s", bench->kind->driver->name,
                  bench->kind->type, text ? text : "");
    assert_int_equal(fclose(file), 0);
    (void)sb_type_unref(bench->type);
    bench->type = NULL;
    if (sb_type_load_file(path, drivers, &bench->type, &diags) < 0)
        fail_msg("%s", sb_diags_text(&diags));
    sb_diags_done(&diags);
}

void bench_new_worker(struct bench *bench)
{
    sb_worker_free(bench->worker);
    bench->worker = NULL;
    assert_int_equal(sb_worker_new(bench->loop, "bench", &sb_serial_transport, &bench->port,
                                   on_event, bench, &bench->worker),
                     0);
}

struct bench *bench_new(const struct bench_kind *kind)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    assert_non_null(bench);
    bench->kind = kind;
    bench->folder = sb_format("/tmp/sb-%s-XXXXXX", kind->driver->name);
    assert_non_null(mkdtemp(bench->folder));
    bench->link = bench_path(bench, "port");
    bench->commands = -1;
    bench->port = (struct sb_serial_config){ .port = bench->link,
                                             .baud = 115200,
                                             .data = 8,
                                             .stop = 1,
                                             .lock = true,
                                             .lock_directory = bench->folder };
    assert_int_equal(sb_loop_new(&bench->loop), 0);
    assert_int_equal(sb_timer_new(bench->loop, on_tick, bench, &bench->tick), 0);
    bench_new_worker(bench);
    return bench;
}

static int remove_one(const char *path, const struct stat *st SB_UNUSED, int kind SB_UNUSED,
                      struct FTW *ftw SB_UNUSED)
{
    return remove(path);
}

int bench_teardown(void **state)
{
    struct bench *bench = *state;
    sb_worker_free(bench->worker);
    bench_kill(bench);
    sb_timer_free(bench->tick);
    sb_loop_free(bench->loop);
    (void)sb_type_unref(bench->type);
    sb_outcome_done(&bench->outcome);
    json_decref(bench->checkpoint);
    json_decref(bench->params);
    free(bench->sha256);
    free(bench->notes);
    free(bench->link);
    assert_int_equal(nftw(bench->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(bench->folder);
    free(bench);
    return 0;
}

/* ---- commands ---- */

static bool ended(struct bench *bench)
{
    return bench->done || bench->died;
}

static void set_image(struct bench *bench, const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    free(bench->sha256);
    bench->sha256 = sb_sha256_file(path);
    bench->image = (struct sb_image){ .path = path,
                                      .sha256 = bench->sha256,
                                      .version = bench->image.version,
                                      .name = bench->image.name,
                                      .module = bench->image.module,
                                      .size = st.st_size };
    bench->command.image = &bench->image;
}

static enum sb_cause start_and_wait(struct bench *bench, int op, const char *params,
                                    const char *image)
{
    static uint64_t session;
    bench->command.session = ++session;
    bench->command.op = op;
    bench->command.device = "bench";
    bench->command.type = bench->type;
    bench->command.image = NULL;
    if (image)
        set_image(bench, image);
    json_decref(bench->params);
    bench->params = params ? json_loads(params, 0, NULL) : NULL;
    assert_true(!params || bench->params);
    bench->command.params = bench->params;
    bench->done = bench->died = false;
    bench->phases = bench->commits = bench->progresses = 0;
    bench->percent = 0;
    bench->stopped = 1;
    free(SB_STEAL(bench->notes));
    assert_int_equal(sb_worker_start(bench->worker, bench->kind->driver, &bench->command), 0);
    run_until(bench, ended);
    bench->command.image = NULL;
    if (bench->died)
        bench_new_worker(bench);
    return bench->died ? SB_CAUSE_INTERNAL : bench->outcome.cause;
}

enum sb_cause bench_run(struct bench *bench, int op, const char *params, const char *image)
{
    bench->command.resumed = bench->command.committed = false;
    bench->command.checkpoint = NULL;
    return start_and_wait(bench, op, params, image);
}

enum sb_cause bench_resume(struct bench *bench, int op, const char *params, const char *image,
                           bool committed)
{
    sb_cleanup(json_decrefp) json_t *checkpoint = json_incref(bench->checkpoint);
    bench->command.resumed = true;
    bench->command.committed = committed;
    bench->command.checkpoint = checkpoint;
    enum sb_cause cause = start_and_wait(bench, op, params, image);
    bench->command.checkpoint = NULL;
    return cause;
}

const char *bench_version(struct bench *bench)
{
    const char *version = sb_json_str(bench->outcome.after.versions, "");
    return version ? version : "";
}

void bench_assert_cause(struct bench *bench, enum sb_cause got, enum sb_cause wanted,
                        const char *file, int line)
{
    if (got == wanted)
        return;
    print_error("cause %s, not %s: %s\nnotes:\n%stranscript:\n%s", sb_cause_name((int)got),
                sb_cause_name((int)wanted), bench->outcome.text ? bench->outcome.text : "",
                bench->notes ? bench->notes : "",
                bench->outcome.transcript ? bench->outcome.transcript : "");
    _fail(file, line);
}

bool bench_noted(const struct bench *bench, const char *text)
{
    return bench->notes && strstr(bench->notes, text);
}
