/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays scripts: one step after the other, within a number of steps and a time.
 */
#include <errno.h>

#include "adapters/devices/dialog/talk.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/port.h"

#define TEXT_SHOWN 120

static enum sb_cause play(struct sb_dialog *dialog, int index);

/* ---- what an alternative says ---- */

/* A value of a property, by its own description. */
static enum sb_cause keep_property(struct sb_dialog *dialog, const char *name, const char *text)
{
    struct sb_dialog_property property = { 0 };
    sb_cleanup(sb_freep) char *error = NULL;
    json_t *value = NULL;
    int r = sb_dialog_property_get(dialog->type, name, &property, &error);
    if (r == 0)
        r = sb_dialog_value_decode(&property.value, text, &value, &error);
    if (r == -ENOMEM)
        return sb_dialog_trouble(dialog, r);
    if (r < 0)
        return sb_dialog_fail(dialog, SB_CAUSE_REFUSED, "%s: %s", name, error ? error : "");
    if (json_object_set(dialog->captured, name, value) < 0 ||
        json_object_set_new(dialog->properties, name, value) < 0)
        return sb_dialog_trouble(dialog, -ENOMEM);
    return SB_CAUSE_NONE;
}

static enum sb_cause keep(struct sb_dialog *dialog, const char *name, const char *text)
{
    const char *module = sb_dialog_version_module(name);
    enum sb_cause cause = sb_dialog_set(dialog, name, text);
    int r = 0;
    if (cause == SB_CAUSE_NONE && json_object_get(dialog->type->properties, name))
        return keep_property(dialog, name, text);
    if (module)
        r = json_object_set_new(dialog->versions, module, json_string(text));
    else if (sb_dialog_is_identity(name))
        r = json_object_set_new(dialog->identity, name, json_string(text));
    else
        r = json_object_set_new(dialog->captured, name, json_string(text));
    return cause == SB_CAUSE_NONE && r < 0 ? sb_dialog_trouble(dialog, -ENOMEM) : cause;
}

static enum sb_cause capture(struct sb_dialog *dialog, const struct sb_expect *expect,
                             const struct sb_dialog_alternative *alternative)
{
    const char *name;
    json_t *group;
    enum sb_cause cause = SB_CAUSE_NONE;
    json_object_foreach (alternative->capture, name, group) {
        sb_cleanup(sb_freep) char *text =
            sb_expect_group(expect, (size_t)json_integer_value(group));
        if (cause == SB_CAUSE_NONE && text) /* a group that took no part has no text */
            cause = keep(dialog, name, text);
    }
    return cause;
}

/* The device has said why it will not: its code, if the pattern has one, and its words. */
static enum sb_cause said_no(struct sb_dialog *dialog, const struct sb_expect *expect,
                             const struct sb_dialog_alternative *alternative)
{
    sb_cleanup(sb_freep) char *code =
        alternative->code ? sb_expect_group(expect, (size_t)alternative->code) : NULL;
    sb_cleanup(sb_freep) char *whole = sb_redact(dialog->console.line);
    int mapped = code ? sb_cause_from_name(sb_json_str(alternative->causes, code)) : -1;
    enum sb_cause cause = (enum sb_cause)(mapped > 0 ? mapped : alternative->then.cause);
    if (code && sb_native_set(&dialog->outcome->native, "dialog", dialog->config->vocabulary, code,
                              whole ? whole : "") < 0)
        return sb_dialog_trouble(dialog, -ENOMEM);
    if (!alternative->then.text)
        return sb_dialog_fail(dialog, cause, "the device says '%.*s'", TEXT_SHOWN,
                              whole ? whole : "");
    sb_cleanup(sb_freep) char *text = NULL;
    enum sb_cause filled = sb_dialog_fill(dialog, alternative->then.text, false, &text);
    return filled == SB_CAUSE_NONE ? sb_dialog_fail(dialog, cause, "%s", text) : filled;
}

/* ---- expect ---- */

/* What kind of silence it was. */
static enum sb_cause nothing_came(struct sb_dialog *dialog, int64_t waited, uint64_t heard,
                                  uint64_t odd)
{
    sb_cleanup(sb_freep) char *span = sb_duration_text(waited);
    const struct sb_console *console = &dialog->console;
    bool open = console->n > 0 && !console->ended && !console->spent;
    sb_cleanup(sb_freep) char *line = sb_redact(open ? console->line : console->last);
    const char *time = span ? span : "the time";
    dialog->unanswered = true;
    if (heard == 0)
        return sb_dialog_fail(dialog, SB_CAUSE_LINK_LOST, "the device is silent (%s)", time);
    if (odd > 8 && odd * 4 > heard)
        return sb_dialog_fail(dialog, SB_CAUSE_LINK_LOST,
                              "what comes from the line is no text: a wrong speed, or noise");
    return sb_dialog_fail(dialog, SB_CAUSE_TIMEOUT,
                          "in %s the device said nothing of what was awaited%s%.*s%s", time,
                          line && *line ? "; its last line: '" : "", TEXT_SHOWN, line ? line : "",
                          line && *line ? "'" : "");
}

static enum sb_cause strange_line(struct sb_dialog *dialog)
{
    sb_cleanup(sb_freep) char *line = sb_redact(dialog->console.line);
    return sb_dialog_fail(dialog, SB_CAUSE_REFUSED, "the device says '%.*s', which was not awaited",
                          TEXT_SHOWN, line ? line : "");
}

/* Until an alternative is complete: its index in *ret, NONE at the deadline. */
static enum sb_cause listen(struct sb_dialog *dialog, const struct sb_dialog_step *step,
                            struct sb_expect *expect, int64_t deadline, int *ret)
{
    *ret = sb_expect_begin(expect);
    while (*ret < 0) {
        uint8_t byte;
        int r = sb_session_now(dialog->session) >= deadline
                    ? -ETIMEDOUT
                    : sb_dialog_byte(dialog, deadline, &byte);
        if (r == -ETIMEDOUT)
            break;
        if (r < 0)
            return sb_dialog_trouble(dialog, r);
        *ret = sb_expect_byte(expect, byte);
        if (dialog->console.ended && dialog->console.n > 0 && !(*ret == SB_EXPECT_NONE))
            sb_dialog_log(dialog, "<", dialog->console.line);
        if (*ret == SB_EXPECT_OTHER && step->others == SB_OTHERS_REFUSE)
            return strange_line(dialog);
    }
    if (*ret >= 0 && !dialog->console.ended)
        sb_dialog_log(dialog, "<", dialog->console.line);
    *ret = *ret >= 0 ? *ret : SB_EXPECT_NONE;
    return SB_CAUSE_NONE;
}

/* One try of an expect; *ret NULL: nothing came. */
static enum sb_cause await(struct sb_dialog *dialog, const struct sb_dialog_step *step,
                           const struct sb_dialog_alternative **ret)
{
    int64_t begin = sb_session_now(dialog->session);
    int64_t end = begin + (step->timeout ? step->timeout : dialog->config->timeout);
    sb_cleanup(sb_expect_freep) struct sb_expect *expect = sb_expect_new(step, &dialog->console);
    enum sb_cause cause = SB_CAUSE_NONE;
    *ret = NULL;
    if (!expect)
        return sb_dialog_trouble(dialog, -ENOMEM);
    do {
        int index = SB_EXPECT_NONE;
        cause = listen(dialog, step, expect, SB_MIN(end, dialog->deadline), &index);
        *ret = sb_dialog_alternative(step, (size_t)(index < 0 ? SB_DIALOG_ALTERNATIVES : index));
        if (cause == SB_CAUSE_NONE && *ret)
            cause = capture(dialog, expect, *ret);
    } while (cause == SB_CAUSE_NONE && *ret && (*ret)->again);
    if (cause == SB_CAUSE_NONE && *ret && (*ret)->then.cause != SB_CAUSE_NONE)
        cause = said_no(dialog, expect, *ret);
    return cause;
}

static enum sb_cause converse(struct sb_dialog *dialog, const struct sb_dialog_step *step,
                              const struct sb_dialog_alternative **ret)
{
    enum sb_cause cause = SB_CAUSE_NONE;
    uint64_t heard = dialog->console.heard, odd = dialog->console.odd;
    int64_t begin = sb_session_now(dialog->session);
    *ret = NULL;
    for (int64_t i = 0; i < step->repeat && !*ret && cause == SB_CAUSE_NONE; i++) {
        if (i > 0 && sb_session_now(dialog->session) >= dialog->deadline)
            break;
        if (step->send)
            cause = sb_dialog_send(dialog, step, i > 0);
        if (cause == SB_CAUSE_NONE && step->expect.count)
            cause = await(dialog, step, ret);
    }
    if (cause != SB_CAUSE_NONE || *ret || step->expect.count == 0)
        return cause;
    if (!dialog->console.ended && dialog->console.n > 0 && !dialog->console.spent)
        sb_dialog_log(dialog, "< (unfinished)", dialog->console.line);
    return nothing_came(dialog, sb_session_now(dialog->session) - begin,
                        dialog->console.heard - heard, dialog->console.odd - odd);
}

/* ---- the other deeds ---- */

static enum sb_cause pull_line(struct sb_dialog *dialog, enum sb_port_line line, bool on,
                               const char *name)
{
    int r = sb_port_set_line(dialog->port, line, on);
    if (r == -ENOTTY) {
        sb_session_note(dialog->session, "this line has no %s: left alone", name);
        return SB_CAUSE_NONE;
    }
    return r < 0 ? sb_dialog_trouble(dialog, r) : SB_CAUSE_NONE;
}

static enum sb_cause send_break(struct sb_dialog *dialog, int64_t ms)
{
    enum sb_cause cause = pull_line(dialog, SB_PORT_BREAK, true, "break");
    int r = cause == SB_CAUSE_NONE ? sb_session_sleep(dialog->session, ms) : 0;
    if (cause == SB_CAUSE_NONE)
        cause = pull_line(dialog, SB_PORT_BREAK, false, "break");
    return r < 0 ? sb_dialog_trouble(dialog, r) : cause;
}

static bool names_a_sum(const char *text)
{
    return strstr(text, "{image.crc32}") || strstr(text, "{image.sha256}") ||
           strstr(text, "{image.md5}");
}

static enum sb_cause compare(struct sb_dialog *dialog, const struct sb_dialog_step *step)
{
    char *const *texts = step->same.list;
    sb_cleanup(sb_freep) char *a = NULL, *b = NULL;
    enum sb_cause cause = sb_dialog_fill(dialog, texts[0], false, &a);
    if (cause == SB_CAUSE_NONE)
        cause = sb_dialog_fill(dialog, texts[1], false, &b);
    if (cause != SB_CAUSE_NONE)
        return cause;
    if (strcasecmp(a, b) != 0)
        return sb_dialog_fail(dialog, SB_CAUSE_VERIFY_FAILED, "'%.80s' is not '%.80s'", a, b);
    dialog->sums_agreed |= names_a_sum(texts[0]) || names_a_sum(texts[1]);
    return SB_CAUSE_NONE;
}

static enum sb_cause delay(struct sb_dialog *dialog, int64_t ms)
{
    int r = sb_session_sleep(dialog->session, ms);
    return r < 0 ? sb_dialog_trouble(dialog, r) : SB_CAUSE_NONE;
}

static enum sb_cause act(struct sb_dialog *dialog, const struct sb_dialog_step *step,
                         const struct sb_dialog_then **ret)
{
    const struct sb_dialog_alternative *chosen = NULL;
    enum sb_cause cause = sb_dialog_connect(dialog);
    if (cause == SB_CAUSE_NONE && step->commit)
        cause = sb_dialog_commit(dialog);
    if (cause != SB_CAUSE_NONE)
        return cause;
    if (step->send || step->expect.count) {
        cause = converse(dialog, step, &chosen);
        if (chosen && (sb_dialog_ends(&chosen->then) || chosen->then.set))
            *ret = &chosen->then;
        return cause;
    }
    if (step->delay)
        return delay(dialog, step->delay);
    if (step->brk)
        return send_break(dialog, step->brk);
    if (step->dtr != SB_DIALOG_LEAVE)
        return pull_line(dialog, SB_PORT_DTR, step->dtr == SB_DIALOG_ON, "DTR");
    if (step->rts != SB_DIALOG_LEAVE)
        return pull_line(dialog, SB_PORT_RTS, step->rts == SB_DIALOG_ON, "RTS");
    if (step->transfer != SB_XMODEM_NONE)
        return sb_dialog_transfer(dialog, (enum sb_xmodem_kind)step->transfer);
    if (step->restart)
        return sb_dialog_await_restart(dialog);
    if (step->called >= 0)
        return play(dialog, step->called);
    return step->same.count ? compare(dialog, step) : SB_CAUSE_NONE;
}

/* ---- the way ---- */

static enum sb_cause set_all(struct sb_dialog *dialog, const json_t *set)
{
    const char *name;
    json_t *value;
    enum sb_cause cause = SB_CAUSE_NONE;
    json_object_foreach ((json_t *)set, name, value) {
        sb_cleanup(sb_freep) char *text = NULL;
        if (cause == SB_CAUSE_NONE)
            cause = sb_dialog_fill(dialog, json_string_value(value), false, &text);
        if (cause == SB_CAUSE_NONE)
            cause = sb_dialog_set(dialog, name, text);
    }
    return cause;
}

/* A cause that stands in the script, not in the device's words. */
static enum sb_cause script_fails(struct sb_dialog *dialog, const struct sb_dialog_then *then)
{
    enum sb_cause cause = (enum sb_cause)then->cause;
    sb_cleanup(sb_freep) char *text = NULL;
    if (!then->text)
        return dialog->outcome->text ? cause
                                     : sb_dialog_fail(dialog, cause, "%s", sb_cause_text(cause));
    enum sb_cause filled = sb_dialog_fill(dialog, then->text, false, &text);
    return filled == SB_CAUSE_NONE ? sb_dialog_fail(dialog, cause, "%s", text) : filled;
}

static bool can_answer(const struct sb_dialog *dialog, const struct sb_dialog_step *step)
{
    return !dialog->hard && (sb_dialog_ends(&step->otherwise) || step->otherwise.set);
}

static void tell_phase(struct sb_dialog *dialog, const struct sb_dialog_step *step)
{
    if (step->phase != SB_PHASE_WAITING && !dialog->attaching)
        sb_session_progress(dialog->session, (enum sb_phase)step->phase, 0, 0);
}

/* One step; *ret is where it leads. */
static enum sb_cause run_step(struct sb_dialog *dialog, const struct sb_dialog_step *step,
                              const struct sb_dialog_then **ret)
{
    const struct sb_dialog_then *then = &step->then;
    tell_phase(dialog, step);
    enum sb_cause cause = act(dialog, step, &then);
    if (cause != SB_CAUSE_NONE) {
        if (!can_answer(dialog, step))
            return cause;
        then = &step->otherwise;
        dialog->unanswered = false;
        if (then->cause == SB_CAUSE_NONE) /* forgiven: nobody is told of it */
            free(SB_STEAL(dialog->outcome->text));
        sb_native_done(&dialog->outcome->native);
    }
    if (then->set)
        cause = set_all(dialog, then->set);
    else
        cause = SB_CAUSE_NONE;
    if (cause == SB_CAUSE_NONE && then->cause != SB_CAUSE_NONE)
        cause = script_fails(dialog, then);
    if (then != &step->then && !sb_dialog_ends(then))
        then = &step->then; /* it only set something */
    *ret = then;
    return cause;
}

static enum sb_cause out_of_bounds(struct sb_dialog *dialog)
{
    if (dialog->steps_left == 0) {
        dialog->hard = true;
        return sb_dialog_fail(dialog, SB_CAUSE_TIMEOUT,
                              "the script goes in circles: it was given up after %d steps",
                              SB_DIALOG_STEPS_PLAYED);
    }
    dialog->steps_left--;
    if (sb_session_stopped(dialog->session))
        return sb_dialog_trouble(dialog, -ECANCELED);
    if (sb_session_now(dialog->session) < dialog->deadline)
        return SB_CAUSE_NONE;
    dialog->hard = true;
    return sb_dialog_fail(dialog, SB_CAUSE_TIMEOUT,
                          "the conversation took too long (dialog.time_limit)");
}

static enum sb_cause play(struct sb_dialog *dialog, int index)
{
    const struct sb_dialog_script *script = sb_dialog_scripts_at(dialog->scripts, index);
    for (size_t at = 0; script && at < script->count;) {
        const struct sb_dialog_then *then = NULL;
        enum sb_cause cause = out_of_bounds(dialog);
        if (cause == SB_CAUSE_NONE)
            cause = run_step(dialog, &script->steps[at], &then);
        if (cause != SB_CAUSE_NONE)
            return cause;
        if (then->done)
            return SB_CAUSE_NONE;
        at = then->go >= 0 && then->label ? (size_t)then->go : at + 1;
    }
    return SB_CAUSE_NONE;
}

enum sb_cause sb_dialog_play(struct sb_dialog *dialog, const char *name)
{
    int index = sb_dialog_scripts_find(dialog->scripts, name);
    if (index < 0)
        return SB_CAUSE_NONE;
    sb_session_note(dialog->session, "script %s", name);
    dialog->steps_left = SB_DIALOG_STEPS_PLAYED;
    dialog->hard = dialog->unanswered = false;
    return play(dialog, index);
}

/* ---- where the device stands ---- */

static enum sb_cause look(struct sb_dialog *dialog)
{
    enum sb_cause cause = sb_dialog_connect(dialog);
    bool outer = dialog->attaching;
    dialog->attaching = true;
    if (cause == SB_CAUSE_NONE)
        cause = play(dialog, sb_dialog_scripts_find(dialog->scripts, SB_SCRIPT_ATTACH));
    dialog->attaching = outer;
    return cause;
}

/* The line itself may be away as long as the device restarts. */
static bool worth_waiting(const struct sb_dialog *dialog, enum sb_cause cause)
{
    if (sb_session_stopped(dialog->session))
        return false;
    return cause == SB_CAUSE_LINK_LOST || cause == SB_CAUSE_TIMEOUT || cause == SB_CAUSE_BUSY ||
           (!dialog->hard && cause != SB_CAUSE_NONE && cause != SB_CAUSE_OPERATOR &&
            cause != SB_CAUSE_INTERNAL);
}

static enum sb_cause look_patiently(struct sb_dialog *dialog)
{
    int64_t begin = sb_session_now(dialog->session), total = dialog->type->restart;
    int64_t outer_deadline = dialog->deadline, now = begin;
    unsigned outer_steps = dialog->steps_left;
    enum sb_cause cause = SB_CAUSE_LINK_LOST;
    while (now < begin + total) {
        sb_session_progress(dialog->session, SB_PHASE_RESTARTING, (uint64_t)(now - begin),
                            (uint64_t)total);
        dialog->hard = dialog->unanswered = false;
        dialog->steps_left = SB_DIALOG_STEPS_PLAYED;
        dialog->deadline = begin + total;
        cause = look(dialog);
        if (!worth_waiting(dialog, cause))
            break;
        int r = sb_session_sleep(dialog->session, SB_DIALOG_LOOK_MS);
        if (r < 0)
            return sb_dialog_trouble(dialog, r);
        now = sb_session_now(dialog->session);
    }
    dialog->steps_left = outer_steps;
    dialog->deadline = outer_deadline + (sb_session_now(dialog->session) - begin);
    if (!worth_waiting(dialog, cause))
        return cause;
    dialog->hard = true;
    sb_cleanup(sb_freep) char *why = SB_STEAL(dialog->outcome->text);
    return sb_dialog_fail(dialog, SB_CAUSE_LINK_LOST,
                          "the device did not come back within %lld s after its restart%s%s",
                          (long long)(total / SB_SECOND), why ? ": " : "", why ? why : "");
}

enum sb_cause sb_dialog_attach(struct sb_dialog *dialog, bool patient)
{
    dialog->steps_left = SB_DIALOG_STEPS_PLAYED;
    dialog->hard = dialog->unanswered = false;
    if (sb_dialog_scripts_find(dialog->scripts, SB_SCRIPT_ATTACH) >= 0)
        sb_session_note(dialog->session, "script %s", SB_SCRIPT_ATTACH);
    return patient ? look_patiently(dialog) : look(dialog);
}

enum sb_cause sb_dialog_await_restart(struct sb_dialog *dialog)
{
    enum sb_cause cause = sb_dialog_commit(dialog);
    if (cause == SB_CAUSE_NONE)
        cause = sb_dialog_checkpoint(dialog, SB_DIALOG_AT_RESTART);
    if (cause == SB_CAUSE_NONE)
        sb_session_note(dialog->session, "the device restarts: waiting for it");
    return cause == SB_CAUSE_NONE ? look_patiently(dialog) : cause;
}
