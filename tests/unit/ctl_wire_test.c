/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line against a daemon that answers by a script: reached or not, refusing, dying,
 * hostile; jobs watched to their end and not; the audit's chain.
 */
#include "ctl_daemon.h"

#include <fcntl.h>
#include <pty.h>
#include <sys/wait.h>

#include "bridge/audit_check.h"
#include "bridge/ctl/client.h"

/* ---- reaching it ---- */

static void expect_unreachable(const char *path, const char *part)
{
    struct said said = run_line(path, "status");
    assert_int_equal(said.code, SB_EXIT_UNREACHABLE);
    assert_string_equal(said.out, "");
    expect_part(said.err, part);
    said_done(&said);
    said = run_line(path, "status --json");
    assert_int_equal(said.code, SB_EXIT_UNREACHABLE);
    sb_cleanup(json_decrefp) json_t *answer = json_loads(said.out, 0, NULL);
    assert_string_equal(sb_json_str(answer, "error"), "unreachable");
    expect_part(sb_json_str(answer, "text"), part);
    said_done(&said);
}

SB_TEST(test_not_reachable)
{
    char folder[] = "/tmp/sb-ctl-XXXXXX";
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    assert_non_null(mkdtemp(folder));
    sb_cleanup(sb_freep) char *path = sb_format("%s/control", folder);
    expect_unreachable(path, "is the daemon running");
    expect_part(path, "/");

    memcpy(address.sun_path, path, strlen(path)); /* left over from a crash */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    expect_unreachable(path, "nobody listens");

    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(chmod(path, 0), 0);
    uid_t before = geteuid();
    if (before == 0)
        assert_int_equal(seteuid(65534), 0);
    expect_unreachable(path, "members of the daemon's group");
    assert_int_equal(seteuid(before), 0);
    (void)close(fd);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);

    char deep[200];
    memset(deep, 'x', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    expect_unreachable(deep, "too long");
}

SB_TEST(test_socket_of_the_environment)
{
    struct fake *fake = fake_new(STEPS({ "\"reload\"", "{\"ok\": true, \"data\": null}" }));
    char *argv[] = { (char *)"southbridgectl", (char *)"reload", NULL };
    char *out;
    size_t size;
    assert_int_equal(setenv("SOUTHBRIDGE_SOCKET", fake->path, 1), 0);
    struct sb_ctl ctl = { .out = open_memstream(&out, &size), .err = stderr };
    assert_int_equal(sb_ctl_main(&ctl, 2, argv), 0);
    (void)unsetenv("SOUTHBRIDGE_SOCKET");
    assert_int_equal(fclose(ctl.out), 0);
    expect_part(out, "are read again");
    free(out);
    fake_free(fake);
}

/* ---- refusals ---- */

SB_TEST(test_refusals)
{
    static const struct {
        const char *error;
        int code;
    } cases[] = {
        { "usage", 2 },    { "not_found", 4 },   { "refused", 5 },
        { "too_late", 5 }, { "unavailable", 7 }, { "unheard_of", 1 },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *answer =
            sb_format("{\"ok\": false, \"error\": \"%s\", \"text\": \"not so\\u001b\\nand more\"}",
                      cases[i].error);
        expect_run(STEPS({ "\"verb\":\"device show\",\"args\":{\"id\":\"p\"}", answer }),
                   "device show p", cases[i].code, NULL, "southbridgectl: not so?\n  and more\n");
        sb_cleanup(sb_freep) char *json =
            sb_format("{\"error\":\"%s\",\"text\":\"not so\\u001B\\nand more\"}\n", cases[i].error);
        expect_run(STEPS({ "device show", answer }), "device show p --json", cases[i].code, json,
                   "not so?");
    }
    expect_run(STEPS({ "reload", "{\"ok\": false}" }), "reload", SB_EXIT_FAILED, NULL,
               "the daemon refused");
}

/* ---- what is not the protocol ---- */

SB_TEST(test_broken_answers)
{
    struct sb_str deep = { 0 };
    for (int i = 0; i < 300; i++)
        sb_str_add_char(&deep, '[');
    const struct {
        const char *answer, *part;
    } cases[] = {
        { "hello", "not the daemon's protocol" },
        { "[1]", "not the daemon's protocol" },
        { "{}", "not the daemon's protocol" },
        { "{\"ok\": 1}", "not the daemon's protocol" },
        { "", "not the daemon's protocol" },
        { "{\"ok\": true, \"ok\": true}", "not the daemon's protocol" },
        { sb_str_get(&deep), "too long" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++)
        expect_run(STEPS({ "status", cases[i].answer }), "status", SB_EXIT_FAILED, NULL,
                   cases[i].part);
    sb_str_done(&deep);
}

SB_TEST(test_oversized_line)
{
    expect_run(STEPS({ "status", NULL, FLOOD }), "status", SB_EXIT_FAILED, NULL,
               "answer is too long");
}

SB_TEST(test_daemon_dies)
{
    expect_run(STEPS({ "reload", NULL, HANG_UP }), "reload", SB_EXIT_UNREACHABLE, NULL,
               "hung up before it answered");
    expect_run(STEPS({ "reload", "{\"ok\": tr", HANG_UP }), "reload", SB_EXIT_FAILED, NULL,
               "not the daemon's protocol");
}

SB_TEST(test_silent_daemon)
{
    struct fake *fake = fake_new(STEPS({ "status", "{\"ok\": true}", GO_ON }));
    struct sb_client *client = NULL;
    json_t *line = NULL;
    char *error = NULL;
    assert_int_equal(sb_client_open(fake->path, &client, &error), 0);
    assert_int_equal(sb_client_line(client, 20, NULL, &line), -ETIMEDOUT);
    assert_int_equal(sb_client_send(client, "status", NULL), 0);
    assert_int_equal(sb_client_line(client, DEADLINE, NULL, &line), 0);
    json_decref(line);
    sb_client_free(client);
    fake_free(fake);
}

/* Data of any shape is shown without harm. */
SB_TEST(test_data_of_any_shape)
{
    static const char *const lines[] = {
        "status",
        "device list",
        "device show x",
        "device remove x",
        "device identify x",
        "job list",
        "job show 1",
        "job cancel 1",
        "job retry 1",
        "job pause --all",
        "package list",
        "package show x",
        "package add http://h/x",
        "link list",
        "mapping explain x",
        "reload",
    };
    static const char *const shapes[] = {
        "null",
        "5",
        "\"x\"",
        "[]",
        "{}",
        "[null, 5, \"x\", {}, []]",
        "[{\"id\": 5, \"versions\": 5, \"counts\": [], \"device\": null, \"size\": \"x\"}]",
        "{\"id\": {}, \"tasks\": 5, \"policy\": [], \"links\": {}, \"versions\": {\"\": 5}, "
        "\"properties\": {\"p\": 5}, \"store\": [], \"jobs\": 5, \"devices\": {\"ready\": \"x\"}, "
        "\"address\": 5, \"staged\": {}, \"open_tasks\": [5], \"identity\": {\"model\": 5}}",
        "{\"tasks\": [{\"result\": 5, \"state\": \"queued\", \"native_code\": \"5\"}, 5], "
        "\"policy\": {\"window_from\": 5, \"start_at\": \"x\", \"run_timeout\": []}, \"links\": "
        "[5, {\"states\": [5, {\"says\": 5}], \"causes\": [{\"cause\": 5}]}]}",
    };
    for (size_t l = 0; l < SB_COUNT(lines); l++)
        for (size_t s = 0; s < SB_COUNT(shapes); s++) {
            sb_cleanup(sb_freep) char *answer =
                sb_format("{\"ok\": true, \"data\": %s}", shapes[s]);
            struct fake *fake = fake_new(STEPS({ "", answer }));
            struct said said = run_line(fake->path, lines[l]);
            fake_free(fake);
            bool list = strcmp(lines[l], "device list") == 0;
            if (said.code != 0 && !list) /* pages must be arrays */
                fail_msg("%s of %s: %d", lines[l], shapes[s], said.code);
            said_done(&said);
        }
}

/* ---- answers ---- */

SB_TEST(test_json_passthrough)
{
    expect_run(STEPS({ "\"status\"",
                       "{\"ok\": true, \"data\": {\"version\": \"9\", \"new\": [1, 2.5, null]}}" }),
               "--json status", 0, "{\"version\":\"9\",\"new\":[1,2.5,null]}\n", NULL);
    expect_run(STEPS({ "job cancel", "{\"ok\": true, \"data\": {\"tasks\": 2}}" }),
               "job cancel 7 --json", 0, "{\"tasks\":2}\n", NULL);
    expect_run(STEPS({ "reload", "{\"ok\": true, \"data\": null}" }), "reload --json", 0, "null\n",
               NULL);
}

SB_TEST(test_status)
{
    expect_run(
        STEPS({ "\"status\"",
                "{\"ok\": true, \"data\": {\"version\": \"1.2\", \"pid\": 42, \"running\": true, "
                "\"paused\": true, \"store\": {\"ready\": false, \"why\": \"disk full\"}, "
                "\"jobs\": {\"open\": 3, \"tasks\": 4}, \"devices\": {\"ready\": 2, \"offline\": "
                "1}, \"links\": [{\"name\": \"factory\", \"dialect\": \"ibm\", \"role\": "
                "\"uplink\", \"up\": false, \"since\": 1781092740000, \"waiting\": 5, \"oldest\": "
                "1781089200000, \"text\": \"no route\"}]}}" }),
        "status", 0,
        "southbridge   1.2, process 42\n"
        "State         running\n"
        "Paused        nothing is handed over (`southbridgectl job resume --all` ends it)\n"
        "Store         takes no changes: disk full\n"
        "Jobs          3 open with 4 tasks: 0 under way, 0 fetching, 0 at a device, 0 waiting for "
        "a bus\n"
        "Devices       3, 2 ready, 1 offline\n"
        "\n"
        "Links\n"
        "LINK     DIALECT  ROLE    STATE  SINCE      WAITING  OLDEST   TEXT\n"
        "factory  ibm      uplink  down   1 min ago        5  1 h ago  no route\n",
        NULL);
}

SB_TEST(test_device_show)
{
    expect_run(STEPS({ "device show",
                       "{\"ok\": true, \"data\": {\"id\": \"p\", \"type\": \"t\", \"known_type\": "
                       "false, \"declared\": true, \"presence\": \"ready\", \"seen\": "
                       "1781092799000, \"versions\": {\"\": \"2.0\", \"radio\": \"7\"}, "
                       "\"properties\": {\"speed\": {\"value\": 5, \"time\": 1781092740000}}, "
                       "\"address\": {\"unit\": 3}, \"staged\": {\"package\": \"p-1\", \"door\": "
                       "\"factory\", \"when\": 1781089200000}, \"open_tasks\": [{\"job\": 7, "
                       "\"state\": \"running\", \"percent\": 40}]}}" }),
               "device show p", 0,
               "Address       unit=3\n"
               "Presence      ready\n"
               "Seen          ",
               NULL);
    expect_run(STEPS({ "device show",
                       "{\"ok\": true, \"data\": {\"staged\": {\"package\": \"p-1\", \"door\": "
                       "\"factory\", \"when\": 1781089200000}, \"versions\": {\"\": \"2.0\", "
                       "\"radio\": \"7\"}}}" }),
               "device show p", 0,
               "Staged        package p-1 in the gateway, from factory, 1 h ago\n"
               "Version       2.0\n"
               "\n"
               "Modules\n"
               "MODULE  VERSION\n"
               "radio   7\n",
               NULL);
}

SB_TEST(test_job_show_of_a_doubtful_success)
{
    expect_run(
        STEPS({ "\"id\":7", "{\"ok\": true, \"data\": {\"id\": 7, \"operation\": "
                            "\"firmware_update\", \"tasks\": [{\"device\": \"a\", \"state\": "
                            "\"succeeded\", \"text\": \"done\", \"verified\": \"none\"}, "
                            "{\"device\": \"b\", \"state\": \"succeeded\", \"text\": \"done\", "
                            "\"verified\": \"hash\"}]}}" }),
        "job show 7", 0,
        "a       -           1  succeeded  -      0        0  done; nothing was read back\n"
        "b       -           1  succeeded  -      0        0  done\n",
        NULL);
}

SB_TEST(test_job_show_of_a_rule)
{
    expect_run(
        STEPS({ "\"id\":7",
                "{\"ok\": true, \"data\": {\"id\": 7, \"operation\": \"reboot\", "
                "\"standing\": true, \"rule\": true, \"targets\": {\"groups\": [\"hall\"], "
                "\"sample\": 10}, \"tags\": {\"why\": \"recall\"}, \"causes\": {\"timeout\": "
                "2, \"no_space\": 1}}}" }),
        "job show 7", 0, "groups hall, sample 10 %; rule is on\n", NULL);
    expect_run(
        STEPS({ "\"id\":7", "{\"ok\": true, \"data\": {\"id\": 7, \"causes\": {\"timeout\": 2, "
                            "\"no_space\": 1}, \"tags\": {\"why\": \"recall\"}}}" }),
        "job show 7", 0, "Failures      2 timeout, 1 no_space\n", NULL);
    expect_run(STEPS({ "\"job rule\"", "{\"ok\": true, \"data\": {}}" }), "job rule 7 off", 0,
               "job 7: its rule is off\n", NULL);
    expect_run(STEPS({ "\"job edit\"", "{\"ok\": true, \"data\": {}}" }), "job edit 7 --rate 5", 0,
               "job 7: changed\n", NULL);
    expect_run(STEPS({ "\"job fetch\"", "{\"ok\": true, \"data\": {\"tasks\": 1}}" }),
               "job fetch 7", 0, "job 7: let go on 1 device\n", NULL);
}

SB_TEST(test_job_show_in_each_dialect)
{
    expect_run(
        STEPS({ "\"id\":7", "{\"ok\": true, \"data\": {\"id\": 7, \"tasks\": [{\"device\": \"a\", "
                            "\"state\": \"failed\", \"words\": {\"ibm\": {\"updateStatus\": 5, "
                            "\"rc\": 500}, \"alibaba\": {\"silent\": \"waits\"}}}]}}" }),
        "job show 7", 0,
        "In each dialect\n"
        "DEVICE  DIALECT  SAYS\n"
        "a       ibm      updateStatus=5 rc=500\n"
        "a       alibaba  nothing (waits)\n",
        NULL);
}

SB_TEST(test_explain_without_a_link)
{
    static const char answer[] =
        "{\"ok\": true, \"data\": {\"device\": \"p\", \"type\": \"t\", \"links\": "
        "[{\"dialect\": \"huawei\", \"name\": \"p1\", \"states\": [{\"operation\": \"reboot\", "
        "\"state\": \"sent\", \"says\": {\"result_code\": 0}}], \"causes\": []}]}}";
    expect_run(STEPS({ "mapping explain", answer }), "mapping explain p", 0,
               "Link          none\n"
               "Dialect       huawei\n"
               "Known there as p1\n"
               "\n"
               "While it is under way\n"
               "OPERATION  STATE  SAYS\n"
               "reboot     sent   result_code=0\n",
               NULL);
}

/* One request, one answer: how it ended. */
SB_TEST(test_create_and_answer_at_the_end)
{
    expect_run(STEPS({ "\"answer\":\"final\"",
                       "{\"ok\": true, \"data\": {\"id\": 7, \"operation\": \"reboot\", "
                       "\"origin\": \"native\", \"state\": \"done\", \"outcome\": \"failed\", "
                       "\"tasks\": [{\"id\": 1, \"job\": 7, \"device\": \"a\", \"state\": "
                       "\"failed\", \"cause\": \"timeout\", \"text\": \"too slow\"}]}}" }),
               "job create reboot a --answer final", SB_EXIT_FAILED, "a  failed  timeout: too slow",
               NULL);
    expect_run(STEPS({ "\"answer\":\"final\"",
                       "{\"ok\": false, \"error\": \"refused\", \"text\": \"no\"}" }),
               "job create reboot a --answer final", SB_EXIT_REFUSED, NULL, "no");
}

SB_TEST(test_job_show)
{
    expect_run(
        STEPS({ "\"id\":7",
                "{\"ok\": true, \"data\": {\"id\": 7, \"operation\": \"read\", \"origin\": "
                "\"native\", \"caller\": \"uid 0 (root)\", \"state\": \"done\", \"outcome\": "
                "\"failed\", \"percent\": 50, \"counts\": {\"succeeded\": 1, \"failed\": 1}, "
                "\"policy\": {\"retries\": 2, \"retry_interval\": 90000, \"window_from\": 60, "
                "\"window_to\": 300, \"window_days\": 6, \"window_zone\": \"Europe/Berlin\"}, "
                "\"tasks\": [{\"device\": \"a\", \"state\": \"succeeded\", \"percent\": 100, "
                "\"attempt\": 1, \"result\": {\"speed\": 5}}, {\"device\": \"b\", \"state\": "
                "\"failed\", \"phase\": \"starting\", \"cause\": \"timeout\", \"text\": \"no "
                "answer\", \"native_dialect\": \"smp\", \"native_code\": \"9\", \"attempt\": "
                "3}]}}" }),
        "job show 7", 0,
        "Job           7\n"
        "Operation     read\n"
        "From          native, uid 0 (root)\n"
        "Policy        retries 2, retry_interval 1m 30s\n"
        "Window        01:00-05:00 Europe/Berlin mon tue\n"
        "State         done\n"
        "Outcome       failed\n"
        "Progress      50 %, 1 succeeded, 1 failed\n"
        "\n"
        "Tasks\n"
        "DEVICE  MODULE  ROUND  STATE      PHASE       %  ATTEMPT  TEXT\n"
        "a       -           1  succeeded  -         100        1  -\n"
        "b       -           1  failed     starting    0        3  timeout: no answer (smp code "
        "9)\n"
        "\n"
        "Results\n"
        "DEVICE  NAME   VALUE\n"
        "a       speed  5\n",
        NULL);
}

SB_TEST(test_lists)
{
    expect_run(STEPS({ "\"job list\"",
                       "{\"ok\": true, \"data\": [{\"id\": 7, \"operation\": \"reboot\", "
                       "\"device\": \"a\", \"state\": \"active\", \"percent\": 5, \"counts\": "
                       "{\"running\": 1}, \"origin\": \"native\", \"created\": 1781092740000}, "
                       "{\"id\": 12, \"operation\": \"reboot\", \"devices\": 3, \"state\": "
                       "\"done\", \"outcome\": \"succeeded\", \"percent\": 100, \"counts\": "
                       "{\"succeeded\": 3}, \"origin\": \"native\"}]}" }),
               "job list", 0,
               "JOB  OPERATION  DEVICE     STATE        %  TASKS        ORIGIN  CREATED\n"
               "  7  reboot     a          active       5  1 running    native  1 min ago\n"
               " 12  reboot     3 devices  succeeded  100  3 succeeded  native  -\n",
               NULL);
    expect_run(STEPS({ "\"job list\"", "{\"ok\": true, \"data\": []}" }), "job list", 0,
               "no open jobs (`job list --all` shows all)\n", NULL);
    expect_run(STEPS({ "\"job list\"", "{\"ok\": true, \"data\": []}" }), "job list --all", 0,
               "no jobs\n", NULL);
    expect_run(STEPS({ "\"package list\"",
                       "{\"ok\": true, \"data\": [{\"id\": \"p-1\", \"name\": \"n\", \"size\": "
                       "1536, \"artifact\": \"ab\", \"uri\": \"http://h/f\"}]}" }),
               "package list", 0,
               "PACKAGE  NAME  VERSION  MODULE  SIZE  FETCHED  USED  FROM      URI\n"
               "p-1      n     -        -       1.5K  yes      -     operator  http://h/f\n",
               NULL);
}

SB_TEST(test_explain)
{
    static const char answer[] =
        "{\"ok\": true, \"data\": {\"device\": \"p\", \"type\": \"t\", \"links\": [{\"link\": "
        "\"factory\", \"dialect\": \"ibm\", \"name\": \"t/p\", \"may_command\": true, \"states\": "
        "[{\"operation\": \"reboot\", \"state\": \"held\", \"says\": {\"silent\": \"waits\"}}, "
        "{\"operation\": \"reboot\", \"state\": \"sent\", \"says\": {\"rc\": 202}}], \"causes\": "
        "[{\"cause\": \"busy\", \"from_phase\": \"waiting\", \"says\": {\"rc\": 400}}, "
        "{\"cause\": \"busy\", \"from_phase\": \"writing\", \"says\": {\"rc\": 500, \"text\": "
        "\"x\"}}]}, {\"link\": \"other\"}]}}";
    expect_run(STEPS({ "\"mapping explain\",\"args\":{\"device\":\"p\"}", answer }),
               "mapping explain p --link factory", 0,
               "May command   yes\n"
               "\n"
               "While it is under way\n"
               "OPERATION  STATE  SAYS\n"
               "reboot     held   nothing (waits)\n"
               "           sent   rc=202\n"
               "\n"
               "When it failed or was cancelled\n"
               "CAUSE  FROM PHASE  SAYS\n"
               "busy   waiting     rc=400\n"
               "       writing     rc=500 text=x\n",
               NULL);
    expect_run(STEPS({ "mapping explain", answer }), "mapping explain p --link nowhere",
               SB_EXIT_NOT_FOUND, NULL, "there is no link 'nowhere'");
}

/* ---- pages ---- */

static char *page_of(int from, int count)
{
    sb_cleanup(json_decrefp) json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "d%d", from + i);
        (void)json_array_append_new(list, json_pack("{s:s,s:i}", "id", id, "order", from + i));
    }
    sb_cleanup(json_decrefp) json_t *line = json_pack("{s:b,s:O}", "ok", 1, "data", list);
    return sb_json_text(line);
}

SB_TEST(test_device_pages)
{
    sb_cleanup(sb_freep) char *first = page_of(1, 500);
    sb_cleanup(sb_freep) char *second = page_of(501, 3);
    struct fake *fake = fake_new(STEPS({ "\"type\":\"t\",\"limit\":500,\"after\":0", first, GO_ON },
                                       { "\"limit\":500,\"after\":500", second, GO_ON }));
    struct said said = run_line(fake->path, "device list --type t --json");
    fake_free(fake);
    assert_int_equal(said.code, 0);
    sb_cleanup(json_decrefp) json_t *all = json_loads(said.out, 0, NULL);
    assert_int_equal(json_array_size(all), 503);
    said_done(&said);
    /* the same page again and again would never end */
    expect_run(STEPS({ "", first, GO_ON }, { "", first, GO_ON }), "device list", SB_EXIT_FAILED,
               NULL, "not the daemon's protocol");
}

/* ---- orders ---- */

SB_TEST(test_identify)
{
    expect_run(STEPS({ "\"device identify\"", "{\"ok\": true, \"data\": {\"id\": \"p\"}}" }),
               "device identify p", 0, "device 'p' is being asked", NULL);
    expect_run(
        STEPS(
            { "\"device identify\"", "{\"ok\": true, \"data\": {\"id\": \"p\", \"seen\": 5}}",
              GO_ON },
            { "\"device show\"", "{\"ok\": true, \"data\": {\"id\": \"p\", \"seen\": 5}}", GO_ON },
            { "\"device show\"", "{\"ok\": true, \"data\": {\"id\": \"p\", \"seen\": 6}}", GO_ON }),
        "device identify p --wait 5s", 0, "Device        p\n", NULL);
    expect_run(STEPS({ "\"device identify\"",
                       "{\"ok\": true, \"data\": {\"id\": \"p\", \"seen\": 5}}", GO_ON },
                     { "\"device show\"", "{\"ok\": true, \"data\": {\"id\": \"p\", \"seen\": 5}}",
                       GO_ON }),
               "device identify p --wait 100ms", SB_EXIT_FAILED, NULL, "did not answer in time");
}

SB_TEST(test_sentences)
{
    static const struct {
        const char *line, *data, *said;
    } cases[] = {
        { "device add p --type t", "{}", "device 'p' is registered\n" },
        { "device remove p", "null", "device 'p' is forgotten\n" },
        { "package add http://h/f", "{\"id\": \"p-1\"}", "package p-1\n" },
        { "package remove p-1", "null", "package p-1 is forgotten\n" },
        { "job create reboot p", "{\"id\": 7, \"existing\": false}", "job 7 created\n" },
        { "job create reboot p", "{\"id\": 7, \"existing\": true}",
          "job 7 is open already with the same request; its own times and limits hold\n" },
        { "job cancel 7", "{\"tasks\": 2}", "job 7: cancelling on 2 devices\n" },
        { "job confirm 7", "{\"tasks\": 1}", "job 7: confirmed on 1 device\n" },
        { "job retry 7", "{\"id\": 7}", "job 7: a new round began\n" },
        { "job pause --all", "{\"paused\": true}", "paused: nothing is handed over" },
        { "job resume --all", "{\"paused\": false}", "resumed\n" },
        { "link list", "[]", "no links are configured\n" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *answer =
            sb_format("{\"ok\": true, \"data\": %s}", cases[i].data);
        expect_run(STEPS({ "", answer }), cases[i].line, 0, cases[i].said, NULL);
    }
}

/* ---- watching ---- */

#define TASK(state, rest)                                                                          \
    "{\"id\": 1, \"job\": 7, \"device\": \"p\", \"state\": \"" state "\"" rest "}"
#define JOB(state, tasks)                                                                          \
    "{\"id\": 7, \"origin\": \"native\", \"operation\": \"reboot\", \"policy\": {}, \"state\": "   \
    "\"" state "\", \"tasks\": [" tasks "]}"
#define EVENT(what) "{\"event\": " what "}"
#define END(what)   "{\"ok\": true, \"data\": " what "}"

SB_TEST(test_watch)
{
    expect_run(
        STEPS({ "\"job watch\",\"args\":{\"id\":7}",
                EVENT(JOB("active", TASK("queued", ", \"reason\": \"offline\""))) },
              { NULL, EVENT("{\"task\": " TASK("running", ", \"percent\": 40") "}"), GO_ON },
              { NULL, EVENT("{\"task\": " TASK("succeeded", "") "}"), GO_ON },
              { NULL, END(JOB("done", TASK("succeeded", ", \"result\": {\"v\": 5}"))), GO_ON }),
        "job watch 7", SB_EXIT_DONE,
        "job 7: p succeeded\n\nResults\nDEVICE  NAME  VALUE\np       v     5\n", NULL);
}

SB_TEST(test_watch_lines)
{
    struct fake *fake = fake_new(
        STEPS({ "job watch", EVENT(JOB("active", TASK("queued", ", \"reason\": \"offline\""))) },
              { NULL, EVENT("{\"task\": " TASK("running", ", \"percent\": 40") "}"), GO_ON },
              { NULL, EVENT("{\"task\": " TASK("running", ", \"percent\": 41") "}"), GO_ON },
              { NULL, END(JOB("done", TASK("failed", ", \"cause\": \"timeout\""))), GO_ON }));
    struct said said = run_line(fake->path, "job watch 7");
    fake_free(fake);
    assert_int_equal(said.code, SB_EXIT_FAILED);
    int lines = 0;
    for (const char *p = said.out; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 4); /* queued, running, failed, the end */
    expect_part(said.out, "  p  queued  waits: offline\n");
    expect_part(said.out, "  p  running  40 %\n");
    expect_part(said.out, "  p  failed  timeout\njob 7: p failed: timeout\n");
    assert_null(strchr(said.out, '\x1b'));
    said_done(&said);
}

SB_TEST(test_watch_ends)
{
    expect_run(STEPS({ "job watch", END(JOB("done", TASK("cancelled", ""))) }), "job watch 7",
               SB_EXIT_CANCELLED, "job 7: p cancelled\n", NULL);
    expect_run(STEPS({ "job watch", END("null") }), "job watch 7", SB_EXIT_NOT_FOUND, NULL,
               "the job is gone");
    expect_run(
        STEPS({ "job watch", "{\"ok\": false, \"error\": \"not_found\", \"text\": \"no job 7\"}" }),
        "job watch 7", SB_EXIT_NOT_FOUND, NULL, "no job 7");
    expect_run(STEPS({ "job watch", EVENT("{\"task\": " TASK("running", "") "}"), GO_ON }),
               "job watch 7", SB_EXIT_FAILED, NULL, "not the daemon's protocol");
    expect_run(STEPS({ "job watch", "{\"event\": 5}" }), "job watch 7", SB_EXIT_FAILED, NULL,
               "not the daemon's protocol");
}

SB_TEST(test_daemon_dies_while_watched)
{
    expect_run(
        STEPS({ "job watch", EVENT(JOB("active", TASK("running", ", \"percent\": 40"))), HANG_UP }),
        "job watch 7", SB_EXIT_UNREACHABLE, "running  40 %", "hung up");
    expect_run(STEPS({ "job watch", EVENT(JOB("active", TASK("running", ""))), FLOOD }),
               "job watch 7", SB_EXIT_FAILED, "running", "too long");
}

SB_TEST(test_watch_json)
{
    expect_run(STEPS({ "job watch", EVENT(JOB("active", "")), GO_ON },
                     { NULL, EVENT("{\"task\": " TASK("running", "") "}"), GO_ON },
                     { NULL, END(JOB("done", TASK("succeeded", ""))), GO_ON }),
               "job watch 7 --json", SB_EXIT_DONE,
               "{\"job\":{\"id\":7,\"origin\":\"native\",\"operation\":\"reboot\",\"policy\":{},"
               "\"state\":\"active\",\"tasks\":[]}}\n"
               "{\"task\":{\"id\":1,\"job\":7,\"device\":\"p\",\"state\":\"running\"}}\n"
               "{\"job\":{\"id\":7,\"origin\":\"native\",\"operation\":\"reboot\",\"policy\":{},"
               "\"state\":\"done\",\"tasks\":[{\"id\":1,\"job\":7,\"device\":\"p\",\"state\":"
               "\"succeeded\"}]}}\n",
               NULL);
}

SB_TEST(test_create_and_watch)
{
    expect_run(
        STEPS({ "\"job create\",\"args\":{\"operation\":\"reboot\",\"devices\":[\"p\"]}",
                "{\"ok\": true, \"data\": {\"id\": 7}}", GO_ON },
              { "\"job watch\",\"args\":{\"id\":7}", END(JOB("done", TASK("failed", ""))), GO_ON }),
        "job create reboot p --watch", SB_EXIT_FAILED, "job 7 created\n", NULL);
    expect_run(
        STEPS({ "job create", "{\"ok\": false, \"error\": \"refused\", \"text\": \"busy: no\"}" }),
        "job create reboot p --watch", SB_EXIT_REFUSED, NULL, "busy: no");
}

SB_TEST(test_interrupted)
{
    struct sigaction before;
    expect_run(STEPS({ "job watch", EVENT(JOB("active", TASK("running", ""))), INTERRUPT }),
               "job watch 7", SB_EXIT_INTERRUPTED, "running",
               "job 7 goes on (`southbridgectl job watch 7`");
    assert_int_equal(sigaction(SIGINT, NULL, &before), 0);
    assert_true(before.sa_handler == SIG_DFL); /* as it was */
}

/* ---- the audit trail ---- */

/* Records from..to of a sound chain that begins at 1; the last one says that retention took all
 * before `from`, when `trimmed`. */
static json_t *chain_of(int from, int to, bool trimmed)
{
    json_t *list = json_array();
    sb_cleanup(sb_freep) char *previous = strdup("");
    sb_cleanup(sb_freep) char *through = NULL;
    for (int id = 1; id <= to; id++) {
        json_t *record =
            json_pack("{s:i,s:I,s:s,s:s,s:s,s:s}", "id", id, "time", (json_int_t)NOW, "actor",
                      "core", "verb", "state", "subject", "task 1", "previous", previous);
        if (id == from)
            through = strdup(previous);
        if (id == to && trimmed) {
            (void)json_object_set_new(record, "verb", json_string("trim"));
            (void)json_object_set_new(record, "detail",
                                      json_pack("{s:i,s:s}", "through", from - 1, "hash", through));
        }
        char *hash = sb_audit_hash(previous, record);
        (void)json_object_set_new(record, "hash", json_string(hash));
        free(previous);
        previous = hash;
        if (id >= from)
            (void)json_array_append(list, record);
        json_decref(record);
    }
    return list;
}

static json_t *chain(int from, int to)
{
    return chain_of(from, to, false);
}

static char *answer_with(json_t *list)
{
    sb_cleanup(json_decrefp) json_t *line = json_pack("{s:b,s:o}", "ok", 1, "data", list);
    return sb_json_text(line);
}

SB_TEST(test_audit_verify)
{
    sb_cleanup(sb_freep) char *first = answer_with(chain(1, 200));
    sb_cleanup(sb_freep) char *second = answer_with(chain(201, 203));
    sb_cleanup(sb_freep) char *trimmed = answer_with(chain_of(150, 160, true));
    sb_cleanup(sb_freep) char *none = answer_with(json_array());
    expect_run(STEPS({ "\"after\":0,\"limit\":200", first, GO_ON },
                     { "\"after\":200,\"limit\":200", second, GO_ON }),
               "audit --verify", 0, "203 records, 1 to 203: the chain is whole; its end is ", NULL);
    expect_run(STEPS({ "", first, GO_ON }, { "", second, GO_ON }), "audit --verify --json", 0,
               "{\"whole\":true,\"records\":203,\"first\":1,\"last\":203,\"hash\":\"", NULL);
    expect_run(STEPS({ "", trimmed }), "audit --verify", 0, "11 records, 150 to 160", NULL);
    expect_run(STEPS({ "", none }), "audit --verify", 0, "there are no records", NULL);
}

/* A job's own value has as many levels as a message may; more are around it. */
SB_TEST(test_audit_of_a_deep_value)
{
    json_t *deep = json_object();
    for (int i = 0; i < 32; i++)
        deep = json_pack("[o]", deep);
    json_t *record = json_pack("{s:i,s:I,s:s,s:s,s:s,s:s,s:{s:o}}", "id", 1, "time",
                               (json_int_t)NOW, "actor", "core", "verb", "submit", "subject",
                               "job 1", "previous", "", "detail", "value", deep);
    sb_cleanup(sb_freep) char *hash = sb_audit_hash("", record);
    (void)json_object_set_new(record, "hash", json_string(hash));
    sb_cleanup(sb_freep) char *answer = answer_with(json_pack("[o]", record));
    expect_run(STEPS({ "", answer }), "audit --verify", 0, "1 records, 1 to 1: the chain is whole",
               NULL);
}

/* Between two pages retention took records: the check begins again with what is left. */
SB_TEST(test_audit_trimmed_while_it_is_read)
{
    sb_cleanup(sb_freep) char *first = answer_with(chain(1, 200));
    sb_cleanup(sb_freep) char *second = answer_with(chain(301, 303));
    sb_cleanup(sb_freep) char *left = answer_with(chain_of(301, 304, true));
    expect_run(STEPS({ "\"after\":0", first, GO_ON }, { "\"after\":200", second, GO_ON },
                     { "\"after\":0", left, GO_ON }),
               "audit --verify", 0, "4 records, 301 to 304: the chain is whole", NULL);
}

/* The oldest records are gone and no trim says so: a removed line shows. */
SB_TEST(test_audit_without_its_beginning)
{
    sb_cleanup(sb_freep) char *late = answer_with(chain(150, 160));
    json_t *list = chain_of(149, 160, true); /* the trim was of one record less */
    (void)json_array_remove(list, 0);
    sb_cleanup(sb_freep) char *more = answer_with(list);
    expect_run(STEPS({ "", late }), "audit --verify", SB_EXIT_FAILED,
               "the chain breaks at record 150, with which it begins: those before it were removed",
               NULL);
    expect_run(STEPS({ "", late }), "audit --verify --json", SB_EXIT_FAILED, "\"broken\":150}",
               NULL);
    expect_run(STEPS({ "", more }), "audit --verify", SB_EXIT_FAILED,
               "breaks at record 150, with which it begins", NULL);
}

SB_TEST(test_audit_broken)
{
    json_t *changed = chain(1, 9);
    json_t *removed = chain(1, 9);
    (void)json_object_set_new(json_array_get(changed, 4), "actor", json_string("somebody else"));
    (void)json_array_remove(removed, 4);
    sb_cleanup(sb_freep) char *changed_text = answer_with(changed);
    sb_cleanup(sb_freep) char *removed_text = answer_with(removed);
    sb_cleanup(sb_freep) char *shape = answer_with(json_pack("[s,i,{}]", "x", 5));
    expect_run(STEPS({ "", changed_text }), "audit --verify", SB_EXIT_FAILED,
               "the chain breaks at record 5:", NULL);
    expect_run(STEPS({ "", removed_text }), "audit --verify --json", SB_EXIT_FAILED,
               "\"broken\":6}", NULL);
    expect_run(STEPS({ "", removed_text }), "audit --verify", SB_EXIT_FAILED,
               "(4 records before it are sound)", NULL);
    expect_run(STEPS({ "", shape }), "audit --verify --json", SB_EXIT_FAILED, "\"whole\":false",
               NULL);
    expect_run(STEPS({ "", "{\"ok\": true, \"data\": 5}" }), "audit --verify", SB_EXIT_FAILED, NULL,
               "not the daemon's protocol");
}

SB_TEST(test_audit_lists)
{
    json_t *two = chain(8, 9);
    json_t *turned = json_pack("[O,O]", json_array_get(two, 1), json_array_get(two, 0));
    sb_cleanup(sb_freep) char *newest = answer_with(turned);
    sb_cleanup(sb_freep) char *since = answer_with(chain(8, 9));
    json_decref(two);
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    expect_run(STEPS({ "\"subject\":\"task 1\",\"after\":0,\"limit\":2,\"newest\":true", newest }),
               "audit --limit 2 --subject task~1", 0,
               "ID  TIME                 ACTOR  VERB   SUBJECT  DETAIL\n"
               " 8  2026-06-10 12:00:00  core   state  task 1   -\n"
               " 9  2026-06-10 12:00:00  core   state  task 1   -\n",
               NULL);
    expect_run(STEPS({ "\"args\":{\"after\":7,\"limit\":200}", since }), "audit --since 7", 0,
               " 9  2026-06-10", NULL);
    expect_run(STEPS({ "\"args\":{\"after\":7,\"limit\":2}", since }),
               "audit --since 7 --limit 2 --json", 0, "[{\"id\":8,", NULL);
    (void)unsetenv("TZ");
}

SB_TEST(test_audit_follow)
{
    sb_cleanup(sb_freep) char *first = answer_with(chain(8, 8));
    sb_cleanup(sb_freep) char *second = answer_with(chain(9, 9));
    expect_run(STEPS({ "\"newest\":true", first, GO_ON },
                     { "\"args\":{\"after\":8,\"limit\":200}", second, INTERRUPT }),
               "audit --follow --limit 1", SB_EXIT_INTERRUPTED, "9  ", NULL);
    expect_run(STEPS({ "\"newest\":true", first, GO_ON }, { "", second, INTERRUPT }),
               "audit --follow --limit 1 --json", SB_EXIT_INTERRUPTED, "}\n{\"id\":9,", NULL);
    expect_run(STEPS({ "", first, GO_ON }, { "", NULL, HANG_UP }), "audit --follow --limit 1",
               SB_EXIT_UNREACHABLE, "8  ", "hung up");
}

/* A daemon that gives the same records again and again must not keep anybody for ever. */
SB_TEST(test_audit_without_end)
{
    sb_cleanup(sb_freep) char *page = answer_with(chain(1, 200));
    sb_cleanup(sb_freep) char *one = answer_with(chain(1, 1));
    expect_run(STEPS({ "", page, GO_ON }, { "", page, GO_ON }), "audit --limit 1000",
               SB_EXIT_FAILED, NULL, "not the daemon's protocol");
    expect_run(STEPS({ "", page, GO_ON }, { "", page, GO_ON }), "audit --since 0", SB_EXIT_FAILED,
               NULL, "not the daemon's protocol");
    expect_run(STEPS({ "", page, GO_ON }, { "", page, GO_ON }), "audit --verify", SB_EXIT_FAILED,
               "the chain breaks at record 1", NULL);
    expect_run(STEPS({ "", one, GO_ON }, { "", one, GO_ON }), "audit --follow --limit 1",
               SB_EXIT_FAILED, "1  ", "not the daemon's protocol");
    /* nor one that stops answering */
    expect_run(STEPS({ "", one, GO_ON }, { "", NULL, INTERRUPT }), "audit --follow --limit 1",
               SB_EXIT_INTERRUPTED, "1  ", NULL);
}

/* ---- the program itself ---- */

static char *program(const char *name)
{
    const char *build = getenv("SB_BUILD");
    assert_non_null(build);
    return sb_format("%s/bridge/programs/%s", build, name);
}

static int wait_for(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* On a terminal of 60 columns: bars, drawn in place. */
SB_TEST(test_on_a_terminal)
{
    struct winsize size = { .ws_row = 10, .ws_col = 60 };
    sb_cleanup(sb_freep) char *path = program("southbridgectl");
    struct fake *fake =
        fake_new(STEPS({ "job watch", EVENT(JOB("active", TASK("running", ", \"percent\": 40"))) },
                       { NULL, END(JOB("done", TASK("succeeded", ""))), GO_ON }));
    struct sb_str text = { 0 };
    int fd;
    pid_t child = forkpty(&fd, NULL, NULL, &size);
    assert_true(child >= 0);
    if (child == 0) {
        (void)setenv("TERM", "xterm", 1);
        (void)setenv("LC_ALL", "C.UTF-8", 1);
        (void)unsetenv("NO_COLOR");
        (void)execl(path, path, "--socket", fake->path, "job", "watch", "7", (char *)NULL);
        _exit(99);
    }
    char piece[4096];
    for (ssize_t n; readable(fd) && (n = read(fd, piece, sizeof(piece))) > 0;)
        sb_str_add_bytes(&text, piece, (size_t)n);
    assert_int_equal(wait_for(child), 0);
    (void)close(fd);
    fake_free(fake);
    expect_part(sb_str_get(&text), "running      [\xe2\x96\x88");
    expect_part(sb_str_get(&text), " 40%\x1b[K\r\n");
    expect_part(sb_str_get(&text), "\r\x1b[1A");
    expect_part(sb_str_get(&text), "job 7: p \x1b[32msucceeded\x1b[0m\r\n");
    sb_str_done(&text);
}

static int run_program(const char *path, const char *const *words, const char *out)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        (void)dup2(fd, STDOUT_FILENO);
        (void)dup2(fd, STDERR_FILENO);
        (void)execv(path, (char *const *)words);
        _exit(99);
    }
    return wait_for(child);
}

static char *read_file(const char *path)
{
    struct sb_str text = { 0 };
    char piece[4096];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (size_t n; (n = fread(piece, 1, sizeof(piece), file)) > 0;)
        sb_str_add_bytes(&text, piece, n);
    (void)fclose(file);
    return sb_str_take(&text);
}

static void write_script(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0700), 0);
}

/* `mapping check` runs the daemon's program that stands beside it. */
SB_TEST(test_mapping_check)
{
    char folder[] = "/tmp/sb-ctl-XXXXXX";
    assert_non_null(mkdtemp(folder));
    sb_cleanup(sb_freep) char *real = program("southbridgectl");
    sb_cleanup(sb_freep) char *ctl = sb_format("%s/southbridgectl", folder);
    sb_cleanup(sb_freep) char *daemon = sb_format("%s/southbridge", folder);
    sb_cleanup(sb_freep) char *out = sb_format("%s/out", folder);
    const char *copy[] = { "cp", real, ctl, NULL };
    const char *check[] = { ctl, "mapping", "check", "a.yaml", "b c.yaml", NULL };
    assert_int_equal(run_program("/bin/cp", copy, out), 0);

    write_script(daemon, "#!/bin/sh\nfor w in \"$@\"; do echo \"<$w>\"; done\nexit 0\n");
    assert_int_equal(run_program(ctl, check, out), SB_EXIT_DONE);
    sb_cleanup(sb_freep) char *text = read_file(out);
    assert_string_equal(text, "<--check-mapping>\n<-->\n<a.yaml>\n<b c.yaml>\n");
    write_script(daemon, "#!/bin/sh\nexit 2\n"); /* findings */
    assert_int_equal(run_program(ctl, check, out), SB_EXIT_FAILED);
    write_script(daemon, "#!/bin/sh\nkill -9 $$\n");
    assert_int_equal(run_program(ctl, check, out), SB_EXIT_FAILED);
    sb_cleanup(sb_freep) char *killed = read_file(out);
    expect_part(killed, "killed by signal 9");

    assert_int_equal(unlink(daemon), 0);
    const char *before = getenv("PATH");
    sb_cleanup(sb_freep) char *kept = strdup(before ? before : "");
    assert_int_equal(setenv("PATH", folder, 1), 0);
    assert_int_equal(run_program(ctl, check, out), SB_EXIT_FAILED);
    assert_int_equal(setenv("PATH", kept, 1), 0);
    sb_cleanup(sb_freep) char *missing = read_file(out);
    expect_part(missing, "cannot run the daemon's program southbridge");
    assert_int_equal(unlink(ctl), 0);
    assert_int_equal(unlink(out), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* The daemon's program examines when there is no daemon; what it says is not trusted. */
SB_TEST(test_doctor_without_a_daemon)
{
    char folder[] = "/tmp/sb-ctl-XXXXXX";
    assert_non_null(mkdtemp(folder));
    sb_cleanup(sb_freep) char *real = program("southbridgectl");
    sb_cleanup(sb_freep) char *ctl = sb_format("%s/southbridgectl", folder);
    sb_cleanup(sb_freep) char *daemon = sb_format("%s/southbridge", folder);
    sb_cleanup(sb_freep) char *out = sb_format("%s/out", folder);
    const char *copy[] = { "cp", real, ctl, NULL };
    const char *ask[] = { ctl, "doctor", "--config", "a.yaml", NULL };
    const char *no_daemon[] = { ctl, "--socket", "/nowhere", "doctor", NULL };
    assert_int_equal(run_program("/bin/cp", copy, out), 0);

    write_script(daemon, "#!/bin/sh\n[ \"$*\" = '--config a.yaml --doctor' ] || exit 1\n"
                         "echo '{\"check\":\"bus\",\"name\":\"u1\",\"health\":\"warning\","
                         "\"text\":\"old \\u001b[31m name\",\"remedy\":\"rename it\"}'\n"
                         "echo '{\"check\":\"clock\",\"name\":\"\",\"health\":\"ok\"}'\n");
    assert_int_equal(run_program(ctl, ask, out), SB_EXIT_DONE);
    sb_cleanup(sb_freep) char *text = read_file(out);
    assert_string_equal(text, "CHECK  NAME  RESULT   FINDING\n"
                              "bus    u1    warning  old ?[31m name\n"
                              "clock  -     ok       -\n"
                              "\nbus u1: old ?[31m name\n    rename it\n\n0 failed, 1 warning\n");
    write_script(daemon, "#!/bin/sh\necho '{\"check\":\"bus\",\"health\":\"failed\"}'\n");
    assert_int_equal(run_program(ctl, ask, out), SB_EXIT_FAILED);
    write_script(daemon, "#!/bin/sh\nexit 0\n");
    assert_int_equal(run_program(ctl, ask, out), SB_EXIT_DONE);
    sb_cleanup(sb_freep) char *nothing = read_file(out);
    expect_part(nothing, "nothing was examined");
    write_script(daemon, "#!/bin/sh\necho '[1]'\necho 'no json'\n");
    assert_int_equal(run_program(ctl, ask, out), SB_EXIT_FAILED);
    sb_cleanup(sb_freep) char *broken = read_file(out);
    expect_part(broken, "ended early (status 0)");
    write_script(daemon, "#!/bin/sh\nexit 1\n");
    assert_int_equal(run_program(ctl, ask, out), SB_EXIT_FAILED);
    assert_int_equal(run_program(ctl, no_daemon, out), SB_EXIT_UNREACHABLE);
    sb_cleanup(sb_freep) char *hint = read_file(out);
    expect_part(hint, "doctor --config FILE");
    assert_int_equal(unlink(daemon), 0);
    assert_int_equal(unlink(ctl), 0);
    assert_int_equal(unlink(out), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* What cannot be written is not "done". */
SB_TEST(test_full_output)
{
    sb_cleanup(sb_freep) char *path = program("southbridgectl");
    const char *words[] = { path, "--help", NULL };
    assert_int_equal(run_program(path, words, "/dev/full"), SB_EXIT_FAILED);
}
