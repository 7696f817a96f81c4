/* SPDX-License-Identifier: Apache-2.0 */
/*
 * southbridgectl: the command line of the daemon, over its control socket.
 *
 * Three steps: the arguments become a request (parse.c and the table in commands.c; pure), the
 * request goes to the daemon (client.c), the answer becomes tables, a progress display or JSON
 * (show_*.c, watch.c). The daemon's answers are foreign: bounded, checked, cleaned. One thread.
 */
#pragma once

#include <signal.h>
#include <stdio.h>

#include "bridge/base/json.h"
#include "bridge/ctl/text.h"

#define SB_CTL_SOCKET "/run/southbridge/control"
#define SB_CTL_WAIT   INT64_C(60000) /* ms for an answer */

enum sb_exit {
    SB_EXIT_DONE = 0,
    SB_EXIT_FAILED = 1,
    SB_EXIT_USAGE = 2,
    SB_EXIT_UNREACHABLE = 3,
    SB_EXIT_NOT_FOUND = 4,
    SB_EXIT_REFUSED = 5,
    SB_EXIT_CANCELLED = 6,
    SB_EXIT_UNAVAILABLE = 7,
    SB_EXIT_INTERRUPTED = 130, /* as shells have it for SIGINT */
};
struct sb_exit_text {
    enum sb_exit code;
    const char *text;
};
extern const struct sb_exit_text sb_exit_texts[];   /* ends with a NULL text */
enum sb_exit sb_exit_of_refusal(const char *error); /* "not_found" -> 4; unknown: 1 */

struct sb_ctl { /* one run of the program */
    FILE *out, *err;
    const char *socket;
    bool json;
    struct sb_style style;
    const sigset_t *waiting; /* signals.h: blocked while waiting for an answer; NULL: as it is */
};

/* ---- commands ---- */

enum sb_option_kind {
    SB_OPTION_FLAG,
    SB_OPTION_TEXT,
    SB_OPTION_NUMBER,   /* 0.. */
    SB_OPTION_DURATION, /* "90s"; ms */
    SB_OPTION_TIME,     /* wall ms */
    SB_OPTION_LIST,     /* repeatable: array of texts */
    SB_OPTION_PAIR,     /* repeatable name=value: object, JSON scalars recognised */
    SB_OPTION_TEXTS,    /* repeatable name=value: object of texts */
    SB_OPTION_LISTS,    /* repeatable name=value,value: object of arrays */
    SB_OPTION_JSON,     /* an object */
};

struct sb_option {
    const char *name;
    const char *value; /* what usage calls it; NULL for a flag */
    enum sb_option_kind kind;
    const char *key; /* where the value goes in the request, "policy.hold"; NULL: stays here */
    const char *help;
};

struct sb_order; /* a parsed command line */

struct sb_ctl_command {
    const char *name;     /* "job create" */
    const char *operands; /* usage: "OPERATION DEVICE..." */
    const char
        *keys; /* their keys: "operation devices*"; # number, ? optional, * all others, or none */
    const char *summary;
    const char *details;             /* further paragraphs of the help, or NULL */
    const struct sb_option *options; /* ends with a NULL name; NULL: none */
    const char *verb;
    /* Completes args from operands and local options; 0 or -1 with *ret_error. May be NULL. */
    int (*finish)(struct sb_order *order, char **ret_error);
    enum sb_exit (*run)(struct sb_ctl *ctl, struct sb_order *order); /* NULL: ask, then show */
    void (*show)(struct sb_ctl *ctl, const struct sb_order *order, const json_t *data);
};
extern const struct sb_ctl_command sb_ctl_commands[]; /* ends with a NULL name */
extern const struct sb_option sb_global_options[];

struct sb_order {
    const struct sb_ctl_command *command; /* NULL: only help or version is wanted */
    json_t *args;                         /* of the verb */
    json_t *local;                        /* options without a key */
    char **files;                         /* operands of commands without keys; into argv */
    size_t file_count;
    int64_t now; /* for times like "+2h" */
    bool help, version, json;
    int color; /* -1 as the terminal is, 0 no, 1 yes */
    const char *socket;
    const char *group; /* help of "job" and the like; NULL: all */
};
/* 0, or -1 with a text in *ret_error for people. argv is permuted; order borrows from it. */
int sb_order_parse(int argc, char **argv, int64_t now, struct sb_order *ret, char **ret_error);
void sb_order_done(struct sb_order *order);
bool sb_order_has(const struct sb_order *order, const char *flag); /* a local option was given */

/* values.c: a text becomes a member of the request. 0, or -1 with *ret_error. */
int sb_value_put(struct sb_order *order, const struct sb_option *option, const char *text,
                 char **ret_error);
int sb_value_number(const char *text, int64_t *ret);                     /* 0.. */
json_t *sb_value_container(json_t *object, const char *key, bool array); /* made when missing */

/* help.c: all, a group ("job"), or one command. */
void sb_help_all(struct sb_str *out, const char *group);
void sb_help_command(struct sb_str *out, const struct sb_ctl_command *command);

/* order.c: the finish functions. */
int sb_finish_job_create(struct sb_order *order, char **ret_error);
int sb_finish_device_add(struct sb_order *order, char **ret_error);
int sb_finish_job_edit(struct sb_order *order, char **ret_error);
int sb_finish_package_add(struct sb_order *order, char **ret_error);
int sb_finish_all(struct sb_order *order, char **ret_error); /* job pause, job resume */
int sb_finish_audit(struct sb_order *order, char **ret_error);

/* ---- the run ---- */

/* The whole program; argv[0] is skipped. Exit code. */
enum sb_exit sb_ctl_main(struct sb_ctl *ctl, int argc, char **argv);
/* Says what went wrong: to stderr, with --json on stdout as well. Returns code. */
enum sb_exit sb_ctl_fail(struct sb_ctl *ctl, enum sb_exit code, const char *error, const char *fmt,
                         ...) SB_PRINTF(4, 5);
struct sb_client;
enum sb_exit sb_ctl_open(struct sb_ctl *ctl, struct sb_client **ret);
enum sb_exit sb_ctl_lost(struct sb_ctl *ctl, int error); /* says it; of client.h's errors */
/* One request, one answer, on an open connection or one of its own. ret_data: new reference. */
enum sb_exit sb_ctl_ask_on(struct sb_ctl *ctl, struct sb_client *client, const char *verb,
                           const json_t *args, json_t **ret_data);
enum sb_exit sb_ctl_ask(struct sb_ctl *ctl, const char *verb, const json_t *args,
                        json_t **ret_data);
void sb_ctl_print_json(struct sb_ctl *ctl, const json_t *value); /* one line */
/* The command's own show function, or JSON. */
void sb_ctl_show(struct sb_ctl *ctl, const struct sb_order *order, const json_t *data);

/* ---- run functions ---- */
enum sb_exit sb_run_device_list(struct sb_ctl *ctl, struct sb_order *order);
enum sb_exit sb_run_identify(struct sb_ctl *ctl, struct sb_order *order);
enum sb_exit sb_run_job_create(struct sb_ctl *ctl, struct sb_order *order);
enum sb_exit sb_run_job_watch(struct sb_ctl *ctl, struct sb_order *order);
enum sb_exit sb_run_audit(struct sb_ctl *ctl, struct sb_order *order);
enum sb_exit sb_run_explain(struct sb_ctl *ctl, struct sb_order *order);
enum sb_exit sb_run_mapping_check(struct sb_ctl *ctl, struct sb_order *order);

enum sb_exit sb_run_doctor(struct sb_ctl *ctl, struct sb_order *order);

/* Runs the daemon's program (argv[0] is its name) beside this one; its findings go to the terminal
 * by themselves, or what it prints to *ret_output (NULL: not wanted), which is bounded. DONE and
 * its exit status, or it is said why not. */
enum sb_exit sb_ctl_program(struct sb_ctl *ctl, char **argv, struct sb_str *ret_output,
                            int *ret_status);

/* ---- show functions ---- */
#define SB_SHOW(name)                                                                              \
    void sb_show_##name(struct sb_ctl *ctl, const struct sb_order *order, const json_t *data)
SB_SHOW(status);
SB_SHOW(doctor);
SB_SHOW(links);
SB_SHOW(reload);
SB_SHOW(devices);
SB_SHOW(device);
SB_SHOW(device_added);
SB_SHOW(device_removed);
SB_SHOW(jobs);
SB_SHOW(job);
SB_SHOW(job_orders);
SB_SHOW(job_edited);
SB_SHOW(job_retry);
SB_SHOW(pause);
SB_SHOW(packages);
SB_SHOW(package);
SB_SHOW(package_added);
SB_SHOW(package_removed);
SB_SHOW(explain);
