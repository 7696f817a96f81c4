/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware by block recipes: the whole way, resumes after a crash of either side at any stage,
 * cancels, and devices that do not take the image.
 */
#include <errno.h>

#include "tests/unit/modbus_bench.h"

#define SIZE   2000 /* 16 blocks */
#define BLOCKS 16

static void typed(struct bench *bench)
{
    bench_type(bench, bench_firmware(NULL, NULL), NULL);
}

static int orders(struct bench *bench, int order)
{
    sb_cleanup(sb_freep) char *log = bench_path(bench, "events");
    FILE *file = fopen(log, "re");
    char line[4096];
    int count = 0;
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        json_t *json = json_loads(line, 0, NULL);
        count +=
            sb_streq(sb_json_str(json, "event"), "order") && sb_json_int(json, "order", 0) == order;
        json_decref(json);
    }
    (void)fclose(file);
    return count;
}

#define ON_BENCH(test) SB_TEST_OF(struct bench *bench, test, bench_setup, bench_modbus_teardown)

ON_BENCH(test_whole_update)
{
    typed(bench);
    bench_line(bench, NULL, NULL);
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "2.0.0");
    assert_string_equal(bench->outcome.verified, "version");
    assert_string_equal(bench->outcome.text, "the device runs the image");
    assert_string_equal(sb_json_str(bench->outcome.result, "version"), "2.0.0");
    assert_int_equal(bench_events(bench, "block"), BLOCKS);
    assert_int_equal(bench->percent, 100);
    assert_int_equal(bench->commits, 1);
    assert_int_equal(bench_events(bench, "damaged"), 0);
    const enum sb_phase wanted[] = { SB_PHASE_STARTING, SB_PHASE_TRANSFERRING, SB_PHASE_VERIFYING,
                                     SB_PHASE_ACTIVATING, SB_PHASE_RESTARTING };
    for (size_t i = 0; i < SB_COUNT(wanted); i++)
        assert_true(bench->phases & 1u << wanted[i]);
}

ON_BENCH(test_what_it_has_is_not_sent_again)
{
    typed(bench);
    bench_line(bench, "\"version\": \"2.0.0\"", NULL);
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_NONE);
    assert_string_equal(bench->outcome.text, "the device had the version already");
    assert_int_equal(bench_events(bench, "order") + bench_events(bench, "write"), 0);
}

ON_BENCH(test_downgrade)
{
    typed(bench);
    bench_line(bench, "\"version\": \"3.0.0\"", NULL);
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_DOWNGRADE_REFUSED);
    assert_int_equal(bench_events(bench, "write"), 0);
    bench->command.allow_downgrade = true;
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "2.0.0");
}

/* Law: success is read back; a job that names no version cannot be. */
ON_BENCH(test_a_version_is_needed)
{
    typed(bench);
    bench_line(bench, NULL, NULL);
    assert_cause(bench_update(bench, NULL, SIZE), SB_CAUSE_INVALID_REQUEST);
    assert_int_equal(bench_events(bench, "write"), 0);
    bench_type(bench, bench_firmware(NULL, "    version_at: 4\n    version_length: 12\n"), NULL);
    const char *path = bench_image(bench, "2.5.0", SIZE); /* the file says it */
    bench->image.version = NULL;
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, path), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "2.5.0");
    bench_type(bench, bench_firmware(NULL, "    version_at: 100\n    version_length: 60\n"), NULL);
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, path), SB_CAUSE_INVALID_REQUEST);
}

ON_BENCH(test_another_address_and_speed_in_the_bootloader)
{
    bench_type(bench, bench_firmware("      unit: 247\n      baud: 19200\n", NULL), NULL);
    bench_line(bench, "\"baud\": 115200, \"boot_unit\": 247, \"boot_baud\": 19200", NULL);
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "2.0.0");
    /* the line is as it was */
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"interval\"]}", NULL), SB_CAUSE_NONE);
}

/* Left there by whoever: it can be seen, and updated. */
ON_BENCH(test_a_device_in_its_bootloader)
{
    bench_type(bench, bench_firmware("      unit: 247\n      baud: 19200\n", NULL), NULL);
    bench_line(bench, "\"baud\": 115200, \"boot_unit\": 247, \"boot_baud\": 19200", NULL);
    assert_cause(bench_run(bench, SB_OP_WRITE, "{\"values\":{\"low\":1}}", NULL), SB_CAUSE_NONE);
    bench_say(bench, "set 1.die_at_block 3");
    bench->stop_at_percent = 30;
    (void)bench_update(bench, "2.0.0", SIZE);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    assert_true(bench->outcome.after.idle);
    assert_null(bench->outcome.after.versions);
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "2.0.0");
}

ON_BENCH(test_file_records)
{
    const char *more = "    resume: { register: 0x9002 }\n";
    sb_cleanup(sb_freep) char *text = strdup(bench_firmware(NULL, more));
    char *begin = strstr(text, "    blocks:\n"), *end = strstr(text, "    finish:\n");
    sb_cleanup(sb_freep) char *part =
        sb_format("%.*s    blocks: [{ file: 4 }]\n%s", (int)(begin - text), text, end);
    bench_type(bench, part, NULL);
    bench_line(bench, "\"files\": true", NULL);
    assert_cause(bench_update(bench, "2.0.0", 25001), SB_CAUSE_NONE); /* beyond record 9999 */
    assert_string_equal(bench_version(bench), "2.0.0");
}

ON_BENCH(test_a_damaged_block_is_sent_again)
{
    typed(bench);
    bench_line(bench, NULL, "--fault", "bad_blocks=2", NULL);
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_NONE);
    assert_true(bench_noted(bench, "block 1 of 16, step 5: register 36865 says 2"));
    bench_say(bench, "set bad_blocks 99");
    assert_cause(bench_update(bench, "3.0.0", SIZE), SB_CAUSE_VERIFY_FAILED);
    assert_string_equal(bench->outcome.native.vocabulary, "status");
    assert_string_equal(bench->outcome.native.code, "2");
}

ON_BENCH(test_statuses_become_causes)
{
    static const struct {
        const char *fault;
        enum sb_cause cause;
    } cases[] = { { "set status 3", SB_CAUSE_WRITE_FAILED },
                  { "set status 4", SB_CAUSE_NO_SPACE },
                  { "set status 8", SB_CAUSE_LOW_BATTERY },
                  { "set status 77", SB_CAUSE_REFUSED } };
    typed(bench);
    bench_line(bench, NULL, NULL);
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        bench_say(bench, cases[i].fault);
        assert_cause(bench_update(bench, "2.0.0", SIZE), cases[i].cause);
    }
    assert_string_equal(bench->outcome.native.code, "77");
    bench_say(bench, "set status 0");
    bench_say(bench, "set reject true");
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_VERIFY_FAILED);
    assert_string_equal(bench->outcome.native.code, "5");
    bench_say(bench, "set reject false");
    bench_say(bench, "set busy 3"); /* asked again */
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_NONE);
}

ON_BENCH(test_rolled_back)
{
    typed(bench);
    bench_line(bench, NULL, "--fault", "revert", "--boot-time", "2", NULL); /* seen to be away */
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_ROLLED_BACK);
    assert_string_equal(bench_version(bench), "1.0.0");
}

ON_BENCH(test_it_never_comes_back)
{
    typed(bench);
    bench_line(bench, NULL, "--program-time", "0.06", NULL);
    bench->say_at_percent = "set 1.dead_after_restart true";
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_LINK_LOST);
    assert_null(bench->outcome.after.versions);
}

ON_BENCH(test_it_stays_in_its_bootloader)
{
    /* the check of the whole image is left out: its start is refused without a word */
    sb_cleanup(sb_freep) char *text = strdup(bench_firmware(NULL, NULL));
    char *begin = strstr(text, "    finish:\n"), *end = strstr(text, "    reboot:");
    sb_cleanup(sb_freep) char *part = sb_format("%.*s%s", (int)(begin - text), text, end);
    bench_type(bench, part, NULL);
    bench_line(bench, NULL, NULL);
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_INSTALL_FAILED);
    assert_non_null(strstr(bench->outcome.text, "bootloader"));
}

/* ---- interruptions ---- */

static void crash_at(struct bench *bench, const char *stage)
{
    bench->at_stage = stage;
    bench->die_at_stage = true;
    (void)bench_update(bench, "2.0.0", SIZE);
    assert_true(bench->died);
}

/* The gateway dies when it has asked to keep a stage: kept or not, the end is the same. */
ON_BENCH(test_crash_at_every_stage)
{
    static const char *const names[] = { "enter", "erase", "blocks", "finish", "reboot" };
    typed(bench);
    for (size_t i = 0; i < SB_COUNT(names); i++) {
        bench_line(bench, NULL, NULL);
        crash_at(bench, names[i]);
        bool committed = i >= 3;
        int sent = bench_events(bench, "block");
        assert_cause(bench_update_again(bench, "2.0.0", SIZE, committed), SB_CAUSE_NONE);
        assert_string_equal(bench_version(bench), "2.0.0");
        /* What the device held was not sent again - where its register tells. */
        assert_int_equal(bench_events(bench, "block") - sent, i < 3 ? BLOCKS : 0);
        assert_int_equal(bench->commits, 1);
        bench_kill(bench);
        sb_cleanup(sb_freep) char *flash = bench_path(bench, "flash/unit-1.json");
        (void)unlink(flash);
        json_decref(bench->checkpoint);
        bench->checkpoint = NULL;
    }
}

static void hang_in_the_middle(struct bench *bench)
{
    bench_line(bench, NULL, NULL);
    bench_say(bench, "set 1.hang_at_block 5");
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_LINK_LOST);
    bench_say(bench, "set 1.hang false");
}

ON_BENCH(test_resume_at_the_devices_block)
{
    typed(bench);
    hang_in_the_middle(bench);
    int sent = bench_events(bench, "block");
    assert_int_equal(sent, 5);
    assert_cause(bench_update_again(bench, "2.0.0", SIZE, false), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "block"), BLOCKS);
    assert_true(bench_noted(bench, "of 16 blocks"));
    assert_int_equal(orders(bench, 1), 1); /* erased once */
}

ON_BENCH(test_another_image_starts_over)
{
    typed(bench);
    hang_in_the_middle(bench);
    assert_cause(bench_update_again(bench, "2.1.0", SIZE, false), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "2.1.0");
    assert_int_equal(orders(bench, 1), 2);
}

ON_BENCH(test_without_a_register_that_tells_it_starts_over)
{
    bench_type(bench, bench_firmware(NULL, "    share: 4\n"), NULL);
    hang_in_the_middle(bench);
    assert_cause(bench_update_again(bench, "2.0.0", SIZE, false), SB_CAUSE_NONE);
    assert_int_equal(orders(bench, 1), 2);
}

ON_BENCH(test_the_device_restarts_in_the_middle)
{
    typed(bench);
    bench_line(bench, NULL, "--boot-time", "1.2", NULL);
    bench_say(bench, "set 1.die_at_block 7");
    enum sb_cause cause = bench_update(bench, "2.0.0", SIZE);
    assert_cause(cause, SB_CAUSE_LINK_LOST);
    assert_cause(bench_update_again(bench, "2.0.0", SIZE, false), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "block"), BLOCKS);
}

ON_BENCH(test_power_cut_of_the_whole_line)
{
    typed(bench);
    bench_line(bench, NULL, "--fault", "cut_at_block=5", NULL);
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_LINK_LOST);
    bench_kill(bench);
    bench_line(bench, NULL, NULL);
    assert_cause(bench_update_again(bench, "2.0.0", SIZE, false), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "2.0.0");
}

ON_BENCH(test_done_while_we_were_away)
{
    typed(bench);
    bench_line(bench, NULL, NULL);
    crash_at(bench, "reboot");
    assert_cause(bench_update_again(bench, "2.0.0", SIZE, true), SB_CAUSE_NONE);
    int before = bench_events(bench, "order");
    assert_cause(bench_update_again(bench, "2.0.0", SIZE, true), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "order"), before);
}

/* ---- cancels ---- */

ON_BENCH(test_cancel_between_blocks)
{
    typed(bench);
    bench_line(bench, NULL, "--program-time", "0.06", NULL);
    bench->stop_at_percent = 20;
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_OPERATOR);
    assert_true(bench->outcome.stopped);
    assert_int_equal(bench->stopped, 0);
    assert_int_equal(bench_events(bench, "given_up"), 1); /* the abort steps */
    assert_int_equal(bench->commits, 0);
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_NONE);
}

ON_BENCH(test_no_cancel_after_the_commit_point)
{
    bench_type(bench, bench_firmware(NULL, "    commit: erase\n"), NULL);
    bench_line(bench, NULL, "--program-time", "0.06", NULL);
    bench->stop_at_percent = 20;
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_NONE);
    assert_int_equal(bench->stopped, -EBUSY);
    assert_int_equal(bench_events(bench, "given_up"), 0);
}

ON_BENCH(test_a_store_that_fails_stops_before_the_step)
{
    typed(bench);
    bench_line(bench, NULL, NULL);
    bench->at_stage = "erase";
    bench->refuse_at_stage = -EIO;
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_INTERNAL);
    assert_int_equal(bench_events(bench, "order"), 0);
}

ON_BENCH(test_images_that_cannot_be)
{
    typed(bench);
    bench_line(bench, NULL, NULL);
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, NULL), SB_CAUSE_NOT_READY);
    bench_type(bench, bench_firmware(NULL, "    skip: 4000\n"), NULL);
    assert_cause(bench_update(bench, "2.0.0", SIZE), SB_CAUSE_UNSUPPORTED_IMAGE);
    assert_int_equal(bench_events(bench, "write"), 0);
}
