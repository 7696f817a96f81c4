/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver "modbus" on a line that misbehaves, with devices that do.
 */
#include "tests/unit/modbus_bench.h"

#include <errno.h>

#define READ "{\"names\":[\"interval\"]}"

static void read_well(struct bench *bench)
{
    assert_cause(bench_run(bench, SB_OP_READ, READ, NULL), SB_CAUSE_NONE);
    assert_int_equal(sb_json_int(bench->outcome.result, "interval", 0), 60);
}

#define ON_BENCH(test) SB_TEST_OF(struct bench *bench, test, bench_setup, bench_modbus_teardown)

/* Each of them three times: what comes is dropped, and the answer found. */
ON_BENCH(test_what_comes_before_an_answer)
{
    static const char *const faults[] = { "noise", "wrong_unit", "wrong_function", "double" };
    bench_type(bench, "  tries: 1\n", NULL);
    bench_line(bench, NULL, NULL);
    for (size_t i = 0; i < SB_COUNT(faults); i++) {
        sb_cleanup(sb_freep) char *order = sb_format("set %s 3", faults[i]);
        bench_say(bench, order);
        for (int n = 0; n < 4; n++)
            read_well(bench);
    }
}

/* Of another shape than what was asked for: not taken. */
ON_BENCH(test_an_answer_to_an_older_request)
{
    bench_line(bench, NULL, NULL);
    bench_say(bench, "set old_answer 1");
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"gain\"]}", NULL), SB_CAUSE_NONE);
    assert_true(json_number_value(json_object_get(bench->outcome.result, "gain")) == 50);
}

/* It comes after the next try has been sent: then there are two, and none is taken for another. */
ON_BENCH(test_late_answers)
{
    bench_type(bench, "  timeout: 300ms\n", NULL);
    bench_line(bench, NULL, NULL);
    bench_say(bench, "set late_by 0.45");
    bench_say(bench, "set late 1");
    assert_cause(bench_run(bench, SB_OP_READ,
                           "{\"names\":[\"low\",\"clamped\",\"hole\","
                           "\"relay\",\"interval\"]}",
                           NULL),
                 SB_CAUSE_REFUSED); /* hole */
    assert_int_equal(sb_json_int(bench->outcome.result, "low", 0), 6);
    assert_int_equal(sb_json_int(bench->outcome.result, "clamped", 0), 10);
    assert_int_equal(sb_json_int(bench->outcome.result, "interval", 0), 60);
}

/* Each answer comes after the next try: the values do not move on by one. */
ON_BENCH(test_a_device_slower_than_its_timeout)
{
    bench_type(bench, "  timeout: 300ms\n", NULL);
    bench_line(bench, NULL, "--fault", "slow=0.45", NULL);
    assert_cause(
        bench_run(bench, SB_OP_READ, "{\"names\":[\"interval\",\"clamped\",\"mode\"]}", NULL),
        SB_CAUSE_NONE);
    assert_int_equal(sb_json_int(bench->outcome.result, "interval", 0), 60);
    assert_int_equal(sb_json_int(bench->outcome.result, "clamped", 0), 10);
    assert_int_equal(sb_json_int(bench->outcome.result, "mode", 0), 12);
}

ON_BENCH(test_bytes_in_pieces)
{
    bench_type(bench, NULL,
               "properties:\n"
               "  version: { table: input, address: 1000, type: string, length: 12 }\n"
               "  serial: { table: input, address: 1010, type: u32 }\n"
               "  interval: { address: 1 }\n"
               "actions:\n  vendor: { steps: [{ request: '41 010203' }] }\n");
    bench_line(bench, NULL, "--fault", "pieces", NULL);
    read_well(bench);
    assert_cause(bench_run(bench, SB_OP_INVOKE, "{\"action\":\"vendor\"}", NULL), SB_CAUSE_NONE);
}

ON_BENCH(test_an_echo_of_ones_own)
{
    bench_type(bench, "  echo: true\n", NULL);
    bench_line(bench, NULL, "--echo", NULL);
    read_well(bench);
    assert_cause(
        bench_run(bench, SB_OP_WRITE, "{\"values\":{\"interval\":5,\"relay\":true}}", NULL),
        SB_CAUSE_NONE);
    bench_say(bench, "set hang true"); /* an echo alone is no answer */
    assert_cause(bench_run(bench, SB_OP_WRITE, "{\"values\":{\"interval\":6}}", NULL),
                 SB_CAUSE_LINK_LOST);
}

ON_BENCH(test_lost_requests_and_answers)
{
    bench_line(bench, NULL, NULL);
    bench_say(bench, "set lost_requests 2");
    read_well(bench);
    bench_say(bench, "set silent_answers 2");
    read_well(bench);
    bench_say(bench, "set silent_answers 3");
    assert_cause(bench_run(bench, SB_OP_READ, READ, NULL), SB_CAUSE_LINK_LOST);
    assert_string_equal(bench->outcome.text, "unit 1 does not answer");
}

ON_BENCH(test_noise_only)
{
    bench_line(bench, NULL, "--fault", "corrupt=1.0", NULL);
    assert_cause(bench_run(bench, SB_OP_READ, READ, NULL), SB_CAUSE_LINK_LOST);
    bench_say(bench, "set corrupt 0");
    bench_say(bench, "set wrong_unit 99");
    bench_say(bench, "set silent_answers 0");
    read_well(bench);
}

ON_BENCH(test_busy_and_acknowledge)
{
    bench_type(bench, "  busy: 800ms\n", NULL);
    bench_line(bench, NULL, NULL);
    bench_say(bench, "set busy 3");
    read_well(bench);
    bench_say(bench, "set acknowledge 1"); /* taken: the read-back tells whether it was done */
    assert_cause(bench_run(bench, SB_OP_WRITE, "{\"values\":{\"interval\":61}}", NULL),
                 SB_CAUSE_NONE);
    bench_say(bench, "set busy 999");
    assert_cause(bench_run(bench, SB_OP_READ, READ, NULL), SB_CAUSE_BUSY);
    assert_string_equal(bench->outcome.native.code, "6");
}

ON_BENCH(test_exceptions_become_causes)
{
    static const struct {
        unsigned code;
        enum sb_cause cause;
    } cases[] = {
        { 1, SB_CAUSE_UNSUPPORTED }, { 2, SB_CAUSE_REFUSED },    { 3, SB_CAUSE_REFUSED },
        { 4, SB_CAUSE_REFUSED },     { 7, SB_CAUSE_REFUSED },    { 8, SB_CAUSE_REFUSED },
        { 10, SB_CAUSE_LINK_LOST },  { 11, SB_CAUSE_LINK_LOST }, { 99, SB_CAUSE_REFUSED }
    };
    bench_line(bench, NULL, NULL);
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *order = sb_format("set exception %u", cases[i].code);
        sb_cleanup(sb_freep) char *code = sb_format("%u", cases[i].code);
        bench_say(bench, order);
        assert_cause(bench_run(bench, SB_OP_READ, READ, NULL), cases[i].cause);
        assert_string_equal(bench->outcome.native.code, code);
    }
}

ON_BENCH(test_broadcast)
{
    bench_type(bench, NULL,
               "properties:\n"
               "  version: { table: input, address: 1000, type: string, length: 12 }\n"
               "  serial: { table: input, address: 1010, type: u32 }\n"
               "  interval: { address: 1 }\n"
               "actions:\n  all: { steps: [{ write: 1, value: 9, broadcast: true }],\n"
               "         results: [interval] }\n");
    bench_line(bench, NULL, NULL);
    assert_cause(bench_run(bench, SB_OP_INVOKE, "{\"action\":\"all\"}", NULL), SB_CAUSE_NONE);
    assert_int_equal(sb_json_int(bench->outcome.result, "interval", 0), 9);
}

ON_BENCH(test_an_update_over_a_bad_cable)
{
    sb_cleanup(sb_freep) char *part = sb_format("  tries: 8\n%s", bench_firmware(NULL, NULL));
    bench_type(bench, part, NULL);
    bench_line(bench, NULL, "--fault", "drop=0.0004", "--fault", "duplicate=0.0004", "--fault",
               "corrupt=0.0004", NULL);
    enum sb_cause cause = bench_update(bench, "2.0.0", 4000);
    for (int i = 0; i < 8 && cause != SB_CAUSE_NONE; i++) /* as a retry of the job would */
        cause = bench_update_again(bench, "2.0.0", 4000, false);
    assert_cause(cause, SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "2.0.0");
    assert_true(bench_events(bench, "damaged") > 0);
}

ON_BENCH(test_unplugged_in_mid_update_and_back)
{
    bench_type(bench, bench_firmware(NULL, NULL), NULL);
    bench_line(bench, NULL, "--program-time", "0.06", NULL);
    bench->say_at_percent = "unplug";
    assert_cause(bench_update(bench, "2.0.0", 4000), SB_CAUSE_LINK_LOST);
    bench_say(bench, "plug");
    int sent = bench_events(bench, "block");
    assert_cause(bench_update_again(bench, "2.0.0", 4000, false), SB_CAUSE_NONE);
    assert_true(bench_events(bench, "block") <= sent + 32);
}

ON_BENCH(test_the_line_is_away_while_it_restarts)
{
    bench_line(bench, NULL, "--boot-time", "1", NULL);
    bench->at_stage = "restart";
    bench->say_at_stage = "unplug";
    bench->refuse_at_stage = -EIO;
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_INTERNAL);
    assert_cause(bench_run(bench, SB_OP_READ, READ, NULL), SB_CAUSE_LINK_LOST);
    assert_true(bench->outcome.no_port);
    bench_say(bench, "plug");
    bench_wait_event(bench, "up", 2);
    read_well(bench);
}

ON_BENCH(test_a_device_that_does_not_restart)
{
    bench_line(bench, NULL, "--fault", "dead_after_restart", NULL);
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_LINK_LOST);
    assert_non_null(strstr(bench->outcome.text, "did not come back within 5 s"));
}

ON_BENCH(test_another_process_holds_the_port)
{
    sb_cleanup(sb_freep) char *holder = bench_source("tests/system/holder.py");
    bench_line(bench, NULL, NULL);
    pid_t device = bench->device;
    int commands = bench->commands;
    const char *const argv[] = { "/usr/bin/python3", holder, bench->link, "flock", NULL };
    sb_cleanup(sb_freep) char *log = bench_path(bench, "events");
    bench_start(bench, argv, NULL);
    for (bool held = false; !held;) { /* it says so on the same log */
        FILE *file = fopen(log, "re");
        char line[256];
        while (file && fgets(line, sizeof(line), file))
            held = held || strncmp(line, "held", 4) == 0;
        if (file)
            (void)fclose(file);
    }
    assert_cause(bench_run(bench, SB_OP_READ, READ, NULL), SB_CAUSE_BUSY);
    assert_non_null(strstr(bench->outcome.text, "is held by process"));
    bench_kill(bench);
    bench->device = device;
    bench->commands = commands;
    read_well(bench);
}
