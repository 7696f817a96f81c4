/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/transports/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "adapters/transports/serial_exam.h"
#include "adapters/transports/serial_lock.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/config/yaml.h"

SB_NAMES(
    sb_serial_parity,
    SB_PARITY_MAX_, [SB_PARITY_NONE] = "none", [SB_PARITY_EVEN] = "even", [SB_PARITY_ODD] = "odd");
SB_NAMES(sb_serial_flow, SB_FLOW_MAX_, [SB_FLOW_NONE] = "none", [SB_FLOW_RTSCTS] = "rtscts");
SB_NAMES(sb_serial_line,
         SB_LINE_MAX_, [SB_LINE_LEAVE] = "leave", [SB_LINE_ON] = "on", [SB_LINE_OFF] = "off");

#define AT(member) offsetof(struct sb_serial_config, member)
static const struct sb_field fields[] = {
    { .key = "port",
      .type = SB_TYPE_STRING,
      .offset = AT(port),
      .flags = SB_FIELD_REQUIRED | SB_FIELD_ALONE,
      .min = 1,
      .max = 1024,
      .doc = "The tty's path; best a link under /dev/serial/by-path, which survives a replug." },
    { .key = "baud",
      .type = SB_TYPE_INT,
      .offset = AT(baud),
      .min = 50,
      .max = 4000000,
      .otherwise = "115200",
      .doc = "Bits per second; one of the speeds the system knows." },
    { .key = "data",
      .type = SB_TYPE_INT,
      .offset = AT(data),
      .min = 7,
      .max = 8,
      .otherwise = "8",
      .doc = "Data bits." },
    { .key = "parity",
      .type = SB_TYPE_CHOICE,
      .offset = AT(parity),
      .otherwise = "none",
      .choices = &sb_serial_parity_names,
      .doc = "Parity bit." },
    { .key = "stop",
      .type = SB_TYPE_INT,
      .offset = AT(stop),
      .min = 1,
      .max = 2,
      .otherwise = "1",
      .doc = "Stop bits." },
    { .key = "flow",
      .type = SB_TYPE_CHOICE,
      .offset = AT(flow),
      .otherwise = "none",
      .choices = &sb_serial_flow_names,
      .doc = "Flow control by RTS and CTS." },
    { .key = "dtr",
      .type = SB_TYPE_CHOICE,
      .offset = AT(dtr),
      .otherwise = "leave",
      .choices = &sb_serial_line_names,
      .doc = "What to do with DTR when the port is opened; many boards reset on it." },
    { .key = "lock",
      .type = SB_TYPE_BOOL,
      .offset = AT(lock),
      .otherwise = "true",
      .doc = "Keep other programs away by a lock file, flock and TIOCEXCL." },
    { .key = "lock_directory",
      .type = SB_TYPE_STRING,
      .offset = AT(lock_directory),
      .otherwise = "/run/lock",
      .doc = "Where lock files (LCK..NAME) are kept." },
    { 0 },
};
#undef AT

static const struct {
    int64_t baud;
    speed_t speed;
} speeds[] = {
    { 50, B50 },           { 75, B75 },           { 110, B110 },         { 134, B134 },
    { 150, B150 },         { 200, B200 },         { 300, B300 },         { 600, B600 },
    { 1200, B1200 },       { 1800, B1800 },       { 2400, B2400 },       { 4800, B4800 },
    { 9600, B9600 },       { 19200, B19200 },     { 38400, B38400 },     { 57600, B57600 },
    { 115200, B115200 },   { 230400, B230400 },   { 460800, B460800 },   { 500000, B500000 },
    { 576000, B576000 },   { 921600, B921600 },   { 1000000, B1000000 }, { 1152000, B1152000 },
    { 1500000, B1500000 }, { 2000000, B2000000 }, { 2500000, B2500000 }, { 3000000, B3000000 },
    { 3500000, B3500000 }, { 4000000, B4000000 },
};

struct serial {
    struct sb_port port; /* first */
    char *lock_file;     /* ours while open, or NULL */
    bool exclusive;      /* TIOCEXCL is set */
};

static void serial_close(struct sb_port *port)
{
    struct serial *serial = (struct serial *)port;
    if (serial->exclusive)
        (void)ioctl(port->fd, TIOCNXCL);
    sb_serial_lock_drop(serial->lock_file);
    free(serial->lock_file);
    if (port->fd >= 0)
        (void)close(port->fd);
    if (port->interrupt >= 0)
        (void)close(port->interrupt);
    free(serial);
}

static void serial_closep(struct serial **serial)
{
    if (*serial)
        serial_close(&(*serial)->port);
}

static int find_speed(int64_t baud, speed_t *ret)
{
    for (size_t i = 0; i < SB_COUNT(speeds); i++) {
        if (speeds[i].baud != baud)
            continue;
        *ret = speeds[i].speed;
        return 0;
    }
    return -EINVAL;
}

static int serial_set_speed(struct sb_port *port, uint32_t baud)
{
    struct termios t;
    speed_t speed;
    if (find_speed(baud, &speed) < 0)
        return -EINVAL;
    if (tcgetattr(port->fd, &t) < 0 || cfsetspeed(&t, speed) < 0 ||
        tcsetattr(port->fd, TCSADRAIN, &t) < 0)
        return -errno;
    port->speed = baud;
    return 0;
}

static int serial_set_line(struct sb_port *port, enum sb_port_line line, bool on)
{
    int bits = line == SB_PORT_DTR ? TIOCM_DTR : TIOCM_RTS;
    int r = line == SB_PORT_BREAK ? ioctl(port->fd, on ? TIOCSBRK : TIOCCBRK)
                                  : ioctl(port->fd, on ? TIOCMBIS : TIOCMBIC, &bits);
    return r == 0 ? 0 : errno == EINVAL || errno == ENOTTY ? -ENOTTY : -errno;
}

static tcflag_t control_flags(const struct sb_serial_config *c)
{
    tcflag_t flags = CLOCAL | CREAD;
    flags |= c->data == 7 ? CS7 : CS8;
    flags |= c->stop == 2 ? CSTOPB : 0;
    flags |= c->parity != SB_PARITY_NONE ? PARENB : 0;
    flags |= c->parity == SB_PARITY_ODD ? PARODD : 0;
    flags |= c->flow == SB_FLOW_RTSCTS ? CRTSCTS : 0;
    return flags;
}

/* Raw mode. The system may take part of the settings and say nothing: they are read back. */
static int set_mode(int fd, const struct sb_serial_config *c, char **ret_error)
{
    const tcflag_t checked = CSIZE | CSTOPB | PARENB | PARODD | CRTSCTS;
    struct termios t, now;
    speed_t speed;
    if (find_speed(c->baud, &speed) < 0) {
        *ret_error = sb_format("%s: no such speed: %lld baud", c->port, (long long)c->baud);
        return -EINVAL;
    }
    if (tcgetattr(fd, &t) < 0) {
        *ret_error = sb_format("%s is not a serial line", c->port);
        return -ENOTTY;
    }
    cfmakeraw(&t);
    t.c_cflag = control_flags(c);
    t.c_iflag |= IGNBRK;
    t.c_cc[VMIN] = 1; /* so that "nothing yet" and "hung up" differ */
    t.c_cc[VTIME] = 0;
    (void)cfsetspeed(&t, speed);
    int r = tcsetattr(fd, TCSANOW, &t) < 0 ? -errno : 0;
    if (r == 0 && (tcgetattr(fd, &now) < 0 || ((now.c_cflag ^ t.c_cflag) & checked)))
        r = -EINVAL;
    if (r < 0)
        *ret_error = sb_format("%s does not take %lld data bits, parity %s, %lld stop bits, flow "
                               "%s (a pty knows only 8, none, no flow control)",
                               c->port, (long long)c->data, sb_serial_parity_name(c->parity),
                               (long long)c->stop, sb_serial_flow_name(c->flow));
    return r;
}

static void set_dtr(int fd, const struct sb_serial_config *c)
{
    int line = TIOCM_DTR;
    if (c->dtr == SB_LINE_LEAVE)
        return;
    if (ioctl(fd, c->dtr == SB_LINE_ON ? TIOCMBIS : TIOCMBIC, &line) < 0)
        sb_warning(NULL, "%s has no modem lines: dtr is left alone", c->port);
}

static int busy(const char *path, pid_t holder, int *ret_owner, char **ret_error)
{
    sb_cleanup(sb_freep) char *program = holder ? sb_serial_program(holder) : NULL;
    *ret_owner = (int)holder;
    if (holder)
        *ret_error = sb_format("%s is held by process %d (%s): stop it, or give this bus another "
                               "port",
                               path, (int)holder, program ? program : "program not known");
    else
        *ret_error = sb_format("%s is held by another bus, or by a process that cannot be seen "
                               "from here",
                               path);
    return -EBUSY;
}

static int cannot_open(const char *path, int error, char **ret_error)
{
    switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case EIO:
        *ret_error = sb_format("%s is not there: is it plugged in? (look under "
                               "/dev/serial/by-path)",
                               path);
        return error == ENOENT ? -ENOENT : -ENODEV;
    case EACCES:
    case EPERM:
        *ret_error =
            sb_format("%s: no right to open it (join the device's group, mostly dialout)", path);
        return -EACCES;
    default:
        *ret_error = sb_format("%s cannot be opened: %s", path, strerror(error));
        return -error;
    }
}

/* The mark outlives a killed holder on a pty as long as its other end is open: not used there. */
static bool is_pty(dev_t device)
{
    unsigned kind = major(device);
    return kind >= 136 && kind <= 143;
}

static int take_mark(struct serial *serial, const char *path, dev_t device, int *ret_owner,
                     char **ret_error)
{
    int set = 0;
    if (is_pty(device))
        return 0;
    if (ioctl(serial->port.fd, TIOCGEXCL, &set) == 0 && set)
        return busy(path, sb_serial_opener(device, 0), ret_owner, ret_error);
    serial->exclusive = ioctl(serial->port.fd, TIOCEXCL) == 0;
    return 0;
}

static int take_locks(struct serial *serial, const char *path, dev_t device, const char *lock_file,
                      int *ret_owner, char **ret_error)
{
    struct stat st;
    if (flock(serial->port.fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        pid_t holder = sb_serial_lock_holder(lock_file, device);
        if (!holder && fstat(serial->port.fd, &st) == 0)
            holder = sb_serial_flock_holder(&st);
        return busy(path, holder ? holder : sb_serial_opener(device, 0), ret_owner, ret_error);
    }
    int r = take_mark(serial, path, device, ret_owner, ret_error);
    if (r < 0)
        return r;
    r = sb_serial_lock_take(lock_file, device);
    if (r == -EBUSY)
        return busy(path, sb_serial_lock_holder(lock_file, device), ret_owner, ret_error);
    if (r < 0) {
        sb_info(NULL, "no lock file %s: %s", lock_file, strerror(-r));
        return 0;
    }
    serial->lock_file = strdup(lock_file);
    return serial->lock_file ? 0 : -ENOMEM;
}

static int open_fd(struct serial *serial, const char *path, dev_t device, int *ret_owner,
                   char **ret_error)
{
    serial->port.fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (serial->port.fd < 0 && errno == EBUSY)
        return busy(path, sb_serial_opener(device, 0), ret_owner, ret_error);
    if (serial->port.fd < 0)
        return cannot_open(path, errno, ret_error);
    serial->port.interrupt = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return serial->port.interrupt < 0 ? -errno : 0;
}

/* Opening a port can reset a board (DTR), so a lock file is looked at before. */
static int open_locked(struct serial *serial, const struct sb_serial_config *c, const char *path,
                       int *ret_owner, char **ret_error)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return cannot_open(c->port, errno, ret_error);
    if (!S_ISCHR(st.st_mode)) {
        *ret_error = sb_format("%s is not a serial line", c->port);
        return -ENOTTY;
    }
    sb_cleanup(sb_freep) char *lock_file = sb_serial_lock_path(c->lock_directory, path);
    if (!lock_file)
        return -ENOMEM;
    pid_t holder = c->lock ? sb_serial_lock_holder(lock_file, st.st_rdev) : 0;
    if (holder)
        return busy(path, holder, ret_owner, ret_error);
    int r = open_fd(serial, path, st.st_rdev, ret_owner, ret_error);
    if (r == 0 && c->lock)
        r = take_locks(serial, path, st.st_rdev, lock_file, ret_owner, ret_error);
    return r;
}

static int serial_open(const void *config, struct sb_port **ret, int *ret_owner, char **ret_error)
{
    const struct sb_serial_config *c = config;
    sb_cleanup(sb_freep) char *path = realpath(c->port, NULL);
    if (!path)
        return cannot_open(c->port, errno, ret_error);
    sb_cleanup(serial_closep) struct serial *serial = calloc(1, sizeof(*serial));
    if (!serial)
        return -ENOMEM;
    serial->port.fd = serial->port.interrupt = -1;
    serial->port.close = serial_close;
    serial->port.set_speed = serial_set_speed;
    serial->port.set_line = serial_set_line;
    int r = open_locked(serial, c, path, ret_owner, ret_error);
    if (r == 0)
        r = set_mode(serial->port.fd, c, ret_error);
    if (r < 0)
        return r;
    serial->port.speed = (uint32_t)c->baud;
    set_dtr(serial->port.fd, c);
    (void)tcflush(serial->port.fd, TCIOFLUSH);
    struct serial *opened = SB_STEAL(serial);
    *ret = &opened->port;
    return 0;
}

static void serial_check(const void *config, const struct sb_yaml *yaml, struct sb_diags *diags)
{
    const struct sb_serial_config *c = config;
    const struct sb_yaml *at = sb_yaml_get(yaml, "baud");
    struct sb_str known = { 0 };
    speed_t speed;
    /* A daemon's working directory is nobody's intention. */
    if (c->port && c->port[0] != '/')
        sb_schema_find(diags, sb_yaml_get(yaml, "port"),
                       "port: '%.60s' must be an absolute path (such as /dev/ttyUSB0)", c->port);
    if (find_speed(c->baud, &speed) == 0)
        return;
    for (size_t i = 0; i < SB_COUNT(speeds); i++)
        sb_str_format(&known, "%s%lld", i ? ", " : "", (long long)speeds[i].baud);
    sb_schema_find(diags, at ? at : yaml, "baud: no line has %lld bits per second (allowed: %s)",
                   (long long)c->baud, sb_str_get(&known));
    sb_str_done(&known);
}

const struct sb_port_ops sb_serial_transport = {
    .name = "serial",
    .fields = fields,
    .size = sizeof(struct sb_serial_config),
    .check = serial_check,
    .open = serial_open,
    .examine = sb_serial_examine,
};
