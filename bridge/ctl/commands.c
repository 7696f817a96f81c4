/* SPDX-License-Identifier: Apache-2.0 */
/* What there is to type, in the order of the help. */
#include "bridge/ctl/ctl.h"

const struct sb_exit_text sb_exit_texts[] = {
    { SB_EXIT_DONE, "done; of a watched job: it succeeded" },
    { SB_EXIT_FAILED, "something failed; a watched job failed; a check found something" },
    { SB_EXIT_USAGE, "the command line is wrong" },
    { SB_EXIT_UNREACHABLE, "the daemon cannot be reached, or stopped answering" },
    { SB_EXIT_NOT_FOUND, "there is no such device, job, package or link" },
    { SB_EXIT_REFUSED, "the daemon refused, and said why" },
    { SB_EXIT_CANCELLED, "the watched job was cancelled" },
    { SB_EXIT_UNAVAILABLE, "the daemon cannot take changes now (its store); try again later" },
    { SB_EXIT_INTERRUPTED, "interrupted; a job that was watched goes on" },
    { 0 },
};

enum sb_exit sb_exit_of_refusal(const char *error)
{
    static const struct {
        const char *error;
        enum sb_exit code;
    } known[] = {
        { "usage", SB_EXIT_USAGE },
        { "not_found", SB_EXIT_NOT_FOUND },
        { "refused", SB_EXIT_REFUSED },
        { "too_late", SB_EXIT_REFUSED },
        { "unavailable", SB_EXIT_UNAVAILABLE },
    };
    for (size_t i = 0; error && i < SB_COUNT(known); i++)
        if (strcmp(known[i].error, error) == 0)
            return known[i].code;
    return SB_EXIT_FAILED;
}

const struct sb_option sb_global_options[] = {
    { "socket", "PATH", SB_OPTION_TEXT, NULL,
      "control socket (default $SOUTHBRIDGE_SOCKET, else " SB_CTL_SOCKET ")" },
    { "json", NULL, SB_OPTION_FLAG, NULL, "answer as JSON, for programs" },
    { "color", NULL, SB_OPTION_FLAG, NULL, "colours although the output is no terminal" },
    { "no-color", NULL, SB_OPTION_FLAG, NULL, "no colours ($NO_COLOR does the same)" },
    { "help", NULL, SB_OPTION_FLAG, NULL, "explain the command" },
    { "version", NULL, SB_OPTION_FLAG, NULL, "print the version" },
    { 0 },
};

/* ---- options ---- */

static const struct sb_option device_list_options[] = {
    { "type", "TYPE", SB_OPTION_TEXT, "type", "only devices of this type" },
    { "bus", "BUS", SB_OPTION_TEXT, "bus", "only devices on this bus" },
    { "presence", "STATE", SB_OPTION_TEXT, "presence", "only ready, offline or unknown ones" },
    { "group", "GROUP", SB_OPTION_TEXT, "group", "only devices of this group" },
    { 0 },
};

static const struct sb_option device_add_options[] = {
    { "type", "TYPE", SB_OPTION_TEXT, "type", "its device type (required)" },
    { "bus", "BUS", SB_OPTION_TEXT, "bus", "the bus it is on" },
    { "address", "NAME=VALUE", SB_OPTION_PAIR, "address",
      "a part of its address on the bus, as its driver wants it; repeatable" },
    { "name", "DIALECT=NAME", SB_OPTION_TEXTS, "names",
      "its name in a dialect, when the derived one does not do; repeatable" },
    { "parent", "DEVICE", SB_OPTION_TEXT, "parent", "the device it is behind" },
    { "commander", "LINK", SB_OPTION_LIST, "commanders",
      "a link that may command it; repeatable (default: every link)" },
    { "group", "GROUP", SB_OPTION_LIST, "groups", "a group it belongs to; repeatable" },
    { 0 },
};

static const struct sb_option device_group_options[] = {
    { "add", "GROUP", SB_OPTION_LIST, "add", "put it into this group; repeatable" },
    { "remove", "GROUP", SB_OPTION_LIST, "remove", "take it out of this group; repeatable" },
    { 0 },
};

static const struct sb_option identify_options[] = {
    { "wait", "TIME", SB_OPTION_DURATION, NULL,
      "wait that long for its answer and show it; exit 1 without one" },
    { 0 },
};

/* What may be given to a job at its creation, and changed while it is open. */
#define LIMITS                                                                                     \
    { "timeout", "TIME", SB_OPTION_DURATION, "policy.whole_timeout",                               \
      "everything must be over by then" },                                                         \
        { "run-timeout", "TIME", SB_OPTION_DURATION, "policy.run_timeout",                         \
          "time for the work itself, from the first progress" },                                   \
        { "online-timeout", "TIME", SB_OPTION_DURATION, "policy.online_timeout",                   \
          "how long to wait for a device that is offline" },                                       \
        { "answer-timeout", "TIME", SB_OPTION_DURATION, "policy.answer_timeout",                   \
          "how long a device may take until it begins" },                                          \
        { "concurrency", "N", SB_OPTION_NUMBER, "policy.concurrency",                              \
          "devices of this job at the same time" },                                                \
    {                                                                                              \
        "rate", "N", SB_OPTION_NUMBER, "policy.rate_per_minute", "devices begun per minute"        \
    }

static const struct sb_option job_create_options[] = {
    { "package", "ID", SB_OPTION_TEXT, "package",
      "the image, or the values to configure: a known package" },
    { "uri", "URI", SB_OPTION_TEXT, "uri", "the image: where to download it" },
    { "version", "VERSION", SB_OPTION_TEXT, "version", "with --uri: the image's version" },
    { "name", "NAME", SB_OPTION_LIST, NULL,
      "with --uri: the image's name. With read: a value to read; repeatable" },
    { "module", "MODULE", SB_OPTION_TEXT, "module", "with --uri: the module it is for" },
    { "sha256", "HEX", SB_OPTION_TEXT, "sha256", "with --uri: the digest it must have" },
    { "md5", "HEX", SB_OPTION_TEXT, "md5", "with --uri: a further digest" },
    { "value", "NAME=VALUE", SB_OPTION_PAIR, "params.values",
      "with write and configure: a value to set; repeatable" },
    { "action", "NAME", SB_OPTION_TEXT, "params.action", "with invoke: the device type's action" },
    { "arg", "NAME=VALUE", SB_OPTION_PAIR, "params.arguments",
      "with invoke: an argument of the action; repeatable" },
    { "param", "NAME=VALUE", SB_OPTION_PAIR, "params",
      "any other parameter that the operation has; repeatable" },
    { "params", "JSON", SB_OPTION_JSON, "params", "parameters as a JSON object" },
    { "group", "GROUP", SB_OPTION_LIST, "groups", "for all devices of this group; repeatable" },
    { "type", "TYPE", SB_OPTION_LIST, "types", "only for devices of this type; repeatable" },
    { "running", "VERSIONS", SB_OPTION_TEXT, "running",
      "only for devices that run one of these versions: 1.0,1.1" },
    { "sample", "PERCENT", SB_OPTION_NUMBER, "sample",
      "only for so many of them; the same content chooses the same ones again" },
    { "rule", NULL, SB_OPTION_FLAG, "rule",
      "and for whoever comes to match, once each, until `job rule JOB off`" },
    { "tag", "NAME=TEXT", SB_OPTION_TEXTS, "tags", "a note of yours; repeatable" },
    { "id", "EXTERNAL", SB_OPTION_TEXT, "id",
      "your own id of this request: asked again with it, there is still one job" },
    { "hold", NULL, SB_OPTION_FLAG, "policy.hold", "wait for `job confirm`" },
    { "pull", NULL, SB_OPTION_FLAG, "policy.pull",
      "push nothing: wait until the device asks for it, or for `job fetch`" },
    { "start", "WHEN", SB_OPTION_TEXT, "policy.start",
      "now (default): what is known of a device's presence counts; online: it must answer anew" },
    { "at", "TIME", SB_OPTION_TIME, "policy.start_at",
      "not before: 2026-01-31T04:00:00Z, '2026-01-31 04:00' (local), 04:00 or +2h" },
    { "until", "TIME", SB_OPTION_TIME, "policy.end_at", "what has not begun by then expires" },
    { "window", "FROM-TO", SB_OPTION_TEXT, NULL, "begin only within these hours: 01:00-05:00" },
    { "zone", "ZONE", SB_OPTION_TEXT, "policy.window_zone",
      "time zone of --window, like Europe/Berlin (default: this machine's)" },
    { "days", "DAYS", SB_OPTION_TEXT, NULL, "days of --window: mon,tue or mon-fri" },
    { "retries", "N", SB_OPTION_NUMBER, "policy.retries", "further attempts after a failure" },
    { "retry-interval", "TIME", SB_OPTION_DURATION, "policy.retry_interval",
      "pause between attempts" },
    { "retry-on", "CAUSE", SB_OPTION_LIST, "policy.retry_causes",
      "only after this cause; repeatable (default: those that may go away by themselves)" },
    LIMITS,
    { "conflict", "HOW", SB_OPTION_TEXT, "policy.conflict",
      "with an update that is open on the device: refuse (default), queue, replace-unstarted, "
      "replace-uncommitted" },
    { "allow-downgrade", NULL, SB_OPTION_FLAG, "policy.allow_downgrade",
      "an older version may be installed" },
    { "from", "VERSIONS", SB_OPTION_TEXT, "policy.source_versions",
      "fails on a device that runs none of these versions: 1.0,1.1" },
    { "answer", "WHEN", SB_OPTION_TEXT, "policy.answer",
      "accepted (default): answer with the job's number; final: when it has ended, with its end" },
    { "watch", NULL, SB_OPTION_FLAG, NULL, "then watch it, as `job watch` does" },
    { 0 },
};

static const struct sb_option job_edit_options[] = {
    LIMITS,
    { "tag", "NAME=TEXT", SB_OPTION_TEXTS, "tags", "set a note of yours; repeatable" },
    { "untag", "NAME", SB_OPTION_LIST, NULL, "remove one; repeatable" },
    { 0 },
};

static const struct sb_option job_list_options[] = {
    { "all", NULL, SB_OPTION_FLAG, "all", "jobs that are done as well, newest first" },
    { "device", "DEVICE", SB_OPTION_TEXT, "device", "only jobs on this device" },
    { "limit", "N", SB_OPTION_NUMBER, "limit", "at most so many (default 50, at most 1000)" },
    { "before", "JOB", SB_OPTION_NUMBER, "before", "with --all: only older ones than this job" },
    { 0 },
};

static const struct sb_option device_only[] = {
    { "device", "DEVICE", SB_OPTION_TEXT, "device", "only its share on this device" },
    { 0 },
};

static const struct sb_option all_only[] = {
    { "all", NULL, SB_OPTION_FLAG, NULL, "all jobs of the gateway (required)" },
    { 0 },
};

static const struct sb_option package_add_options[] = {
    { "name", "NAME", SB_OPTION_TEXT, "name", "what people call it" },
    { "version", "VERSION", SB_OPTION_TEXT, "version", "the version a device reports with it" },
    { "module", "MODULE", SB_OPTION_TEXT, "module", "the part of the device it is for" },
    { "sha256", "HEX", SB_OPTION_TEXT, "sha256", "its digest (default: computed from a FILE)" },
    { "md5", "HEX", SB_OPTION_TEXT, "md5", "a further digest" },
    { "fits", "WHAT=VALUE,...", SB_OPTION_LISTS, "fits",
      "what it is made for: type, manufacturer, model, source_versions (that it can replace); "
      "repeatable" },
    { 0 },
};

static const struct sb_option explain_options[] = {
    { "link", "LINK", SB_OPTION_TEXT, NULL, "only what is said on this link" },
    { 0 },
};

static const struct sb_option doctor_options[] = {
    { "config", "FILE", SB_OPTION_TEXT, NULL,
      "without a daemon: examine what this configuration leads to" },
    { 0 },
};

static const struct sb_option audit_options[] = {
    { "since", "ID", SB_OPTION_NUMBER, NULL, "records after this one, oldest first" },
    { "limit", "N", SB_OPTION_NUMBER, NULL, "at most so many (default: the last 50)" },
    { "subject", "TEXT", SB_OPTION_TEXT, "subject", "only of this: 'job 7', 'device pump-1'" },
    { "actor", "TEXT", SB_OPTION_TEXT, "actor", "only by this: 'link factory', 'core'" },
    { "follow", NULL, SB_OPTION_FLAG, NULL, "go on with new records until interrupted" },
    { "verify", NULL, SB_OPTION_FLAG, NULL,
      "check the chain of hashes over all records; exit 1 when it breaks" },
    { 0 },
};

/* ---- commands ---- */

const struct sb_ctl_command sb_ctl_commands[] = {
    { .name = "status",
      .operands = "",
      .keys = "",
      .summary = "What the daemon is doing: store, jobs, devices, links.",
      .verb = "status",
      .show = sb_show_status },
    { .name = "doctor",
      .operands = "",
      .keys = "",
      .summary = "What is wrong with this gateway, and what to do about it.",
      .details = "Looks at the configuration and what it leads to, the control socket, the store "
                 "and its disk, the clock, each bus and each link; changes nothing. The daemon is "
                 "asked, and examines with its own rights. Exit 1 when something failed; warnings "
                 "alone are exit 0.",
      .options = doctor_options,
      .verb = "doctor",
      .run = sb_run_doctor,
      .show = sb_show_doctor },
    { .name = "device list",
      .operands = "",
      .keys = "",
      .summary = "The devices behind this gateway.",
      .options = device_list_options,
      .verb = "device list",
      .run = sb_run_device_list,
      .show = sb_show_devices },
    { .name = "device show",
      .operands = "DEVICE",
      .keys = "id",
      .summary = "All that is known of one device, and what is open for it.",
      .verb = "device show",
      .show = sb_show_device },
    { .name = "device add",
      .operands = "DEVICE",
      .keys = "id",
      .summary = "Register a device.",
      .details = "It stays over restarts. Devices that belong to the gateway's configuration are "
                 "better declared in a file of devices.d.",
      .options = device_add_options,
      .verb = "device add",
      .finish = sb_finish_device_add,
      .show = sb_show_device_added },
    { .name = "device group",
      .operands = "DEVICE",
      .keys = "id",
      .summary = "Put a device into groups, or take it out of them.",
      .details = "Jobs can be given to a group, and rules act on whoever joins one. The groups of "
                 "a device of devices.d stand in its file.",
      .options = device_group_options,
      .verb = "device group",
      .show = sb_show_device },
    { .name = "device remove",
      .operands = "DEVICE",
      .keys = "id",
      .summary = "Forget a device; what is open for it ends.",
      .verb = "device remove",
      .show = sb_show_device_removed },
    { .name = "device identify",
      .operands = "DEVICE",
      .keys = "id",
      .summary = "Ask a device now who it is and which versions it has.",
      .options = identify_options,
      .verb = "device identify",
      .run = sb_run_identify,
      .show = sb_show_device },
    { .name = "job create",
      .operands = "OPERATION [DEVICE...]",
      .keys = "operation devices*",
      .summary = "Have something done on devices.",
      .details = "Operations: firmware-update, firmware-download, firmware-install, reboot, "
                 "factory-reset, configure, read, write, invoke. VALUE is read as JSON where it is "
                 "a number, true, false, null or a quoted text, else as text. The same request "
                 "while it is open leads to the same job. It is for the devices that are named, "
                 "or for those of groups, types and versions.",
      .options = job_create_options,
      .verb = "job create",
      .finish = sb_finish_job_create,
      .run = sb_run_job_create },
    { .name = "job list",
      .operands = "",
      .keys = "",
      .summary = "The open jobs, or all.",
      .options = job_list_options,
      .verb = "job list",
      .show = sb_show_jobs },
    { .name = "job show",
      .operands = "JOB",
      .keys = "id#",
      .summary = "One job: what was asked, how far each device is, what came out.",
      .details = "With up to 16 tasks also how each dialect words where they stand.",
      .verb = "job show",
      .show = sb_show_job },
    { .name = "job watch",
      .operands = "JOB",
      .keys = "id#",
      .summary = "Show a job's progress until it is done.",
      .details = "On a terminal with bars, else one line per change (of percents every fifth). "
                 "With --json one JSON line per event: {\"job\": ...} first and last, {\"task\": "
                 "...} for each change. Ctrl-C stops watching, not the job.",
      .verb = "job watch",
      .run = sb_run_job_watch },
    { .name = "job cancel",
      .operands = "JOB",
      .keys = "id#",
      .summary = "Stop a job where it can still be stopped.",
      .details = "An installation that is past its commit point goes on.",
      .options = device_only,
      .verb = "job cancel",
      .show = sb_show_job_orders },
    { .name = "job confirm",
      .operands = "JOB",
      .keys = "id#",
      .summary = "Let a held job go.",
      .options = device_only,
      .verb = "job confirm",
      .show = sb_show_job_orders },
    { .name = "job fetch",
      .operands = "JOB",
      .keys = "id#",
      .summary = "Let devices have what a job does not push, as if they had asked.",
      .options = device_only,
      .verb = "job fetch",
      .show = sb_show_job_orders },
    { .name = "job edit",
      .operands = "JOB",
      .keys = "id#",
      .summary = "Change limits and notes of an open job.",
      .details = "A limit of 0 is none. Deadlines count what has passed already.",
      .options = job_edit_options,
      .verb = "job edit",
      .finish = sb_finish_job_edit,
      .show = sb_show_job_edited },
    { .name = "job rule",
      .operands = "JOB on|off",
      .keys = "id# to",
      .summary = "Switch a rule off, or on again while its job is open.",
      .details = "Off: nobody joins any more, and the job is done when its last task is. "
                 "`job cancel` ends those as well.",
      .verb = "job rule",
      .show = sb_show_job_edited },
    { .name = "job retry",
      .operands = "JOB",
      .keys = "id#",
      .summary = "Try again where a job that is done, or a rule, has failed or was cancelled.",
      .verb = "job retry",
      .show = sb_show_job_retry },
    { .name = "job pause",
      .operands = "",
      .keys = "",
      .summary = "Emergency stop: hand nothing over to any device any more.",
      .details = "What is under way on a device goes on. It lasts, also over restarts, until "
                 "`job resume --all`. One job alone is stopped by `job cancel`.",
      .options = all_only,
      .verb = "job pause",
      .finish = sb_finish_all,
      .show = sb_show_pause },
    { .name = "job resume",
      .operands = "",
      .keys = "",
      .summary = "End the emergency stop.",
      .options = all_only,
      .verb = "job resume",
      .finish = sb_finish_all,
      .show = sb_show_pause },
    { .name = "package list",
      .operands = "",
      .keys = "",
      .summary = "The known images.",
      .verb = "package list",
      .show = sb_show_packages },
    { .name = "package show",
      .operands = "PACKAGE",
      .keys = "id",
      .summary = "All that is known of one image.",
      .verb = "package show",
      .show = sb_show_package },
    { .name = "package add",
      .operands = "FILE|URI",
      .keys = "source",
      .summary = "Make an image known.",
      .details = "A file must be readable for the daemon, where it is, until it was fetched for "
                 "the first job.",
      .options = package_add_options,
      .verb = "package add",
      .finish = sb_finish_package_add,
      .show = sb_show_package_added },
    { .name = "package remove",
      .operands = "PACKAGE",
      .keys = "id",
      .summary = "Forget an image that nothing needs any more.",
      .verb = "package remove",
      .show = sb_show_package_removed },
    { .name = "link list",
      .operands = "",
      .keys = "",
      .summary = "The links to clouds and what waits for them.",
      .verb = "link list",
      .show = sb_show_links },
    { .name = "mapping check",
      .operands = "FILE...",
      .summary = "Check device types and dialect words in files; needs no running daemon.",
      .run = sb_run_mapping_check },
    { .name = "mapping explain",
      .operands = "DEVICE",
      .keys = "device",
      .summary = "How a device's jobs read in each dialect: states and failures.",
      .options = explain_options,
      .verb = "mapping explain",
      .run = sb_run_explain,
      .show = sb_show_explain },
    { .name = "reload",
      .operands = "",
      .keys = "",
      .summary = "Read mappings and devices again; with a finding nothing changes.",
      .verb = "reload",
      .show = sb_show_reload },
    { .name = "audit",
      .operands = "",
      .keys = "",
      .summary = "The trail of who asked what, what happened, who was told.",
      .options = audit_options,
      .verb = "audit",
      .finish = sb_finish_audit,
      .run = sb_run_audit },
    { 0 },
};
