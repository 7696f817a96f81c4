/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripts: what is said to a console and what is expected from it, as a device type writes it
 * (`dialog: scripts:`), read into steps with their patterns compiled and labels found.
 *
 * Each step does one thing and then goes on to the next, unless it, an alternative of its `expect`
 * or its `otherwise` leads elsewhere. Reading tells every mistake with file and line. A script is
 * immutable once read. Pure.
 */
#pragma once

#include "adapters/devices/dialog/pattern.h"
#include "adapters/devices/dialog/xmodem.h"
#include "bridge/config/schema.h"
#include "bridge/job/job.h"

#define SB_DIALOG_SCRIPTS      64
#define SB_DIALOG_STEPS        100 /* of one script */
#define SB_DIALOG_ALTERNATIVES 16
#define SB_DIALOG_DEPTH        4 /* scripts that call scripts */

enum sb_dialog_eol {
    SB_EOL_TYPE, /* as the type says */
    SB_EOL_CR,
    SB_EOL_LF,
    SB_EOL_CRLF,
    SB_EOL_NONE,
    SB_EOL_MAX_,
};
SB_NAMES_DECLARE(sb_dialog_eol)
enum sb_dialog_echo { SB_ECHO_TYPE, SB_ECHO_IGNORE, SB_ECHO_CHECK, SB_ECHO_MAX_ };
SB_NAMES_DECLARE(sb_dialog_echo)
enum sb_dialog_others { SB_OTHERS_SKIP, SB_OTHERS_REFUSE, SB_OTHERS_MAX_ };
SB_NAMES_DECLARE(sb_dialog_others)
enum sb_dialog_line { SB_DIALOG_LEAVE, SB_DIALOG_ON, SB_DIALOG_OFF, SB_DIALOG_LINE_MAX_ };
SB_NAMES_DECLARE(sb_dialog_line)

#define SB_GO_NEXT (-1)

struct sb_dialog_then { /* where it goes on; nothing set: at the next step */
    char *label;        /* `goto` */
    bool done;          /* the script has done its work */
    int cause;          /* enum sb_cause; NONE: no failure */
    char *text;         /* of the failure; with {names} */
    json_t *set;        /* {variable: text with {names}} */
    int go;             /* step of the label, or SB_GO_NEXT */
};

struct sb_dialog_alternative {
    char *line, *prompt; /* one of them */
    json_t *capture;     /* {name: group} */
    bool again;          /* and go on waiting */
    int64_t code;        /* group that holds the device's code; 0 none */
    json_t *causes;      /* {code: cause} */
    struct sb_dialog_then then;
    struct sb_pattern *pattern;
};

struct sb_dialog_step {
    char *label;
    /* what it does: */
    char *send;             /* may have an expect behind it */
    struct sb_array expect; /* of sb_dialog_alternative */
    int64_t delay, brk;
    int dtr, rts; /* enum sb_dialog_line */
    int transfer; /* enum sb_xmodem_kind */
    bool restart;
    char *call;
    struct sb_strings same; /* two texts */
    /* how: */
    int eol, echo, others;
    int64_t timeout; /* 0: the type's */
    int64_t repeat;
    bool commit;
    int phase; /* enum sb_phase; WAITING: as it was */
    struct sb_dialog_then otherwise, then;
    int called; /* script of `call`; -1 none */
};

struct sb_dialog_script {
    const char *name; /* borrowed from the tree */
    const struct sb_dialog_step *steps;
    size_t count;
    const struct sb_yaml *yaml; /* the list */
};
struct sb_dialog_scripts;

/*
 * `map`: the node of `scripts`, borrowed, may be NULL; `patterns` {name: expression} for patterns
 * that begin with '@'. -EINVAL with findings; -ENOMEM.
 */
int sb_dialog_scripts_read(const struct sb_yaml *map, const json_t *patterns,
                           struct sb_dialog_scripts **ret, struct sb_diags *diags) SB_MUST_CHECK;
struct sb_dialog_scripts *sb_dialog_scripts_free(struct sb_dialog_scripts *scripts);
SB_DEFINE_CLEANUP(struct sb_dialog_scripts *, sb_dialog_scripts_free)
int sb_dialog_scripts_find(const struct sb_dialog_scripts *scripts, const char *name); /* -1 */
const struct sb_dialog_script *sb_dialog_scripts_at(const struct sb_dialog_scripts *scripts,
                                                    int index); /* NULL: end */
const struct sb_dialog_alternative *sb_dialog_alternative(const struct sb_dialog_step *step,
                                                          size_t index); /* NULL: end */
bool sb_dialog_ends(const struct sb_dialog_then *then); /* it does not go on at the next step */
/* Whether a script, or one it calls, has a step of which `is` is true. */
bool sb_dialog_has(const struct sb_dialog_scripts *scripts, int index,
                   bool (*is)(const struct sb_dialog_step *step));

/* For the manual and the tests. */
extern const struct sb_field sb_dialog_step_fields[];
