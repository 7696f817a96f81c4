/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a script can do what it says: one deed per step, every step reachable, no endless calls,
 * restarts and commit points where they belong.
 */
#include "adapters/devices/dialog/script_parts.h"
#include "adapters/devices/dialog/type.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

/* ---- one step ---- */

static unsigned deeds(const struct sb_dialog_step *step)
{
    return (unsigned)(step->send || step->expect.count > 0) + (step->delay > 0) + (step->brk > 0) +
           (step->dtr != SB_DIALOG_LEAVE) + (step->rts != SB_DIALOG_LEAVE) +
           (step->transfer != SB_XMODEM_NONE) + step->restart + (step->call != NULL) +
           (step->same.count > 0);
}

static bool otherwise_given(const struct sb_dialog_step *step)
{
    return sb_dialog_ends(&step->otherwise) || step->otherwise.set;
}

static void check_modifiers(const struct sb_dialog_step *step, const struct sb_yaml *at,
                            struct sb_diags *diags)
{
    bool waits = step->expect.count > 0;
    bool can_fail = waits || step->same.count || step->transfer != SB_XMODEM_NONE || step->call;
    const struct {
        bool wrong;
        const char *text;
    } rules[] = {
        { step->eol != SB_EOL_TYPE && !step->send, "eol belongs to a step with `send`" },
        { step->echo != SB_ECHO_TYPE && !step->send, "echo belongs to a step with `send`" },
        { step->timeout > 0 && !waits, "timeout belongs to a step with `expect`" },
        { step->others != SB_OTHERS_SKIP && !waits, "others belongs to a step with `expect`" },
        { step->repeat > 1 && !(waits && step->send),
          "repeat belongs to a step with `send` and `expect`" },
        { otherwise_given(step) && !can_fail,
          "otherwise belongs to a step that can fail: expect, same, transfer or call" },
        { step->same.count > 0 && step->same.count != 2, "same compares two texts" },
        { deeds(step) > 1, "a step does one thing (send and expect may stand together); the rest "
                           "goes into further steps" },
        { deeds(step) == 0 && !step->commit && step->phase == SB_PHASE_WAITING &&
              !sb_dialog_ends(&step->then) && !step->then.set,
          "this step does nothing (send, expect, delay, break, dtr, rts, transfer, restart, call, "
          "same, commit, set, goto, done, cause)" },
    };
    for (size_t i = 0; i < SB_COUNT(rules); i++)
        if (rules[i].wrong)
            sb_schema_find(diags, at, "%s", rules[i].text);
}

static void check_then(void *arg, const struct sb_dialog_then *then, const struct sb_yaml *at)
{
    struct sb_diags *diags = arg;
    if ((then->label != NULL) + then->done + (then->cause != SB_CAUSE_NONE) > 1)
        sb_schema_find(diags, at, "only one of goto, done and cause can be true");
    if (then->text && then->cause == SB_CAUSE_NONE)
        sb_schema_find(diags, at, "text belongs to a `cause`");
    if (then->set && !json_is_object(then->set))
        sb_schema_find(diags, at, "set is a map (variable: text)");
}

static void check_causes(const struct sb_dialog_alternative *alternative, const struct sb_yaml *at,
                         struct sb_diags *diags)
{
    const char *code;
    json_t *cause;
    if (alternative->causes && !json_is_object(alternative->causes))
        sb_schema_find(diags, at, "causes is a map (code: cause)");
    if ((alternative->causes || alternative->code) && alternative->then.cause == SB_CAUSE_NONE)
        sb_schema_find(diags, at, "code and causes belong to a `cause`, which other codes mean");
    if (alternative->causes && alternative->code == 0)
        sb_schema_find(diags, at, "causes needs `code`, the group that holds the code");
    json_object_foreach (alternative->causes, code, cause) {
        const char *name = json_string_value(cause);
        if (sb_cause_from_name(name) > SB_CAUSE_NONE)
            continue;
        const char *near = name ? sb_nearest(name, sb_cause_names.names, SB_CAUSE_MAX_) : NULL;
        sb_schema_find(diags, at, "causes: '%s' is no cause%s%s%s", name ? name : "",
                       near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    }
}

static void check_captures(const struct sb_dialog_alternative *alternative,
                           const struct sb_yaml *at, struct sb_diags *diags)
{
    unsigned groups = alternative->pattern ? sb_pattern_groups(alternative->pattern) : 0;
    const char *name;
    json_t *group;
    if (alternative->capture && !json_is_object(alternative->capture))
        sb_schema_find(diags, at, "capture is a map (name: group)");
    if (alternative->code > groups)
        sb_schema_find(diags, at, "code: the pattern has %u groups, so none of number %lld", groups,
                       (long long)alternative->code);
    json_object_foreach (alternative->capture, name, group) {
        int64_t number = json_is_integer(group) ? json_integer_value(group) : -1;
        if (number < 0 || number > groups)
            sb_schema_find(diags, at,
                           "capture.%s: the pattern has %u groups (1 is the first, 0 all that "
                           "matched)",
                           name, groups);
    }
    if (alternative->again && sb_dialog_ends(&alternative->then))
        sb_schema_find(diags, at,
                       "again goes on waiting, so goto, done and cause cannot be with "
                       "it");
}

static void check_step(const struct sb_type *type, const struct sb_dialog_script *script,
                       size_t index, struct sb_diags *diags)
{
    const struct sb_dialog_step *step = &script->steps[index];
    const struct sb_yaml *at = sb_dialog_step_yaml(script, index);
    check_modifiers(step, at, diags);
    sb_dialog_each_then(script, index, check_then, diags);
    for (size_t i = 0; i < step->expect.count; i++) {
        const struct sb_yaml *place = sb_dialog_alternative_yaml(script, index, i);
        check_causes(sb_dialog_alternative(step, i), place, diags);
        check_captures(sb_dialog_alternative(step, i), place, diags);
    }
    for (size_t i = 0; step->label && i < index; i++)
        if (sb_streq(script->steps[i].label, step->label))
            sb_schema_find(diags, at, "label '%s' is given twice", step->label);
    int64_t each = step->timeout ? step->timeout : sb_dialog_type_of(type)->timeout;
    int64_t wait = SB_MAX(step->expect.count ? each * step->repeat : 0, step->delay);
    if (wait >= type->stall) {
        sb_cleanup(sb_freep) char *stall = sb_duration_text(type->stall);
        sb_schema_find(diags, at,
                       "longer than this type's `stall` (%s), at which the command would be given "
                       "up: raise `stall`",
                       stall ? stall : "");
    }
}

/* ---- the way through ---- */

static void reach(const struct sb_dialog_script *script, size_t index, bool *reached);

static void follow(const struct sb_dialog_script *script, size_t index,
                   const struct sb_dialog_then *then, bool *reached)
{
    if (then->label && then->go >= 0)
        reach(script, (size_t)then->go, reached);
    else if (!sb_dialog_ends(then))
        reach(script, index + 1, reached);
}

/* Marks all steps to which this one can lead. Depth: at most the script's length. */
static void reach(const struct sb_dialog_script *script, size_t index, bool *reached)
{
    if (index >= script->count || reached[index])
        return;
    reached[index] = true;
    const struct sb_dialog_step *step = &script->steps[index];
    bool chosen = step->expect.count > 0;
    for (size_t i = 0; i < step->expect.count; i++) {
        const struct sb_dialog_alternative *alternative = sb_dialog_alternative(step, i);
        if (!alternative->again && sb_dialog_ends(&alternative->then))
            follow(script, index, &alternative->then, reached);
        else if (!alternative->again)
            follow(script, index, &step->then, reached);
    }
    if (otherwise_given(step))
        follow(script, index, sb_dialog_ends(&step->otherwise) ? &step->otherwise : &step->then,
               reached);
    if (!chosen)
        follow(script, index, &step->then, reached);
}

static void check_reachable(const struct sb_dialog_script *script, struct sb_diags *diags)
{
    bool reached[SB_DIALOG_STEPS] = { false };
    reach(script, 0, reached);
    for (size_t i = 0; i < script->count; i++) {
        if (reached[i])
            continue;
        sb_schema_find(diags, sb_dialog_step_yaml(script, i),
                       "no way leads to this step: the one before always goes elsewhere%s",
                       script->steps[i].label ? ", and nothing goes to its label" : "");
        return; /* what follows it would only repeat that */
    }
}

/* How deep the calls go from here; one more than allowed is deep enough. */
static int call_depth(const struct sb_dialog_scripts *scripts, int index)
{
    bool called[SB_DIALOG_SCRIPTS];
    return sb_dialog_called(scripts, index, called);
}

/* ---- scripts with a duty ---- */

static bool is_restart(const struct sb_dialog_step *step)
{
    return step->restart;
}

static bool is_commit(const struct sb_dialog_step *step)
{
    return step->commit;
}

static bool is_transfer(const struct sb_dialog_step *step)
{
    return step->transfer != SB_XMODEM_NONE;
}

static void find_at(const struct sb_dialog_scripts *scripts, int index, struct sb_diags *diags,
                    const char *text)
{
    const struct sb_dialog_script *script = sb_dialog_scripts_at(scripts, index);
    sb_schema_find(diags, script->yaml, "%s: %s", script->name, text);
}

static void check_attach(const struct sb_dialog_scripts *scripts, struct sb_diags *diags)
{
    int attach = sb_dialog_scripts_find(scripts, SB_SCRIPT_ATTACH);
    if (attach >= 0 &&
        (sb_dialog_has(scripts, attach, is_restart) || sb_dialog_has(scripts, attach, is_commit) ||
         sb_dialog_has(scripts, attach, is_transfer)))
        find_at(scripts, attach, diags,
                "only finds out where the device stands: no restart, commit or transfer");
    for (size_t i = 0; attach < 0 && i < scripts->count; i++)
        if (sb_dialog_has(scripts, (int)i, is_restart)) {
            find_at(scripts, (int)i, diags,
                    "`restart` waits until the script `attach` finds the device, and there is "
                    "none");
            return;
        }
}

static void check_reboot(const struct sb_dialog_scripts *scripts, struct sb_diags *diags)
{
    int reboot = sb_dialog_scripts_find(scripts, "reboot");
    if (reboot >= 0 && !sb_dialog_has(scripts, reboot, is_restart))
        find_at(scripts, reboot, diags,
                "has no step with `restart: true`, so nobody would see whether the device comes "
                "back");
}

/* A firmware script that restarts the device says from where on it is not cancelled. */
static void check_commit(const struct sb_dialog_scripts *scripts, const char *name,
                         struct sb_diags *diags)
{
    int index = sb_dialog_scripts_find(scripts, name);
    if (index >= 0 && sb_dialog_has(scripts, index, is_restart) &&
        !sb_dialog_has(scripts, index, is_commit))
        find_at(scripts, index, diags,
                "restarts the device but has no `commit: true`: say from which step on it must "
                "not be cancelled");
}

static void check_firmware(const struct sb_type *type, const struct sb_dialog_scripts *scripts,
                           struct sb_diags *diags)
{
    int download = sb_dialog_scripts_find(scripts, "download");
    int install = sb_dialog_scripts_find(scripts, "install");
    int verify = sb_dialog_scripts_find(scripts, SB_SCRIPT_VERIFY);
    bool any = install >= 0 || sb_dialog_scripts_find(scripts, "update") >= 0;
    check_commit(scripts, "install", diags);
    check_commit(scripts, "update", diags);
    if ((download >= 0) != (install >= 0))
        find_at(scripts, download >= 0 ? download : install, diags,
                "download and install go together: the one stages the image on the device, the "
                "other installs it (both in one: update)");
    if (any && type->verify == SB_VERIFY_HASH && verify < 0)
        sb_schema_find(diags, scripts->map,
                       "`verify: hash` needs a script `verify`, which reads the image's sum back "
                       "and compares it (same: [\"{crc}\", \"{image.crc32}\"])");
    if (verify >= 0 && type->verify != SB_VERIFY_HASH)
        find_at(scripts, verify, diags, "is played with `verify: hash` only");
    if (any && type->verify == SB_VERIFY_VERSION &&
        sb_dialog_scripts_find(scripts, SB_SCRIPT_IDENTIFY) < 0)
        sb_schema_find(diags, scripts->map,
                       "`verify: version` needs a script `identify`, which captures `version`");
}

void sb_dialog_check_scripts(const struct sb_type *type, const struct sb_dialog_scripts *scripts,
                             struct sb_diags *diags)
{
    for (size_t i = 0; i < scripts->count; i++) {
        const struct sb_dialog_script *script = &scripts->scripts[i];
        for (size_t step = 0; step < script->count; step++)
            check_step(type, script, step, diags);
        check_reachable(script, diags);
        if (call_depth(scripts, (int)i) > SB_DIALOG_DEPTH)
            find_at(scripts, (int)i, diags,
                    "calls itself, or calls go deeper than 4 scripts: use labels and goto");
    }
    check_attach(scripts, diags);
    check_reboot(scripts, diags);
    check_firmware(type, scripts, diags);
}
