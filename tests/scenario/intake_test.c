/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken from whom, what is refused and why, and what the trail says of it. */
#include "tests/scenario/attack.h"

/* ---- asking ---- */

static struct sb_request request_for(enum sb_op op, const char *const *devices, size_t count)
{
    return (struct sb_request){ .op = op, .devices = devices, .device_count = count };
}

static struct sb_verdict ask(struct cloud *which, const struct sb_request *request)
{
    struct sb_verdict verdict = { 0 };
    assert_int_equal(sb_host_submit(which->host, which->door, request, &verdict), 0);
    return verdict;
}

/* An update of device a to what the package's JSON says. */
static struct sb_verdict ask_image(const char *package)
{
    static const char *const devices[] = { "a" };
    struct sb_request request = request_for(SB_OP_FIRMWARE_UPDATE, devices, 1);
    sb_cleanup(json_decrefp) json_t *spec = json_loads(package, 0, NULL);
    assert_non_null(spec);
    request.package = spec;
    return ask(&cloud, &request);
}

static void retype(const char *text)
{
    struct sb_diags diags = { 0 };
    world_write(&world, "devices/one-step.yaml", text);
    assert_int_equal(sb_core_reload(world.core, "test", &diags), 0);
    sb_diags_done(&diags);
    world_run(&world, 1000);
}

static void assert_says(struct sb_verdict verdict, enum sb_cause cause, const char *part)
{
    assert_non_null(verdict.text);
    if (!strstr(verdict.text, part))
        fail_msg("'%s' is not in '%s'", part, verdict.text);
    refused(verdict, cause);
}

/* ---- who ---- */

/* Device d takes orders from north alone; an operator at the gateway is bound by nothing. */
ATTACK(who_may_command)
{
    static const char *const devices[] = { "d" };
    const struct sb_request request = request_for(SB_OP_REBOOT, devices, 1);
    assert_says(ask(&south, &request), SB_CAUSE_REFUSED, "link 'south' may not command device 'd'");
    struct sb_verdict mine = accepted(ask(&cloud, &request));
    assert_int_equal(sb_host_cancel(south.host, south.door, mine.task, SB_CAUSE_OPERATOR), -EPERM);
    world_run(&world, 3000);
    assert_state(mine.job, SB_TASK_SUCCEEDED);
    struct sb_verdict native = { 0 };
    assert_int_equal(sb_intake_submit(&world.core->intake, "native", false, &request, &native), 0);
    (void)accepted(native);
    world_run(&world, 3000);
    assert_state(native.job, SB_TASK_SUCCEEDED);
    assert_int_equal(bench_device("d")->boots, 2);
}

/* ---- how much ---- */

ATTACK(open_jobs_and_tasks_are_bounded)
{
    static const char *const devices[] = { "a", "b", "c" };
    struct sb_request request = request_for(SB_OP_REBOOT, devices, 1);
    request.policy.hold = true;
    world_off(&world, false);
    world.config->limits.jobs = 2;
    world.config->limits.tasks = 4;
    world_boot(&world);
    world_run(&world, 1000);
    struct sb_verdict first = accepted(ask(&cloud, &request));
    request.devices = devices + 1;
    struct sb_verdict second = accepted(ask(&cloud, &request));
    request.devices = devices + 2;
    assert_says(ask(&cloud, &request), SB_CAUSE_BUSY, "limit 2 jobs");
    assert_int_equal(sb_host_cancel(cloud.host, cloud.door, first.task, SB_CAUSE_OPERATOR), 0);
    world_run(&world, 100); /* there is room for a job again, but not for four tasks */
    static const char *const four[] = { "a", "b", "c", "d" };
    const struct sb_request many = request_for(SB_OP_REBOOT, four, 4);
    assert_says(ask(&cloud, &many), SB_CAUSE_BUSY, "4 tasks");
    (void)accepted(ask(&cloud, &request));
    assert_state(second.job, SB_TASK_HELD);
}

/* Where there is no room for more, what was asked for is answered as before; a new round is more.
 */
ATTACK(the_same_again_without_room)
{
    static const char *const devices[] = { "a", "b" };
    struct sb_request request = request_for(SB_OP_REBOOT, devices, 1);
    struct sb_request other = request_for(SB_OP_REBOOT, devices + 1, 1);
    request.external_id = "r1";
    other.external_id = "r2";
    other.policy.hold = request.policy.hold = true;
    world_off(&world, false);
    world.config->limits.jobs = 1;
    world_boot(&world);
    world_run(&world, 1000);
    struct sb_verdict first = accepted(ask(&cloud, &request));
    struct sb_verdict again = accepted(ask(&cloud, &request));
    assert_true(again.existing);
    assert_int_equal(again.task, first.task);
    assert_says(ask(&cloud, &other), SB_CAUSE_BUSY, "limit 1 jobs");
    assert_int_equal(sb_host_cancel(cloud.host, cloud.door, first.task, SB_CAUSE_OPERATOR), 0);
    world_run(&world, 100);
    (void)accepted(ask(&cloud, &other));
    assert_says(ask(&cloud, &request), SB_CAUSE_BUSY, "limit 1 jobs"); /* it failed: a new round */
    assert_int_equal(sb_intake_retry(&world.core->intake, first.job, "test"), -ENOBUFS);
    assert_true(accepted(ask(&cloud, &other)).existing);
}

ATTACK(parameters_are_bounded)
{
    static const char *const devices[] = { "a" };
    struct sb_request request = request_for(SB_OP_READ, devices, 1);
    sb_cleanup(sb_freep) char *text = calloc(1, 70001);
    memset(text, 'x', 70000);
    sb_cleanup(json_decrefp) json_t *large = json_pack("{s:[s]}", "names", text);
    sb_cleanup(json_decrefp) json_t *list = json_array();
    request.params = large;
    assert_says(ask(&cloud, &request), SB_CAUSE_INVALID_REQUEST, "over 65536 bytes");
    request.params = list;
    assert_says(ask(&cloud, &request), SB_CAUSE_INVALID_REQUEST, "not an object");
    request.params = NULL; /* what the driver needs is not there */
    assert_says(ask(&cloud, &request), SB_CAUSE_INVALID_REQUEST, "names are missing");
    text[300] = '\0';
    request.external_id = text;
    assert_says(ask(&cloud, &request), SB_CAUSE_INVALID_REQUEST, "1 to 256 bytes, not 300");
    request.external_id = "";
    assert_says(ask(&cloud, &request), SB_CAUSE_INVALID_REQUEST, "1 to 256 bytes, not 0");
    request.external_id = NULL;
    request.device_count = 0;
    assert_says(ask(&cloud, &request), SB_CAUSE_INVALID_REQUEST, "no device is named");
    assert_int_equal(sb_book_jobs(world.core->book), 0);
}

/* One device that cannot do it, and nothing is done on the others. */
ATTACK(all_devices_or_none)
{
    static const char *const devices[] = { "a", "nobody" };
    const struct sb_request request = request_for(SB_OP_REBOOT, devices, 2);
    assert_says(ask(&cloud, &request), SB_CAUSE_DEVICE_GONE, "no device 'nobody'");
    world_run(&world, 3000);
    assert_int_equal(bench_device("a")->boots, 0);
    assert_int_equal(sb_store_mem_rows(world.disk, SB_TABLE_JOB), 0);
}

/* ---- which image ---- */

#define SHA "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

ATTACK(from_where_an_image_may_come)
{
    static const struct {
        const char *package, *part;
    } cases[] = {
        { "{\"uri\":\"http://fw.example.com/2.bin\"}", "scheme http" },
        { "{\"uri\":\"file:///etc/passwd\"}", "scheme file" },
        { "{\"uri\":\"https://127.0.0.1/2.bin\"}", "not public" },
        { "{\"uri\":\"https://169.254.169.254/latest\"}", "not public" },
        { "{\"uri\":\"https://\"}", "no host" },
        { "{\"uri\":\"nonsense\"}", "scheme" },
        { "{\"uri\":\"stream:?id=1\"}", "scheme" }, /* this door has none of its own */
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++)
        assert_says(ask_image(cases[i].package), SB_CAUSE_INVALID_URI, cases[i].part);
    assert_int_equal(shelf.started, 0);
}

ATTACK(a_digest_is_demanded)
{
    retype("name: one-step\ndriver: bench\nverify: version\nrequire_digest: true\n");
    assert_says(ask_image("{\"uri\":\"https://fw.example.com/2.bin\",\"version\":\"2.0.0\"}"),
                SB_CAUSE_INVALID_REQUEST, "sha256");
    struct sb_verdict good = accepted(ask_image(
        "{\"uri\":\"https://fw.example.com/2.bin\",\"version\":\"2.0.0\",\"sha256\":\"" SHA "\"}"));
    world_run(&world, 100);
    assert_non_null(open_task(good.task));
}

/* Whose success is read from the version must be told which one it is. */
ATTACK(a_version_is_demanded)
{
    static const char *const devices[] = { "a" };
    static const char bare[] = "{\"uri\":\"https://fw.example.com/2.bin\"}";
    assert_says(ask_image(bare), SB_CAUSE_INVALID_REQUEST, "which one the image is");
    assert_int_equal(shelf.started, 0);
    struct sb_request request = request_for(SB_OP_FIRMWARE_DOWNLOAD, devices, 1);
    sb_cleanup(json_decrefp) json_t *spec = json_loads(bare, 0, NULL);
    request.package = spec;
    struct sb_verdict staged = accepted(ask(&cloud, &request)); /* which installs nothing */
    world_run(&world, 5000);
    assert_state(staged.job, SB_TASK_SUCCEEDED);
    request = request_for(SB_OP_FIRMWARE_INSTALL, devices, 1);
    assert_says(ask(&cloud, &request), SB_CAUSE_INVALID_REQUEST, "which one the image is");
    retype("name: one-step\ndriver: bench\nverify: status\n");
    (void)accepted(ask_image(bare));
}

ATTACK(for_what_an_image_is_made)
{
    static const struct {
        const char *fits;
        bool taken;
    } cases[] = {
        { "{\"type\":[\"two-step\"]}", false },
        { "{\"model\":[\"pump\",\"valve\"]}", false }, /* the device says: bench */
        { "{\"manufacturer\":[\"Acme\"]}", true },     /* nobody knows better */
        { "{\"model\":[\"bench\"],\"type\":[\"one-step\"]}", true },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *package = sb_format(
            "{\"uri\":\"https://fw.example.com/%zu.bin\",\"version\":\"%zu.0.0\",\"fits\":%s}",
            i + 2, i + 2, cases[i].fits);
        struct sb_verdict verdict = ask_image(package);
        if (cases[i].taken)
            (void)accepted(verdict);
        else
            assert_says(verdict, SB_CAUSE_UNSUPPORTED_IMAGE, "is not made for device 'a'");
        world_run(&world, 10000);
    }
    assert_string_equal(bench_device("a")->version, "5.0.0");
}

/* Two modules of one device: neither is in the other's way, and they go one after the other. */
ATTACK(modules)
{
    retype("name: one-step\ndriver: bench\nverify: hash\n");
    bench.peak = 0;
    struct sb_verdict board = accepted(ask_image(
        "{\"uri\":\"https://fw.example.com/2.bin\",\"version\":\"2.0.0\",\"module\":\"\"}"));
    struct sb_verdict radio = accepted(ask_image(
        "{\"uri\":\"https://fw.example.com/r.bin\",\"version\":\"7.0.0\",\"module\":\"radio\"}"));
    assert_int_not_equal(board.job, radio.job);
    assert_says(
        ask_image(
            "{\"uri\":\"https://fw.example.com/s.bin\",\"version\":\"8\",\"module\":\"radio\"}"),
        SB_CAUSE_CONFLICT, "is still at work on device 'a'");
    world_run(&world, 300);
    assert_reason(radio.task, SB_REASON_BUSY);
    world_run(&world, 10000);
    assert_state(board.job, SB_TASK_SUCCEEDED);
    assert_state(radio.job, SB_TASK_SUCCEEDED);
    assert_int_equal(bench.peak, 1);
    assert_int_equal(bench_device("a")->installs, 2);
}

/* ---- the trail ---- */

static int add_record(void *arg, const struct sb_row *row)
{
    struct sb_str *text = arg;
    const json_t *detail = sb_json_object(row->body, "detail");
    const char *verb = sb_json_str(row->body, "verb");
    const char *what = sb_streq(verb, "state")  ? sb_json_str(detail, "state")
                       : sb_streq(verb, "told") ? sb_json_str(detail, "what")
                                                : sb_json_str(detail, "operation");
    const char *link = sb_json_str(detail, "link");
    sb_str_format(text, "%s: %s %s%s%s\n", sb_json_str(row->body, "actor"), verb, what ? what : "-",
                  link ? " to " : "", link ? link : "");
    return 0;
}

/* The trail of a job or task; the caller frees it. */
static char *trail_of(const char *kind, int64_t id)
{
    struct sb_str text = { 0 };
    sb_cleanup(sb_freep) char *subject = sb_format("%s %lld", kind, (long long)id);
    const struct sb_query query = { .table = SB_TABLE_AUDIT, .a = subject, .state = -1 };
    assert_int_equal(sb_store_query(world.core->store, &query, add_record, &text), 0);
    return sb_str_take(&text);
}

/* The lines that begin so, in order. */
static char *lines_with(const char *trail, const char *part)
{
    struct sb_str text = { 0 };
    sb_cleanup(sb_freep) char *copy = strdup(trail);
    char *rest = copy;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (strstr(line, part))
            sb_str_format(&text, "%s\n", line);
    return text.text ? sb_str_take(&text) : strdup("");
}

/* Who asked what, every transition and who made it, every report told and to whom. */
ATTACK(the_trail_of_an_update)
{
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    world_run(&world, 5000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
    sb_cleanup(sb_freep) char *asked = trail_of("job", verdict.job);
    assert_string_equal(asked, "link north: submit firmware_update\n");
    sb_cleanup(sb_freep) char *trail = trail_of("task", verdict.task);
    sb_cleanup(sb_freep) char *states = lines_with(trail, ": state ");
    assert_string_equal(states, "core: state sent\n"
                                "core: state downloading\n"
                                "driver: state restarting\n"
                                "driver: state succeeded\n");
    sb_cleanup(sb_freep) char *told = lines_with(trail, ": told succeeded");
    assert_string_equal(told, "core: told succeeded to north\n");
    assert_true(strstr(trail, "told succeeded") > strstr(trail, "state succeeded"));
    assert_null(strstr(trail, "to south")); /* it was not south's job */
}

/* A cancel bears the name of who asked for it. */
ATTACK(the_trail_of_a_cancel)
{
    struct sb_policy hold = { .hold = true };
    struct sb_verdict verdict = accepted(world_ask_with(&world, SB_OP_REBOOT, "a", NULL, &hold));
    struct sb_task *task = open_task(verdict.task);
    assert_int_equal(sb_runner_confirm(world.core->runner, task, "uid 7 (ann)"), 0);
    assert_int_equal(sb_runner_cancel(world.core->runner, task, SB_CAUSE_OPERATOR, "uid 8 (bob)"),
                     0);
    world_run(&world, 1000);
    sb_cleanup(sb_freep) char *trail = trail_of("task", verdict.task);
    sb_cleanup(sb_freep) char *states = lines_with(trail, ": state ");
    assert_string_equal(states, "uid 7 (ann): state queued\n"
                                "uid 8 (bob): state cancelled\n");
}
