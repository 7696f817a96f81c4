/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of a script: the tables by which steps and alternatives are read.
 */
#include "adapters/devices/dialog/script_parts.h"
#include "bridge/base/time.h"

#define TEXT_MAX  512
#define LABEL_MAX 32

SB_NAMES(sb_dialog_eol, SB_EOL_MAX_, [SB_EOL_TYPE] = "type", [SB_EOL_CR] = "cr", [SB_EOL_LF] = "lf",
         [SB_EOL_CRLF] = "crlf", [SB_EOL_NONE] = "none");
SB_NAMES(
    sb_dialog_echo,
    SB_ECHO_MAX_, [SB_ECHO_TYPE] = "type", [SB_ECHO_IGNORE] = "ignore", [SB_ECHO_CHECK] = "check");
SB_NAMES(sb_dialog_others,
         SB_OTHERS_MAX_, [SB_OTHERS_SKIP] = "skip", [SB_OTHERS_REFUSE] = "refuse");
SB_NAMES(sb_dialog_line, SB_DIALOG_LINE_MAX_, [SB_DIALOG_LEAVE] = "leave", [SB_DIALOG_ON] = "on",
         [SB_DIALOG_OFF] = "off");

/* The keys by which something leads elsewhere, for a struct that holds them as `member`. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a member's name cannot stand in them */
#define THEN(member)                                                                               \
    { .key = "goto",                                                                               \
      .type = SB_TYPE_STRING,                                                                      \
      .offset = AT(member.label),                                                                  \
      .min = 1,                                                                                    \
      .max = LABEL_MAX,                                                                            \
      .doc = "Go on at the step with this label." },                                               \
        { .key = "done",                                                                           \
          .type = SB_TYPE_BOOL,                                                                    \
          .offset = AT(member.done),                                                               \
          .doc = "The script has done its work." },                                                \
        { .key = "cause",                                                                          \
          .type = SB_TYPE_CHOICE,                                                                  \
          .offset = AT(member.cause),                                                              \
          .choices = &sb_cause_names,                                                              \
          .doc = "The script has failed, for this cause." },                                       \
        { .key = "text",                                                                           \
          .type = SB_TYPE_STRING,                                                                  \
          .offset = AT(member.text),                                                               \
          .min = 1,                                                                                \
          .max = TEXT_MAX,                                                                         \
          .doc = "With cause: the sentence for people; may have {names}." },                       \
    {                                                                                              \
        .key = "set", .type = SB_TYPE_JSON, .offset = AT(member.set),                              \
        .doc = "Variables to set: {name: text}; the texts may have {names}."                       \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

#define AT(member) offsetof(struct sb_dialog_alternative, member)
static const struct sb_field alternative_fields[] = {
    { .key = "line",
      .type = SB_TYPE_STRING,
      .offset = AT(line),
      .max = SB_PATTERN_TEXT,
      .doc = "A pattern for a whole line, from its begin; looked at when the line has ended." },
    { .key = "prompt",
      .type = SB_TYPE_STRING,
      .offset = AT(prompt),
      .max = SB_PATTERN_TEXT,
      .doc =
          "A pattern for what stands at a line's begin and waits; seen as soon as it is there." },
    { .key = "capture",
      .type = SB_TYPE_JSON,
      .offset = AT(capture),
      .doc = "What groups of the pattern are: {name: group}." },
    { .key = "again",
      .type = SB_TYPE_BOOL,
      .offset = AT(again),
      .doc = "Take what was captured and go on waiting." },
    { .key = "code",
      .type = SB_TYPE_INT,
      .offset = AT(code),
      .min = 0,
      .max = SB_PATTERN_GROUPS,
      .doc = "The group that is the device's own code for a failure." },
    { .key = "causes",
      .type = SB_TYPE_JSON,
      .offset = AT(causes),
      .doc = "What codes mean: {code: cause}; other codes mean `cause`." },
    THEN(then),
    { 0 },
};
#undef AT

struct holder {
    struct sb_dialog_then then;
};
#define AT(member) offsetof(struct holder, member)
static const struct sb_field otherwise_fields[] = { THEN(then), { 0 } };
#undef AT

#define AT(member) offsetof(struct sb_dialog_step, member)
const struct sb_field sb_dialog_step_fields[] = {
    { .key = "label",
      .type = SB_TYPE_STRING,
      .offset = AT(label),
      .min = 1,
      .max = LABEL_MAX,
      .doc = "A name to go to." },
    { .key = "send",
      .type = SB_TYPE_STRING,
      .offset = AT(send),
      .max = TEXT_MAX,
      .doc = "Send this text and the line's end; may have {names}." },
    { .key = "expect",
      .type = SB_TYPE_LIST,
      .offset = AT(expect),
      .min = 1,
      .max = SB_DIALOG_ALTERNATIVES,
      .fields = alternative_fields,
      .size = sizeof(struct sb_dialog_alternative),
      .doc = "Wait until one of these comes." },
    { .key = "delay",
      .type = SB_TYPE_DURATION,
      .offset = AT(delay),
      .min = 1,
      .max = 60 * SB_SECOND,
      .doc = "Wait so long." },
    { .key = "break",
      .type = SB_TYPE_DURATION,
      .offset = AT(brk),
      .min = 1,
      .max = 5 * SB_SECOND,
      .doc = "Send a break of this length." },
    { .key = "dtr",
      .type = SB_TYPE_CHOICE,
      .offset = AT(dtr),
      .choices = &sb_dialog_line_names,
      .doc = "Set the modem line DTR." },
    { .key = "rts",
      .type = SB_TYPE_CHOICE,
      .offset = AT(rts),
      .choices = &sb_dialog_line_names,
      .doc = "Set the modem line RTS." },
    { .key = "transfer",
      .type = SB_TYPE_CHOICE,
      .offset = AT(transfer),
      .choices = &sb_xmodem_kind_names,
      .doc = "Send the image by this protocol." },
    { .key = "restart",
      .type = SB_TYPE_BOOL,
      .offset = AT(restart),
      .doc = "The device restarts now: wait until `attach` finds it, at most the type's "
             "`restart`." },
    { .key = "call",
      .type = SB_TYPE_STRING,
      .offset = AT(call),
      .min = 1,
      .max = LABEL_MAX,
      .doc = "Play another script, then go on." },
    { .key = "same",
      .type = SB_TYPE_STRINGS,
      .offset = AT(same),
      .min = 2,
      .max = 3,
      .doc = "Two texts with {names} that must be the same; letters' case does not count." },
    { .key = "eol",
      .type = SB_TYPE_CHOICE,
      .offset = AT(eol),
      .choices = &sb_dialog_eol_names,
      .doc = "With send: what ends the line." },
    { .key = "echo",
      .type = SB_TYPE_CHOICE,
      .offset = AT(echo),
      .choices = &sb_dialog_echo_names,
      .doc = "With send: check: the line's end is sent only after the text was echoed." },
    { .key = "others",
      .type = SB_TYPE_CHOICE,
      .offset = AT(others),
      .choices = &sb_dialog_others_names,
      .doc = "With expect: what other lines are: skip, or refuse (a failure)." },
    { .key = "timeout",
      .type = SB_TYPE_DURATION,
      .offset = AT(timeout),
      .min = 1,
      .max = SB_HOUR,
      .doc = "With expect: how long; the type's, if not given." },
    { .key = "repeat",
      .type = SB_TYPE_INT,
      .offset = AT(repeat),
      .min = 1,
      .max = 1000,
      .otherwise = "1",
      .doc = "With send and expect: how often both are tried until something comes." },
    { .key = "commit",
      .type = SB_TYPE_BOOL,
      .offset = AT(commit),
      .doc = "The commit point: from this step on the work is not cancelled any more." },
    { .key = "phase",
      .type = SB_TYPE_CHOICE,
      .offset = AT(phase),
      .choices = &sb_phase_names,
      .doc = "What is told of the progress from this step on." },
    { .key = "otherwise",
      .type = SB_TYPE_OBJECT,
      .offset = AT(otherwise),
      .fields = otherwise_fields,
      .doc = "Where it goes on when nothing came, the texts differ, the transfer or the called "
             "script failed; left out, the script fails." },
    THEN(then),
    { 0 },
};
#undef AT
