/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can go wrong on a console and in a transfer, each with its own cause.
 */
#include <stdio.h>
#include <unistd.h>

#include "bridge/base/log.h"
#include "tests/unit/dialog_bench.h"

static const char *text_of(struct bench *bench)
{
    return bench->outcome.text ? bench->outcome.text : "";
}

#define assert_says(part)                                                                          \
    do {                                                                                           \
        if (!strstr(text_of(bench), (part)))                                                       \
            fail_msg("'%s' has no '%s'", text_of(bench), (part));                                  \
    } while (0)

static void start_board(struct bench *bench)
{
    bench_device(bench, "--boot-time", "0.05", "--countdown", "0.1", NULL);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
}

#define on_board(test) SB_TEST_OF(struct bench *bench, test, bench_setup, bench_teardown)

on_board(test_every_kind_of_silence)
{
    static const struct {
        const char *fault;
        enum sb_cause cause;
        const char *says;
    } cases[] = {
        { "silent", SB_CAUSE_LINK_LOST, "is silent" },
        { "binary", SB_CAUSE_LINK_LOST, "no text" },
        { "endless", SB_CAUSE_TIMEOUT, "said nothing of what was awaited; its last line: 's" },
    };
    start_board(bench);
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *on = sb_format("set %s true", cases[i].fault);
        sb_cleanup(sb_freep) char *off = sb_format("set %s false", cases[i].fault);
        bench_say(bench, on);
        assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), cases[i].cause);
        assert_says(cases[i].says);
        assert_false(bench->outcome.after.idle);
        bench_say(bench, off);
        assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    }
}

on_board(test_half_lines)
{
    start_board(bench);
    bench_say(bench, "set half true");
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\": [\"interval\"]}", NULL),
                 SB_CAUSE_TIMEOUT);
    assert_true(bench_said(bench, "< (unfinished) inte"));
    assert_says("its last line: 'inte");
}

on_board(test_unsolicited_lines)
{
    start_board(bench);
    bench_say(bench, "set chatty true");
    assert_cause(bench_run(bench, SB_OP_READ, NULL, NULL), SB_CAUSE_NOT_READY); /* `missing` */
    assert_int_equal(sb_json_int(bench->outcome.result, "interval", 0), 60);
    /* unless the script says that there are none */
    bench_type_with(bench, "      - send: save\n", "      - send: save\n        others: refuse\n",
                    NULL);
    assert_cause(bench_run(bench, SB_OP_CONFIGURE, "{\"values\": {\"name\": \"x\"}}", NULL),
                 SB_CAUSE_REFUSED);
    assert_says("'[12.345678] sensor: something => else', which was not awaited");
}

/* A line that the cable damages is not carried out, whatever it has become. */
on_board(test_no_damaged_command_is_carried_out)
{
    int good = 0;
    start_board(bench);
    bench_say(bench, "set noise 0.02");
    for (int i = 0; i < 12; i++) {
        enum sb_cause cause =
            bench_run(bench, SB_OP_WRITE, "{\"values\": {\"name\": \"abcdefgh\"}}", NULL);
        good += cause == SB_CAUSE_NONE;
    }
    bench_say(bench, "set noise 0");
    sb_cleanup(json_decrefp) json_t *line = bench_last(bench, "line");
    assert_non_null(line);
    assert_true(good > 0);
    sb_cleanup(sb_freep) char *log = bench_path(bench, "events");
    FILE *file = fopen(log, "re");
    char text[2000];
    while (file && fgets(text, sizeof(text), file)) {
        sb_cleanup(json_decrefp) json_t *event = json_loads(text, 0, NULL);
        const char *said = sb_json_str(event, "text");
        if (!said || !sb_streq(sb_json_str(event, "event"), "line") || !*said)
            continue;
        if (strcmp(said, "version") != 0 && strcmp(said, "set name abcdefgh") != 0 &&
            strcmp(said, "get name") != 0)
            fail_msg("the device got '%s'", said);
    }
    if (file)
        (void)fclose(file);
}

on_board(test_a_device_without_echo)
{
    bench_type_with(
        bench,
        "attach:\n      - send: \"\\x18\\x18\\x03\"\n        eol: none\n        echo: ignore",
        "attach:\n      - send: AT\n        echo: ignore", "prompt: '@any'", "line: 'OK$'", NULL);
    bench_device(bench, "--kind", "modem", NULL);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_LINK_LOST);
    assert_says("does not echo what is sent (nothing was carried out)");
    assert_true(bench_said(bench, "its echo was wrong"));
}

on_board(test_circles_and_time)
{
    static const char circle[] =
        "    identify:\n      - { label: a, set: { x: '1' } }\n"
        "      - { same: ['{x}', '2'], otherwise: { goto: a } }\n      - send: version";
    bench_type_with(bench, "    identify:\n      - send: version", circle, NULL);
    bench_device(bench, "--boot-time", "0.05", "--countdown", "0.1", NULL);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_TIMEOUT);
    assert_says("goes in circles: it was given up after 2000 steps");
    bench_type_with(
        bench, "    identify:\n      - send: version",
        "    identify:\n      - { set: { x: '1' } }\n      - { label: a, delay: 100ms }\n"
        "      - { same: ['{x}', '2'], otherwise: { goto: a } }\n      - send: version",
        "  eol: cr", "  eol: cr\n  time_limit: 1s", NULL);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_TIMEOUT);
    assert_says("took too long (dialog.time_limit)");
}

/* ---- transfers ---- */

on_board(test_transfers_that_fail)
{
    static const struct {
        const char *fault;
        enum sb_cause cause;
        const char *says;
    } cases[] = {
        { "full true", SB_CAUSE_NO_SPACE, "ERR 28" },
        { "break_off 6000", SB_CAUSE_REFUSED, "broke the transfer off" },
        { "bad_flash true", SB_CAUSE_VERIFY_FAILED, "the device holds" },
        { "die_after 6000", SB_CAUSE_LINK_LOST, "takes no block" },
    };
    bench_type_with(bench, "transfer_timeout: 4s", "transfer_timeout: 1s\n  transfer_tries: 3",
                    NULL);
    start_board(bench);
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *on = sb_format("set %s", cases[i].fault);
        sb_cleanup(sb_freep) char *off =
            sb_format("set %.*s false", (int)strcspn(cases[i].fault, " "), cases[i].fault);
        bench_say(bench, on);
        const char *image = bench_image(bench, "2.0.0", 20000);
        enum sb_cause cause = bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, image);
        if (i == 3) /* it restarted: silence, or its banner */
            assert_true(cause == SB_CAUSE_LINK_LOST || cause == SB_CAUSE_TIMEOUT);
        else
            assert_cause(cause, cases[i].cause);
        if (i < 3)
            assert_says(cases[i].says);
        assert_int_equal(bench->commits, 0);
        bench_say(bench, off);
        assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    }
    assert_string_equal(bench_version(bench), "1.0.0");
    const char *image = bench_image(bench, "2.0.0", 20000);
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, image), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "2.0.0");
}

on_board(test_a_device_that_falls_silent_in_a_transfer)
{
    bench_type_with(bench, "transfer_timeout: 4s", "transfer_timeout: 700ms\n  transfer_tries: 3",
                    NULL);
    start_board(bench);
    bench_say(bench, "set mute_after 6000");
    const char *image = bench_image(bench, "2.0.0", 20000);
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, image), SB_CAUSE_LINK_LOST);
    assert_says("stopped answering after ");
    /* and one that never asks */
    bench_say(bench, "set mute_after 0");
    bench_say(bench, "reset");
    bench_type_with(bench, "- send: load ymodem", "- send: echo ready for the image",
                    "transfer_first: 5s", "transfer_first: 300ms", NULL);
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, image), SB_CAUSE_LINK_LOST);
    assert_says("never asked for the image");
}

/* lrzsz at the other end of a line that loses, doubles or changes a byte, or loses an answer: what
 * was spoiled is sent again, and the image is whole. */
on_board(test_bad_lines)
{
    static const char *const faults[] = { "corrupt", "duplicate", "drop", "lost_answer" };
    static const int64_t once = 133 + 11 * 1029 + 6 * 133 + 1 + 133; /* of 12000 bytes */
    bench_type_with(bench, "transfer_timeout: 4s", "transfer_timeout: 2s", NULL);
    start_board(bench);
    for (size_t i = 0; i < SB_COUNT(faults); i++) {
        sb_cleanup(sb_freep) char *on =
            sb_format("set %s %d", faults[i], strcmp(faults[i], "lost_answer") == 0 ? 6 : 5000);
        sb_cleanup(sb_freep) char *off = sb_format("set %s 0", faults[i]);
        sb_cleanup(sb_freep) char *version = sb_format("2.%zu.0", i);
        bench_say(bench, on);
        const char *image = bench_image(bench, version, 12000);
        assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, image), SB_CAUSE_NONE);
        assert_string_equal(bench_version(bench), version);
        assert_int_equal(bench_events(bench, "spoiled"), i + 1);
        sb_cleanup(json_decrefp) json_t *loaded = bench_last(bench, "loaded");
        int64_t received = sb_json_int(loaded, "received", 0);
        if (received < once + 1029)
            fail_msg("%s: nothing was sent again (%lld bytes)", faults[i], (long long)received);
        bench_say(bench, off);
        bench->image.version = NULL;
    }
}

on_board(test_cancel_in_a_transfer)
{
    start_board(bench);
    const char *image = bench_image(bench, "2.0.0", 200000);
    bench->stop_at_percent = 10;
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, image), SB_CAUSE_OPERATOR);
    assert_int_equal(bench->stopped, 0);
    assert_true(bench->outcome.stopped);
    bench_wait_event(bench, "load-failed", 1); /* it was told, and is at its prompt again */
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "1.0.0");
}

on_board(test_no_cancel_after_the_commit_point)
{
    start_board(bench);
    const char *image = bench_image(bench, "2.0.0", 2000);
    bench->at_stage = "restart";
    bench->stop_at_stage = true;
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, image), SB_CAUSE_NONE);
    assert_int_equal(bench->stopped, -EBUSY);
    assert_string_equal(bench_version(bench), "2.0.0");
}

/* ---- crashes and restarts ---- */

on_board(test_crash_at_every_stage)
{
    start_board(bench);
    const char *image = bench_image(bench, "2.0.0", 3000);
    bench->at_stage = "scripts";
    bench->die_at_stage = true;
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, image), SB_CAUSE_INTERNAL);
    assert_true(bench->died);
    bench->at_stage = "restart";
    assert_cause(bench_resume(bench, SB_OP_FIRMWARE_UPDATE, NULL, image, false), SB_CAUSE_INTERNAL);
    assert_true(bench->died);
    bench->die_at_stage = false;
    json_decref(bench->checkpoint);
    sb_cleanup(sb_freep) char *sum = strdup(bench->sha256);
    bench->checkpoint = json_pack("{s:s, s:s}", "stage", "restart", "sha256", sum);
    assert_cause(bench_resume(bench, SB_OP_FIRMWARE_UPDATE, NULL, image, true), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "2.0.0");
    assert_string_equal(text_of(bench), "the device had the image already");
    assert_int_equal(bench_events(bench, "loaded"), 1);
    /* it went back while nobody looked */
    const char *next = bench_image(bench, "3.0.0", 3000);
    sb_cleanup(sb_freep) char *next_sum = NULL;
    bench_say(bench, "set rollback true");
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, next), SB_CAUSE_ROLLED_BACK);
    next_sum = strdup(bench->sha256);
    json_decref(bench->checkpoint);
    bench->checkpoint = json_pack("{s:s, s:s}", "stage", "restart", "sha256", next_sum);
    assert_cause(bench_resume(bench, SB_OP_FIRMWARE_UPDATE, NULL, next, true),
                 SB_CAUSE_ROLLED_BACK);
    assert_int_equal(bench_events(bench, "loaded"), 2);
}

on_board(test_killed_in_a_transfer)
{
    start_board(bench);
    const char *image = bench_image(bench, "2.0.0", 100000);
    bench->say_at_percent = "unplug"; /* the gateway is gone: so is its end of the line */
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, image), SB_CAUSE_LINK_LOST);
    assert_says("the line has gone while in use");
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_LINK_LOST);
    assert_true(bench->outcome.no_port);
    bench_say(bench, "plug");
    bench_say(bench, "reset");
    assert_cause(bench_resume(bench, SB_OP_FIRMWARE_UPDATE, NULL, image, false), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "2.0.0");
}

on_board(test_it_never_comes_back)
{
    bench_type_with(bench, "restart: 8s", "restart: 2s",
                    "- expect: [ { line: 'Loader ' } ]\n"
                    "        timeout: 2s\n      - restart: true",
                    "- restart: true", NULL);
    start_board(bench);
    bench_say(bench, "set dead true");
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_LINK_LOST);
    assert_says("did not come back within 2 s after its restart");
    assert_int_equal(bench->stopped, 1);
}

on_board(test_a_line_that_has_no_modem_lines)
{
    bench_type_with(bench, "    identify:\n",
                    "    identify:\n      - dtr: on\n      - rts: off\n"
                    "      - break: 20ms\n",
                    NULL);
    start_board(bench);
    assert_true(bench_noted(bench, "this line has no DTR: left alone"));
    assert_true(bench_noted(bench, "this line has no RTS: left alone"));
}

on_board(test_the_transcript_is_bounded)
{
    start_board(bench);
    bench_say(bench, "set endless true");
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_TIMEOUT);
    bench_say(bench, "set endless false");
    size_t n = strlen(bench->outcome.transcript);
    assert_true(n > SB_TRANSCRIPT_MAX / 2 && n <= SB_TRANSCRIPT_MAX + 4);
    assert_int_equal(strncmp(bench->outcome.transcript, "...\n", 4), 0);
    for (const char *at = bench->outcome.transcript; *at; at++)
        assert_true(*at == '\n' || (unsigned char)*at >= 0x20);
}

/* Lines are cut for the transcript after secrets were hidden: half of one would not be known. */
on_board(test_no_half_of_a_secret_is_shown)
{
    static const char secret[] = "geheim-4711-unteilbar";
    start_board(bench);
    sb_log_secret(secret);
    sb_cleanup(sb_freep) char *said = sb_format("set mutter \"%0288d %s\"", 7, secret);
    bench_say(bench, said);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    assert_non_null(strstr(bench->outcome.transcript, "00000007 "));
    assert_null(strstr(bench->outcome.transcript, "geheim"));
    sb_log_forget(secret);
}

on_board(test_another_process_holds_the_port)
{
    start_board(bench);
    bench_new_worker(bench); /* which has not opened it */
    struct sb_port *port = NULL;
    int owner = 0;
    sb_cleanup(sb_freep) char *error = NULL;
    assert_int_equal(sb_serial_transport.open(&bench->port, &port, &owner, &error), 0);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_BUSY);
    assert_says("is held by");
    port->close(port);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
}
