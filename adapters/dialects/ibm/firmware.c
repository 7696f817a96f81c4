/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mgmt.firmware and the two firmware actions. Sources: IBM documentation, device management
 * requests (2018): download wants state 0 and a valid uri, update wants state 2, else 400; all of
 * a change in one notify; success of an update is state 0 with updateStatus 0.
 */
#include <ctype.h>

#include "adapters/dialects/ibm/parts.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/package/package.h"

/* ---- images ---- */

static const char *given(const char *text)
{
    return text && *text ? text : NULL;
}

/* Up to its query: what stands there are credentials and expiry, which change. */
static bool same_uri(const char *a, const char *b)
{
    size_t n = strcspn(a, "?#"), m = strcspn(b, "?#");
    return n == m && strncmp(a, b, n) == 0;
}

static bool same_digest(const char *verifier, const struct sb_package *package)
{
    const char *hex = NULL;
    const char *kind = sb_ibm_verifier_kind(verifier, &hex);
    if (!kind)
        return true;
    const char *known = sb_streq(kind, "md5") ? package->md5
                        : package->artifact   ? package->artifact
                                              : package->sha256;
    return !known || strcasecmp(known, hex) == 0;
}

/* Does the attribute describe the staged image? What only one side knows does not count; the uri
 * or the version must be known to both. */
static bool describes(const struct sb_ibm_firmware *firmware, const struct sb_package *package)
{
    const char *uri = given(firmware->uri), *version = given(firmware->version);
    bool compared = (uri && package->uri) || (version && package->version);
    return compared && (!uri || !package->uri || same_uri(uri, package->uri)) &&
           (!version || !package->version || sb_streq(version, package->version)) &&
           (!given(firmware->verifier) || same_digest(firmware->verifier, package));
}

/* ---- telling ---- */

void sb_ibm_firmware_told(struct sb_ibm_turn *turn)
{
    struct sb_ibm_firmware *firmware = &turn->state->firmware;
    firmware->told_state = firmware->state;
    firmware->told_status = firmware->status;
}

static void notify(struct sb_ibm_turn *turn, bool final, int64_t task)
{
    const struct sb_ibm_firmware *firmware = &turn->state->firmware;
    char id[SB_UUID_TEXT + 1];
    sb_uuid(id);
    sb_cleanup(sb_freep) char *what = sb_format("state %d/%d", firmware->state, firmware->status);
    sb_cleanup(sb_freep) char *key =
        sb_format("firmware:%s", turn->in->device ? turn->in->device->id : "");
    sb_ibm_send(turn, &(struct sb_ibm_parcel){
                          .suffix = "out_notify",
                          .payload = sb_ibm_notify(firmware->state, firmware->status, id),
                          .class = final ? SB_PARCEL_FINAL : SB_PARCEL_PROGRESS,
                          .token = id,
                          .key = key, /* an outcome takes the place of unsent progress */
                          .what = what,
                          .task = task });
    sb_ibm_firmware_told(turn);
}

/*
 * 0/0 is success to the platform, so it is told of nothing else: what became idle for another
 * reason it reads with its next observe. force: an outcome, which is told even if it reads like
 * what was told before. task NULL: none moved it.
 */
static void tell(struct sb_ibm_turn *turn, const struct sb_task *task, bool force)
{
    const struct sb_ibm_firmware *firmware = &turn->state->firmware;
    bool changed =
        firmware->state != firmware->told_state || firmware->status != firmware->told_status;
    bool idle = firmware->state == 0 && firmware->status == 0;
    bool succeeded = task && task->state == SB_TASK_SUCCEEDED;
    turn->effects->save = turn->effects->save || changed || force;
    if (turn->state->observed && (changed || force) && (succeeded || !idle))
        notify(turn, task && sb_task_state_is_final(task->state), task ? task->id : 0);
}

json_t *sb_ibm_firmware_value(const struct sb_ibm_turn *turn)
{
    const struct sb_ibm_firmware *firmware = &turn->state->firmware;
    return json_pack(
        "{s:s,s:s,s:s,s:s,s:i,s:i}", "version", firmware->version ? firmware->version : "", "name",
        firmware->name ? firmware->name : "", "uri", firmware->uri ? firmware->uri : "", "verifier",
        firmware->verifier ? firmware->verifier : "", "state", firmware->state, "updateStatus",
        firmware->status);
}

/* ---- device/update ---- */

static bool names_an_image(const json_t *value)
{
    return json_object_get(value, "version") || json_object_get(value, "name") ||
           json_object_get(value, "uri") || json_object_get(value, "verifier");
}

static bool same_text(const char *mine, const json_t *value, const char *key)
{
    const char *theirs = sb_json_str(value, key);
    return sb_streq(mine ? mine : "", theirs ? theirs : "");
}

static bool same_image(const struct sb_ibm_firmware *firmware, const json_t *value)
{
    const char *uri = sb_json_str(value, "uri");
    return !names_an_image(value) ||
           (same_text(firmware->version, value, "version") &&
            same_uri(firmware->uri ? firmware->uri : "", uri ? uri : "") &&
            same_text(firmware->verifier, value, "verifier"));
}

bool sb_ibm_firmware_conflicts(const struct sb_ibm_turn *turn, const json_t *value)
{
    const struct sb_ibm_firmware *firmware = &turn->state->firmware;
    return firmware->under_way && !same_image(firmware, value);
}

/* What waits for an image that the platform no longer wants. */
static void withdraw(struct sb_ibm_turn *turn)
{
    struct sb_ibm_state *state = turn->state;
    int64_t task = state->firmware.task;
    for (size_t i = state->ask_count; i-- > 0;) {
        struct sb_ibm_ask *ask = &state->asks[i];
        if (ask->task != task)
            continue;
        sb_ibm_ask_timer(turn, ask, -1);
        if (!ask->answered)
            sb_ibm_refuse(turn, ask->id, ask->op, SB_CAUSE_OVERRIDDEN, NULL, task);
        sb_ibm_ask_remove(state, ask);
    }
    state->firmware.task = 0;
    struct sb_output *cancel = sb_effects_add(turn->effects, SB_OUT_CANCEL);
    if (!cancel)
        return;
    cancel->task = task;
    cancel->cause = SB_CAUSE_OVERRIDDEN;
}

static void describe(struct sb_ibm_turn *turn, const json_t *value)
{
    struct sb_ibm_firmware *firmware = &turn->state->firmware;
    char **const slots[] = { &firmware->version, &firmware->name, &firmware->uri,
                             &firmware->verifier };
    static const char *const keys[] = { "version", "name", "uri", "verifier" };
    for (size_t i = 0; i < SB_COUNT(keys); i++) {
        if (sb_set_string(slots[i], given(sb_json_str(value, keys[i]))) < 0)
            turn->effects->broken = true;
    }
}

static void unstage_own(struct sb_ibm_turn *turn)
{
    const struct sb_device *device = turn->in->device;
    if (device && sb_streq(device->staged.door, turn->in->link))
        (void)sb_effects_add(turn->effects, SB_OUT_UNSTAGE);
}

void sb_ibm_firmware_write(struct sb_ibm_turn *turn, const json_t *value)
{
    struct sb_ibm_firmware *firmware = &turn->state->firmware;
    turn->effects->save = true;
    firmware->told_state = 0; /* the platform's own copy is idle now */
    firmware->told_status = 0;
    if (!same_image(firmware, value) && firmware->task && firmware->own)
        withdraw(turn); /* it has not begun: else this were a conflict */
    if (names_an_image(value))
        describe(turn, value);
    if (firmware->under_way)
        return; /* the next notify or observe tells how far it is */
    firmware->state = 0;
    firmware->status = 0;
    firmware->kept = turn->in->staged && describes(firmware, turn->in->staged);
    if (turn->in->staged && !firmware->kept)
        unstage_own(turn);
}

/* ---- the actions ---- */

static char *lower_case(const char *text)
{
    char *copy = strdup(text);
    for (char *at = copy; at && *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return copy;
}

static json_t *package_of(struct sb_ibm_turn *turn)
{
    const struct sb_ibm_firmware *firmware = &turn->state->firmware;
    json_t *package = json_pack("{s:s,s:s*,s:s*}", "uri", firmware->uri, "version",
                                given(firmware->version), "name", given(firmware->name));
    const char *hex = NULL;
    const char *kind =
        given(firmware->verifier) ? sb_ibm_verifier_kind(firmware->verifier, &hex) : NULL;
    sb_cleanup(sb_freep) char *digest = kind ? lower_case(hex) : NULL;
    if (!package || (kind && !digest) || sb_json_put_str(package, kind ? kind : "", digest) < 0)
        turn->effects->broken = true;
    return package;
}

/* NULL: the download may go; else why not. */
static const char *download_obstacle(const struct sb_ibm_turn *turn)
{
    const struct sb_ibm_firmware *firmware = &turn->state->firmware;
    const struct sb_ibm_config *config = turn->in->config;
    const char *verifier = given(firmware->verifier), *hex = NULL;
    if (firmware->state != 0)
        return "mgmt.firmware.state is not 0 (idle)";
    if (!given(firmware->uri))
        return "mgmt.firmware.uri is not set";
    if (!sb_ibm_uri_ok(firmware->uri))
        return "mgmt.firmware.uri is not a valid URI";
    if (verifier && config->verifier == SB_IBM_VERIFIER_DIGEST &&
        !sb_ibm_verifier_kind(verifier, &hex))
        return "mgmt.firmware.verifier is neither a SHA-256 nor an MD5 digest in hex";
    return NULL;
}

static void refuse_bad(struct sb_ibm_turn *turn, const char *why)
{
    sb_ibm_reply(turn, turn->in->message->id, SB_IBM_RC_BAD, why, NULL, 0);
}

void sb_ibm_download(struct sb_ibm_turn *turn)
{
    const char *obstacle = download_obstacle(turn);
    if (!sb_dialect_can(turn->in, SB_OP_FIRMWARE_DOWNLOAD))
        sb_ibm_refuse(turn, turn->in->message->id, SB_OP_FIRMWARE_DOWNLOAD, SB_CAUSE_UNSUPPORTED,
                      NULL, 0);
    else if (obstacle)
        refuse_bad(turn, obstacle);
    else
        sb_ibm_submit(turn, SB_OP_FIRMWARE_DOWNLOAD, false, NULL, package_of(turn));
}

void sb_ibm_install(struct sb_ibm_turn *turn)
{
    const struct sb_ibm_firmware *firmware = &turn->state->firmware;
    bool downloaded = turn->in->staged && (firmware->state == 2 || firmware->kept);
    if (!sb_dialect_can(turn->in, SB_OP_FIRMWARE_INSTALL))
        sb_ibm_refuse(turn, turn->in->message->id, SB_OP_FIRMWARE_INSTALL, SB_CAUSE_UNSUPPORTED,
                      NULL, 0);
    else if (!downloaded)
        refuse_bad(turn, "mgmt.firmware.state is not 2 (downloaded)");
    else if (firmware->under_way)
        refuse_bad(turn, "a firmware action is under way");
    else
        sb_ibm_submit(turn, SB_OP_FIRMWARE_INSTALL, false, NULL, NULL);
}

/* ---- following a task ---- */

/* A device that speaks this dialect itself: its own number (round trip). */
static int status_of(const struct sb_task *task, const json_t *cell, int otherwise)
{
    const struct sb_native *native = &task->native;
    bool ours = task->state == SB_TASK_FAILED && sb_streq(native->dialect, "ibm") &&
                sb_streq(native->vocabulary, "updateStatus") && native->code;
    if (ours && native->code[0] >= '2' && native->code[0] <= '6' && !native->code[1])
        return native->code[0] - '0';
    return (int)sb_json_int(cell, "updateStatus", otherwise);
}

static void ended(struct sb_ibm_turn *turn, const struct sb_task *task)
{
    struct sb_ibm_firmware *firmware = &turn->state->firmware;
    firmware->task = 0;
    firmware->under_way = false;
    firmware->kept = false;
    if (task->state == SB_TASK_SUCCEEDED && task->job->op != SB_OP_FIRMWARE_DOWNLOAD)
        sb_ibm_firmware_clear(firmware); /* installed: the downloaded image is gone */
}

/* The core took it, so nothing else is at work on this firmware, or it gives way. */
void sb_ibm_firmware_expect(struct sb_ibm_turn *turn, const struct sb_ibm_ask *ask)
{
    struct sb_ibm_firmware *firmware = &turn->state->firmware;
    if (!sb_op_is_firmware(ask->op) || firmware->task == ask->task)
        return;
    firmware->task = ask->task;
    firmware->op = ask->op;
    firmware->own = true;
    firmware->under_way = false;
    firmware->status = 0; /* how the last one ended is no news any more */
    sb_ibm_firmware_told(turn);
}

/* What the platform asked for last is what it looks at: nothing older takes the view from it, and
 * nobody else's work while it is open. */
static bool is_outranked(const struct sb_ibm_firmware *firmware, const struct sb_task *task,
                         bool own)
{
    if (firmware->task == 0 || firmware->task == task->id)
        return false;
    return firmware->own ? !own || task->id < firmware->task : !own && firmware->under_way;
}

static bool takes_over(struct sb_ibm_firmware *firmware, const struct sb_task *task, bool own)
{
    bool moving = sb_task_state_is_under_way(task->state);
    if (is_outranked(firmware, task, own) || (firmware->task != task->id && !own && !moving))
        return false;
    firmware->task = task->id;
    firmware->op = task->job->op;
    firmware->own = own;
    firmware->under_way = moving;
    return true;
}

void sb_ibm_firmware_follow(struct sb_ibm_turn *turn, const struct sb_task *task, bool own,
                            bool answered)
{
    struct sb_ibm_firmware *firmware = &turn->state->firmware;
    bool final = sb_task_state_is_final(task->state);
    bool was_under_way = firmware->under_way, mine = firmware->task == task->id;
    if ((final && !mine && !answered) || !takes_over(firmware, task, own))
        return;
    turn->effects->save = turn->effects->save || !mine || was_under_way != firmware->under_way;
    const json_t *cell = sb_dialect_task_cell(turn->in, task);
    if (final && own && !answered && !was_under_way && task->state != SB_TASK_SUCCEEDED) {
        ended(turn, task); /* its request was answered with an error: nothing changed */
        return;
    }
    firmware->state = (int)sb_json_int(cell, "state", firmware->state);
    firmware->status = status_of(task, cell, firmware->status);
    if (final)
        ended(turn, task);
    tell(turn, task, final && own && answered);
}

/* ---- what others do to the image ---- */

static void describe_staged(struct sb_ibm_turn *turn)
{
    struct sb_ibm_firmware *firmware = &turn->state->firmware;
    const struct sb_package *staged = turn->in->staged;
    sb_ibm_firmware_clear(firmware); /* no uri: it may hold another cloud's credentials */
    if (sb_set_string(&firmware->version, staged->version) < 0 ||
        sb_set_string(&firmware->name, staged->name) < 0 ||
        sb_set_string(&firmware->verifier, staged->artifact) < 0)
        turn->effects->broken = true;
}

void sb_ibm_firmware_staged(struct sb_ibm_turn *turn)
{
    struct sb_ibm_firmware *firmware = &turn->state->firmware;
    const struct sb_package *staged = turn->in->staged;
    if (firmware->under_way || (firmware->task && firmware->own))
        return; /* the task's own news tell */
    if (staged && !describes(firmware, staged))
        describe_staged(turn);
    if (staged) {
        firmware->state = 2;
        firmware->status = 0;
    } else if (firmware->state == 2) {
        firmware->state = 0;
    }
    firmware->kept = firmware->kept && staged;
    turn->effects->save = true;
    tell(turn, NULL, false);
}

static void reconcile(struct sb_ibm_turn *turn)
{
    struct sb_ibm_firmware *firmware = &turn->state->firmware;
    if (turn->in->staged)
        return;
    firmware->kept = false;
    if (firmware->state == 2)
        firmware->state = 0;
}

void sb_ibm_firmware_loaded(struct sb_ibm_turn *turn)
{
    const struct sb_ibm_firmware *firmware = &turn->state->firmware;
    if (firmware->task == 0) {
        reconcile(turn);
        tell(turn, NULL, false);
        return;
    }
    if (firmware->own)
        return; /* its ask asked already */
    struct sb_output *look = sb_effects_add(turn->effects, SB_OUT_LOOK);
    if (look)
        look->task = firmware->task;
}

/* One whose end was not heard. What is staged decides, but an installation of ours has an end. */
void sb_ibm_firmware_lost(struct sb_ibm_turn *turn)
{
    struct sb_ibm_firmware *firmware = &turn->state->firmware;
    const struct sb_package *staged = turn->in->staged;
    struct sb_job job = { .op = firmware->op };
    struct sb_task task = { .id = firmware->task,
                            .job = &job,
                            .state = SB_TASK_FAILED,
                            .cause = SB_CAUSE_OUTCOME_UNKNOWN };
    bool is_staged = staged && !(firmware->own && firmware->op == SB_OP_FIRMWARE_INSTALL);
    bool failed = !is_staged && firmware->own;
    ended(turn, &task);
    firmware->state = is_staged ? 2 : 0;
    firmware->status = failed ? status_of(&task, sb_dialect_task_cell(turn->in, &task), 0) : 0;
    if (is_staged && !describes(firmware, staged))
        describe_staged(turn);
    turn->effects->save = true;
    tell(turn, &task, false);
}
