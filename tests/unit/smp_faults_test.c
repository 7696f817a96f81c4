/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver "smp" against a simulated device that misbehaves, and on a line that does.
 */
#include "tests/unit/smp_bench.h"

#include <errno.h>

#define UPDATE SB_OP_FIRMWARE_UPDATE

/* A device with 1.0.0, and a fault from the start (NAME=JSON, or NULL). */
static void device(struct bench *bench, const char *fault)
{
    const char *old = bench_image(bench, "old.bin", "1.0.0", 4000, NULL);
    if (fault)
        bench_device(bench, "--image", old, "--fault", fault, NULL);
    else
        bench_device(bench, "--image", old, NULL);
}

static enum sb_cause update(struct bench *bench, int size)
{
    const char *new = bench_image(bench, "new.bin", "1.1.0", size, NULL);
    return bench_run(bench, UPDATE, NULL, new);
}

static void assert_boots(struct bench *bench, const char *version)
{
    sb_cleanup(json_decrefp) json_t *boot = bench_last(bench, "boot");
    assert_string_equal(sb_json_str(boot, "version"), version);
}

/* ---- the line ---- */

#define ON_BENCH(test) SB_TEST_OF(struct bench *bench, test, bench_setup, bench_teardown)

ON_BENCH(test_bytes_lost_doubled_and_changed)
{
    bench_type(bench, "  tries: 12\n", NULL);
    const char *old = bench_image(bench, "old.bin", "1.0.0", 4000, NULL);
    bench_device(bench, "--image", old, "--fault", "drop=0.0001", "--fault", "duplicate=0.0001",
                 "--fault", "corrupt=0.0001", "--seed", "7", NULL);
    assert_cause(update(bench, 40000), SB_CAUSE_NONE);
    assert_boots(bench, "1.1.0");
}

ON_BENCH(test_log_text_and_old_answers)
{
    const char *old = bench_image(bench, "old.bin", "1.0.0", 4000, NULL);
    bench_device(bench, "--image", old, "--fault", "log=1", "--fault", "wrong_seq=true", NULL);
    assert_cause(update(bench, 20000), SB_CAUSE_NONE);
    assert_boots(bench, "1.1.0");
}

ON_BENCH(test_text_without_end)
{
    device(bench, "chatter=true");
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    bench_say(bench, "set hang true");
    int64_t begin = sb_port_clock();
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_LINK_LOST);
    assert_in_range(sb_port_clock() - begin, 6 * 400, 15000);
    assert_non_null(strstr(bench->outcome.text, "no SMP answer"));
}

ON_BENCH(test_garbage)
{
    device(bench, "garbage=true");
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_LINK_LOST);
    assert_non_null(strstr(bench->outcome.text, "no SMP answer"));
    bench_say(bench, "set garbage false");
    bench_say(bench, "set huge true");
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_LINK_LOST);
    bench_say(bench, "set huge false"); /* nothing of it stays */
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
}

ON_BENCH(test_silence)
{
    device(bench, "hang=true");
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_LINK_LOST);
    assert_string_equal(bench->outcome.text, "the device does not answer");
}

ON_BENCH(test_unplugged_in_mid_upload_and_back)
{
    device(bench, "slow=0.01");
    bench->say_at_percent = "unplug";
    assert_cause(update(bench, 60000), SB_CAUSE_LINK_LOST);
    assert_false(bench->outcome.stopped);
    assert_string_equal(bench->outcome.text, "the line has gone while in use");
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_LINK_LOST);
    assert_non_null(strstr(bench->outcome.text, "is it plugged in?"));
    bench_say(bench, "plug"); /* the same link, another pty perhaps */
    const char *new = bench_image(bench, "new.bin", "1.1.0", 60000, NULL);
    assert_cause(bench_resume(bench, UPDATE, NULL, new, false), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "erase"), 1);
    assert_boots(bench, "1.1.0");
}

ON_BENCH(test_a_line_that_goes_away_while_the_device_restarts)
{
    device(bench, NULL);
    const char *new = bench_image(bench, "new.bin", "1.1.0", 9000, NULL);
    bench->at_stage = "reset";
    bench->say_at_stage = "unplug";
    bench->die_at_stage = true; /* so that the way back is a resume */
    (void)bench_run(bench, UPDATE, NULL, new);
    bench->die_at_stage = false;
    bench_say(bench, "plug");
    assert_cause(bench_resume(bench, UPDATE, NULL, new, true), SB_CAUSE_NONE);
    assert_boots(bench, "1.1.0");
}

/* ---- cancel ---- */

ON_BENCH(test_cancel_between_blocks)
{
    device(bench, "slow=0.01");
    bench->stop_at_percent = 20;
    assert_cause(update(bench, 60000), SB_CAUSE_OPERATOR);
    assert_int_equal(bench->stopped, 0);
    assert_true(bench->outcome.stopped);
    assert_int_equal(bench_events(bench, "reset"), 0);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
}

ON_BENCH(test_no_cancel_after_the_commit_point)
{
    device(bench, NULL);
    bench->at_stage = "reset";
    bench->stop_at_stage = true;
    assert_cause(update(bench, 9000), SB_CAUSE_NONE);
    assert_int_equal(bench->stopped, -EBUSY);
    assert_boots(bench, "1.1.0");
}

/* ---- the upload ---- */

ON_BENCH(test_power_cut_in_mid_upload)
{
    device(bench, "die_after=30000");
    assert_cause(update(bench, 60000), SB_CAUSE_LINK_LOST);
    bench_kill(bench);
    bench_device(bench, NULL); /* it has forgotten the offset, not its running image */
    const char *new = bench_image(bench, "new.bin", "1.1.0", 60000, NULL);
    assert_cause(bench_resume(bench, UPDATE, NULL, new, false), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "erase"), 2);
    assert_boots(bench, "1.1.0");
}

ON_BENCH(test_a_bootloader_loses_its_power_in_mid_upload)
{
    const char *old = bench_image(bench, "old.bin", "1.0.0", 4000, NULL);
    bench_device(bench, "--kind", "mcuboot", "--image", old, "--fault", "die_after=30000", NULL);
    assert_cause(update(bench, 60000), SB_CAUSE_LINK_LOST);
    bench_kill(bench);
    bench_device(bench, "--kind", "mcuboot", NULL);
    const char *new = bench_image(bench, "new.bin", "1.1.0", 60000, NULL);
    assert_cause(bench_resume(bench, UPDATE, NULL, new, false), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "wrong-offset"), 1); /* the probe: it stands at 0 */
    assert_boots(bench, "1.1.0");
}

ON_BENCH(test_the_offset_is_obeyed)
{
    bench->forgets = true;
    device(bench, "forget_at=12000");
    bench_say(bench, "set back 5");
    assert_cause(update(bench, 30000), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "erase"), 2);
    assert_boots(bench, "1.1.0");
}

ON_BENCH(test_a_device_that_never_goes_forward)
{
    bench->forgets = true;
    device(bench, "back=100000");
    assert_cause(update(bench, 30000), SB_CAUSE_WRITE_FAILED);
    assert_in_range(bench_events(bench, "upload"), 60, 70);
}

ON_BENCH(test_the_first_block_shrinks)
{
    const char *old = bench_image(bench, "old.bin", "1.0.0", 4000, NULL);
    bench_device(bench, "--image", old, "--no-params", "--buf-size", "250", NULL);
    assert_cause(update(bench, 8000), SB_CAUSE_NONE);
    assert_true(bench_noted(bench, "no answer to the first block"));
    assert_in_range(bench_events(bench, "upload"), 40, 90);
    assert_boots(bench, "1.1.0");
}

ON_BENCH(test_a_buffer_that_is_told_is_kept_to)
{
    bench_type(bench, "  tries: 6\n  buffer: 8K\n", NULL); /* the type is wrong about it */
    device(bench, NULL);
    assert_cause(update(bench, 20000), SB_CAUSE_NONE);
    assert_true(bench_noted(bench, "no answer to the first block"));
    assert_boots(bench, "1.1.0");
}

ON_BENCH(test_an_old_server)
{
    const char *old = bench_image(bench, "old.bin", "1.0.0", 4000, NULL);
    bench_device(bench, "--image", old, "--protocol", "0", NULL);
    assert_cause(update(bench, 9000), SB_CAUSE_NONE);
    assert_boots(bench, "1.1.0");
}

ON_BENCH(test_bad_signature)
{
    device(bench, NULL);
    const char *new = bench_image(bench, "new.bin", "1.1.0", 9000, "--bad-signature");
    assert_cause(bench_run(bench, UPDATE, NULL, new), SB_CAUSE_VERIFY_FAILED);
    assert_non_null(strstr(bench->outcome.text, "does not list it"));
    assert_string_equal(bench_version(bench), "1.0.0");
    assert_null(bench->outcome.verified);
    assert_int_equal(bench_events(bench, "reset"), 0);
}

ON_BENCH(test_busy)
{
    device(bench, "busy=1");
    assert_cause(update(bench, 9000), SB_CAUSE_BUSY);
    assert_string_equal(bench->outcome.native.code, "10");
    assert_string_equal(bench->outcome.text, "list of images: busy (rc 10)");
    assert_cause(update(bench, 9000), SB_CAUSE_NONE);
}

/* ---- the restart ---- */

ON_BENCH(test_rolled_back)
{
    device(bench, "revert_on_boot=true");
    assert_cause(update(bench, 9000), SB_CAUSE_ROLLED_BACK);
    assert_string_equal(bench->outcome.text, "the device started the image and went back to 1.0.0");
    assert_string_equal(bench_version(bench), "1.0.0");
    /* Asked again after that very run: it is known without another try. */
    const char *new = bench_image(bench, "new.bin", "1.1.0", 9000, NULL);
    assert_cause(bench_resume(bench, UPDATE, NULL, new, true), SB_CAUSE_ROLLED_BACK);
    assert_int_equal(bench_events(bench, "reset"), 1);
    /* A new command is a new try. */
    bench_say(bench, "set revert_on_boot false");
    assert_cause(update(bench, 9000), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "uploaded"), 1);
}

ON_BENCH(test_power_cut_between_test_boot_and_confirm)
{
    device(bench, NULL);
    bench->at_stage = "confirm";
    bench->say_at_stage = "reset";                           /* and so it goes back */
    assert_cause(update(bench, 9000), SB_CAUSE_ROLLED_BACK); /* the old one took the confirm */
    assert_int_equal(bench_events(bench, "revert"), 1);
    const char *new = bench_image(bench, "new.bin", "1.1.0", 9000, NULL);
    assert_cause(bench_resume(bench, UPDATE, NULL, new, true), SB_CAUSE_ROLLED_BACK);
}

ON_BENCH(test_a_reset_request_is_lost)
{
    device(bench, NULL);
    bench->at_stage = "reset";
    bench->say_at_stage = "set lost_requests 1";
    assert_cause(update(bench, 9000), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "reset"), 1);
    assert_int_equal(bench_events(bench, "revert"), 0);
}

ON_BENCH(test_a_resets_answer_is_lost)
{
    device(bench, NULL);
    bench->at_stage = "reset";
    bench->say_at_stage = "set silent_answers 1";
    assert_cause(update(bench, 9000), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "reset"), 1); /* a second would have undone it */
    assert_boots(bench, "1.1.0");
}

ON_BENCH(test_it_never_comes_back)
{
    bench_type(bench, "  tries: 6\n", NULL);
    device(bench, "dead_after_reset=true");
    bench->type->restart = 1500;
    assert_cause(update(bench, 9000), SB_CAUSE_LINK_LOST);
    assert_non_null(strstr(bench->outcome.text, "did not come back"));
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_LINK_LOST);
}

ON_BENCH(test_a_device_that_does_not_restart)
{
    device(bench, "stuck=true");
    bench->type->restart = 20000;
    assert_cause(update(bench, 9000), SB_CAUSE_INSTALL_FAILED);
    assert_int_equal(bench_events(bench, "reset"), 3);
}

ON_BENCH(test_a_confirm_that_does_not_hold)
{
    device(bench, "refuse_confirm=true");
    assert_cause(update(bench, 9000), SB_CAUSE_INSTALL_FAILED);
    assert_non_null(strstr(bench->outcome.text, "permanent"));
}

ON_BENCH(test_a_new_image_that_falls_ill)
{
    bench_type(bench, "  tries: 6\n  health: 5s\n", NULL);
    bench->type->restart = 4000;
    device(bench, "ill=0.5");
    assert_cause(update(bench, 9000), SB_CAUSE_INSTALL_FAILED);
    assert_non_null(strstr(bench->outcome.text, "health")); /* and it takes no reset */
    bench_say(bench, "set ill 0");
    bench_say(bench, "reset"); /* its watchdog, say */
    bench_wait_event(bench, "revert", 1);
    bench_wait_event(bench, "up", 3);
    const char *new = bench_image(bench, "new.bin", "1.1.0", 9000, NULL);
    assert_cause(bench_resume(bench, UPDATE, NULL, new, true), SB_CAUSE_ROLLED_BACK);
}

ON_BENCH(test_a_new_image_that_restarts_by_itself)
{
    bench_type(bench, "  tries: 6\n  health: 5s\n", NULL);
    device(bench, "crash=0.5");
    assert_cause(update(bench, 9000), SB_CAUSE_ROLLED_BACK);
    assert_string_equal(bench_version(bench), "1.0.0");
    assert_int_equal(bench_events(bench, "reset"), 1); /* the old one runs: no need for another */
}

ON_BENCH(test_a_new_image_that_confirms_itself)
{
    bench_type(bench, "  tries: 6\n  health: 5s\n", NULL);
    device(bench, "self_confirm=0.5");
    assert_cause(update(bench, 9000), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "reset"), 1);
    assert_boots(bench, "1.1.0");
}

ON_BENCH(test_health_is_watched)
{
    bench_type(bench, "  tries: 6\n  health: 2s\n", NULL);
    device(bench, NULL);
    int64_t begin = sb_port_clock();
    assert_cause(update(bench, 9000), SB_CAUSE_NONE);
    assert_true(sb_port_clock() - begin >= 2000);
    assert_boots(bench, "1.1.0");
}

/* One that misses the last look is asked once more before it is given up. */
ON_BENCH(test_health_is_no_matter_of_one_answer)
{
    bench_type(bench, "  tries: 6\n  health: 2s\n", NULL);
    device(bench, "dozes=0.7");
    assert_cause(update(bench, 9000), SB_CAUSE_NONE);
    assert_boots(bench, "1.1.0");
}

ON_BENCH(test_reboot_of_a_stubborn_device)
{
    device(bench, NULL);
    bench_say(bench, "set lost_requests 0");
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_NONE);
    bench_say(bench, "set hang true");
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_LINK_LOST);
    assert_int_equal(bench->commits, 0); /* first it must answer */
}

ON_BENCH(test_another_process_holds_the_port)
{
    device(bench, NULL);
    struct sb_port *port = NULL;
    int owner = 0;
    sb_cleanup(sb_freep) char *error = NULL;
    assert_int_equal(sb_serial_transport.open(&bench->port, &port, &owner, &error), 0);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_BUSY);
    assert_non_null(strstr(bench->outcome.text, "is held by"));
    port->close(port);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
}
