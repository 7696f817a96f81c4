/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver "modbus" against a simulated line: what it does when all goes well, resumes, and
 * refusals.
 */
#include "tests/unit/modbus_bench.h"

#include <errno.h>
#include <sys/stat.h>

#include "adapters/devices/modbus/driver.h"

static json_t *json_of(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    return json;
}

static void assert_result(const struct bench *bench, const char *wanted)
{
    sb_cleanup(json_decrefp) json_t *json = json_of(wanted);
    sb_cleanup(sb_freep) char *got = sb_json_text(bench->outcome.result);
    if (!json_equal(json, bench->outcome.result))
        fail_msg("%s, not %s", got ? got : "nothing", wanted);
}

/* ---- identify ---- */

#define ON_BENCH(test) SB_TEST_OF(struct bench *bench, test, bench_setup, bench_modbus_teardown)

ON_BENCH(test_identify_by_registers)
{
    bench_line(bench, "\"version\": \"1.2.3\", \"serial\": 99", NULL);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    assert_string_equal(bench_version(bench), "1.2.3");
    assert_string_equal(sb_json_str(bench->outcome.after.identity, "serial"), "99");
    assert_true(bench->outcome.after.idle);
    /* those to be polled */
    assert_int_equal(json_object_size(bench->outcome.after.properties), 2);
    assert_int_equal(sb_json_int(bench->outcome.after.properties, "interval", 0), 60);
    assert_int_equal(bench_events(bench, "damaged"), 0);
}

ON_BENCH(test_identify_by_objects)
{
    bench_load_type(bench, "modbus: { timeout: 150ms }\n");
    bench_line(bench,
               "\"objects\": {\"0\": \"Acme\", \"1\": \"VFD7\", \"2\": \"$version\", "
               "\"5\": \"Drive 7\"}",
               NULL);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    assert_string_equal(sb_json_str(bench->outcome.after.identity, "manufacturer"), "Acme");
    assert_string_equal(sb_json_str(bench->outcome.after.identity, "model"), "VFD7");
    assert_string_equal(bench_version(bench), "1.0.0"); /* it came in the second answer */
    bench_load_type(bench, "modbus: { timeout: 150ms, device_id: 2 }\n");
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    assert_string_equal(sb_json_str(bench->outcome.after.identity, "model"), "Drive 7");
    bench_say(bench, "set endless true"); /* objects in circles */
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
}

ON_BENCH(test_identify_one_way_after_the_other)
{
    bench_type(bench, "  identify: [device_id, server_id, registers]\n", NULL);
    bench_line(bench, "\"server_id\": \"Pump 9\"", NULL);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_NONE);
    assert_string_equal(sb_json_str(bench->outcome.after.identity, "model"), "Pump 9");
    assert_string_equal(bench_version(bench), "1.0.0");
    assert_int_equal(bench_events(bench, "refused"), 1);
    assert_null(bench->outcome.native.code);
}

ON_BENCH(test_nobody_there)
{
    bench_line(bench, NULL, "--fault", "hang", NULL);
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_LINK_LOST);
    assert_string_equal(bench->outcome.text, "unit 1 does not answer");
    json_decref((json_t *)bench->command.address);
    bench->command.address = NULL;
    assert_cause(bench_run(bench, SB_COMMAND_IDENTIFY, NULL, NULL), SB_CAUSE_INVALID_REQUEST);
    assert_non_null(strstr(bench->outcome.text, "address: { unit: 1..247 }"));
}

/* ---- values ---- */

ON_BENCH(test_read)
{
    bench_line(bench, NULL, NULL);
    assert_cause(bench_run(bench, SB_OP_READ,
                           "{\"names\":[\"interval\",\"gain\",\"mode\",\"control\",\"tenths\","
                           "\"relay\",\"door\",\"enabled\"]}",
                           NULL),
                 SB_CAUSE_NONE);
    assert_result(bench, "{\"interval\":60,\"gain\":50.0,\"mode\":12,\"control\":{\"run\":true,"
                         "\"reverse\":false,\"fault\":false},\"tenths\":-38.6,\"relay\":false,"
                         "\"door\":true,\"enabled\":true}");
    assert_string_equal(bench->outcome.verified, "status");
}

/* What lies side by side is one frame, a group also over its holes, a value is never torn. */
ON_BENCH(test_reads_are_few)
{
    bench_line(bench, "\"max_read\": 8", NULL);
    bench_type(bench, "  max_read: 8\n  timeout: 3s\n", NULL);
    assert_cause(bench_run(bench, SB_OP_READ,
                           "{\"names\":[\"low\",\"high\",\"clamped\",\"second\",\"third\"]}", NULL),
                 SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "read"), 2);
    assert_int_equal(sb_json_int(bench->outcome.result, "third", 0), 115 * 257);
    assert_cause(bench_run(bench, SB_OP_READ,
                           "{\"names\":[\"interval\",\"gain\",\"low\",\"high\",\"name\"]}", NULL),
                 SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "read"), 4); /* 1..3, 6..11 */
    assert_int_equal(bench_events(bench, "refused"), 0);
}

/* What lies between the values of a group, or would fill the frame before it, does not tear it. */
ON_BENCH(test_a_group_is_one_frame)
{
    bench_line(bench, "\"max_read\": 8", NULL);
    bench_type(bench, "  max_read: 8\n  timeout: 3s\n",
               "properties:\n"
               "  version: { table: input, address: 1000, type: string, length: 12 }\n"
               "  serial: { table: input, address: 1010, type: u32 }\n"
               "  low: { table: input, address: 10, group: g }\n"
               "  stranger: { table: input, address: 12 }\n"
               "  high: { table: input, address: 14, group: g }\n"
               "  long: { table: input, address: 20, type: u64 }\n"
               "  next: { table: input, address: 24, type: u32 }\n"
               "  from: { table: input, address: 26, group: h }\n"
               "  to: { table: input, address: 29, group: h }\n");
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"high\",\"stranger\",\"low\"]}", NULL),
                 SB_CAUSE_NONE);
    assert_result(bench, "{\"high\":3598,\"stranger\":3084,\"low\":2570}");
    assert_int_equal(bench_events(bench, "read"), 1);
    assert_cause(
        bench_run(bench, SB_OP_READ, "{\"names\":[\"long\",\"next\",\"from\",\"to\"]}", NULL),
        SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "read"), 3);
    sb_cleanup(json_decrefp) json_t *last = bench_last(bench, "read");
    assert_int_equal(sb_json_int(last, "address", 0), 26); /* 20..25, 26..29 */
    assert_int_equal(sb_json_int(last, "count", 0), 4);
}

ON_BENCH(test_read_of_what_is_not_there)
{
    bench_line(bench, NULL, NULL);
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"interval\",\"hole\"]}", NULL),
                 SB_CAUSE_REFUSED);
    assert_result(bench, "{\"interval\":60}");
    assert_string_equal(bench->outcome.native.dialect, "modbus");
    assert_string_equal(bench->outcome.native.vocabulary, "exception");
    assert_string_equal(bench->outcome.native.code, "2");
    assert_non_null(strstr(bench->outcome.text, "hole: the device has no such address"));
}

/* A group that the device does not give as a whole is asked value by value. */
ON_BENCH(test_a_span_with_a_hole)
{
    bench_type(bench, NULL,
               "properties:\n"
               "  version: { table: input, address: 1000, type: string, length: 12 }\n"
               "  serial: { table: input, address: 1010, type: u32 }\n"
               "  a: { table: input, address: 99, group: g }\n"
               "  b: { table: input, address: 110, group: g }\n");
    bench_line(bench, NULL, NULL);
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"a\",\"b\"]}", NULL), SB_CAUSE_NONE);
    assert_result(bench, "{\"a\":25443,\"b\":28270}");
    assert_null(bench->outcome.native.code);
}

ON_BENCH(test_write)
{
    bench_line(bench, NULL, NULL);
    assert_cause(bench_run(bench, SB_OP_WRITE,
                           "{\"values\":{\"interval\":90,\"gain\":-1.5,\"name\":\"pump\","
                           "\"mode\":\"fast\",\"control\":{\"run\":false,\"fault\":true},"
                           "\"tenths\":21.5,\"enabled\":false,\"relay\":true,\"low\":3,"
                           "\"high\":9}}",
                           NULL),
                 SB_CAUSE_NONE);
    assert_result(bench, "{\"interval\":90,\"gain\":-1.5,\"low\":3,\"high\":9,\"name\":\"pump\","
                         "\"mode\":\"fast\",\"control\":{\"run\":false,\"reverse\":false,"
                         "\"fault\":true},\"tenths\":21.5,\"enabled\":false,\"relay\":true}");
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"control\",\"relay\"]}", NULL),
                 SB_CAUSE_NONE);
    assert_result(bench, "{\"control\":{\"run\":false,\"reverse\":false,\"fault\":true},"
                         "\"relay\":true}");
    bench_type(bench, "  mask_write: true\n  write_single: false\n", NULL);
    assert_cause(bench_run(bench, SB_OP_WRITE,
                           "{\"values\":{\"enabled\":true,\"control\":{\"reverse\":true}}}", NULL),
                 SB_CAUSE_NONE);
    assert_result(bench, "{\"control\":{\"run\":false,\"reverse\":true,\"fault\":true},"
                         "\"enabled\":true}");
}

ON_BENCH(test_a_write_that_does_not_hold)
{
    bench_line(bench, NULL, "--fault", "forget", NULL);
    assert_cause(bench_run(bench, SB_OP_WRITE, "{\"values\":{\"clamped\":500}}", NULL),
                 SB_CAUSE_VERIFY_FAILED);
    assert_non_null(strstr(bench->outcome.text, "clamped: the device holds another value"));
    assert_result(bench, "{\"clamped\":100}");
}

ON_BENCH(test_unlock_write_save)
{
    bench_line(bench, NULL, NULL);
    assert_cause(bench_run(bench, SB_OP_WRITE, "{\"values\":{\"locked\":7}}", NULL),
                 SB_CAUSE_REFUSED);
    bench_type(bench,
               "  before: [{ write: 60, value: 0x55aa }]\n"
               "  after: [{ write: 60, value: 0 }]\n"
               "  save: [{ write: 61, value: 0xa5a5 }, { wait: 10ms }]\n",
               NULL);
    assert_cause(bench_run(bench, SB_OP_WRITE, "{\"values\":{\"locked\":7}}", NULL), SB_CAUSE_NONE);
    bench_kill(bench); /* a write is not kept */
    bench_line(bench, NULL, NULL);
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"locked\"]}", NULL), SB_CAUSE_NONE);
    assert_result(bench, "{\"locked\":33}");
    assert_cause(bench_run(bench, SB_OP_CONFIGURE, "{\"values\":{\"locked\":8}}", NULL),
                 SB_CAUSE_NONE);
    bench_kill(bench);
    bench_line(bench, NULL, NULL);
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"locked\"]}", NULL), SB_CAUSE_NONE);
    assert_result(bench, "{\"locked\":8}");
}

/* A device that was unlocked for a write is locked again, whatever became of the write. */
ON_BENCH(test_a_write_that_fails_is_locked_again)
{
    bench_type(bench,
               "  timeout: 1s\n"
               "  before: [{ write: 60, value: 0x55aa }]\n"
               "  after: [{ write: 60, value: 0 }]\n",
               "properties:\n"
               "  version: { table: input, address: 1000, type: string, length: 12 }\n"
               "  serial: { table: input, address: 1010, type: u32 }\n"
               "  lock: { address: 60 }\n"
               "  a: { address: 1 }\n"
               "  b: { address: 3 }\n"
               "  c: { address: 5 }\n"
               "  hole: { address: 90 }\n");
    bench_line(bench, NULL, NULL);
    assert_cause(bench_run(bench, SB_OP_WRITE, "{\"values\":{\"hole\":7}}", NULL),
                 SB_CAUSE_REFUSED);
    assert_non_null(strstr(bench->outcome.text, "hole: the device has no such address"));
    assert_string_equal(bench->outcome.native.code, "2");
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"lock\"]}", NULL), SB_CAUSE_NONE);
    assert_result(bench, "{\"lock\":0}");
    bench_say(bench, "set slow 0.25");
    bench->stop_in = SB_PHASE_WRITING;
    assert_cause(bench_run(bench, SB_OP_WRITE, "{\"values\":{\"a\":7,\"b\":8,\"c\":9}}", NULL),
                 SB_CAUSE_OPERATOR);
    assert_true(bench->outcome.stopped);
    bench_say(bench, "set slow 0");
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"lock\"]}", NULL), SB_CAUSE_NONE);
    assert_result(bench, "{\"lock\":0}");
}

ON_BENCH(test_configure_by_a_package)
{
    sb_cleanup(sb_freep) char *path = bench_path(bench, "values.json");
    bench_line(bench, NULL, NULL);
    sb_cleanup(json_decrefp) json_t *values = json_of("{\"interval\": 5}");
    assert_int_equal(json_dump_file(values, path, 0), 0);
    assert_cause(bench_run(bench, SB_OP_CONFIGURE, NULL, path), SB_CAUSE_NONE);
    assert_result(bench, "{\"interval\":5}");
    assert_cause(bench_run(bench, SB_OP_CONFIGURE, NULL, NULL), SB_CAUSE_INVALID_REQUEST);
}

/* ---- actions, restarts ---- */

ON_BENCH(test_actions)
{
    sb_cleanup(sb_freep) char *rest =
        sb_format("properties:\n"
                  "  version: { table: input, address: 1000, type: string, length: 12 }\n"
                  "  serial: { table: input, address: 1010, type: u32 }\n"
                  "  counted: { address: 62, access: read }\n"
                  "  low: { address: 6 }\n"
                  "  tenths: { address: 14, type: i16, scale: 0.1 }\n"
                  "actions:\n"
                  "  count: { steps: [{ write: 61, value: 1 }], results: [counted] }\n"
                  "  adjust: { arguments: { to: null, also: 7, fine: 1.5 }, steps: [\n"
                  "    { write: 6, value: $to }, { write: 16, values: [$also, 0x10] },\n"
                  "    { set: { tenths: $fine } }, { mask: 17, and: 0xff00, or: 0x12 },\n"
                  "    { coil: 9, value: true }, { poll: 6, ok: $to }, { wait: 1ms } ],\n"
                  "    results: [low, tenths] }\n"
                  "  vendor: { steps: [{ request: '41 01 02 03' }], repeatable: true }\n"
                  "  echoed: { steps: [{ request: '08 0000 1234', answer: echo }] }\n"
                  "  backwards: { steps: [{ request: '41 01 02', answer: echo }] }\n");
    bench_type(bench, NULL, rest);
    bench_line(bench, NULL, NULL);
    assert_cause(bench_run(bench, SB_OP_INVOKE, "{\"action\":\"count\"}", NULL), SB_CAUSE_NONE);
    assert_result(bench, "{\"counted\":1}");
    assert_int_equal(bench->commits, 1);
    assert_cause(
        bench_run(bench, SB_OP_INVOKE, "{\"action\":\"adjust\",\"arguments\":{\"to\":77}}", NULL),
        SB_CAUSE_NONE);
    assert_result(bench, "{\"low\":77,\"tenths\":1.5}");
    assert_cause(bench_run(bench, SB_OP_INVOKE, "{\"action\":\"vendor\"}", NULL), SB_CAUSE_NONE);
    assert_int_equal(bench->commits, 0);
    assert_cause(bench_run(bench, SB_OP_INVOKE, "{\"action\":\"echoed\"}", NULL), SB_CAUSE_NONE);
    assert_cause(bench_run(bench, SB_OP_INVOKE, "{\"action\":\"backwards\"}", NULL),
                 SB_CAUSE_REFUSED);
    assert_non_null(strstr(bench->outcome.text, "the answer is 410201"));
    assert_cause(bench_run(bench, SB_OP_INVOKE, "{\"action\":\"adjust\"}", NULL),
                 SB_CAUSE_INVALID_REQUEST); /* `to` is missing */
    assert_cause(bench_run(bench, SB_OP_INVOKE,
                           "{\"action\":\"adjust\",\"arguments\":{\"to\":70000}}", NULL),
                 SB_CAUSE_INVALID_REQUEST);
    assert_int_equal(bench_events(bench, "damaged"), 0);
}

ON_BENCH(test_an_interrupted_action)
{
    bench_type(bench, NULL,
               "properties:\n"
               "  version: { table: input, address: 1000, type: string, length: 12 }\n"
               "  serial: { table: input, address: 1010, type: u32 }\n"
               "actions:\n  count: { steps: [{ write: 61, value: 1, once: true }] }\n");
    bench_line(bench, NULL, "--fault", "silent_answers=9", NULL);
    assert_cause(bench_run(bench, SB_OP_INVOKE, "{\"action\":\"count\"}", NULL),
                 SB_CAUSE_OUTCOME_UNKNOWN);
    assert_int_equal(bench_events(bench, "write"), 1);
    assert_cause(bench_resume(bench, SB_OP_INVOKE, "{\"action\":\"count\"}", NULL, true),
                 SB_CAUSE_OUTCOME_UNKNOWN);
    assert_int_equal(bench_events(bench, "write"), 1);
}

ON_BENCH(test_reboot)
{
    bench_line(bench, NULL, NULL);
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "up"), 2);
    assert_int_equal(bench->commits, 1);
    assert_string_equal(bench_version(bench), "1.0.0");
    assert_true(bench->phases & 1u << SB_PHASE_RESTARTING);
}

/* 8/1, which some devices answer and others do not. */
ON_BENCH(test_reboot_by_restart_of_communications)
{
    bench_load_type(bench, "modbus:\n  timeout: 150ms\n"
                           "  reboot: [{ restart_comms: true }]\n");
    bench_line(bench, "\"objects\": {\"2\": \"$version\"}", NULL);
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "up"), 2);
    bench_say(bench, "set no_restart_answer true");
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_LINK_LOST);
    bench_wait_event(bench, "up", 3);
    bench_load_type(bench, "modbus:\n  timeout: 150ms\n"
                           "  reboot: [{ restart_comms: true, answer: false }]\n");
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "up"), 4);
}

/* No answer is allowed, but then the device must have been seen to go. */
ON_BENCH(test_a_restart_that_nobody_took)
{
    bench_type(bench,
               "  reboot: [{ restart_comms: true, answer: false }]\n"
               "  factory_reset: [{ write: 61, value: 0xdead, broadcast: true }]\n",
               NULL);
    bench_line(bench, NULL, NULL);
    bench->say_at_stage = NULL;
    bench_say(bench, "set stuck true");
    bench_say(bench, "set no_restart_answer true");
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_OUTCOME_UNKNOWN);
    assert_non_null(strstr(bench->outcome.text, "was not seen to go"));
    assert_int_equal(bench_events(bench, "up"), 1);
    assert_null(bench->checkpoint); /* nor is it taken for done after a crash */
    assert_cause(bench_run(bench, SB_OP_FACTORY_RESET, NULL, NULL), SB_CAUSE_OUTCOME_UNKNOWN);
}

/* It may know no registers at all, and be silent when asked for them. */
ON_BENCH(test_a_restart_is_seen_by_what_a_device_answers)
{
    bench_load_type(bench, "modbus:\n  timeout: 150ms\n"
                           "  reboot: [{ restart_comms: true }]\n");
    bench_line(bench, "\"objects\": {\"2\": \"$version\"}, \"only\": [43, 8]", NULL);
    assert_cause(bench_run(bench, SB_OP_REBOOT, NULL, NULL), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "up"), 2);
}

ON_BENCH(test_a_reboot_after_a_crash)
{
    bench_line(bench, NULL, NULL);
    bench->at_stage = "restart";
    bench->die_at_stage = true;
    (void)bench_run(bench, SB_OP_REBOOT, NULL, NULL);
    assert_true(bench->died);
    /* Its checkpoint was not kept: seen to go and come, or unknown. */
    enum sb_cause cause = bench_resume(bench, SB_OP_REBOOT, NULL, NULL, true);
    assert_true(cause == SB_CAUSE_NONE || cause == SB_CAUSE_OUTCOME_UNKNOWN);
    bench_wait_event(bench, "up", 2);
    json_decref(bench->checkpoint);
    bench->checkpoint = NULL;
    assert_cause(bench_resume(bench, SB_OP_REBOOT, NULL, NULL, true), SB_CAUSE_OUTCOME_UNKNOWN);
    bench->checkpoint = json_of("{\"stage\": \"restart\"}");
    assert_cause(bench_resume(bench, SB_OP_REBOOT, NULL, NULL, true), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "up"), 2); /* it was never sent again */
}

ON_BENCH(test_factory_reset)
{
    bench_type(bench,
               "  save: [{ write: 61, value: 0xa5a5 }]\n"
               "  factory_reset: [{ write: 61, value: 0xdead }]\n"
               "  reset_restarts: true\n",
               NULL);
    bench_line(bench, NULL, NULL);
    assert_cause(bench_run(bench, SB_OP_CONFIGURE, "{\"values\":{\"interval\":7}}", NULL),
                 SB_CAUSE_NONE);
    assert_cause(bench_run(bench, SB_OP_FACTORY_RESET, NULL, NULL), SB_CAUSE_NONE);
    assert_int_equal(bench_events(bench, "up"), 2);
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"interval\"]}", NULL), SB_CAUSE_NONE);
    assert_result(bench, "{\"interval\":60}");
}

/* What the device had taken before a crash is not done to it again: it may be in use since. */
ON_BENCH(test_a_factory_reset_after_a_crash)
{
    bench_type(bench,
               "  factory_reset: [{ write: 61, value: 0xdead }]\n"
               "  reset_restarts: true\n",
               NULL);
    bench_line(bench, NULL, NULL);
    assert_cause(bench_run(bench, SB_OP_FACTORY_RESET, NULL, NULL), SB_CAUSE_NONE);
    assert_non_null(bench->checkpoint);
    assert_cause(bench_run(bench, SB_OP_WRITE, "{\"values\":{\"interval\":7}}", NULL),
                 SB_CAUSE_NONE);
    json_decref(bench->checkpoint);
    bench->checkpoint = json_of("{\"stage\": \"restart\"}");
    assert_cause(bench_resume(bench, SB_OP_FACTORY_RESET, NULL, NULL, true), SB_CAUSE_NONE);
    assert_cause(bench_run(bench, SB_OP_READ, "{\"names\":[\"interval\"]}", NULL), SB_CAUSE_NONE);
    assert_result(bench, "{\"interval\":7}");
}

ON_BENCH(test_what_a_type_does_not_say_it_cannot)
{
    bench_line(bench, NULL, NULL);
    assert_cause(bench_run(bench, SB_OP_FACTORY_RESET, NULL, NULL), SB_CAUSE_UNSUPPORTED);
    assert_cause(bench_update(bench, "2.0.0", 1000), SB_CAUSE_UNSUPPORTED);
    assert_non_null(strstr(bench->outcome.text, "modbus.firmware"));
    assert_int_equal(bench_events(bench, "read"), 0);
}
