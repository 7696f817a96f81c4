/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver "smp" against a simulated device: what it does when all goes well, resumes, and
 * refusals.
 */
#include "tests/unit/smp_bench.h"

#include <errno.h>
#include <sys/stat.h>

#include "adapters/devices/smp/driver.h"

#define UPDATE   SB_OP_FIRMWARE_UPDATE
#define DOWNLOAD SB_OP_FIRMWARE_DOWNLOAD
#define INSTALL  SB_OP_FIRMWARE_INSTALL

static bool saw(const struct bench *bench, enum sb_phase phase)
{
    return bench->phases & 1u << phase;
}

static void zephyr(struct bench *bench)
{
    const char *old = bench_image(bench, "old.bin", "1.0.0", 4000, NULL);
    bench_device(bench, "--image", old, NULL);
}

static void mcuboot(struct bench *bench)
{
    const char *old = bench_image(bench, "old.bin", "1.0.0", 4000, NULL);
    bench_device(bench, "--kind", "mcuboot", "--image", old, NULL);
}

static void assert_runs(struct bench *bench, const char *version, bool confirmed)
{
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), version);
    sb_cleanup(json_decrefp) json_t *boot = bench_last(bench, "boot");
    assert_string_equal(sb_json_str(boot, "version"), version);
    sb_cleanup(sb_freep) char *path = sb_format("%s/flash/state.json", bench->folder);
    sb_cleanup(json_decrefp) json_t *flash = json_load_file(path, 0, NULL);
    assert_int_equal(sb_json_bool(flash, "confirmed", !confirmed), confirmed);
}

#define ON_BENCH(test) SB_TEST_OF(struct bench *bench, test, bench_setup, bench_teardown)

ON_BENCH(test_identify)
{
    zephyr(bench);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "1.0.0");
    assert_string_equal(sb_json_str(bench->outcome.after.identity, "hardware"), "frdm_k64f");
    assert_true(bench->outcome.after.idle);
    assert_null(bench->outcome.text);
    assert_null(bench->outcome.native.code);
}

ON_BENCH(test_identify_a_bootloader)
{
    mcuboot(bench);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "1.0.0");
    assert_null(bench->outcome.after.identity);
}

ON_BENCH(test_whole_update)
{
    zephyr(bench);
    const char *new = bench_image(bench, "new.bin", "1.1.0+7", 60000, NULL);
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "1.1.0.7");
    assert_string_equal(bench->outcome.verified, "hash");
    assert_false(bench->outcome.stopped);
    assert_string_equal(sb_json_str(bench->outcome.result, "version"), "1.1.0.7");
    assert_int_equal(bench->percent, 100);
    assert_int_equal(bench->commits, 1);
    assert_string_equal(sb_json_str(bench->checkpoint, "stage"), "confirm");
    const enum sb_phase wanted[] = {
        SB_PHASE_STARTING,   SB_PHASE_TRANSFERRING, SB_PHASE_VERIFYING,
        SB_PHASE_ACTIVATING, SB_PHASE_RESTARTING,   SB_PHASE_CONFIRMING
    };
    for (size_t i = 0; i < SB_COUNT(wanted); i++)
        assert_true(saw(bench, wanted[i]));
    assert_runs(bench, "1.1.0.7", true);
    assert_int_equal(bench_events(bench, "swap"), 1);
    assert_int_equal(bench_events(bench, "revert"), 0);
    assert_int_equal(bench_events(bench, "reset"), 1);

    /* The device's buffer is used well: 1024 bytes hold at least 900 of data. */
    assert_in_range(bench_events(bench, "upload"), 60, 67);

    /* Once more: nothing is touched. */
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_NONE);
    assert_string_equal(bench->outcome.text, "the device had the image already");
    assert_int_equal(bench->commits, 0);
    assert_int_equal(bench_events(bench, "reset"), 1);
    assert_int_equal(bench_events(bench, "uploaded"), 1);
}

ON_BENCH(test_update_through_a_bootloader)
{
    mcuboot(bench);
    const char *new = bench_image(bench, "new.bin", "2.0.0", 30000, "--protected");
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_NONE);
    assert_runs(bench, "2.0.0", true);
    sb_cleanup(json_decrefp) json_t *uploaded = bench_last(bench, "uploaded");
    assert_int_equal(sb_json_int(uploaded, "slot", -1), 1); /* found by slot info */
}

ON_BENCH(test_straight_into_the_first_slot)
{
    bench_type(bench, "  tries: 6\n  method: direct\n", NULL);
    const char *old = bench_image(bench, "old.bin", "1.0.0", 4000, NULL);
    bench_device(bench, "--kind", "mcuboot", "--image", old, "--primary", NULL);
    const char *new = bench_image(bench, "new.bin", "2.0.0", 20000, NULL);
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_NONE);
    assert_runs(bench, "2.0.0", true);
    assert_int_equal(bench_events(bench, "swap"), 0);
    assert_int_equal(bench_events(bench, "reset"), 1);
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "reset"), 1);

    /* Method test on such a device: it says itself that it wrote the slot it boots from. */
    bench_type(bench, "  tries: 6\n", NULL);
    const char *newer = bench_image(bench, "newer.bin", "3.0.0", 20000, NULL);
    assert_cause(bench_run(bench, UPDATE, NULL, newer), SB_CAUSE_NONE);
    assert_runs(bench, "3.0.0", true);
    assert_int_equal(bench_events(bench, "reset"), 2);
}

ON_BENCH(test_a_device_that_leaves_for_its_application)
{
    bench_type(bench, "  tries: 6\n  method: direct\n  returns: false\n", NULL);
    const char *old = bench_image(bench, "old.bin", "1.0.0", 4000, NULL);
    bench_device(bench, "--kind", "mcuboot", "--image", old, "--primary", "--fault",
                 "dead_after_reset", NULL);
    const char *new = bench_image(bench, "new.bin", "2.0.0", 9000, NULL);
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "2.0.0"); /* as listed before it left */
    assert_int_equal(bench_events(bench, "reset"), 1);
}

ON_BENCH(test_download_then_install_on_the_device)
{
    bench_type(bench, "  tries: 6\n  stage: device\n", NULL);
    zephyr(bench);
    const char *new = bench_image(bench, "new.bin", "1.1.0", 20000, NULL);
    assert_int_equal(sb_smp_driver.caps(bench->type),
                     SB_CAP_CANCEL | SB_CAP_READS_VERSION | SB_CAP_STAGE_ON_DEVICE);
    assert_cause(bench_run(bench, INSTALL, NULL, NULL), SB_CAUSE_NOT_READY);
    assert_cause(bench_run(bench, DOWNLOAD, NULL, new), SB_CAUSE_NONE);
    assert_int_equal(bench->commits, 0);
    assert_string_equal(bench_version(bench), "1.0.0");
    assert_int_equal(bench_events(bench, "reset"), 0);
    assert_cause(bench_run(bench, INSTALL, NULL, NULL), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "uploaded"), 1);
    assert_runs(bench, "1.1.0", true);
}

ON_BENCH(test_left_unconfirmed)
{
    zephyr(bench);
    const char *new = bench_image(bench, "new.bin", "1.1.0", 8000, NULL);
    bench->command.confirm = SB_CONFIRM_MANUAL;
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_NONE);
    assert_non_null(strstr(bench->outcome.text, "unconfirmed"));
    assert_runs(bench, "1.1.0", false);
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_NONE); /* it has it, and no more */
    assert_non_null(strstr(bench->outcome.text, "unconfirmed"));
    bench->command.confirm = SB_CONFIRM_AUTO; /* later it is: only the confirm is missing */
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "reset"), 1);
    assert_runs(bench, "1.1.0", true);
}

#define KEEP                                                                                       \
    "confirm: manual\n"                                                                            \
    "actions:\n"                                                                                   \
    "  keep: { confirm: true }\n"

static enum sb_cause keep(struct bench *bench)
{
    return bench_run(bench, SB_OP_INVOKE, "{\"action\":\"keep\"}", NULL);
}

ON_BENCH(test_confirmed_by_a_person)
{
    bench_type(bench, NULL, KEEP);
    zephyr(bench);
    assert_cause(keep(bench), SB_CAUSE_NOT_READY);
    assert_non_null(strstr(bench->outcome.text, "runs 1.0.0, and that is permanent"));
    const char *new = bench_image(bench, "new.bin", "1.1.0", 8000, NULL);
    bench->command.confirm = SB_CONFIRM_MANUAL;
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_NONE);
    assert_cause(keep(bench), SB_CAUSE_NONE);
    assert_string_equal(bench->outcome.text, "the image that runs is permanent now");
    assert_string_equal(sb_json_str(bench->outcome.result, "version"), "1.1.0");
    assert_int_equal(bench_events(bench, "reset"), 1);
    assert_runs(bench, "1.1.0", true);
}

/* Interrupted when it was about to be told: told again, or seen to be done; or to be lost. */
ON_BENCH(test_an_interrupted_confirm)
{
    static const char *const keeping = "{\"action\":\"keep\"}";
    bench_type(bench, NULL, KEEP);
    zephyr(bench);
    bench->command.confirm = SB_CONFIRM_MANUAL;
    const char *new = bench_image(bench, "new.bin", "1.1.0", 8000, NULL);
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_NONE);
    bench->at_stage = "confirm";
    bench->die_at_stage = true;
    (void)keep(bench);
    assert_true(bench->died);
    bench->die_at_stage = false;
    assert_cause(bench_resume(bench, SB_OP_INVOKE, keeping, NULL, true), SB_CAUSE_NONE);
    assert_runs(bench, "1.1.0", true);
    assert_cause(bench_resume(bench, SB_OP_INVOKE, keeping, NULL, true), SB_CAUSE_NONE);

    new = bench_image(bench, "newer.bin", "1.2.0", 8000, NULL);
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_NONE);
    json_t *kept = json_pack("{s:s,s:O}", "stage", "confirm", "hash",
                             json_object_get(bench->outcome.result, "hash"));
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_NONE); /* somebody else's */
    json_decref(bench->checkpoint);
    bench->checkpoint = kept;
    assert_cause(bench_resume(bench, SB_OP_INVOKE, keeping, NULL, true), SB_CAUSE_ROLLED_BACK);
}

ON_BENCH(test_what_the_device_holds_is_not_sent_again)
{
    zephyr(bench);
    const char *new = bench_image(bench, "new.bin", "1.1.0", 8000, NULL);
    bench->at_stage = "test";
    bench->stop_at_stage = true;
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_OPERATOR);
    assert_true(bench->outcome.stopped);
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "uploaded"), 1);
    assert_runs(bench, "1.1.0", true);
}

/* ---- resume ---- */

static void stop_and_resume(struct bench *bench)
{
    const char *new = bench_image(bench, "new.bin", "1.1.0", 80000, NULL);
    bench_say(bench, "set slow 0.01");
    bench->stop_at_percent = 30;
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_OPERATOR);
    assert_int_equal(bench->stopped, 0);
    assert_true(bench->outcome.stopped);
    int blocks = bench_events(bench, "upload");
    assert_cause(bench_resume(bench, UPDATE, NULL, new, false), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "erase"), 1); /* not begun anew */
    assert_true(bench_noted(bench, "upload goes on at"));
    assert_in_range(bench_events(bench, "upload"), blocks, 95);
    assert_runs(bench, "1.1.0", true);
}

ON_BENCH(test_resume_zephyr)
{
    zephyr(bench);
    stop_and_resume(bench);
}

ON_BENCH(test_resume_mcuboot)
{
    mcuboot(bench);
    stop_and_resume(bench);
}

ON_BENCH(test_resume_without_a_checkpoint_by_the_files_sha)
{
    zephyr(bench);
    const char *new = bench_image(bench, "new.bin", "1.1.0", 60000, NULL);
    bench_say(bench, "set slow 0.01");
    bench->stop_at_percent = 30;
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_OPERATOR);
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "resume"), 1);
    assert_int_equal(bench_events(bench, "erase"), 1);
}

ON_BENCH(test_a_resume_over_another_file_starts_again)
{
    mcuboot(bench);
    const char *other = bench_image(bench, "other.bin", "1.0.5", 60000, NULL);
    const char *new = bench_image(bench, "new.bin", "1.1.0", 60000, NULL);
    bench_say(bench, "set slow 0.01");
    bench->stop_at_percent = 30;
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_OPERATOR);
    sb_cleanup(json_decrefp) json_t *checkpoint = json_incref(bench->checkpoint);
    bench_say(bench, "set slow 0.01");
    bench->stop_at_percent = 30;
    assert_cause(bench_run(bench, UPDATE, NULL, other), SB_CAUSE_OPERATOR);
    json_decref(bench->checkpoint);
    bench->checkpoint = json_incref(checkpoint); /* of the first file */
    bench->forgets = true;
    assert_cause(bench_resume(bench, UPDATE, NULL, new, false), SB_CAUSE_NONE);
    assert_true(bench_noted(bench, "once more from the start"));
    assert_runs(bench, "1.1.0", true);
}

/* The gateway dies at each kept point, and goes on from what it kept. */
ON_BENCH(test_crash_at_every_stage)
{
    static const struct {
        const char *stage;
        bool committed;
    } stages[] = { { "upload", false }, { "test", false }, { "reset", true }, { "confirm", true } };
    zephyr(bench);
    for (size_t i = 0; i < SB_COUNT(stages); i++) {
        sb_cleanup(sb_freep) char *version = sb_format("1.%zu.0", i + 1);
        const char *new = bench_image(bench, "new.bin", version, 9000, NULL);
        int resets = bench_events(bench, "reset");
        bench->at_stage = stages[i].stage;
        bench->die_at_stage = true;
        (void)bench_run(bench, UPDATE, NULL, new);
        assert_true(bench->died);
        assert_string_equal(sb_json_str(bench->checkpoint, "stage"), stages[i].stage);
        bench->die_at_stage = false;
        assert_cause(bench_resume(bench, UPDATE, NULL, new, stages[i].committed), SB_CAUSE_NONE);
        assert_int_equal(bench_events(bench, "reset"), resets + 1); /* once, wherever it died */
        assert_runs(bench, version, true);
    }
    assert_int_equal(bench_events(bench, "revert"), 0);
}

ON_BENCH(test_a_store_that_fails_stops_before_the_step)
{
    zephyr(bench);
    const char *new = bench_image(bench, "new.bin", "1.1.0", 9000, NULL);
    bench->at_stage = "reset";
    bench->refuse_at_stage = -ENOSPC;
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_INTERNAL);
    assert_int_equal(bench_events(bench, "reset"), 0);
}

/* ---- refusals before a byte is sent ---- */

ON_BENCH(test_downgrade)
{
    zephyr(bench);
    const char *older = bench_image(bench, "older.bin", "0.9.9", 8000, NULL);
    assert_cause(bench_run(bench, UPDATE, NULL, older), SB_CAUSE_DOWNGRADE_REFUSED);
    assert_string_equal(bench->outcome.text, "the device runs 1.0.0, the image is 0.9.9");
    assert_string_equal(bench_version(bench), "1.0.0");
    assert_int_equal(bench_events(bench, "erase"), 0);
    bench->command.allow_downgrade = true;
    assert_cause(bench_run(bench, UPDATE, NULL, older), SB_CAUSE_NONE);
    assert_runs(bench, "0.9.9", true);
}

ON_BENCH(test_too_large)
{
    const char *old = bench_image(bench, "old.bin", "1.0.0", 4000, NULL);
    bench_device(bench, "--image", old, "--slot-size", "10000", NULL);
    const char *new = bench_image(bench, "new.bin", "1.1.0", 10001, NULL);
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_NO_SPACE);
    assert_int_equal(bench_events(bench, "erase"), 0);
    bench_type(bench, NULL, "max_image: 8K\n");
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_NO_SPACE);
}

ON_BENCH(test_too_large_as_the_device_says)
{
    const char *old = bench_image(bench, "old.bin", "1.0.0", 4000, NULL);
    bench_device(bench, "--kind", "mcuboot", "--image", old, "--slot-size", "10000",
                 "--no-slot-info", NULL);
    const char *new = bench_image(bench, "new.bin", "1.1.0", 10001, NULL);
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_UNSUPPORTED_IMAGE);
    assert_string_equal(bench->outcome.native.dialect, "smp");
    assert_string_equal(bench->outcome.native.vocabulary, "rc");
    assert_string_equal(bench->outcome.native.code, "3");
}

ON_BENCH(test_no_image)
{
    zephyr(bench);
    sb_cleanup(sb_freep) char *script = sb_format("%s/bench.yaml", bench->folder);
    assert_cause(bench_run(bench, UPDATE, NULL, script), SB_CAUSE_UNSUPPORTED_IMAGE);
    assert_int_equal(bench_events(bench, "request"), 0); /* not even asked */
    bench->image.module = "radio";
    const char *new = bench_image(bench, "new.bin", "1.1.0", 8000, NULL);
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_INVALID_REQUEST);
    bench->image.module = NULL;
}

/* ---- the other operations ---- */

static const char properties[] = "properties:\n"
                                 "  interval: { setting: app/interval, type: u32 }\n"
                                 "  name: { setting: app/name, type: string }\n"
                                 "  gain: { setting: app/gain, type: f32, endian: big }\n"
                                 "  serial: { setting: ro/serial, type: string }\n"
                                 "  limited: { setting: limited/x, type: u8 }\n"
                                 "  ghost: { setting: app/ghost, type: u8 }\n"
                                 "  key: { setting: app/key, type: bytes, access: write }\n";

static void settings(struct bench *bench, const char *smp)
{
    bench_type(bench, smp, properties);
    const char *old = bench_image(bench, "old.bin", "1.0.0", 4000, NULL);
    bench_device(bench, "--image", old, "--setting", "app/interval=3c000000", "--setting",
                 "app/name=70756d70", "--setting", "app/gain=3fc00000", "--setting",
                 "ro/serial=534e31", "--setting", "limited/x=05", "--setting", "app/key=", NULL);
}

static void assert_result(struct bench *bench, const char *json)
{
    sb_cleanup(json_decrefp) json_t *wanted = json_loads(json, 0, NULL);
    assert_non_null(wanted);
    if (!json_equal(wanted, bench->outcome.result)) {
        sb_cleanup(sb_freep) char *got = sb_json_text(bench->outcome.result);
        fail_msg("got %s", got ? got : "nothing");
    }
}

ON_BENCH(test_read)
{
    settings(bench, NULL);
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"interval\",\"gain\",\"name\"]}", NULL),
                 SB_CAUSE_NONE);
    assert_result(bench, "{\"interval\":60,\"gain\":1.5,\"name\":\"pump\"}");
    assert_true(json_equal(bench->outcome.result, bench->outcome.after.properties));

    /* One that is not there does not hide the others. */
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"ghost\",\"interval\"]}", NULL),
                 SB_CAUSE_INVALID_REQUEST);
    assert_result(bench, "{\"interval\":60}");
    assert_string_equal(bench->outcome.text, "ghost: no such setting (err:3 3)");
    assert_string_equal(bench->outcome.native.vocabulary, "err:3");

    /* Without names: all that can be read. */
    (void)bench_run(bench, SB_OP_READ, "{}", NULL);
    assert_int_equal(json_object_size(bench->outcome.result), 5);
}

ON_BENCH(test_write)
{
    settings(bench, NULL);
    assert_cause(bench_run(bench, SB_OP_WRITE,
                           "{\"values\":{\"interval\":5,\"name\":\"fan\",\"key\":\"00ff\"}}", NULL),
                 SB_CAUSE_NONE);
    assert_result(bench, "{\"interval\":5,\"name\":\"fan\"}"); /* key cannot be read back */
    assert_int_equal(bench_events(bench, "save"), 0);
    assert_cause(bench_run(bench, SB_OP_WRITE, "{\"values\":{\"limited\":200}}", NULL),
                 SB_CAUSE_VERIFY_FAILED);
    assert_cause(bench_run(bench, SB_OP_WRITE, "{\"values\":{\"serial\":\"X\"}}", NULL),
                 SB_CAUSE_UNSUPPORTED);
    assert_string_equal(bench->outcome.native.code, "6");
    assert_cause(bench_run(bench, SB_OP_WRITE, "{\"values\":{\"interval\":-1}}", NULL),
                 SB_CAUSE_INVALID_REQUEST);
    assert_cause(bench_run(bench, SB_OP_WRITE, "{\"values\":{\"speed\":1}}", NULL),
                 SB_CAUSE_INVALID_REQUEST);
}

ON_BENCH(test_configure_is_kept_over_a_restart)
{
    settings(bench, NULL);
    assert_cause(bench_run(bench, SB_OP_CONFIGURE, "{\"values\":{\"interval\":7}}", NULL),
                 SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "commit"), 1);
    assert_int_equal(bench_events(bench, "save"), 1);
    assert_cause(bench_run(bench, SB_OP_WRITE, "{\"values\":{\"name\":\"gone\"}}", NULL),
                 SB_CAUSE_NONE);
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_NONE);
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"interval\",\"name\"]}", NULL),
                 SB_CAUSE_NONE);
    assert_result(bench, "{\"interval\":7,\"name\":\"pump\"}");
}

ON_BENCH(test_configure_by_a_package)
{
    settings(bench, NULL);
    sb_cleanup(sb_freep) char *path = sb_format("%s/values.json", bench->folder);
    json_t *values = json_pack("{s:i}", "interval", 9);
    assert_int_equal(json_dump_file(values, path, 0), 0);
    json_decref(values);
    assert_cause(bench_run(bench, SB_OP_CONFIGURE, "{}", path), SB_CAUSE_NONE);
    assert_result(bench, "{\"interval\":9}");
    sb_cleanup(sb_freep) char *other = sb_format("%s/bench.yaml", bench->folder);
    assert_cause(bench_run(bench, SB_OP_CONFIGURE, "{}", other), SB_CAUSE_INVALID_REQUEST);
    assert_cause(bench_run(bench, SB_OP_CONFIGURE, "{}", NULL), SB_CAUSE_INVALID_REQUEST);
}

ON_BENCH(test_a_bootloader_has_no_settings)
{
    bench_type(bench, NULL, properties);
    mcuboot(bench);
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"interval\"]}", NULL),
                 SB_CAUSE_UNSUPPORTED);
    assert_string_equal(bench->outcome.native.code, "8");
}

ON_BENCH(test_settings_of_an_old_server)
{
    bench_type(bench, NULL, properties);
    const char *old = bench_image(bench, "old.bin", "1.0.0", 4000, NULL);
    bench_device(bench, "--image", old, "--protocol", "0", "--setting", "app/interval=01000000",
                 NULL);
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"interval\",\"ghost\"]}", NULL),
                 SB_CAUSE_INVALID_REQUEST);
    assert_result(bench, "{\"interval\":1}");
    assert_string_equal(bench->outcome.text, "ghost: no such entry (rc 5)");
}

ON_BENCH(test_actions)
{
    bench_type(bench, NULL,
               "actions:\n"
               "  add: { group: 64, command: 1, payload: { a: 1, b: 2 } }\n"
               "  count: { group: 64, command: 2, op: write }\n"
               "  fail: { group: 64, command: 3 }\n"
               "  deep: { group: 64, command: 4 }\n"
               "  nothing: { group: 65, command: 0 }\n");
    zephyr(bench);
    assert_cause(bench_run(bench, SB_OP_INVOKE,
                           "{\"action\":\"add\",\"arguments\":{\"b\":40,\"c\":[1]}}", NULL),
                 SB_CAUSE_NONE);
    assert_result(bench, "{\"sum\":41,\"got\":{\"a\":1,\"b\":40,\"c\":[1]}}");
    assert_int_equal(bench->commits, 0);

    assert_cause(bench_run(bench, SB_OP_INVOKE, "{\"action\":\"count\"}", NULL), SB_CAUSE_NONE);
    assert_result(bench, "{\"count\":1,\"raw\":\"00ff\"}");
    assert_int_equal(bench->commits, 1);

    assert_cause(bench_run(bench, SB_OP_INVOKE, "{\"action\":\"fail\"}", NULL), SB_CAUSE_REFUSED);
    assert_string_equal(bench->outcome.native.vocabulary, "err:64");
    assert_string_equal(bench->outcome.native.code, "77");
    assert_cause(bench_run(bench, SB_OP_INVOKE, "{\"action\":\"nothing\"}", NULL),
                 SB_CAUSE_UNSUPPORTED);
    assert_cause(bench_run(bench, SB_OP_INVOKE, "{\"action\":\"deep\"}", NULL),
                 SB_CAUSE_LINK_LOST); /* no answer that could be read */

    /* What counts is not asked twice. */
    bench_say(bench, "set silent_answers 1");
    assert_cause(bench_run(bench, SB_OP_INVOKE, "{\"action\":\"count\"}", NULL),
                 SB_CAUSE_OUTCOME_UNKNOWN);
    assert_int_equal(bench_events(bench, "counted"), 2);
}

ON_BENCH(test_an_interrupted_action)
{
    bench_type(bench, NULL, "actions: { count: { group: 64, command: 2, op: write } }\n");
    zephyr(bench);
    const char *count = "{\"action\":\"count\"}";
    assert_cause(bench_resume(bench, SB_OP_INVOKE, count, NULL, true), SB_CAUSE_OUTCOME_UNKNOWN);
    assert_int_equal(bench_events(bench, "counted"), 0);
    assert_cause(bench_resume(bench, SB_OP_INVOKE, count, NULL, false), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "counted"), 1);
}

ON_BENCH(test_factory_reset_by_erasing)
{
    settings(bench, "  factory_reset: { method: erase_storage, restart: true }\n");
    assert_cause(bench_run(bench, SB_OP_CONFIGURE, "{\"values\":{\"interval\":7}}", NULL),
                 SB_CAUSE_NONE);
    assert_cause(bench_run(bench, SB_OP_FACTORY_RESET, NULL, NULL), SB_CAUSE_NONE);
    assert_int_equal(bench->commits, 1);
    assert_int_equal(bench_events(bench, "erase-storage"), 1);
    assert_int_equal(bench_events(bench, "boot"), 2);
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"interval\"]}", NULL), SB_CAUSE_NONE);
    assert_result(bench, "{\"interval\":60}");
}

ON_BENCH(test_factory_reset_by_settings)
{
    settings(bench, "  factory_reset: { method: settings, writes: { interval: 11, name: new } }\n");
    assert_cause(bench_run(bench, SB_OP_FACTORY_RESET, NULL, NULL), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "save"), 1);
    assert_result(bench, "{\"interval\":11,\"name\":\"new\"}");
}

ON_BENCH(test_factory_reset_by_a_request)
{
    bench_type(bench,
               "  factory_reset: { method: request, "
               "request: { group: 64, command: 2, op: write } }\n",
               NULL);
    zephyr(bench);
    assert_cause(bench_run(bench, SB_OP_FACTORY_RESET, NULL, NULL), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "counted"), 1);
    bench_type(bench, NULL, NULL); /* a type that does not say how */
    assert_cause(bench_run(bench, SB_OP_FACTORY_RESET, NULL, NULL), SB_CAUSE_UNSUPPORTED);
}

ON_BENCH(test_reboot)
{
    zephyr(bench);
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "boot"), 2);
    assert_int_equal(bench->commits, 1);
    assert_true(saw(bench, SB_PHASE_RESTARTING));
    assert_string_equal(bench_version(bench), "1.0.0");

    /* Interrupted right after the commit point: nobody can know. */
    json_decref(SB_STEAL(bench->checkpoint));
    assert_cause(bench_resume(bench, SB_OP_REBOOT, NULL, NULL, true), SB_CAUSE_OUTCOME_UNKNOWN);
    assert_int_equal(bench_events(bench, "reset"), 1);
    /* Interrupted before: done now. */
    assert_cause(bench_resume(bench, SB_OP_REBOOT, NULL, NULL, false), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "reset"), 2);
}

ON_BENCH(test_a_reboot_that_was_agreed_to_before_a_crash)
{
    zephyr(bench);
    bench->at_stage = "restart";
    bench->die_at_stage = true;
    (void)bench_run(bench, SB_OP_REBOOT, NULL, NULL);
    assert_true(bench->died);
    bench_wait_event(bench, "up", 2); /* too quick to be seen */
    assert_cause(bench_resume(bench, SB_OP_REBOOT, NULL, NULL, true), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "reset"), 1);
    assert_int_equal(bench_events(bench, "boot"), 2);
}

ON_BENCH(test_a_reboot_that_is_seen_after_a_crash)
{
    const char *old = bench_image(bench, "old.bin", "1.0.0", 4000, NULL);
    bench_device(bench, "--image", old, "--boot-time", "2.5", NULL);
    bench_say(bench, "reset"); /* it is on its way down while the gateway starts */
    assert_cause(bench_resume(bench, SB_OP_REBOOT, NULL, NULL, true), SB_CAUSE_NONE);
}
