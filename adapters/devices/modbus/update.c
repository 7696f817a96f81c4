/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/modbus/update.h"

#include <errno.h>
#include <fcntl.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/job/version.h"

#define PAUSE_MS   100
#define GRACE_MS   3000 /* a restart that was taken has begun by then */
#define CHUNK_MAX  4096
#define BLOCKS_MAX 1000000

struct update {
    struct sb_modbus *modbus;
    const struct sb_modbus_firmware *config;
    int fd;
    struct sb_modbus_image image;
    json_t *names;
    char *target; /* version; NULL: not known */
    char *before; /* that ran at the first look; NULL: it was not told */
    uint32_t next;
    bool in_bootloader;
    bool entered; /* this session has led it there, or found it there */
};

/* ---- the image ---- */

static int sum_up(struct update *update)
{
    uint8_t bytes[CHUNK_MAX];
    int r = 0;
    sb_modbus_sums_begin(&update->image.sums);
    for (int64_t at = 0; r == 0 && at < update->image.size;) {
        size_t n = (size_t)SB_MIN(update->image.size - at, (int64_t)sizeof(bytes));
        r = sb_read_at(update->fd, update->config->skip + at, bytes, n);
        if (r == 0)
            sb_modbus_sums_add(&update->image.sums, bytes, n);
        at += (int64_t)n;
    }
    sb_modbus_sums_end(&update->image.sums);
    return r;
}

/* A version is a word of ASCII; anything else is what stands at a wrong place of the file. */
static const char *version_in(char *text)
{
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == ' ')
        text[--n] = '\0';
    for (size_t i = 0; i < n; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return NULL;
    return n > 0 ? text : NULL;
}

/* The version that is wanted: the job's, else that in the file. */
static enum sb_cause find_target(struct update *update)
{
    struct sb_modbus *modbus = update->modbus;
    const struct sb_modbus_firmware *config = update->config;
    const struct sb_image *image = modbus->command->image;
    char text[65] = "";
    size_t n = (size_t)config->version_length;
    if (config->version_at >= 0 && config->version_at + (int64_t)n <= image->size &&
        sb_read_at(update->fd, config->version_at, text, n) < 0)
        return sb_modbus_trouble(modbus, -EIO);
    const char *version = image->version ? image->version : version_in(text);
    if (sb_set_string(&update->target, version) < 0)
        return sb_modbus_trouble(modbus, -ENOMEM);
    if (!version && modbus->type->verify == SB_VERIFY_VERSION)
        return sb_modbus_fail(modbus, SB_CAUSE_INVALID_REQUEST,
                              "this device type is verified by its version: the job must say "
                              "which one the image is");
    return SB_CAUSE_NONE;
}

static enum sb_cause open_image(struct update *update)
{
    struct sb_modbus *modbus = update->modbus;
    const struct sb_image *image = modbus->command->image;
    if (!image)
        return sb_modbus_fail(modbus, SB_CAUSE_NOT_READY, "no image is staged");
    update->fd = open(image->path, O_RDONLY | O_CLOEXEC);
    if (update->fd < 0)
        return sb_modbus_fail(modbus, SB_CAUSE_INTERNAL, "the image's file cannot be opened: %s",
                              strerror(errno));
    update->image.size = image->size - update->config->skip;
    int64_t blocks = (update->image.size + update->config->block - 1) / update->config->block;
    if (update->image.size <= 0 || blocks > BLOCKS_MAX)
        return sb_modbus_fail(modbus, SB_CAUSE_UNSUPPORTED_IMAGE,
                              "an image of %lld bytes cannot be sent", (long long)image->size);
    if (modbus->type->max_image > 0 && image->size > modbus->type->max_image)
        return sb_modbus_fail(modbus, SB_CAUSE_NO_SPACE,
                              "the image is larger than this type takes");
    update->image.blocks = (uint32_t)blocks;
    int r = sum_up(update);
    update->names = r == 0 ? sb_modbus_image_names(&update->image) : NULL;
    if (!update->names)
        return sb_modbus_trouble(modbus, r < 0 ? r : -ENOMEM);
    return find_target(update);
}

/* ---- where it stands ---- */

static enum sb_cause note_version(struct update *update)
{
    const char *version = sb_modbus_version(update->modbus);
    if (update->before || !version)
        return SB_CAUSE_NONE;
    return sb_set_string(&update->before, version) < 0 ? sb_modbus_trouble(update->modbus, -ENOMEM)
                                                       : SB_CAUSE_NONE;
}

static bool probe_first(const struct sb_modbus_bootloader *boot)
{
    return boot->probe && !boot->unit && !boot->baud; /* both answer at the same place */
}

/* One look: the application, or the bootloader. */
static enum sb_cause look_once(struct update *update)
{
    struct sb_modbus *modbus = update->modbus;
    const struct sb_modbus_bootloader *boot = &update->config->bootloader;
    int r = probe_first(boot) ? sb_modbus_in_bootloader(modbus) : -ETIMEDOUT;
    enum sb_cause cause = SB_CAUSE_NONE;
    if (r == -ETIMEDOUT) {
        sb_modbus_tune(modbus, 0, 0);
        cause = sb_modbus_identify(modbus);
        if (probe_first(boot) && cause == SB_CAUSE_NONE && !sb_modbus_version(modbus))
            r = sb_modbus_in_bootloader(modbus); /* it has started since */
    }
    if (cause == SB_CAUSE_LINK_LOST && !probe_first(boot) && modbus->master.port &&
        !modbus->master.port->failed) {
        sb_cleanup(sb_freep) char *text = SB_STEAL(modbus->outcome->text);
        r = sb_modbus_in_bootloader(modbus);
        cause = r == 0 ? SB_CAUSE_NONE : cause;
        if (r < 0)
            modbus->outcome->text = SB_STEAL(text);
    }
    if (r < 0 && r != -ETIMEDOUT)
        return sb_modbus_trouble(modbus, r);
    update->in_bootloader = r == 0;
    return cause == SB_CAUSE_NONE ? note_version(update) : cause;
}

/* A device that may be on its way between the two gets its time. */
static enum sb_cause look(struct update *update)
{
    struct sb_modbus *modbus = update->modbus;
    int64_t end = sb_session_now(modbus->session) + sb_modbus_restart_time(modbus);
    enum sb_cause cause = look_once(update);
    while (cause == SB_CAUSE_LINK_LOST && modbus->command->resumed && modbus->command->checkpoint &&
           sb_session_now(modbus->session) < end) {
        sb_session_progress(modbus->session, SB_PHASE_RESTARTING, 0, 0);
        cause = sb_modbus_wait(modbus, PAUSE_MS);
        if (cause == SB_CAUSE_NONE)
            cause = look_once(update);
    }
    return cause;
}

static bool is_current(const struct update *update)
{
    const char *version = sb_modbus_version(update->modbus);
    return !update->in_bootloader && update->target && version &&
           sb_version_equal(version, update->target);
}

static enum sb_cause check_downgrade(struct update *update)
{
    struct sb_modbus *modbus = update->modbus;
    int order = 0;
    if (modbus->command->allow_downgrade || modbus->type->allow_downgrade || !update->before ||
        !update->target || sb_version_compare(update->target, update->before, &order) < 0 ||
        order >= 0)
        return SB_CAUSE_NONE;
    return sb_modbus_fail(modbus, SB_CAUSE_DOWNGRADE_REFUSED, "the device runs %s, the image is %s",
                          update->before, update->target);
}

static enum sb_modbus_stage first_stage(const struct update *update)
{
    const struct sb_command *command = update->modbus->command;
    struct sb_modbus_standing standing = {
        .in_bootloader = update->in_bootloader,
        .has_probe = update->config->bootloader.probe != NULL,
        .has_enter = update->config->enter != NULL,
        .has_resume = update->config->resume != NULL,
    };
    int kept = sb_modbus_stage_from_name(sb_json_str(command->checkpoint, "stage"));
    /* A new attempt goes on as well, but not with what the device has judged. */
    if (kept >= 0 && (command->resumed || kept <= SB_MODBUS_AT_BLOCKS) && command->image->sha256 &&
        sb_streq(sb_json_str(command->checkpoint, "sha256"), command->image->sha256)) {
        standing.begun = true;
        standing.kept = (enum sb_modbus_stage)kept;
    }
    return sb_modbus_decide(&standing);
}

/* How far the device says it is; ERASE when that is nowhere. */
static enum sb_cause find_block(struct update *update, enum sb_modbus_stage *ret)
{
    struct sb_modbus *modbus = update->modbus;
    struct sb_modbus_place at = { 0 };
    uint16_t words[4];
    sb_cleanup(sb_freep) char *error = NULL;
    sb_cleanup(json_decrefp) json_t *value = NULL;
    if (sb_modbus_resume_read(modbus->type, &at, &error) < 0)
        return sb_modbus_fail(modbus, SB_CAUSE_INTERNAL, "%s", error ? error : "resume");
    enum sb_cause cause =
        sb_modbus_get(modbus, at.table, at.address, at.count, words, "how far it is");
    if (cause != SB_CAUSE_NONE)
        return cause;
    if (sb_modbus_place_decode(&at, words, &value, &error) < 0)
        return sb_modbus_fail(modbus, SB_CAUSE_REFUSED, "%s", error ? error : "no memory");
    int64_t number = json_integer_value(value);
    if (update->config->counts == SB_MODBUS_COUNTS_BYTES)
        number =
            number >= update->image.size ? update->image.blocks : number / update->config->block;
    *ret = number <= 0 || number > update->image.blocks ? SB_MODBUS_AT_ERASE : *ret;
    update->next = *ret == SB_MODBUS_AT_BLOCKS ? (uint32_t)number : 0;
    sb_session_note(modbus->session, "the device holds %lld of %u blocks", (long long)number,
                    update->image.blocks);
    return SB_CAUSE_NONE;
}

/* ---- the stages ---- */

static enum sb_cause keep(struct update *update, enum sb_modbus_stage stage)
{
    return sb_modbus_checkpoint(update->modbus,
                                json_pack("{s:s, s:s*}", "stage", sb_modbus_stage_name((int)stage),
                                          "sha256", update->modbus->command->image->sha256));
}

static enum sb_cause cook(struct update *update, const json_t *list, const char *what)
{
    const struct sb_modbus_scope scope = { .names = update->names };
    return sb_modbus_cook(update->modbus, list, &scope, what);
}

/* NONE: it is there. */
static enum sb_cause await_bootloader(struct update *update)
{
    struct sb_modbus *modbus = update->modbus;
    int64_t wait = update->config->bootloader.wait, begin = sb_session_now(modbus->session);
    for (;;) {
        int r = sb_modbus_in_bootloader(modbus);
        if (r != -ETIMEDOUT)
            return r < 0 ? sb_modbus_trouble(modbus, r) : SB_CAUSE_NONE;
        if (sb_session_now(modbus->session) - begin >= wait)
            return sb_modbus_fail(modbus, SB_CAUSE_INSTALL_FAILED,
                                  "its bootloader did not show up within %lld ms", (long long)wait);
        enum sb_cause cause = sb_modbus_wait(modbus, PAUSE_MS);
        if (cause != SB_CAUSE_NONE)
            return cause;
    }
}

static enum sb_cause do_enter(struct update *update)
{
    struct sb_modbus *modbus = update->modbus;
    const struct sb_modbus_bootloader *boot = &update->config->bootloader;
    sb_session_progress(modbus->session, SB_PHASE_STARTING, 0, 0);
    update->entered = true;
    enum sb_cause cause = cook(update, update->config->enter, "enter");
    if (boot->probe && cause != SB_CAUSE_OPERATOR && cause != SB_CAUSE_INTERNAL) {
        /* A request whose answer was lost is refused the second time: it is there already. */
        sb_cleanup(sb_freep) char *text = SB_STEAL(modbus->outcome->text);
        enum sb_cause there = await_bootloader(update);
        if (cause == SB_CAUSE_NONE || there != SB_CAUSE_INSTALL_FAILED)
            cause = there;
        else
            (void)sb_modbus_fail(modbus, cause, "%s", text ? text : "enter");
    }
    sb_modbus_tune(modbus, boot->unit, boot->baud);
    return cause;
}

static enum sb_cause do_erase(struct update *update)
{
    sb_session_progress(update->modbus->session, SB_PHASE_STARTING, 0, 0);
    update->next = 0;
    return cook(update, update->config->erase, "erase");
}

static enum sb_cause send_block(struct update *update, const uint8_t *bytes,
                                struct sb_modbus_block *block)
{
    struct sb_modbus *modbus = update->modbus;
    sb_modbus_sums_begin(&block->sums);
    sb_modbus_sums_add(&block->sums, bytes, block->n);
    sb_modbus_sums_end(&block->sums);
    sb_cleanup(json_decrefp) json_t *names = sb_modbus_block_names(&update->image, block);
    sb_cleanup(sb_freep) char *what =
        sb_format("block %u of %u", block->index + 1, update->image.blocks);
    if (!names || !what)
        return sb_modbus_trouble(modbus, -ENOMEM);
    const struct sb_modbus_scope scope = { .names = names, .data = bytes, .n = block->n };
    enum sb_cause cause = SB_CAUSE_NONE;
    for (int64_t i = 0; i < update->config->tries; i++) {
        cause = sb_modbus_cook(modbus, update->config->blocks, &scope, what);
        if (cause == SB_CAUSE_NONE || !modbus->repeat)
            break;
        sb_session_note(modbus->session, "%s", modbus->outcome->text);
    }
    return cause;
}

static enum sb_cause do_blocks(struct update *update)
{
    struct sb_modbus *modbus = update->modbus;
    const struct sb_modbus_firmware *config = update->config;
    uint8_t bytes[CHUNK_MAX];
    enum sb_cause cause = SB_CAUSE_NONE;
    for (uint32_t i = update->next; i < update->image.blocks; i++) {
        struct sb_modbus_block block = { .index = i, .offset = i * config->block };
        size_t n = (size_t)SB_MIN(update->image.size - block.offset, config->block);
        sb_session_progress(modbus->session, SB_PHASE_TRANSFERRING, (uint64_t)block.offset,
                            (uint64_t)update->image.size);
        if ((i - update->next) % (uint32_t)config->share == 0)
            sb_modbus_share(modbus);
        memset(bytes, (int)(config->pad < 0 ? 0xff : config->pad), (size_t)config->block);
        int r = sb_read_at(update->fd, config->skip + block.offset, bytes, n);
        if (r < 0)
            return sb_modbus_trouble(modbus, r);
        block.n = config->pad < 0 ? n : (size_t)config->block;
        cause = send_block(update, bytes, &block);
        if (cause != SB_CAUSE_NONE)
            return cause;
    }
    sb_session_progress(modbus->session, SB_PHASE_TRANSFERRING, 1, 1);
    return cause;
}

static enum sb_cause do_finish(struct update *update)
{
    sb_session_progress(update->modbus->session, SB_PHASE_VERIFYING, 0, 0);
    return cook(update, update->config->finish, "finish");
}

/* It is back with another version than the one that was sent. */
static enum sb_cause other_version(struct update *update, bool was_away)
{
    struct sb_modbus *modbus = update->modbus;
    const char *version = sb_modbus_version(modbus);
    if (version && sb_streq(version, update->before))
        return was_away ? sb_modbus_fail(modbus, SB_CAUSE_ROLLED_BACK,
                                         "after its restart the device runs %s as before", version)
                        : sb_modbus_fail(modbus, SB_CAUSE_INSTALL_FAILED,
                                         "the device does not restart: it still runs %s", version);
    if (version)
        return sb_modbus_fail(modbus, SB_CAUSE_VERSION_MISMATCH, "the device runs %s, not %s",
                              version, update->target ? update->target : "what was sent");
    return sb_modbus_fail(modbus, SB_CAUSE_OUTCOME_UNKNOWN,
                          "the device does not say which version it runs now");
}

/* Until the application is there with the new version; one that is slow to go gets its time. */
static enum sb_cause await_version(struct update *update)
{
    struct sb_modbus *modbus = update->modbus;
    int64_t begin = sb_session_now(modbus->session), total = sb_modbus_restart_time(modbus);
    bool was_away = false, away;
    enum sb_cause cause;
    do {
        cause = sb_modbus_watch(modbus, &away);
        was_away = was_away || away;
        if (cause == SB_CAUSE_NONE)
            cause = look_once(update);
        if (cause == SB_CAUSE_NONE && update->in_bootloader)
            return sb_modbus_fail(modbus, SB_CAUSE_INSTALL_FAILED,
                                  "after its restart the device stays in its bootloader: it does "
                                  "not take the image");
        if (cause != SB_CAUSE_NONE && cause != SB_CAUSE_LINK_LOST)
            return cause;
        if (cause == SB_CAUSE_NONE &&
            (is_current(update) || modbus->type->verify < SB_VERIFY_VERSION))
            return SB_CAUSE_NONE;
    } while (!was_away && sb_session_now(modbus->session) - begin < total);
    if (cause == SB_CAUSE_LINK_LOST && sb_modbus_in_bootloader(modbus) == 0)
        return sb_modbus_fail(modbus, SB_CAUSE_INSTALL_FAILED,
                              "after its restart only the device's bootloader answers: it does not "
                              "take the image");
    return cause == SB_CAUSE_NONE ? other_version(update, was_away) : cause;
}

static enum sb_cause do_reboot(struct update *update)
{
    struct sb_modbus *modbus = update->modbus;
    sb_session_progress(modbus->session, SB_PHASE_ACTIVATING, 0, 0);
    enum sb_cause cause = cook(update, update->config->reboot, "reboot");
    sb_modbus_tune(modbus, 0, 0);
    sb_session_progress(modbus->session, SB_PHASE_RESTARTING, 0, 0);
    return cause == SB_CAUSE_NONE ? await_version(update) : cause;
}

static enum sb_cause (*const stages[])(struct update *) = {
    [SB_MODBUS_AT_ENTER] = do_enter,   [SB_MODBUS_AT_ERASE] = do_erase,
    [SB_MODBUS_AT_BLOCKS] = do_blocks, [SB_MODBUS_AT_FINISH] = do_finish,
    [SB_MODBUS_AT_REBOOT] = do_reboot,
};

static const enum sb_phase phases[] = {
    [SB_MODBUS_AT_ENTER] = SB_PHASE_STARTING,      [SB_MODBUS_AT_ERASE] = SB_PHASE_STARTING,
    [SB_MODBUS_AT_BLOCKS] = SB_PHASE_TRANSFERRING, [SB_MODBUS_AT_FINISH] = SB_PHASE_VERIFYING,
    [SB_MODBUS_AT_REBOOT] = SB_PHASE_ACTIVATING,
};

static enum sb_cause go(struct update *update, enum sb_modbus_stage stage)
{
    enum sb_cause cause = SB_CAUSE_NONE;
    json_decref(SB_STEAL(update->modbus->outcome->after.versions)); /* soon no longer true */
    update->modbus->outcome->after.idle = false;
    for (; cause == SB_CAUSE_NONE && stage < SB_MODBUS_STAGE_MAX_; stage++) {
        if ((int)stage >= update->config->commit)
            cause = sb_modbus_commit(update->modbus);
        if (cause == SB_CAUSE_NONE)
            cause = keep(update, stage);
        update->modbus->phase = phases[stage];
        if (cause == SB_CAUSE_NONE)
            cause = stages[stage](update);
    }
    return cause;
}

/* Cancelled: the device is told so, as its type says; that is the last word. */
static enum sb_cause abort_it(struct update *update)
{
    struct sb_modbus *modbus = update->modbus;
    if (!update->config->abort || !update->entered || sb_session_part(modbus->session) < 0)
        return SB_CAUSE_OPERATOR;
    sb_session_note(modbus->session, "cancelled: the abort steps follow");
    modbus->shares = false;
    if (cook(update, update->config->abort, "abort") != SB_CAUSE_NONE)
        sb_session_note(modbus->session, "%s",
                        modbus->outcome->text ? modbus->outcome->text : "abort failed");
    return sb_modbus_fail(modbus, SB_CAUSE_OPERATOR, "stopped");
}

static enum sb_cause update_it(struct update *update)
{
    struct sb_modbus *modbus = update->modbus;
    sb_session_progress(modbus->session, SB_PHASE_STARTING, 0, 0);
    enum sb_cause cause = look(update);
    if (cause != SB_CAUSE_NONE)
        return cause;
    if (is_current(update)) {
        modbus->said = modbus->command->resumed ? "the device runs the image"
                                                : "the device had the version already";
        return SB_CAUSE_NONE;
    }
    enum sb_modbus_stage stage = first_stage(update);
    if (stage == SB_MODBUS_AT_ENTER || !update->in_bootloader)
        cause = check_downgrade(update);
    if (cause == SB_CAUSE_NONE && stage == SB_MODBUS_AT_BLOCKS)
        cause = find_block(update, &stage);
    update->entered = stage > SB_MODBUS_AT_ENTER && update->in_bootloader;
    modbus->said = "the device runs the image";
    return cause == SB_CAUSE_NONE ? go(update, stage) : cause;
}

static enum sb_cause tell(struct update *update)
{
    struct sb_modbus *modbus = update->modbus;
    bool by_version = is_current(update);
    modbus->outcome->verified = (char *)(by_version ? "version" : "status");
    modbus->outcome->result = json_pack("{s:s*, s:s*}", "version", sb_modbus_version(modbus),
                                        "sha256", modbus->command->image->sha256);
    return modbus->outcome->result ? SB_CAUSE_NONE : sb_modbus_trouble(modbus, -ENOMEM);
}

enum sb_cause sb_modbus_op_update(struct sb_modbus *modbus)
{
    struct update update = { .modbus = modbus, .config = &modbus->config->firmware, .fd = -1 };
    modbus->shares = true;
    enum sb_cause cause = open_image(&update);
    if (cause == SB_CAUSE_NONE)
        cause = update_it(&update);
    if (cause == SB_CAUSE_OPERATOR && !modbus->committed)
        cause = abort_it(&update);
    if (cause == SB_CAUSE_NONE)
        cause = tell(&update);
    if (update.fd >= 0)
        (void)close(update.fd);
    json_decref(update.names);
    free(update.target);
    free(update.before);
    return cause;
}
