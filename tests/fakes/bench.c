/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/bench.h"

#include <stdio.h>

#include "bridge/mapping/type.h"

struct bench bench;

struct bench_session {
    struct bench_session *next, *previous;
    struct sb_runner *runner;
    const struct sb_command *command;
    struct bench_device *device;
    struct sb_timer *timer;
    int step;
    bool silent, waiting;
    unsigned piece;
    int refused; /* what it asked the gateway for was not granted: -errno */
};

struct bench_device *bench_device(const char *id)
{
    struct bench_device *device = sb_map_get(&bench.by_id, id);
    if (device)
        return device;
    device = calloc(1, sizeof(*device));
    bench.devices = reallocarray(bench.devices, bench.count + 1, sizeof(device));
    bench.devices[bench.count++] = device;
    *device = (struct bench_device){ .version = "1.0.0", .fault = BENCH_NEVER };
    (void)snprintf(device->id, sizeof(device->id), "%s", id);
    if (sb_map_set(&bench.by_id, id, device) < 0)
        abort();
    return device;
}

unsigned bench_sessions(void)
{
    return bench.open;
}

static void end(struct bench_session *session)
{
    *(session->previous ? &session->previous->next : &bench.sessions) = session->next;
    if (session->next)
        session->next->previous = session->previous;
    bench.open--;
    sb_timer_free(session->timer);
    free(session);
}

static json_t *reading(const struct bench_device *device)
{
    json_t *result = json_pack("{s:i}", "speed", 42);
    char *noise = device->chatter ? calloc(1, device->chatter + 1) : NULL;
    if (noise) {
        memset(noise, 'x', device->chatter);
        (void)json_object_set_new(result, "noise", json_string(noise));
    }
    free(noise);
    return result;
}

static void say_done(struct bench_session *session, enum sb_cause cause, bool stopped)
{
    struct sb_outcome outcome = { .cause = cause, .stopped = stopped };
    outcome.verified = (char *)(session->device->verified ? session->device->verified : "version");
    struct sb_driver_event event = { .kind = SB_DRIVER_DONE,
                                     .session = session->command->session,
                                     .outcome = &outcome };
    struct sb_runner *runner = session->runner;
    if (cause == SB_CAUSE_NONE && !stopped) {
        if (session->device->secret)
            outcome.after.versions = NULL;
        else if (!session->device->modest || session->command->op <= SB_OP_FIRMWARE_UPDATE ||
                 session->command->op == SB_COMMAND_IDENTIFY)
            outcome.after.versions = json_pack("{s:s}", "", session->device->version);
        outcome.after.identity = json_pack("{s:s}", "model", "bench");
        outcome.after.idle = true;
        if (session->command->op == SB_OP_READ)
            outcome.result = reading(session->device);
    } else if (!stopped && !session->device->mute) {
        outcome.text = strdup("bench fault");
    }
    end(session);
    sb_driver_event(runner, &event);
    sb_outcome_done(&outcome);
}

static void tell(struct bench_session *session, enum sb_driver_event_kind kind, enum sb_phase phase,
                 uint8_t percent, json_t *checkpoint)
{
    struct sb_driver_event event = { .kind = kind,
                                     .session = session->command->session,
                                     .phase = phase,
                                     .percent = percent,
                                     .checkpoint = checkpoint };
    sb_driver_event(session->runner, &event);
}

static bool is_firmware(const struct bench_session *session)
{
    return session->command->op <= SB_OP_FIRMWARE_UPDATE;
}

/* The device does it: exactly what must not happen twice. */
static void act(struct bench_session *session)
{
    struct bench_device *device = session->device;
    const struct sb_image *image = session->command->image;
    switch (session->command->op) {
    case SB_OP_FIRMWARE_INSTALL:
    case SB_OP_FIRMWARE_UPDATE:
        device->installs++;
        if (!device->lies)
            (void)snprintf(device->version, sizeof(device->version), "%s",
                           image && image->version ? image->version : device->staged);
        device->boots++;
        break;
    case SB_OP_REBOOT:
        device->boots++;
        break;
    case SB_OP_FACTORY_RESET:
        device->resets++;
        device->boots++;
        break;
    default:
        device->actions++;
    }
}

/* What the device holds already decides: the first step of every command. */
static bool there_already(const struct bench_session *session)
{
    const struct sb_command *command = session->command;
    if (is_firmware(session) && command->image && command->image->version)
        return strcmp(command->image->version, session->device->version) == 0;
    if (command->op == SB_OP_FIRMWARE_INSTALL)
        return strcmp(session->device->staged, session->device->version) == 0;
    if (command->op == SB_OP_REBOOT || command->op == SB_OP_FACTORY_RESET)
        return command->checkpoint &&
               sb_json_int(command->checkpoint, "boots", 0) < (int64_t)session->device->boots;
    return false;
}

static bool strikes(struct bench_session *session, enum bench_step step)
{
    struct bench_device *device = session->device;
    if (device->fault != step || !device->faults || session->command->op == SB_COMMAND_IDENTIFY)
        return false;
    device->faults--;
    enum sb_cause cause = device->cause;
    if (cause == SB_CAUSE_NONE)
        session->silent = true;
    else
        say_done(session, cause, false);
    return true;
}

static void on_step(void *arg)
{
    struct bench_session *session = arg;
    if (session->silent)
        return;
    if (session->refused) {
        say_done(session, SB_CAUSE_INTERNAL, session->refused == -ECANCELED);
        return;
    }
    if (session->device->offline) {
        say_done(session, SB_CAUSE_LINK_LOST, false);
        return;
    }
    if (session->command->op == SB_COMMAND_IDENTIFY) {
        say_done(session, SB_CAUSE_NONE, false);
        return;
    }
    sb_timer_in(session->timer, bench.step_ms);
    switch (session->step++) {
    case 0:
        if (strikes(session, BENCH_LOOK))
            return;
        if (there_already(session))
            say_done(session, SB_CAUSE_NONE, false);
        return;
    case 1:
        if (!strikes(session, BENCH_TRANSFER))
            tell(session, SB_DRIVER_PROGRESS, SB_PHASE_TRANSFERRING, 0, NULL);
        return;
    case 2:
        if (session->device->pieces && ++session->piece < session->device->pieces) {
            session->step--;
            tell(session, SB_DRIVER_PROGRESS, SB_PHASE_TRANSFERRING,
                 (uint8_t)(100 * session->piece / session->device->pieces), NULL);
            return;
        }
        tell(session, SB_DRIVER_PROGRESS, SB_PHASE_TRANSFERRING, 50, NULL);
        return;
    case 3:
        tell(session, SB_DRIVER_PROGRESS, SB_PHASE_TRANSFERRING, 100, NULL);
        return;
    case 4: {
        if (strikes(session, BENCH_CHECKPOINT))
            return;
        session->waiting = true;
        sb_timer_stop(session->timer);
        json_t *checkpoint = json_pack("{s:i}", "boots", (int)session->device->boots);
        tell(session, SB_DRIVER_CHECKPOINT, SB_PHASE_VERIFYING, 0, checkpoint);
        json_decref(checkpoint);
        return;
    }
    case 5:
        if (session->command->op == SB_OP_FIRMWARE_DOWNLOAD) {
            (void)snprintf(session->device->staged, sizeof(session->device->staged), "%s",
                           session->command->image->version);
            say_done(session, SB_CAUSE_NONE, false);
            return;
        }
        if (strikes(session, BENCH_COMMIT))
            return;
        session->waiting = true;
        sb_timer_stop(session->timer);
        tell(session, SB_DRIVER_COMMIT, SB_PHASE_ACTIVATING, 0, NULL);
        return;
    case 6:
        if (!strikes(session, BENCH_RESTART))
            tell(session, SB_DRIVER_PROGRESS,
                 session->command->op <= SB_OP_FACTORY_RESET ? SB_PHASE_RESTARTING
                                                             : SB_PHASE_WRITING,
                 50, NULL);
        return;
    default:
        if (!strikes(session, BENCH_DONE))
            say_done(session, SB_CAUSE_NONE, false);
    }
}

static int start(void *user, struct sb_runner *runner, const struct sb_command *command)
{
    struct bench_session *session = calloc(1, sizeof(*session));
    (void)user;
    if (!session)
        return -ENOMEM;
    session->runner = runner;
    session->command = command;
    const char *unit = sb_json_str(command->address, "unit");
    session->device = bench_device(unit ? unit : command->device);
    if (sb_timer_new(bench.loop, on_step, session, &session->timer) < 0) {
        free(session);
        return -ENOMEM;
    }
    session->next = bench.sessions;
    if (session->next)
        session->next->previous = session;
    bench.sessions = session;
    bench.open++;
    bench.peak = SB_MAX(bench.peak, bench.open);
    sb_timer_in(session->timer, bench.step_ms);
    return 0;
}

static struct bench_session *find(uint64_t id)
{
    for (struct bench_session *s = bench.sessions; s; s = s->next)
        if (s->command->session == id)
            return s;
    return NULL;
}

/* Answers from a timer, as a real driver answers from its own time. */
static void on_stopped(void *arg)
{
    say_done(arg, SB_CAUSE_NONE, true);
}

static void stop(void *user, uint64_t id)
{
    struct bench_session *session = find(id);
    (void)user;
    if (!session || session->device->deaf)
        return;
    sb_timer_free(session->timer);
    session->timer = NULL;
    if (sb_timer_new(bench.loop, on_stopped, session, &session->timer) == 0)
        sb_timer_in(session->timer, 1);
}

static void drop(void *user, uint64_t id)
{
    struct bench_session *session = find(id);
    (void)user;
    if (session)
        end(session);
}

static void granted(void *user, uint64_t id, int error)
{
    struct bench_session *session = find(id);
    (void)user;
    if (!session || !session->waiting)
        return;
    session->waiting = false;
    session->refused = error;
    if (!error && session->step == 6)
        act(session);
    sb_timer_in(session->timer, bench.step_ms);
}

static unsigned caps(const struct sb_type *type)
{
    return SB_CAP_CANCEL |
           (type && strcmp(type->name, "two-step") == 0 ? SB_CAP_STAGE_ON_DEVICE : 0);
}

static enum sb_cause accepts(const struct sb_type *type, int op, const json_t *params,
                             char **ret_text)
{
    if (op == SB_OP_CONFIGURE && !sb_streq(type->name, "two-step")) {
        *ret_text = strdup("the bench has nothing to configure");
        return SB_CAUSE_UNSUPPORTED;
    }
    if (op == SB_OP_READ && !sb_json_array(params, "names")) {
        *ret_text = strdup("names are missing");
        return SB_CAUSE_INVALID_REQUEST;
    }
    return SB_CAUSE_NONE;
}

static const struct sb_field no_fields[] = { { 0 } };

const struct sb_driver_ops bench_driver = {
    .name = "bench",
    .type_fields = no_fields,
    .type_size = 1,
    .caps = caps,
    .accepts = accepts,
    .start = start,
    .stop = stop,
    .drop = drop,
    .granted = granted,
};

void bench_reset(void)
{
    bench_power_off();
    for (size_t i = 0; i < bench.count; i++)
        free(bench.devices[i]);
    free(bench.devices);
    sb_map_done(&bench.by_id);
    bench = (struct bench){ .step_ms = 100 };
}

void bench_power_on(struct sb_loop *loop)
{
    bench.loop = loop;
}

void bench_power_off(void)
{
    while (bench.sessions)
        end(bench.sessions);
}
