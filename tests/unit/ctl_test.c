/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line before it reaches the daemon: what is typed, what is asked, what is refused;
 * and the man page, which must know every word of it.
 */
#include <errno.h>
#include <time.h>

#include "bridge/base/crypto.h"
#include "bridge/ctl/ctl.h"
#include "tests/test.h"

#define WORDS_MAX 48
#define NOON      INT64_C(1781092800000) /* 2026-06-10 12:00:00 UTC */
#define NOW       (NOON + 30000)

struct line { /* a parsed command line with what it borrows */
    char *text;
    char *argv[WORDS_MAX + 2];
    struct sb_order order;
    char *error;
    int result;
};

/* Words are apart by blanks; ~ in a word stands for one. */
static struct line parse(const char *text)
{
    struct line line = { .text = strdup(text) };
    int argc = 0;
    char *rest = line.text;
    line.argv[argc++] = (char *)"southbridgectl";
    for (char *word; (word = strsep(&rest, " "));) {
        if (!*word)
            continue;
        assert_true(argc < WORDS_MAX);
        for (char *p = word; *p; p++)
            *p = *p == '~' ? ' ' : *p;
        line.argv[argc++] = word;
    }
    line.result = sb_order_parse(argc, line.argv, NOW, &line.order, &line.error);
    return line;
}

static void done(struct line *line)
{
    if (line->result == 0)
        sb_order_done(&line->order);
    free(line->error);
    free(line->text);
}

static void expect_args(const char *text, const char *verb, const char *expected)
{
    struct line line = parse(text);
    if (line.result < 0)
        fail_msg("%s: %s", text, line.error);
    json_t *wanted = json_loads(expected, 0, NULL);
    assert_non_null(wanted);
    sb_cleanup(sb_freep) char *got = sb_json_text(line.order.args);
    if (!json_equal(wanted, line.order.args))
        fail_msg("%s:\nis     %s\nwanted %s", text, got, expected);
    assert_string_equal(line.order.command->verb, verb);
    json_decref(wanted);
    done(&line);
}

static void expect_refusal(const char *text, const char *part)
{
    struct line line = parse(text);
    if (line.result == 0)
        fail_msg("%s: accepted", text);
    if (!strstr(line.error, part))
        fail_msg("%s:\nis     %s\nwanted %s", text, line.error, part);
    done(&line);
}

/* ---- commands ---- */

SB_TEST(test_plain_commands)
{
    expect_args("status", "status", "{}");
    expect_args("device list", "device list", "{}");
    expect_args("device list --type smp --presence ready", "device list",
                "{\"type\": \"smp\", \"presence\": \"ready\"}");
    expect_args("device show pump-1", "device show", "{\"id\": \"pump-1\"}");
    expect_args("job show 7", "job show", "{\"id\": 7}");
    expect_args("job cancel 7 --device pump-1", "job cancel",
                "{\"id\": 7, \"device\": \"pump-1\"}");
    expect_args("job list --all --limit 5 --before 9", "job list",
                "{\"all\": true, \"limit\": 5, \"before\": 9}");
    expect_args("job pause --all", "job pause", "{}");
    expect_args("mapping explain pump-1 --link factory", "mapping explain",
                "{\"device\": \"pump-1\"}");
    expect_args("link list", "link list", "{}");
    expect_args("reload", "reload", "{}");
    expect_args("audit --subject job~7 --since 5", "audit", "{\"subject\": \"job 7\"}");
}

SB_TEST(test_device_add)
{
    expect_args("device add m1 --type meter --bus b --address unit=5 --address port=\"5\" "
                "--name ibm=a/b --parent gw --commander x --commander y --group g",
                "device add",
                "{\"id\": \"m1\", \"type\": \"meter\", \"bus\": \"b\", \"address\": {\"unit\": 5, "
                "\"port\": \"5\"}, \"names\": {\"ibm\": \"a/b\"}, \"parent\": \"gw\", "
                "\"commanders\": [\"x\", \"y\"], \"groups\": [\"g\"]}");
    expect_args("device group m1 --add g --add h --remove i", "device group",
                "{\"id\": \"m1\", \"add\": [\"g\", \"h\"], \"remove\": [\"i\"]}");
    expect_refusal("device add m1 --address unit", "give it as name=value");
    expect_refusal("device add m1 --address =5", "give it as name=value");
}

SB_TEST(test_global_options_stand_anywhere)
{
    static const char *const texts[] = {
        "--socket /s --json --no-color device show x",
        "device show --socket /s --json --no-color x",
        "device show x --socket=/s --json --no-color",
    };
    for (size_t i = 0; i < SB_COUNT(texts); i++) {
        struct line line = parse(texts[i]);
        assert_int_equal(line.result, 0);
        assert_string_equal(line.order.socket, "/s");
        assert_true(line.order.json);
        assert_int_equal(line.order.color, 0);
        assert_string_equal(sb_json_str(line.order.args, "id"), "x");
        done(&line);
    }
    struct line line = parse("status --color");
    assert_int_equal(line.order.color, 1);
    assert_false(line.order.json);
    done(&line);
}

SB_TEST(test_help_and_version)
{
    static const struct {
        const char *text, *command, *group;
        bool help, version;
    } cases[] = {
        { "--help", NULL, NULL, true, false },
        { "-h", NULL, NULL, true, false },
        { "help", NULL, NULL, true, false },
        { "help job", NULL, "job", true, false },
        { "job --help", NULL, "job", true, false },
        { "help job create", "job create", NULL, true, false },
        { "job create --help", "job create", NULL, true, false },
        { "job pause --help", "job pause", NULL, true, false },
        { "--version", NULL, NULL, false, true },
        { "status --version", "status", NULL, false, true },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct line line = parse(cases[i].text);
        if (line.result < 0)
            fail_msg("%s: %s", cases[i].text, line.error);
        const struct sb_ctl_command *command = line.order.command;
        assert_int_equal(line.order.help, cases[i].help);
        assert_int_equal(line.order.version, cases[i].version);
        assert_true(sb_streq(command ? command->name : NULL, cases[i].command));
        assert_true(sb_streq(line.order.group, cases[i].group));
        done(&line);
    }
}

SB_TEST(test_wrong_words)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        { "", "no command is given" },
        { "statsu", "unknown command 'statsu' (did you mean 'status'?)" },
        { "devcie list", "did you mean 'device'?" },
        { "frobnicate", "unknown command 'frobnicate'\n" },
        { "job lsit", "unknown command 'job lsit' (did you mean 'job list'?)" },
        { "link frobnicate", "unknown command 'link frobnicate' (there is: list)" },
        { "job", "'job' wants a further word\ntry `southbridgectl job --help`" },
        { "device show", "it wants: southbridgectl device show DEVICE" },
        { "device show a b", "'b' is one word too many" },
        { "job show x", "'x' is not a number" },
        { "job show 0", "'0' is not a number" },
        { "job show -- -5", "'-5' is not a number" },
        { "job show 99999999999999999999", "is not a number" },
        { "status --jsno", "status: unknown option '--jsno' (did you mean '--json'?)" },
        { "status -x", "unknown option '-x'" },
        { "--sockt /x status", "did you mean '--socket'?" },
        { "status --socket", "option '--socket' wants a value" },
        { "status --json=5", "option '--json' takes no value" },
        { "job list --limit x", "--limit: 'x' is not a number" },
        { "job list --limit -1", "--limit: '-1' is not a number" },
        { "job pause", "say so with --all" },
        { "job resume", "say so with --all" },
        { "mapping check", "it wants: southbridgectl mapping check FILE..." },
        { "audit --verify --follow", "it goes without --follow" },
        { "audit --verify --subject x", "it goes without --subject" },
        { "device show \xff", "is not UTF-8" },
        { "device add x --type \xff", "is not UTF-8" },
        { "device add x --bus b", "device add: it wants --type TYPE\n" },
        { "audit --limit 0", "audit: --limit is at least 1\n" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++)
        expect_refusal(cases[i].text, cases[i].part);
}

/* ---- job create ---- */

SB_TEST(test_job_create)
{
    expect_args("job create firmware-update a b --package p-1", "job create",
                "{\"operation\": \"firmware_update\", \"devices\": [\"a\", \"b\"], "
                "\"package\": \"p-1\"}");
    expect_args("job create firmware_install a", "job create",
                "{\"operation\": \"firmware_install\", \"devices\": [\"a\"]}");
    expect_args("job create firmware-download a --uri http://h/f --version 2 --name n --module m "
                "--sha256 ab --md5 cd --id x-1",
                "job create",
                "{\"operation\": \"firmware_download\", \"devices\": [\"a\"], \"uri\": "
                "\"http://h/f\", \"version\": \"2\", \"name\": \"n\", \"module\": \"m\", "
                "\"sha256\": \"ab\", \"md5\": \"cd\", \"id\": \"x-1\"}");
    expect_args("job create read a --name x --name y", "job create",
                "{\"operation\": \"read\", \"devices\": [\"a\"], \"params\": {\"names\": [\"x\", "
                "\"y\"]}}");
    expect_args("job create reboot a --param delay=5 --params {\"mode\":\"soft\"}", "job create",
                "{\"operation\": \"reboot\", \"devices\": [\"a\"], \"params\": {\"delay\": 5, "
                "\"mode\": \"soft\"}}");
    expect_args("job create invoke a --action open --arg angle=1.5 --arg name=x", "job create",
                "{\"operation\": \"invoke\", \"devices\": [\"a\"], \"params\": {\"action\": "
                "\"open\", \"arguments\": {\"angle\": 1.5, \"name\": \"x\"}}}");
}

/* What a value is: JSON scalars as such, all else a text. */
SB_TEST(test_values)
{
    expect_args("job create write a --value i=5 --value r=2.5 --value t=true --value n=null "
                "--value s=on --value q=\"5\" --value e= --value l=[1] --value eq=a=b",
                "job create",
                "{\"operation\": \"write\", \"devices\": [\"a\"], \"params\": {\"values\": "
                "{\"i\": 5, \"r\": 2.5, \"t\": true, \"n\": null, \"s\": \"on\", \"q\": \"5\", "
                "\"e\": \"\", \"l\": \"[1]\", \"eq\": \"a=b\"}}}");
}

SB_TEST(test_policy)
{
    assert_int_equal(setenv("TZ", "Europe/Berlin", 1), 0);
    expect_args("job create reboot a --hold --retries 3 --retry-interval 30s --timeout 1h "
                "--run-timeout 5m --online-timeout 2d --concurrency 4 --rate 10 "
                "--conflict replace-unstarted --allow-downgrade",
                "job create",
                "{\"operation\": \"reboot\", \"devices\": [\"a\"], \"policy\": {\"hold\": true, "
                "\"retries\": 3, \"retry_interval\": 30000, \"whole_timeout\": 3600000, "
                "\"run_timeout\": 300000, \"online_timeout\": 172800000, \"concurrency\": 4, "
                "\"rate_per_minute\": 10, \"conflict\": \"replace_unstarted\", "
                "\"allow_downgrade\": true}}");
    expect_args("job create reboot a --pull --start online --retry-on link-lost --retry-on busy "
                "--answer-timeout 10s --from 1.0,1.1 --answer final",
                "job create",
                "{\"operation\": \"reboot\", \"devices\": [\"a\"], \"policy\": {\"pull\": true, "
                "\"start\": \"online\", \"retry_causes\": [\"link_lost\", \"busy\"], "
                "\"answer_timeout\": 10000, \"source_versions\": \"1.0,1.1\", \"answer\": "
                "\"final\"}}");
    expect_args("job create reboot a --window 01:00-05:30 --days mon-wed,sat", "job create",
                "{\"operation\": \"reboot\", \"devices\": [\"a\"], \"policy\": {\"window_from\": "
                "60, \"window_to\": 330, \"window_days\": 78, \"window_zone\": "
                "\"Europe/Berlin\"}}");
    expect_args("job create reboot a --window 22:00-24:00 --zone UTC --days fri-mon", "job create",
                "{\"operation\": \"reboot\", \"devices\": [\"a\"], \"policy\": {\"window_from\": "
                "1320, \"window_to\": 0, \"window_days\": 99, \"window_zone\": \"UTC\"}}");
    (void)unsetenv("TZ");
}

SB_TEST(test_job_for_many)
{
    expect_args("job create reboot --group hall --group yard --type t --running 1.0,1.1 "
                "--sample 10 --rule --tag why=recall",
                "job create",
                "{\"operation\": \"reboot\", \"groups\": [\"hall\", \"yard\"], \"types\": [\"t\"], "
                "\"running\": \"1.0,1.1\", \"sample\": 10, \"rule\": true, \"tags\": {\"why\": "
                "\"recall\"}}");
    expect_args("job create reboot a b --group hall", "job create",
                "{\"operation\": \"reboot\", \"devices\": [\"a\", \"b\"], \"groups\": [\"hall\"]}");
}

SB_TEST(test_job_edit)
{
    expect_args("job edit 7 --rate 0 --timeout 2h --concurrency 3 --tag a=b --untag c", "job edit",
                "{\"id\": 7, \"policy\": {\"rate_per_minute\": 0, \"whole_timeout\": 7200000, "
                "\"concurrency\": 3}, \"tags\": {\"a\": \"b\", \"c\": null}}");
    expect_args("job rule 7 off", "job rule", "{\"id\": 7, \"to\": \"off\"}");
    expect_args("job fetch 7 --device a", "job fetch", "{\"id\": 7, \"device\": \"a\"}");
}

SB_TEST(test_times)
{
    static const struct {
        const char *text;
        int64_t wall;
    } cases[] = {
        { "2026-06-11T04:00:00Z", NOON + INT64_C(57600000) },
        { "2026-06-11T04:00:00+02:00", NOON + INT64_C(50400000) },
        { "+2h", NOW + INT64_C(7200000) },
        { "2026-06-11~04:00", NOON + INT64_C(50400000) }, /* of Berlin */
        { "2026-06-11T04:00:30", NOON + INT64_C(50430000) },
        { "2026-01-11~04:00", NOON - INT64_C(12992400000) }, /* winter there */
        { "15:00", NOON + INT64_C(3600000) },
        { "13:00", NOON - INT64_C(3600000) + INT64_C(86400000) }, /* today's is over */
        { "14:00", NOON + INT64_C(86400000) },                    /* now itself is over */
    };
    assert_int_equal(setenv("TZ", "Europe/Berlin", 1), 0);
    tzset();
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *text = sb_format("job create reboot a --at %s", cases[i].text);
        struct line line = parse(text);
        assert_int_equal(line.result, 0);
        const json_t *policy = sb_json_object(line.order.args, "policy");
        if (sb_json_int(policy, "start_at", 0) != cases[i].wall)
            fail_msg("%s: %lld", cases[i].text, (long long)sb_json_int(policy, "start_at", 0));
        assert_string_equal(sb_json_str(policy, "start"), "at");
        done(&line);
    }
    (void)unsetenv("TZ");
    tzset();
}

SB_TEST(test_job_create_refusals)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        { "job create", "OPERATION [DEVICE...]" },
        { "job create reboot", "name devices, or choose them by --group" },
        { "job create reboot a --start soon", "--start: 'soon' is neither now nor online" },
        { "job create reboot a --start online --at +2h", "either --start or --at" },
        { "job create reboot a --answer never", "neither accepted nor final" },
        { "job create reboot a --retry-on bussy", "'bussy' is no cause (did you mean 'busy'?)" },
        { "job create reboot a --sample half", "--sample: 'half' is not a number" },
        { "job edit 7", "say what is to be changed" },
        { "job rule 7", "JOB on|off" },
        { "job create rebot a", "unknown operation 'rebot' (did you mean 'reboot'?)" },
        { "job create explode a", "unknown operation 'explode'" },
        { "job create firmware-update a", "wants --package or --uri" },
        { "job create firmware-update a --package p --uri u", "either --package or --uri" },
        { "job create firmware-update a --package p --version 2", "--version goes with --uri" },
        { "job create firmware-update a --package p --name n", "goes with --uri" },
        { "job create firmware-update a --uri u --name n --name m", "one --name" },
        { "job create reboot a --package p", "--package goes with firmware" },
        { "job create reboot a --value x=1", "--value goes with write and configure" },
        { "job create reboot a --action x", "--action goes with invoke" },
        { "job create read a", "read wants --name" },
        { "job create write a", "write wants --value" },
        { "job create configure a", "configure wants --value" },
        { "job create invoke a", "invoke wants --action" },
        { "job create write a --value x", "job create: --value x: give it as name=value" },
        { "job create invoke a --action x --action y", "job create: --action is given twice" },
        { "job create reboot a --timeout 5s --timeout 6s", "--timeout is given twice" },
        { "job create write a --value x=1 --value x=2", "--value x is given twice" },
        { "job create reboot a --params [1]", "a JSON object is wanted" },
        { "job create reboot a --params {", "not JSON" },
        { "job create reboot a --retries many", "--retries: 'many' is not a number" },
        { "job create reboot a --timeout 5", "--timeout: '5' is not a duration" },
        { "job create reboot a --at soon", "--at: 'soon' is not a time" },
        { "job create reboot a --at +soon", "is not a time" },
        { "job create reboot a --conflict fight", "--conflict: 'fight' is none of refuse, queue" },
        { "job create reboot a --window 1-5", "is not like 01:00-05:00" },
        { "job create reboot a --window 01:00-05:60", "is not like 01:00-05:00" },
        { "job create reboot a --window 01:00-25:00", "is not like 01:00-05:00" },
        { "job create reboot a --window 01:00-05:00x", "is not like 01:00-05:00" },
        { "job create reboot a --window 00:00-24:00", "for all day leave it out" },
        { "job create reboot a --window 01:00-05:00 --days moon-fry", "--days: 'moon-fry'" },
        { "job create reboot a --window 01:00-05:00 --days ,", "--days: ','" },
        { "job create reboot a --days mon", "go with --window" },
        { "job create reboot a --zone UTC", "go with --window" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++)
        expect_refusal(cases[i].text, cases[i].part);
}

/* ---- package add ---- */

SB_TEST(test_package_add)
{
    char path[] = "/tmp/sb-ctl-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "image", 5), 5);
    assert_int_equal(close(fd), 0);
    sb_cleanup(sb_freep) char *digest = sb_sha256_hex("image", 5);
    sb_cleanup(sb_freep) char *text =
        sb_format("package add %s --version 2 --fits type=a,b --fits model=c", path);
    sb_cleanup(sb_freep) char *expected =
        sb_format("{\"file\": \"%s\", \"version\": \"2\", \"sha256\": \"%s\", \"fits\": "
                  "{\"type\": [\"a\", \"b\"], \"model\": [\"c\"]}}",
                  path, digest);
    expect_args(text, "package add", expected);
    sb_cleanup(sb_freep) char *own = sb_format("package add %s --sha256 ab", path);
    sb_cleanup(sb_freep) char *own_expected =
        sb_format("{\"file\": \"%s\", \"sha256\": \"ab\"}", path);
    expect_args(own, "package add", own_expected);
    assert_int_equal(unlink(path), 0);
    expect_args("package add https://h/f --name n", "package add",
                "{\"uri\": \"https://h/f\", \"name\": \"n\"}");
    expect_refusal(text, "No such file");
    expect_refusal("package add /tmp", "/tmp: not a file");
}

/* ---- outcomes ---- */

SB_TEST(test_exit_codes)
{
    assert_int_equal(sb_exit_of_refusal("usage"), 2);
    assert_int_equal(sb_exit_of_refusal("not_found"), 4);
    assert_int_equal(sb_exit_of_refusal("refused"), 5);
    assert_int_equal(sb_exit_of_refusal("too_late"), 5);
    assert_int_equal(sb_exit_of_refusal("unavailable"), 7);
    assert_int_equal(sb_exit_of_refusal("something new"), 1);
    assert_int_equal(sb_exit_of_refusal(NULL), 1);
}

SB_TEST(test_help_has_everything)
{
    struct sb_str all = { 0 };
    sb_help_all(&all, NULL);
    for (const struct sb_ctl_command *c = sb_ctl_commands; c->name; c++) {
        struct sb_str one = { 0 };
        assert_non_null(strstr(sb_str_get(&all), c->name));
        sb_help_command(&one, c);
        for (const struct sb_option *o = c->options; o && o->name; o++)
            assert_non_null(strstr(sb_str_get(&one), o->name));
        for (const struct sb_exit_text *e = sb_exit_texts; e->text; e++)
            assert_non_null(strstr(sb_str_get(&one), "exit status:"));
        for (const char *at = sb_str_get(&one); *at; at += strcspn(at, "\n") + 1)
            assert_true(strcspn(at, "\n") <= 90);
        sb_str_done(&one);
    }
    sb_str_done(&all);
    sb_help_all(&all, "job");
    assert_non_null(strstr(sb_str_get(&all), "job create"));
    assert_null(strstr(sb_str_get(&all), "device list"));
    sb_str_done(&all);
}

/* A command's --version takes the place of the global one, in the help as well. */
SB_TEST(test_own_version_option)
{
    struct sb_str text = { 0 };
    for (const struct sb_ctl_command *c = sb_ctl_commands; c->name; c++)
        if (strcmp(c->name, "job create") == 0)
            sb_help_command(&text, c);
    assert_non_null(strstr(sb_str_get(&text), "--version VERSION"));
    assert_null(strstr(sb_str_get(&text), "print the version"));
    sb_str_done(&text);
}

/* ---- the man page ---- */

static char *read_all(const char *path)
{
    struct sb_str text = { 0 };
    char piece[4096];
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s: %s", path, strerror(errno));
    for (size_t n; (n = fread(piece, 1, sizeof(piece), file)) > 0;)
        sb_str_add_bytes(&text, piece, n);
    (void)fclose(file);
    return sb_str_take(&text);
}

static char *read_manual(void)
{
    const char *source = getenv("SB_SOURCE");
    assert_non_null(source);
    sb_cleanup(sb_freep) char *path = sb_format("%s/packaging/man/southbridgectl.1.scd", source);
    return read_all(path);
}

/* From the line that begins with the command's name to the next such line or heading. */
static char *section_of(const char *manual, const char *name)
{
    sb_cleanup(sb_freep) char *begin = sb_format("\n*%s*", name);
    const char *at = strstr(manual, begin);
    if (!at)
        fail_msg("the man page has no command '%s'", name);
    const char *end = at + strlen(begin);
    while (*end && strncmp(end, "\n*", 2) != 0 && strncmp(end, "\n# ", 3) != 0)
        end++;
    return strndup(at, (size_t)(end - at));
}

static void expect_option(const char *section, const char *where, const struct sb_option *option)
{
    sb_cleanup(sb_freep) char *flag = option->value
                                          ? sb_format("*--%s* _%s_", option->name, option->value)
                                          : sb_format("*--%s*", option->name);
    if (!strstr(section, flag))
        fail_msg("the man page does not explain %s at '%s'", flag, where);
}

SB_TEST(test_manual_has_everything)
{
    sb_cleanup(sb_freep) char *manual = read_manual();
    for (const struct sb_ctl_command *c = sb_ctl_commands; c->name; c++) {
        sb_cleanup(sb_freep) char *section = section_of(manual, c->name);
        for (const struct sb_option *o = c->options; o && o->name; o++)
            expect_option(section, c->name, o);
    }
    for (const struct sb_option *o = sb_global_options; o->name; o++)
        expect_option(manual, "OPTIONS", o);
    for (const struct sb_exit_text *e = sb_exit_texts; e->text; e++) {
        sb_cleanup(sb_freep) char *code = sb_format("\n*%d*\n", (int)e->code);
        if (!strstr(manual, code))
            fail_msg("the man page has no exit status %d", (int)e->code);
    }
}

static bool knows(const struct sb_option *options, const char *name, size_t n)
{
    for (const struct sb_option *o = options; o && o->name; o++)
        if (strlen(o->name) == n && strncmp(o->name, name, n) == 0)
            return true;
    return false;
}

/* And nothing that is not there any more. */
SB_TEST(test_manual_has_nothing_else)
{
    sb_cleanup(sb_freep) char *manual = read_manual();
    for (const char *at = manual; (at = strstr(at, "--"));) {
        at += 2;
        size_t n = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789-");
        bool known = n == 0 || knows(sb_global_options, at, n);
        for (const struct sb_ctl_command *c = sb_ctl_commands; c->name; c++)
            known |= knows(c->options, at, n);
        if (!known)
            fail_msg("the man page has an option that is not there: --%.*s", (int)n, at);
        at += n;
    }
}
