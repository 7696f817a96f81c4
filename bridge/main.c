/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: reads the configuration, assembles the core, runs the loop until told to stop.
 * SIGTERM and SIGINT drain and end it, SIGHUP reads mappings and devices again.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>

#include "adapters/adapters.h"
#include "bridge/base/datagram.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/check.h"
#include "bridge/control/control.h"
#include "bridge/doctor/doctor.h"
#include "bridge/keys.h"
#include "bridge/mapping/type.h"

#define NOTIFY_WAIT (5 * SB_SECOND) /* it starts much else while it starts us */

enum mode { MODE_RUN, MODE_CHECK, MODE_CHECK_MAPPING, MODE_DOCTOR, MODE_KEYS };

struct options {
    enum mode mode;
    const char *config;
    bool known;
    char **files;
};

struct daemon {
    struct sb_loop *loop;
    struct sb_core *core;
    struct sb_control *control;
    int signals;
    struct sb_watch *watch;
};

/* ---- command line ---- */

static void usage(FILE *out)
{
    (void)fputs(
        "usage: southbridge [--config FILE] [--check]\n"
        "       southbridge --check-mapping FILE...\n"
        "       southbridge [--config FILE] --doctor [--known]\n"
        "       southbridge --keys\n"
        "\n"
        "  -c, --config FILE     configuration (default /etc/southbridge/southbridge.yaml)\n"
        "      --check           check configuration, mappings and devices, then exit\n"
        "      --check-mapping   check device types or dialect words given as files\n"
        "      --doctor          examine the gateway, findings as lines of JSON (for people:\n"
        "                        southbridgectl doctor)\n"
        "      --known           with what the running daemon knows, as JSON on standard input\n"
        "      --keys            every key of configuration, devices and device types: what it\n"
        "                        may be, its default, what it means\n"
        "  -h, --help            this text\n"
        "  -V, --version         version\n"
        "\n"
        "Runs in the foreground. Exit: 0 done, 1 failed, 2 usage or findings.\n",
        out);
}

static int wrong_use(const char *fmt, ...) SB_PRINTF(1, 2);
static int wrong_use(const char *fmt, ...)
{
    va_list ap;
    (void)fputs("southbridge: ", stderr);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputs("\n", stderr);
    usage(stderr);
    return 2;
}

/* Of the options and files together. */
static int check_use(const struct options *options)
{
    const char *file = *options->files;
    if (options->mode == MODE_CHECK_MAPPING && !file)
        return wrong_use("--check-mapping wants files");
    if (options->mode != MODE_CHECK_MAPPING && file)
        return wrong_use("'%s' is one word too many", file);
    if (options->known && options->mode != MODE_DOCTOR)
        return wrong_use("--known is for --doctor");
    return 0;
}

/* 0: go on; else exit with ret_status. */
static int parse(int argc, char **argv, struct options *ret, int *ret_status)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "check", no_argument, NULL, 'k' },
        { "check-mapping", no_argument, NULL, 'm' },
        { "doctor", no_argument, NULL, 'd' },
        { "known", no_argument, NULL, 'n' },
        { "keys", no_argument, NULL, 'y' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { 0 },
    };
    *ret = (struct options){ .config = "/etc/southbridge/southbridge.yaml" };
    *ret_status = 0;
    for (int c; (c = getopt_long(argc, argv, "c:hV", options, NULL)) != -1;) {
        switch (c) {
        case 'c':
            ret->config = optarg;
            break;
        case 'k':
            ret->mode = MODE_CHECK;
            break;
        case 'm':
            ret->mode = MODE_CHECK_MAPPING;
            break;
        case 'd':
            ret->mode = MODE_DOCTOR;
            break;
        case 'n':
            ret->known = true;
            break;
        case 'y':
            ret->mode = MODE_KEYS;
            break;
        case 'h':
            usage(stdout);
            return 1;
        case 'V':
            (void)printf("southbridge %s\n", SB_VERSION);
            return 1;
        default:
            usage(stderr);
            *ret_status = 2;
            return 1;
        }
    }
    ret->files = argv + optind;
    *ret_status = check_use(ret);
    return *ret_status != 0;
}

/* ---- checking ---- */

static int print_findings(struct sb_diags *diags)
{
    sb_cleanup(sb_freep) char *text = diags->total ? sb_diags_text(diags) : NULL;
    size_t total = diags->total;
    if (text)
        (void)fputs(text, stderr);
    sb_diags_done(diags);
    return total ? 2 : 0;
}

static int check(const struct sb_config *config)
{
    struct sb_diags diags = { 0 };
    int r = sb_check_all(config, &sb_adapters, &diags);
    int files = sb_check_files(config, &sb_adapters, &diags);
    r = r < 0 ? r : files;
    int status = print_findings(&diags);
    if (status == 0 && r < 0)
        (void)fprintf(stderr, "southbridge: %s\n", strerror(-r));
    if (status == 0 && r >= 0)
        (void)printf("configuration, mappings and devices are in order\n");
    return status ? status : r < 0;
}

static int print_keys(void)
{
    sb_cleanup(sb_freep) char *text = sb_keys_text(&sb_adapters);
    if (text && fputs(text, stdout) >= 0 && fflush(stdout) == 0)
        return 0;
    (void)fprintf(stderr, "southbridge: %s\n", strerror(text ? errno : ENOMEM));
    return 1;
}

/* A file with `dialect:` holds words, any other describes a device type. */
static int check_file(const char *path, struct sb_diags *diags)
{
    sb_cleanup(sb_yaml_freep) struct sb_yaml *yaml = NULL;
    int r = sb_yaml_load(path, &yaml, diags);
    if (r < 0)
        return r;
    const struct sb_yaml *dialect = sb_yaml_get(yaml, "dialect");
    const struct sb_door_ops *door =
        dialect ? sb_adapters_door(&sb_adapters, dialect->text, "uplink") : NULL;
    if (dialect && !door) {
        sb_diags_add(diags, path, dialect->line, dialect->column, "no dialect '%s'",
                     dialect->text ? dialect->text : "");
        return -EINVAL;
    }
    struct sb_words *words = NULL;
    struct sb_type *type = NULL;
    r = dialect ? sb_words_load(path, door->shape, &words, diags)
                : sb_type_load_file(path, sb_adapters.drivers, &type, diags);
    sb_words_free(words);
    if (type)
        sb_type_unref(type);
    return r;
}

static int check_mappings(char **files)
{
    int worst = 0;
    for (; *files; files++) {
        struct sb_diags diags = { 0 };
        int r = check_file(*files, &diags);
        int status = print_findings(&diags);
        if (status == 0 && r < 0)
            (void)fprintf(stderr, "%s: %s\n", *files, strerror(-r));
        if (status == 0 && r >= 0)
            (void)printf("%s: in order\n", *files);
        worst = SB_MAX(worst, status ? status : r < 0);
    }
    return worst;
}

/* ---- running ---- */

/* The service manager, if there is one that listens. */
static void notify(const char *state)
{
    const char *manager = getenv("NOTIFY_SOCKET");
    const struct iovec text = { (void *)state, strlen(state) };
    int r = manager ? sb_datagram_send(manager, &text, 1, NOTIFY_WAIT) : 0;
    if (r < 0)
        sb_warning(NULL, "the service manager cannot be told %s: %s", state, strerror(-r));
}

static void reload(struct daemon *daemon)
{
    struct sb_diags diags = { 0 };
    notify("RELOADING=1");
    int r = sb_core_reload(daemon->core, "signal SIGHUP", &diags);
    sb_cleanup(sb_freep) char *text = diags.total ? sb_diags_text(&diags) : NULL;
    char *rest = text;
    sb_diags_done(&diags);
    if (r < 0)
        sb_error(NULL, "nothing was reloaded%s%s", text ? "" : ": ", text ? "" : strerror(-r));
    for (char *line; r < 0 && (line = strsep(&rest, "\n"));)
        if (*line)
            sb_error(NULL, "reload: %s", line);
    notify("READY=1");
}

static void on_signal(void *arg, unsigned ready)
{
    struct daemon *daemon = arg;
    struct signalfd_siginfo info;
    (void)ready;
    if (read(daemon->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    if (info.ssi_signo == SIGHUP) {
        reload(daemon);
        return;
    }
    sb_notice(NULL, "stopping");
    notify("STOPPING=1");
    sb_loop_stop(daemon->loop);
}

static int take_signals(struct daemon *daemon)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return -errno;
    daemon->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (daemon->signals < 0)
        return -errno;
    return sb_watch_new(daemon->loop, daemon->signals, SB_READABLE, on_signal, daemon,
                        &daemon->watch);
}

/* The download helper lies beside the daemon, or where the package puts it. */
static char *helper_path(void)
{
    char here[4096];
    ssize_t n = readlink("/proc/self/exe", here, sizeof(here) - 1);
    char *slash;
    if (n > 0) {
        here[n] = '\0';
        slash = strrchr(here, '/');
        sb_cleanup(sb_freep) char *beside =
            slash ? sb_format("%.*s/southbridge-fetch", (int)(slash - here), here) : NULL;
        if (beside && access(beside, X_OK) == 0)
            return SB_STEAL(beside);
    }
    return strdup(SB_LIBEXECDIR "/southbridge-fetch");
}

/* Firmware from URIs and files would be impossible; all else works. */
static void check_helper(const char *helper)
{
    if (access(helper, X_OK) < 0)
        sb_error(NULL, "no image can be fetched: %s: %s", helper, strerror(errno));
}

static int make_directory(const char *path, char **ret_error)
{
    if (mkdir(path, 0750) < 0 && errno != EEXIST) {
        int r = -errno;
        *ret_error = sb_format("%s: %s", path, strerror(-r));
        return r;
    }
    return 0;
}

static int open_core(struct daemon *daemon, const struct sb_config *config, char **ret_error)
{
    struct sb_core_parts parts = { .loop = daemon->loop,
                                   .config = config,
                                   .adapters = &sb_adapters,
                                   .program = "/proc/self/exe" };
    sb_cleanup(sb_freep) char *path = sb_format("%s/southbridge.db", config->state);
    sb_cleanup(sb_freep) char *helper = helper_path();
    if (!path || !helper)
        return -ENOMEM;
    check_helper(helper);
    int r = make_directory(config->state, ret_error);
    if (r >= 0)
        r = sb_sqlite_open(daemon->loop, path, &parts.backend_ops, &parts.backend, ret_error);
    if (r < 0)
        return r;
    r = sb_fetcher_new(daemon->loop, helper, (unsigned)config->artifacts.parallel,
                       &parts.fetcher_ops, &parts.fetcher);
    if (r < 0) {
        parts.backend_ops->close(parts.backend);
        return r;
    }
    r = sb_core_new(&parts, &daemon->core);
    if (r >= 0)
        r = sb_control_new(daemon->core, config->control.socket, config->control.group,
                           &daemon->control, ret_error);
    return r < 0 ? r : sb_core_start(daemon->core);
}

static void close_all(struct daemon *daemon)
{
    sb_control_free(daemon->control);
    sb_core_free(daemon->core);
    sb_watch_free(daemon->watch);
    if (daemon->signals >= 0)
        close(daemon->signals);
    sb_loop_free(daemon->loop);
}

static int run(const struct sb_config *config)
{
    struct daemon daemon = { .signals = -1 };
    sb_cleanup(sb_freep) char *error = NULL;
    sb_log_setup((enum sb_log_level)config->log.level, (enum sb_log_format)config->log.format);
    int r = sb_loop_new(&daemon.loop);
    if (r >= 0)
        r = take_signals(&daemon);
    if (r >= 0)
        r = open_core(&daemon, config, &error);
    if (r >= 0) {
        sb_notice(NULL, "southbridge %s is ready", SB_VERSION);
        notify("READY=1");
        r = sb_loop_run(daemon.loop);
    }
    if (r < 0)
        sb_error(NULL, "%s", error ? error : strerror(-r));
    close_all(&daemon);
    return r < 0;
}

static int doctor(const struct options *options)
{
    sb_cleanup(sb_freep) char *helper = helper_path();
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t wall = (int64_t)now.tv_sec * SB_SECOND + now.tv_nsec / 1000000;
    struct sb_doctor_parts parts = { .config = options->config,
                                     .adapters = &sb_adapters,
                                     .helper = helper ? helper : "southbridge-fetch",
                                     .wall = wall < SB_CLOCK_UNSET_BEFORE ? 0 : wall };
    (void)signal(SIGPIPE, SIG_IGN);
    return sb_doctor_main(&parts, options->known);
}

int main(int argc, char **argv)
{
    struct options options;
    struct sb_diags diags = { 0 };
    sb_cleanup(sb_config_freep) struct sb_config *config = NULL;
    int status;
    sb_std_hold();
    sb_heap_split();
    if (parse(argc, argv, &options, &status))
        return status;
    if (options.mode == MODE_KEYS)
        return print_keys();
    if (options.mode == MODE_CHECK_MAPPING)
        return check_mappings(options.files);
    if (options.mode == MODE_DOCTOR)
        return doctor(&options);
    int r = sb_config_load(options.config, &config, &diags);
    if (r < 0) {
        if (print_findings(&diags) == 0)
            (void)fprintf(stderr, "%s: %s\n", options.config, strerror(-r));
        return 2;
    }
    sb_diags_done(&diags);
    return options.mode == MODE_CHECK ? check(config) : run(config);
}
