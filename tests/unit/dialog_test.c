/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations of the driver "dialog" on the simulated board and modem.
 */
#include "tests/unit/dialog_bench.h"

static const char *text_of(struct bench *bench)
{
    return bench->outcome.text ? bench->outcome.text : "";
}

#define on_board(test) SB_TEST_OF(struct bench *bench, test, bench_setup, bench_teardown)

on_board(test_identify)
{
    bench_device(bench, NULL);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "1.0.0");
    assert_string_equal(sb_json_str(bench->outcome.after.identity, "model"), "console board");
    assert_string_equal(sb_json_str(bench->outcome.after.identity, "serial"), "4711");
    assert_true(bench->outcome.after.idle);
    assert_true(bench_said(bench, "> version\n< Version: 1.0.0\n< Model: console board\n"));
}

on_board(test_attach_from_anywhere)
{
    /* at its login, and once in the middle of one */
    bench_device(bench, "--password", "geheim-4711", "--countdown", "0.05", NULL);
    bench_wait_event(bench, "boot", 1);
    (void)usleep(400000);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    assert_true(bench_said(bench, "> operator\n"));
    assert_true(bench_said(bench, "> ***\n"));
    assert_null(strstr(bench->outcome.transcript, "geheim"));
    bench_kill(bench);
    /* a wrong password is told, and not shown */
    bench_device(bench, "--password", "other", "--countdown", "0.05", NULL);
    (void)usleep(400000);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_REFUSED);
    assert_string_equal(text_of(bench), "the device does not take the password");
    bench_kill(bench);
    /* in its countdown, which a key stops */
    bench_type_with(bench, "send: \"\\x18\\x18\\x03\"", "send: \" \"", NULL);
    bench_device(bench, "--countdown", "3", "--boot-time", "0.3", NULL);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    assert_true(bench_said(bench, "< loader> "));
}

on_board(test_read)
{
    bench_device(bench, NULL);
    assert_cause(bench_run(bench, SB_OP_READ,
                           "{\"names\": [\"interval\", \"mode\", \"level\", \"name\"]}", NULL),
                 SB_CAUSE_NONE);
    sb_cleanup(json_decrefp) json_t *wanted = json_pack("{s:i,s:s,s:f,s:s}", "interval", 60, "mode",
                                                        "auto", "level", 2.5, "name", "pump");
    assert_true(json_equal(bench->outcome.result, wanted));
    assert_true(json_equal(bench->outcome.after.properties, wanted));
    /* one name that fails does not hide the others */
    assert_cause(
        bench_run(bench, SB_OP_READ, "{\"names\": [\"missing\", \"wild\", \"name\"]}", NULL),
        SB_CAUSE_NOT_READY);
    assert_string_equal(text_of(bench), "the device says 'ERR 4 no such name: missing'");
    assert_string_equal(sb_json_str(bench->outcome.result, "name"), "pump");
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\": [\"wild\"]}", NULL), SB_CAUSE_REFUSED);
    assert_non_null(strstr(text_of(bench), "out of range"));
    /* the device's own code comes with the cause */
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\": [\"missing\"]}", NULL),
                 SB_CAUSE_NOT_READY);
    assert_string_equal(bench->outcome.native.dialect, "dialog");
    assert_string_equal(bench->outcome.native.code, "4");
    assert_string_equal(bench->outcome.native.text, "ERR 4 no such name: missing");
}

on_board(test_write_and_configure)
{
    bench_device(bench, NULL);
    assert_cause(bench_run(bench, SB_OP_WRITE,
                           "{\"values\": {\"interval\": 90, \"mode\": \"manual\", \"level\": 0.5}}",
                           NULL),
                 SB_CAUSE_NONE);
    assert_true(bench_said(bench, "> set mode 2\n"));
    assert_int_equal(sb_json_int(bench->outcome.result, "interval", 0), 90);
    assert_cause(bench_run(bench, SB_OP_WRITE, "{\"values\": {\"clamped\": \"x\"}}", NULL),
                 SB_CAUSE_VERIFY_FAILED);
    assert_cause(bench_run(bench, SB_OP_WRITE, "{\"values\": {\"ro\": \"x\"}}", NULL),
                 SB_CAUSE_REFUSED);
    assert_string_equal(text_of(bench), "ro: not taken");
    /* what is not saved does not outlive a restart, and what is does */
    assert_cause(bench_run(bench, SB_OP_CONFIGURE, "{\"values\": {\"name\": \"fan\"}}", NULL),
                 SB_CAUSE_NONE);
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_NONE);
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\": [\"name\", \"interval\"]}", NULL),
                 SB_CAUSE_NONE);
    assert_string_equal(sb_json_str(bench->outcome.result, "name"), "fan");
    assert_int_equal(sb_json_int(bench->outcome.result, "interval", 0), 90);
}

/* Nothing that comes from outside can become a second command. */
on_board(test_no_value_becomes_a_command)
{
    static const char *const values[] = { "a\\nreboot", "a\\rreboot", "a; reboot", "a\\u0003",
                                          "$(reboot)",  "`reboot`",   "a|b",       "\\u001b[2J",
                                          "\\u2028x",   "\\\"" };
    bench_device(bench, NULL);
    for (size_t i = 0; i < SB_COUNT(values); i++) {
        sb_cleanup(sb_freep) char *params =
            sb_format("{\"values\": {\"name\": \"%s\"}}", values[i]);
        assert_cause(bench_run(bench, SB_OP_WRITE, params, NULL), SB_CAUSE_INVALID_REQUEST);
        assert_non_null(strstr(text_of(bench), "may not be sent"));
    }
    assert_int_equal(bench_events(bench, "boot"), 1);
    bench->image.name = "x; reboot";
    const char *image = bench_image(bench, "2.0.0", 500);
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, image), SB_CAUSE_INVALID_REQUEST);
}

on_board(test_invoke)
{
    bench_device(bench, NULL);
    assert_cause(bench_run(bench, SB_OP_INVOKE,
                           "{\"action\": \"blink\", \"arguments\": {\"times\": 3}}", NULL),
                 SB_CAUSE_NONE);
    assert_string_equal(sb_json_str(bench->outcome.result, "count"), "3");
    assert_int_equal(bench->commits, 1);
    assert_cause(bench_run(bench, SB_OP_INVOKE, "{\"action\": \"blink\"}", NULL), SB_CAUSE_NONE);
    assert_string_equal(sb_json_str(bench->outcome.result, "count"), "4");
    assert_cause(bench_run(bench, SB_OP_INVOKE,
                           "{\"action\": \"blink\", \"arguments\": {\"times\": 30}}", NULL),
                 SB_CAUSE_INVALID_REQUEST);
    assert_cause(bench_run(bench, SB_OP_INVOKE,
                           "{\"action\": \"blink\", \"arguments\": {\"tims\": 3}}", NULL),
                 SB_CAUSE_INVALID_REQUEST);
    assert_non_null(strstr(text_of(bench), "did you mean 'times'"));
    /* whether it was done, after a crash in the middle, nobody knows */
    assert_cause(bench_resume(bench, SB_OP_INVOKE, "{\"action\": \"blink\"}", NULL, true),
                 SB_CAUSE_OUTCOME_UNKNOWN);
    assert_int_equal(bench_events(bench, "blinked"), 2);
}

on_board(test_update)
{
    bench_device(bench, NULL);
    const char *image = bench_image(bench, "1.1.0", 20000);
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, image), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "1.1.0");
    assert_string_equal(bench->outcome.verified, "version");
    assert_int_equal(bench->percent, 100);
    assert_true(bench->commits >= 1);
    assert_true(bench->phases & (1u << SB_PHASE_RESTARTING));
    assert_true(bench_said(bench, "# ymodem: 20000 bytes"));
    /* what it runs is not sent again */
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, image), SB_CAUSE_NONE);
    assert_string_equal(text_of(bench), "the device had the image already");
    assert_int_equal(bench_events(bench, "loaded"), 1);
    /* nor what is older */
    const char *old = bench_image(bench, "1.0.5", 500);
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, old), SB_CAUSE_DOWNGRADE_REFUSED);
    bench->command.allow_downgrade = true;
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, old), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "1.0.5");
}

/* Every size at which a block or the file ends, by each protocol, into lrzsz. */
on_board(test_sizes_and_protocols)
{
    static const int sizes[] = { 20, 127, 128, 129, 1023, 1024, 1025, 300000 };
    static const char *const kinds[][2] = { { "load ymodem", "transfer: ymodem" },
                                            { "load xmodem {image.size}", "transfer: xmodem-1k" },
                                            { "load sum {image.size}", "transfer: xmodem" } };
    static const char no_install[] =
        "      - send: install\n        commit: true\n        phase: activating\n"
        "        expect: [ { line: 'will run' } ]\n      - send: reboot\n"
        "        expect: [ { line: 'Restarting' } ]\n      - restart: true\n";
    bench_device(bench, "--boot-time", "0.02", "--countdown", "0.05", NULL);
    for (size_t k = 0; k < SB_COUNT(kinds); k++) {
        bench_type_with(bench, "verify: version", "verify: status", no_install, "", "load ymodem",
                        kinds[k][0], "transfer: ymodem", kinds[k][1], NULL);
        for (size_t i = 0; i < SB_COUNT(sizes); i++) {
            if (sizes[i] > 100000 && k > 0)
                continue;
            const char *image = bench_image(bench, "2.0.0", sizes[i]);
            assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, image), SB_CAUSE_NONE);
            sb_cleanup(json_decrefp) json_t *loaded = bench_last(bench, "loaded");
            assert_int_equal(sb_json_int(loaded, "size", 0), sizes[i]);
        }
    }
    assert_int_equal(bench_events(bench, "loaded"), 22);
}

on_board(test_rollback_and_wrong_version)
{
    bench_device(bench, "--fault", "rollback=true", NULL);
    const char *image = bench_image(bench, "1.1.0", 500);
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, image), SB_CAUSE_ROLLED_BACK);
    assert_string_equal(bench_version(bench), "1.0.0");
    bench_say(bench, "set rollback false");
    bench_say(bench, "set wrong_version \"0.9.9\"");
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, image), SB_CAUSE_VERSION_MISMATCH);
    assert_non_null(strstr(text_of(bench), "runs 0.9.9, not 1.1.0"));
}

/* Without a version nothing could be read back: whatever runs would be right. */
on_board(test_a_version_is_needed)
{
    bench_device(bench, NULL);
    const char *image = bench_image(bench, "1.1.0", 500);
    bench->image.version = NULL;
    assert_cause(bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL, image), SB_CAUSE_INVALID_REQUEST);
    assert_non_null(strstr(text_of(bench), "the job must say which one the image is"));
    assert_int_equal(bench_events(bench, "boot"), 1);
}

on_board(test_reboot)
{
    bench_device(bench, NULL);
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "boot"), 2);
    assert_int_equal(bench->commits, 1);
    /* says that it does, and does not */
    bench_say(bench, "set stuck true");
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_TIMEOUT);
    bench_say(bench, "set stuck false");
    /* interrupted when it had begun: only waited for; before: nobody knows */
    json_decref(bench->checkpoint);
    bench->checkpoint = json_pack("{s:s}", "stage", "restart");
    assert_cause(bench_resume(bench, SB_OP_REBOOT, NULL, NULL, true), SB_CAUSE_NONE);
    json_decref(bench->checkpoint);
    bench->checkpoint = NULL;
    assert_cause(bench_resume(bench, SB_OP_REBOOT, NULL, NULL, true), SB_CAUSE_OUTCOME_UNKNOWN);
    assert_int_equal(bench_events(bench, "boot"), 2);
    assert_cause(bench_run(bench, SB_OP_FACTORY_RESET, NULL, NULL), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "factory"), 1);
}

on_board(test_modem)
{
    static const struct sb_driver_ops *drivers[2];
    sb_cleanup(sb_freep) char *path = bench_source("mappings/devices/at-modem.yaml");
    struct sb_diags diags = { 0 };
    drivers[0] = bench->kind->driver;
    (void)sb_type_unref(bench->type);
    bench->type = NULL;
    assert_int_equal(sb_type_load_file(path, drivers, &bench->type, &diags), 0);
    bench_device(bench, "--kind", "modem", "--fault", "chatty=true", NULL);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "1.0.0");
    assert_string_equal(sb_json_str(bench->outcome.after.identity, "manufacturer"), "Acme");
    assert_cause(bench_run(bench, SB_OP_READ, NULL, NULL), SB_CAUSE_NONE);
    assert_int_equal(sb_json_int(bench->outcome.result, "signal", 0), 21);
    assert_string_equal(sb_json_str(bench->outcome.result, "network"), "roaming");
    assert_cause(
        bench_run(bench, SB_OP_CONFIGURE, "{\"values\": {\"apn\": \"iot.example\"}}", NULL),
        SB_CAUSE_NONE);
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "boot"), 2);
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\": [\"apn\"]}", NULL), SB_CAUSE_NONE);
    assert_string_equal(sb_json_str(bench->outcome.result, "apn"), "iot.example");
    assert_cause(bench_run(bench, SB_OP_INVOKE,
                           "{\"action\": \"ussd\", \"arguments\": {\"code\": \"*100#\"}}", NULL),
                 SB_CAUSE_NONE);
    assert_string_equal(sb_json_str(bench->outcome.result, "answer"), "balance 5.00");
    assert_cause(bench_run(bench, SB_OP_FACTORY_RESET, NULL, NULL), SB_CAUSE_NONE);
}

on_board(test_modem_errors)
{
    static const struct {
        int code;
        enum sb_cause cause;
    } cases[] = { { 10, SB_CAUSE_NOT_READY },
                  { 30, SB_CAUSE_WEAK_SIGNAL },
                  { 999, SB_CAUSE_REFUSED } };
    bench_type_with(bench, "attach:", "old-attach:", "identify:",
                    "attach:\n      - { send: AT, echo: ignore, repeat: 3, timeout: 300ms, "
                    "expect: [ { line: 'OK$' }, { line: '.CME ERROR: (\\d+)$' } ] }\n    identify:",
                    "    blink:",
                    "    cme:\n"
                    "      - send: AT+FAIL\n        echo: ignore\n        expect:\n"
                    "          - { line: 'OK$' }\n"
                    "          - { line: '\\+CME ERROR: (\\d+)', code: 1, cause: refused,\n"
                    "              causes: { 10: not_ready, 30: weak_signal } }\n    blink:",
                    "  blink: { script",
                    "  look: { script: old-attach, repeatable: true }\n"
                    "  cme: { script: cme }\n  blink: { script",
                    NULL);
    bench_device(bench, "--kind", "modem", NULL);
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *order = sb_format("set cme %d", cases[i].code);
        sb_cleanup(sb_freep) char *code = sb_format("%d", cases[i].code);
        bench_say(bench, order);
        assert_cause(bench_run(bench, SB_OP_INVOKE, "{\"action\": \"cme\"}", NULL), cases[i].cause);
        assert_string_equal(bench->outcome.native.code, code);
    }
}
