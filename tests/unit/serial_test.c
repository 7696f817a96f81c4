/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial transport on ptys: settings, ends of the line, and who else holds it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>

#include "adapters/transports/serial.h"
#include "adapters/transports/serial_exam.h"
#include "adapters/transports/serial_lock.h"
#include "bridge/base/str.h"
#include "tests/test.h"

struct line {
    int master, slave;
    char folder[32], link[48], name[64];
    struct sb_serial_config config;
};

static void plug(struct line *line)
{
    assert_int_equal(openpty(&line->master, &line->slave, line->name, NULL, NULL), 0);
    (void)unlink(line->link);
    assert_int_equal(symlink(line->name, line->link), 0);
}

static void unplug(struct line *line)
{
    (void)close(line->slave);
    (void)close(line->master);
    line->master = line->slave = -1;
    (void)unlink(line->link);
}

static int setup(void **state)
{
    struct line *line = calloc(1, sizeof(*line));
    assert_non_null(line);
    (void)snprintf(line->folder, sizeof(line->folder), "/tmp/sb-serial-XXXXXX");
    assert_non_null(mkdtemp(line->folder));
    (void)snprintf(line->link, sizeof(line->link), "%s/port", line->folder);
    plug(line);
    line->config = (struct sb_serial_config){ .port = line->link,
                                              .baud = 115200,
                                              .data = 8,
                                              .stop = 1,
                                              .lock = true,
                                              .lock_directory = line->folder };
    *state = line;
    return 0;
}

static int teardown(void **state)
{
    struct line *line = *state;
    if (line->master >= 0)
        unplug(line);
    assert_int_equal(rmdir(line->folder), 0); /* no lock file is left behind */
    free(line);
    return 0;
}

static struct sb_port *open_port(struct line *line)
{
    struct sb_port *port = NULL;
    char *error = NULL;
    int owner = 0;
    if (sb_serial_transport.open(&line->config, &port, &owner, &error) < 0)
        fail_msg("%s", error ? error : "no text");
    assert_null(error);
    return port;
}

/* Opening fails with the error; the text, to be freed. */
static char *refused(struct line *line, int wanted, int *ret_owner)
{
    struct sb_port *port = NULL;
    char *error = NULL;
    *ret_owner = 0;
    int r = sb_serial_transport.open(&line->config, &port, ret_owner, &error);
    if (r != wanted || port || !error)
        fail_msg("%d, not %d: %s", r, wanted, error ? error : "no text");
    return error;
}

static void assert_refused(struct line *line, int wanted, const char *part)
{
    int owner;
    sb_cleanup(sb_freep) char *error = refused(line, wanted, &owner);
    if (!strstr(error, part))
        fail_msg("'%s' is not in '%s'", part, error);
}

static char *lock_file(const struct line *line)
{
    return sb_serial_lock_path(line->folder, line->name);
}

#define ON_LINE(test) SB_TEST_OF(struct line *line, test, setup, teardown)

ON_LINE(test_bytes_both_ways)
{
    struct sb_port *port = open_port(line);
    uint8_t all[256], back[256];
    size_t n = 0, got;
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (uint8_t)i; /* control characters, XON, XOFF, the lot: raw */
    int64_t deadline = sb_port_clock() + 5000;
    assert_int_equal(sb_port_write(port, all, sizeof(all), deadline), 0);
    while (n < sizeof(back)) {
        ssize_t r = read(line->master, back + n, sizeof(back) - n);
        assert_true(r > 0);
        n += (size_t)r;
    }
    assert_memory_equal(all, back, sizeof(all));
    assert_int_equal(write(line->master, all, sizeof(all)), sizeof(all));
    for (n = 0; n < sizeof(back); n += got)
        assert_int_equal(sb_port_read(port, back + n, sizeof(back) - n, deadline, &got), 0);
    assert_memory_equal(all, back, sizeof(all));
    assert_int_equal(sb_port_read(port, back, 1, sb_port_clock() + 30, &got), -ETIMEDOUT);
    port->close(port);
}

static void *interrupt_soon(void *arg)
{
    (void)usleep(50000);
    sb_port_interrupt(arg, true);
    return NULL;
}

ON_LINE(test_a_wait_is_interrupted)
{
    struct sb_port *port = open_port(line);
    uint8_t byte;
    size_t got;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, port), 0);
    assert_int_equal(sb_port_read(port, &byte, 1, sb_port_clock() + 60000, &got), -ECANCELED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    sb_port_interrupt(port, false);
    assert_int_equal(sb_port_read(port, &byte, 1, sb_port_clock() + 20, &got), -ETIMEDOUT);
    assert_false(port->failed);
    port->close(port);
}

ON_LINE(test_a_line_that_vanishes_and_returns)
{
    struct sb_port *port = open_port(line);
    uint8_t byte;
    size_t got;
    unplug(line);
    assert_false(sb_port_alive(port));
    assert_int_equal(sb_port_read(port, &byte, 1, sb_port_clock() + 5000, &got), -ENODEV);
    assert_int_equal(sb_port_write(port, "x", 1, sb_port_clock() + 5000), -ENODEV);
    assert_true(port->failed);
    port->close(port);
    assert_refused(line, -ENOENT, "is it plugged in?");

    plug(line); /* the link stays the same, what it leads to need not */
    port = open_port(line);
    assert_int_equal(write(line->master, "y", 1), 1);
    assert_int_equal(sb_port_read(port, &byte, 1, sb_port_clock() + 5000, &got), 0);
    assert_int_equal(byte, 'y');
    port->close(port);
}

ON_LINE(test_settings)
{
    struct termios t;
    line->config.baud = 9600;
    line->config.stop = 2;
    line->config.dtr = SB_LINE_ON; /* a pty has no modem lines: only a warning */
    struct sb_port *port = open_port(line);
    assert_int_equal(tcgetattr(port->fd, &t), 0);
    assert_int_equal(cfgetospeed(&t), B9600);
    assert_true(t.c_cflag & CSTOPB);
    assert_false(t.c_lflag & (ICANON | ECHO | ISIG));
    assert_int_equal(port->set_speed(port, 57600), 0);
    assert_int_equal(tcgetattr(port->fd, &t), 0);
    assert_int_equal(cfgetispeed(&t), B57600);
    assert_int_equal(port->set_speed(port, 12345), -EINVAL);
    assert_int_equal(fcntl(port->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    port->close(port);
}

ON_LINE(test_settings_that_a_pty_refuses)
{
    line->config.parity = SB_PARITY_EVEN;
    assert_refused(line, -EINVAL, "parity even");
    line->config.parity = SB_PARITY_NONE;
    line->config.data = 7;
    assert_refused(line, -EINVAL, "7 data bits");
    line->config.data = 8;
    line->config.baud = 12345;
    assert_refused(line, -EINVAL, "no such speed: 12345 baud");
}

ON_LINE(test_paths_that_are_no_line)
{
    line->config.port = line->folder;
    assert_refused(line, -ENOTTY, "is not a serial line");
    char null[] = "/dev/null", none[] = "/dev/serial/by-path/none";
    line->config.port = null;
    assert_refused(line, -ENOTTY, "/dev/null is not a serial line");
    line->config.port = none;
    assert_refused(line, -ENOENT, "/dev/serial/by-path/none is not there");
}

/* ---- who else holds it ---- */

/* A process that opens the line (with our transport, or bare) and holds it until it is killed. */
static pid_t holder(struct line *line, bool with_locks)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sb_port *port = NULL;
        int owner;
        char *error;
        int r = with_locks ? sb_serial_transport.open(&line->config, &port, &owner, &error)
                           : open(line->name, O_RDWR | O_NOCTTY);
        if (r < 0 || write(ready[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    return pid;
}

static void end_process(pid_t pid)
{
    int status;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

ON_LINE(test_two_processes_contend)
{
    pid_t pid = holder(line, true);
    sb_cleanup(sb_freep) char *file = lock_file(line), *who = sb_format("process %d (", (int)pid);
    int owner;
    char *error = refused(line, -EBUSY, &owner);
    assert_int_equal(owner, pid);
    assert_non_null(strstr(error, who));
    sb_cleanup(sb_freep) char *program = sb_serial_program(pid);
    assert_non_null(strstr(error, program)); /* its name */
    free(error);

    /* Even when the lock file is gone: by flock, and by looking who has the device open. */
    assert_int_equal(unlink(file), 0);
    free(refused(line, -EBUSY, &owner));
    assert_int_equal(owner, pid);

    end_process(pid); /* as kill -9 of a daemon: nothing keeps the line from its successor */
    struct sb_port *port = open_port(line);
    port->close(port);
}

ON_LINE(test_the_lock_file)
{
    sb_cleanup(sb_freep) char *file = lock_file(line), *wanted = sb_format("%10d\n", getpid());
    char text[32] = { 0 };
    struct sb_port *port = open_port(line);
    FILE *f = fopen(file, "re");
    assert_non_null(f);
    assert_int_equal(fread(text, 1, sizeof(text), f), 11);
    (void)fclose(f);
    assert_string_equal(text, wanted);
    port->close(port);
    assert_int_equal(access(file, F_OK), -1);
    sb_cleanup(sb_freep) char *usual = sb_serial_lock_path("/run/lock", "/dev/ttyUSB0");
    assert_string_equal(usual, "/run/lock/LCK..ttyUSB0");
}

static void write_lock(const char *file, const char *text)
{
    FILE *f = fopen(file, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

ON_LINE(test_stale_lock_files)
{
    sb_cleanup(sb_freep) char *file = lock_file(line);
    pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    int status;
    assert_int_equal(waitpid(gone, &status, 0), gone);
    sb_cleanup(sb_freep) char *dead = sb_format("%10d\n", (int)gone),
                              *parent = sb_format("%10d\n", (int)getppid());
    /* A dead process, one that does not have the line open, our own number, and rubbish. */
    const char *const stale[] = { dead, parent, "         0\n", "rubbish", "", "-5\n" };
    for (size_t i = 0; i < SB_COUNT(stale); i++) {
        write_lock(file, stale[i]);
        struct sb_port *port = open_port(line);
        port->close(port);
        assert_int_equal(access(file, F_OK), -1);
    }
}

ON_LINE(test_a_lock_file_of_a_program_without_flock)
{
    sb_cleanup(sb_freep) char *file = lock_file(line);
    pid_t pid = holder(line, false);
    sb_cleanup(sb_freep) char *text = sb_format("%d\n", (int)pid);
    write_lock(file, text);
    int owner;
    free(refused(line, -EBUSY, &owner));
    assert_int_equal(owner, pid);
    end_process(pid);
    assert_int_equal(unlink(file), 0);
}

ON_LINE(test_the_same_line_twice_in_one_process)
{
    struct sb_port *port = open_port(line);
    int owner;
    char *error = refused(line, -EBUSY, &owner);
    assert_non_null(strstr(error, "another bus"));
    free(error);
    port->close(port);
}

ON_LINE(test_without_locks)
{
    sb_cleanup(sb_freep) char *file = lock_file(line);
    line->config.lock = false;
    struct sb_port *one = open_port(line), *two = open_port(line);
    assert_int_equal(access(file, F_OK), -1);
    one->close(one);
    two->close(two);
}

ON_LINE(test_a_lock_directory_that_cannot_be_written)
{
    char nowhere[] = "/nonexistent/lock";
    line->config.lock_directory = nowhere;
    struct sb_port *port = open_port(line);
    int owner;
    free(refused(line, -EBUSY, &owner)); /* flock holds without it */
    port->close(port);
}

/* ---- looked at without opening it ---- */

/* The exam has one line with this in it. */
static void examined(struct line *line, int daemon, enum sb_health health, const char *part)
{
    struct sb_exam exam = { 0 };
    sb_serial_transport.examine(&line->config, daemon, &exam);
    if (exam.count != 1 || exam.lines[0].health != health || !strstr(exam.lines[0].text, part))
        fail_msg("%zu: %s", exam.count, exam.count ? exam.lines[0].text : "");
    assert_int_equal(exam.lines[0].remedy == NULL, health == SB_HEALTH_OK);
    sb_exam_done(&exam);
}

ON_LINE(test_an_examination)
{
    examined(line, 0, SB_HEALTH_OK, ", 115200 baud, free");
    int said[2];
    assert_int_equal(pipe(said), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct sb_port *port = open_port(line);
        (void)!write(said[1], port ? "x" : "", 1);
        (void)pause();
        _exit(0);
    }
    char byte;
    assert_int_equal(read(said[0], &byte, 1), 1);
    sb_cleanup(sb_freep) char *held = sb_format("is held by process %d (unit_serial)", (int)pid);
    examined(line, 0, SB_HEALTH_FAILED, held);
    examined(line, (int)pid, SB_HEALTH_OK, "115200 baud, open here");
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    (void)close(said[0]);
    (void)close(said[1]);
    sb_cleanup(sb_freep) char *file = lock_file(line);
    examined(line, 0, SB_HEALTH_OK, "free"); /* its lock file is stale */
    assert_int_equal(unlink(file), 0);
    unplug(line);
    examined(line, 0, SB_HEALTH_FAILED, "is not there: No such file");
    char null[] = "/dev/null";
    line->config.port = null;
    examined(line, 0, SB_HEALTH_FAILED, "is not a serial line");
}

/* A rule with the system's own list cannot be tested with lines that are not there. */
ON_LINE(test_names_and_kinds_of_lines)
{
    sb_cleanup(sb_freep) char *list = sb_format("%s/drivers", line->folder);
    FILE *file = fopen(list, "w");
    assert_non_null(file);
    assert_true(fputs("/dev/tty   /dev/tty      5   0 system:/dev/tty\n"
                      "usbserial  /dev/ttyUSB 188 0-511 serial\nbroken\n",
                      file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_true(sb_serial_is_tty(list, makedev(188, 511)));
    assert_false(sb_serial_is_tty(list, makedev(188, 512)));
    assert_true(sb_serial_is_tty(list, makedev(5, 0)));
    assert_false(sb_serial_is_tty(list, makedev(5, 1)));
    assert_false(sb_serial_is_tty(list, makedev(1, 3)));
    assert_int_equal(unlink(list), 0);
    assert_true(sb_serial_is_tty(list, makedev(1, 3))); /* without a list: who knows */

    assert_true(sb_serial_is_numbered("/dev/ttyUSB0"));
    assert_true(sb_serial_is_numbered("/dev/ttyACM12"));
    assert_false(sb_serial_is_numbered("/dev/ttyS0"));
    assert_false(sb_serial_is_numbered("/dev/serial/by-path/x"));
    sb_cleanup(sb_freep) char *stable = sb_serial_stable_link(line->folder, line->name);
    assert_string_equal(stable, line->link);
    assert_null(sb_serial_stable_link(line->folder, "/dev/null"));
    assert_null(sb_serial_stable_link("/nowhere", line->name));
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    return sb_tests_run(NULL, NULL);
}
