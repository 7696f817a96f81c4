/* SPDX-License-Identifier: Apache-2.0 */
/* Each verb of the control socket: what it does, and how it refuses. */
#include "tests/unit/control_world.h"

#include <stdio.h>

#include "bridge/control/verb.h"

static struct world world;

static int set_up(void **state)
{
    (void)state;
    world_new(&world, false);
    return 0;
}

static int set_up_sqlite(void **state)
{
    (void)state;
    world_new(&world, true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_done(&world);
    return 0;
}

/* ---- helpers ---- */

static int64_t create(const char *args)
{
    sb_cleanup(json_decrefp) json_t *data = ask_ok(&world, "job create", args);
    int64_t id = sb_json_int(data, "id", 0);
    assert_true(id > 0);
    return id;
}

static const char *by_id(int64_t id) /* args; good until the next call */
{
    static char text[64];
    (void)snprintf(text, sizeof(text), "{'id': %lld}", (long long)id);
    return text;
}

static void done(const char *verb, const char *args)
{
    json_decref(ask_ok(&world, verb, args));
}

/* A device whose type's mapping is gone since. */
static void add_typeless(const char *id, const char *group)
{
    struct sb_device *device;
    sb_cleanup(json_decrefp) json_t *spec =
        json_pack("{s:s,s:s,s:[s]}", "id", id, "type", "unheard-of", "groups", group);
    assert_int_equal(sb_registry_add(world.core->registry, spec, &device, NULL), 0);
    world_turns(&world, 1);
}

/* How many there are in the answer to a list. */
static size_t count(const char *verb, const char *args)
{
    sb_cleanup(json_decrefp) json_t *data = ask_ok(&world, verb, args);
    assert_true(json_is_array(data));
    return json_array_size(data);
}

/* Who may do what is told in the audit: a record of this verb by this user about this. */
static void assert_audited(const char *verb, const char *subject)
{
    sb_cleanup(sb_freep) char *args =
        sb_format("{'subject': '%s', 'newest': true, 'limit': 1000}", subject);
    sb_cleanup(json_decrefp) json_t *records = ask_ok(&world, "audit", args);
    size_t i;
    json_t *record;
    json_array_foreach (records, i, record) {
        if (sb_streq(sb_json_str(record, "verb"), verb) &&
            strncmp(sb_json_str(record, "actor"), "uid ", 4) == 0)
            return;
    }
    fail_msg("'%s' of '%s' is not in the audit", verb, subject);
}

static bool is_present(void *arg)
{
    const struct sb_device *device = sb_registry_get(world.core->registry, arg);
    return device && device->presence == SB_PRESENCE_READY;
}

/* ---- arguments ---- */

/* A value of the type that an argument's mark says. */
static json_t *sample(char mark)
{
    switch (mark) {
    case '#':
        return json_integer(1);
    case '?':
        return json_true();
    case '[':
        return json_array();
    case '{':
        return json_object();
    default:
        return json_string("x");
    }
}

static char *args_text(const json_t *args)
{
    char *text = json_dumps(args, JSON_COMPACT);
    for (char *c = text; *c; c++)
        *c = *c == '"' ? '\'' : *c;
    return text;
}

static void check_argument(const struct sb_verb *verb, const json_t *all, const char *key)
{
    static const char *const values[] = { "5", "1.5", "true", "null", "[]", "{}", "'x'" };
    const json_t *right = json_object_get(all, key);
    for (size_t i = 0; i < SB_COUNT(values); i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "%s", values[i]);
        if (*text == '\'')
            text[0] = text[2] = '"';
        json_t *wrong = json_loads(text, JSON_DECODE_ANY, NULL);
        sb_cleanup(json_decrefp) json_t *args = json_copy((json_t *)all);
        bool same = json_typeof(wrong) == json_typeof(right);
        assert_int_equal(json_object_set_new(args, key, wrong), 0);
        sb_cleanup(sb_freep) char *given = args_text(args);
        sb_cleanup(sb_freep) char *part = sb_format("argument '%s' is not", key);
        if (!same)
            ask_refused(&world, verb->name, given, "usage", part);
    }
}

#define TEST(name) SB_TEST(test_##name, set_up, tear_down)

/* Every verb without each of what it needs, with what it does not know, with the wrong types. */
TEST(every_argument_of_every_verb)
{
    unsigned needed = 0, typed = 0;
    for (const struct sb_verb *verb = sb_verbs; verb->name; verb++) {
        sb_cleanup(json_decrefp) json_t *all = json_object(), *required = json_object();
        sb_cleanup(json_decrefp) json_t *loose = json_object();
        sb_cleanup(sb_freep) char *list = strdup(verb->args);
        char *rest = list;
        for (char *word; (word = strsep(&rest, " "));) {
            size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_");
            bool must = word[n] == '!';
            char mark = word[n + must];
            word[n] = '\0';
            if (n == 0)
                continue;
            assert_int_equal(json_object_set_new(all, word, sample(mark)), 0);
            if (must)
                assert_int_equal(json_object_set_new(required, word, json_true()), 0);
            if (mark == '*')
                assert_int_equal(json_object_set_new(loose, word, json_true()), 0);
        }
        const char *key;
        json_t *value;
        json_object_foreach (all, key, value) {
            if (json_object_get(loose, key))
                continue;
            check_argument(verb, all, key);
            typed++;
        }
        json_object_foreach (required, key, value) {
            sb_cleanup(json_decrefp) json_t *args = json_copy(all);
            assert_int_equal(json_object_del(args, key), 0);
            sb_cleanup(sb_freep) char *given = args_text(args);
            sb_cleanup(sb_freep) char *part = sb_format("'%s' is missing", key);
            ask_refused(&world, verb->name, given, "usage", part);
            needed++;
        }
        ask_refused(&world, verb->name, "{'idd': 1}", "usage", "unknown argument 'idd'");
        ask_refused(&world, verb->name, "{'': 1}", "usage", "unknown argument ''");
    }
    assert_true(needed >= 13 && typed >= 40);
}

/* ---- the gateway ---- */

TEST(status_and_links)
{
    sb_cleanup(json_decrefp) json_t *status = ask_ok(&world, "status", NULL);
    assert_string_equal(sb_json_str(status, "version"), SB_VERSION);
    assert_true(sb_json_bool(status, "running", false));
    assert_false(sb_json_bool(status, "paused", true));
    assert_true(sb_json_bool(json_object_get(status, "store"), "ready", false));
    assert_int_equal(sb_json_int(json_object_get(status, "devices"), "ready", 0), 3);
    assert_int_equal(sb_json_int(json_object_get(status, "jobs"), "open", -1), 0);
    assert_int_equal(json_array_size(json_object_get(status, "links")), 1);
    sb_cleanup(json_decrefp) json_t *links = ask_ok(&world, "link list", NULL);
    const json_t *north = json_array_get(links, 0);
    assert_string_equal(sb_json_str(north, "name"), "north");
    assert_string_equal(sb_json_str(north, "dialect"), "cloud");
    assert_true(sb_json_bool(north, "up", false));
    cloud_link(false);
    sb_cleanup(json_decrefp) json_t *after = ask_ok(&world, "link list", NULL);
    assert_false(sb_json_bool(json_array_get(after, 0), "up", true));
    assert_string_equal(sb_json_str(json_array_get(after, 0), "text"), "cut");
}

TEST(reload)
{
    world_write(&world, "devices.d/all.yaml",
                "devices:\n  - { id: a, type: one-step }\n  - { id: new, type: one-step }\n");
    done("reload", NULL);
    ask_refused(&world, "device show", "{'id': 'b'}", "not_found", "no device 'b'");
    world_until(&world, is_present, (void *)"new");
    world_write(&world, "devices.d/all.yaml", "devices:\n  - { id: a, tipe: one-step }\n");
    ask_refused(&world, "reload", NULL, "refused", "did you mean 'type'");
    ask_refused(&world, "reload", NULL, "refused", "all.yaml:2");
    done("device show", "{'id': 'new'}"); /* nothing has changed */
    world_write(&world, "devices/one-step.yaml", "name: one-step\ndriver: bunch\n");
    ask_refused(&world, "reload", NULL, "refused", "bunch");
}

TEST(audit)
{
    int64_t job = create("{'operation': 'reboot', 'devices': ['a']}");
    json_decref(wait_job(&world, job));
    sb_cleanup(json_decrefp) json_t *all = ask_ok(&world, "audit", "{'limit': 1000}");
    sb_cleanup(json_decrefp) json_t *newest =
        ask_ok(&world, "audit", "{'limit': 2, 'newest': true}");
    size_t n = json_array_size(all);
    assert_true(n > 4);
    assert_int_equal(json_array_size(newest), 2);
    assert_true(json_equal(json_array_get(newest, 0), json_array_get(all, n - 1)));
    for (size_t i = 0; i < n; i++) /* an unbroken chain, as it was written */
        assert_int_equal(sb_json_int(json_array_get(all, i), "id", 0), i + 1);
    sb_cleanup(sb_freep) char *after = sb_format("{'after': %zu}", n - 1);
    assert_int_equal(count("audit", after), 1);
    sb_cleanup(sb_freep) char *subject = sb_format("{'subject': 'job %lld'}", (long long)job);
    assert_int_equal(count("audit", subject), 1);
    assert_int_equal(count("audit", "{'subject': 'job 4711'}"), 0);
    ask_refused(&world, "audit", "{'limit': 0}", "usage", "1 to 1000");
    ask_refused(&world, "audit", "{'limit': 1001}", "usage", "1 to 1000");
}

TEST(mapping_explain)
{
    sb_cleanup(json_decrefp) json_t *data = ask_ok(&world, "mapping explain", "{'device': 'a'}");
    const json_t *link = json_array_get(json_object_get(data, "links"), 0);
    assert_string_equal(sb_json_str(data, "type"), "one-step");
    assert_string_equal(sb_json_str(link, "link"), "north");
    assert_true(sb_json_bool(link, "may_command", false));
    /* Four operations, each in every state up to success; each cause but none. */
    assert_int_equal(json_array_size(json_object_get(link, "states")), 4 * SB_TASK_FAILED);
    assert_int_equal(json_array_size(json_object_get(link, "causes")), SB_CAUSE_MAX_ - 1);
    const json_t *cause = json_array_get(json_object_get(link, "causes"), 0);
    assert_string_equal(sb_json_str(cause, "cause"), "unsupported");
    assert_int_equal(sb_json_int(json_object_get(cause, "says"), "code", 0), 101);
    ask_refused(&world, "mapping explain", "{'device': 'z'}", "not_found", "no device 'z'");
}

TEST(a_dialect_without_a_link_is_explained)
{
    sb_cleanup(json_decrefp) json_t *data = ask_ok(&world, "mapping explain", "{'device': 'a'}");
    const json_t *links = json_object_get(data, "links");
    assert_int_equal(json_array_size(links), 2);
    const json_t *spare = json_array_get(links, 1);
    assert_string_equal(sb_json_str(spare, "dialect"), "spare");
    assert_null(sb_json_str(spare, "link"));
    assert_null(json_object_get(spare, "may_command"));
    const json_t *cause = json_array_get(json_object_get(spare, "causes"), 0);
    assert_int_equal(sb_json_int(json_object_get(cause, "says"), "code", 0), 1101);
}

/* Words with a hole, of a dialect that nobody speaks: told in the log, all else works. */
TEST(a_dialect_without_a_link_and_with_a_hole)
{
    world_off(&world);
    world_write(&world, "dialects/spare.yaml", "dialect: spare\n");
    world_on(&world);
    sb_cleanup(json_decrefp) json_t *data = ask_ok(&world, "mapping explain", "{'device': 'a'}");
    assert_int_equal(json_array_size(json_object_get(data, "links")), 1);
}

/* ---- a job in all dialects ---- */

static int64_t code_in(const json_t *job, const char *dialect)
{
    const json_t *task = json_array_get(json_object_get(job, "tasks"), 0);
    const json_t *words = json_object_get(task, "words");
    return sb_json_int(json_object_get(words, dialect), "code", -1);
}

TEST(a_job_in_each_dialect)
{
    int64_t job = create("{'operation': 'reboot', 'devices': ['a'], 'policy': {'hold': true}}");
    sb_cleanup(json_decrefp) json_t *held = ask_ok(&world, "job show", by_id(job));
    assert_int_equal(code_in(held, "cloud"), SB_TASK_HELD);
    assert_int_equal(code_in(held, "spare"), 1000 + SB_TASK_HELD);
    done("device add", "{'id': 'new', 'type': 'one-step'}");
    int64_t other = create("{'operation': 'reboot', 'devices': ['new'], 'policy': {'hold': true}}");
    done("device remove", "{'id': 'new'}");
    sb_cleanup(json_decrefp) json_t *ended = ask_ok(&world, "job show", by_id(other));
    assert_int_equal(code_in(ended, "cloud"), 100 + SB_CAUSE_DEVICE_GONE);
    assert_int_equal(code_in(ended, "spare"), 1100 + SB_CAUSE_DEVICE_GONE);
}

TEST(a_job_of_many_shows_no_words)
{
    for (int i = 0; i < 17; i++) {
        sb_cleanup(sb_freep) char *args =
            sb_format("{'id': 'm%d', 'type': 'one-step', 'groups': ['many']}", i);
        done("device add", args);
    }
    int64_t job = create("{'operation': 'reboot', 'groups': ['many'], 'policy': {'hold': true}}");
    sb_cleanup(json_decrefp) json_t *shown = ask_ok(&world, "job show", by_id(job));
    const json_t *tasks = json_object_get(shown, "tasks");
    assert_int_equal(json_array_size(tasks), 17);
    assert_null(json_object_get(json_array_get(tasks, 0), "words"));
    assert_non_null(json_object_get(json_array_get(tasks, 0), "state"));
}

/* ---- devices ---- */

TEST(devices_listed)
{
    assert_int_equal(count("device list", NULL), 3);
    assert_int_equal(count("device list", "{'type': 'one-step'}"), 2);
    assert_int_equal(count("device list", "{'bus': 'rs485'}"), 0);
    assert_int_equal(count("device list", "{'presence': 'ready'}"), 3);
    assert_int_equal(count("device list", "{'presence': 'offline'}"), 0);
    sb_cleanup(json_decrefp) json_t *first = ask_ok(&world, "device list", "{'limit': 2}");
    assert_int_equal(json_array_size(first), 2);
    sb_cleanup(sb_freep) char *after =
        sb_format("{'after': %lld}", (long long)sb_json_int(json_array_get(first, 1), "order", 0));
    sb_cleanup(json_decrefp) json_t *second = ask_ok(&world, "device list", after);
    assert_int_equal(json_array_size(second), 1);
    assert_string_equal(sb_json_str(json_array_get(second, 0), "id"), "c");
    ask_refused(&world, "device list", "{'limit': 1001}", "usage", "1 to 1000");
    ask_refused(&world, "device list", "{'presence': 'there'}", "usage", "ready, offline");
}

TEST(device_shown)
{
    int64_t job =
        create("{'operation': 'reboot', 'devices': ['a', 'b'], 'policy': {'hold': true}}");
    sb_cleanup(json_decrefp) json_t *device = ask_ok(&world, "device show", "{'id': 'a'}");
    const json_t *open = json_object_get(device, "open_tasks");
    assert_string_equal(sb_json_str(device, "presence"), "ready");
    assert_string_equal(sb_json_str(json_object_get(device, "versions"), ""), "1.0.0");
    assert_int_equal(json_array_size(open), 1);
    assert_int_equal(sb_json_int(json_array_get(open, 0), "job", 0), job);
    ask_refused(&world, "device show", "{'id': 'z'}", "not_found", "no device 'z'");
}

TEST(device_comes_and_goes)
{
    sb_cleanup(json_decrefp) json_t *added =
        ask_ok(&world, "device add", "{'id': 'new', 'type': 'one-step', 'address': {'unit': 'n'}}");
    assert_string_equal(sb_json_str(added, "id"), "new");
    world_until(&world, is_present, (void *)"new"); /* it is asked at once who it is */
    assert_audited("device add", "device new");
    ask_refused(&world, "device add", "{'id': 'new', 'type': 'one-step'}", "refused", "new");
    ask_refused(&world, "device show", "{'id': 'nwe'}", "not_found", "did you mean 'new'");
    ask_refused(&world, "mapping explain", "{'device': 'nwe'}", "not_found", "did you mean 'new'");
    ask_refused(&world, "job create", "{'operation': 'reboot', 'devices': ['nwe']}", "refused",
                "did you mean 'new'");
    ask_refused(&world, "device add", "{'id': '../x', 'type': 'one-step'}", "refused", "'id'");
    ask_refused(&world, "device add", "{'id': 'x', 'type': 'one-step', 'address': 5}", "refused",
                "'address' must be a map");
    ask_refused(&world, "device add", "{'id': 'x', 'type': 'one-step', 'parent': 'gone'}",
                "refused", "gone");
    int64_t job = create("{'operation': 'reboot', 'devices': ['new'], 'policy': {'hold': true}}");
    done("device remove", "{'id': 'new'}");
    sb_cleanup(json_decrefp) json_t *ended = ask_ok(&world, "job show", by_id(job));
    assert_string_equal(sb_json_str(ended, "outcome"), "cancelled");
    assert_audited("device remove", "device new");
    ask_refused(&world, "device remove", "{'id': 'new'}", "not_found", "no device 'new'");
    ask_refused(&world, "device remove", "{'id': 'a'}", "refused", "devices.d");
}

TEST(device_groups)
{
    done("device add", "{'id': 'new', 'type': 'one-step', 'groups': ['hall-1', 'old']}");
    done("device group", "{'id': 'new', 'add': ['hall-2', 'hall-1'], 'remove': ['old']}");
    assert_audited("device group", "device new");
    sb_cleanup(json_decrefp) json_t *device = ask_ok(&world, "device show", "{'id': 'new'}");
    sb_cleanup(sb_freep) char *groups = sb_json_text(json_object_get(device, "groups"));
    assert_string_equal(groups, "[\"hall-1\",\"hall-2\"]");
    assert_int_equal(count("device list", "{'group': 'hall-2'}"), 1);
    assert_int_equal(count("device list", "{'group': 'old'}"), 0);
    done("device group", "{'id': 'new', 'remove': ['hall-1', 'hall-2']}");
    assert_int_equal(count("device list", "{'group': 'hall-2'}"), 0);
    ask_refused(&world, "device group", "{'id': 'new'}", "usage", "name groups");
    ask_refused(&world, "device group", "{'id': 'new', 'add': ['x', 'y'], 'remove': ['y']}",
                "usage", "'y' is both");
    ask_refused(&world, "device group", "{'id': 'new', 'add': ['a b']}", "usage", "'groups'");
    ask_refused(&world, "device group", "{'id': 'new', 'add': [7]}", "usage", "'groups'");
    ask_refused(&world, "device group", "{'id': 'a', 'add': ['x']}", "refused", "devices.d");
    ask_refused(&world, "device group", "{'id': 'z', 'add': ['x']}", "not_found", "no device 'z'");
}

TEST(devices_are_limited)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/southbridge.yaml", world.directory);
    FILE *file = fopen(path, "ae");
    assert_true(file && fputs("limits: { devices: 4 }\n", file) >= 0 && fclose(file) == 0);
    world_off(&world);
    world_on(&world);
    done("device add", "{'id': 'new', 'type': 'one-step', 'address': {'unit': 'n'}}");
    ask_refused(&world, "device add", "{'id': 'newer', 'type': 'one-step'}", "refused",
                "limit of 4 devices is reached (limits: devices)");
}

TEST(device_identified)
{
    bench_device("a")->offline = true;
    done("device identify", "{'id': 'a'}");
    assert_audited("identify", "device a");
    struct sb_device *device = sb_registry_get(world.core->registry, "a");
    for (int i = 0; i < 200 && device->presence == SB_PRESENCE_READY; i++)
        world_turns(&world, 1);
    assert_int_equal(device->presence, SB_PRESENCE_OFFLINE);
    ask_refused(&world, "device add", "{'id': 'odd', 'type': 'unheard-of'}", "refused",
                "there is no device type 'unheard-of'");
    ask_refused(&world, "device add", "{'id': 'odd', 'type': 'one-step', 'bus': 'nowhere'}",
                "refused", "there is no bus 'nowhere'");
    ask_refused(&world, "device add",
                "{'id': 'odd', 'type': 'one-step', 'commanders': ['native', 'nobody']}", "refused",
                "there is no link 'nobody'");
    add_typeless("odd", "hall");
    ask_refused(&world, "device identify", "{'id': 'odd'}", "refused", "no driver");
    ask_refused(&world, "device identify", "{'id': 'z'}", "not_found", "no device 'z'");
}

/* ---- packages ---- */

TEST(packages)
{
    sb_cleanup(json_decrefp) json_t *added =
        ask_ok(&world, "package add",
               "{'uri': 'https://user:secret@fw.example.com/2.bin?token=hush', 'version': '2.0.0',"
               " 'fits': {'type': ['one-step']}}");
    const char *id = sb_json_str(added, "id");
    sb_cleanup(sb_freep) char *text = sb_json_text(added);
    sb_cleanup(sb_freep) char *args = sb_format("{'id': '%s'}", id);
    sb_cleanup(sb_freep) char *subject = sb_format("package %s", id);
    assert_null(strstr(text, "secret"));
    assert_null(strstr(text, "hush"));
    assert_audited("package add", subject);
    sb_cleanup(json_decrefp) json_t *trail = ask_ok(&world, "audit", "{'limit': 1000}");
    sb_cleanup(sb_freep) char *said = sb_json_text(trail);
    assert_null(strstr(said, "secret"));
    assert_null(strstr(said, "hush"));
    ask_refused(&world, "package add", "{'uri': 'https://a.example/x', 'fits': {'typ': ['x']}}",
                "usage",
                "fits: there is no 'typ' (allowed: type, manufacturer, model, "
                "source_versions; did you mean 'type'?)");
    assert_int_equal(count("package list", NULL), 1);
    done("package show", args);

    sb_cleanup(sb_freep) char *misfit =
        sb_format("{'operation': 'firmware_update', 'devices': ['c'], 'package': '%s'}", id);
    ask_refused(&world, "job create", misfit, "refused", "unsupported_image");
    sb_cleanup(sb_freep) char *fit = sb_format("{'operation': 'firmware_update', 'devices': ['a'], "
                                               "'package': '%s', 'policy': {'hold': true}}",
                                               id);
    int64_t job = create(fit);
    ask_refused(&world, "package remove", args, "refused", "which is open, needs it");
    done("job cancel", by_id(job));
    done("package remove", args);
    assert_audited("package remove", subject);
    ask_refused(&world, "package remove", args, "not_found", "no package");
    ask_refused(&world, "package show", args, "not_found", "no package");
    assert_int_equal(count("package list", NULL), 0);
}

TEST(packages_refused)
{
    ask_refused(&world, "package add", "{'version': '1'}", "usage", "either a file or a URI");
    ask_refused(&world, "package add", "{'file': '/x', 'uri': 'https://x/'}", "usage", "either");
    ask_refused(&world, "package add", "{'file': 'images/x.bin'}", "usage", "absolute");
    ask_refused(&world, "package add", "{'uri': 'https://x/', 'sha256': 'abc'}", "refused",
                "sha256 must be 64 hex digits, in small letters");
    ask_refused(&world, "package add", "{'uri': 'not a uri'}", "refused", "URI cannot be used");
    sb_cleanup(json_decrefp) json_t *file =
        ask_ok(&world, "package add", "{'file': '/srv/fw/2.bin', 'version': '2.0.0'}");
    assert_string_equal(sb_json_str(file, "uri"), "file:///srv/fw/2.bin");
}

/* ---- jobs ---- */

TEST(job_create_refused)
{
    static const struct {
        const char *args, *error, *part;
    } cases[] = {
        { "{'operation': 'dance', 'devices': ['a']}", "usage", "unknown operation 'dance'" },
        { "{'operation': 'reboot', 'devices': []}", "refused", "no device" },
        { "{'operation': 'reboot', 'devices': ['a', 5]}", "usage", "list of ids" },
        { "{'operation': 'reboot', 'devices': ['a', 'z']}", "refused", "no device 'z'" },
        { "{'operation': 'configure', 'devices': ['a']}", "refused", "unsupported" },
        { "{'operation': 'read', 'devices': ['a'], 'params': {}}", "refused", "names are missing" },
        { "{'operation': 'reboot', 'devices': ['a'], 'params': {'delay': 5}}", "refused",
          "invalid_request: reboot has no parameter 'delay' (allowed: none)" },
        { "{'operation': 'read', 'devices': ['a'], 'params': {'name': ['speed']}}", "refused",
          "read has no parameter 'name' (allowed: names; did you mean 'names'?)" },
        { "{'operation': 'read', 'devices': ['a'], 'params': {'names': 'speed'}}", "refused",
          "names must be a list of names" },
        { "{'operation': 'invoke', 'devices': ['a'], 'params': {'action': 'x', 'arguments': 7}}",
          "refused", "arguments must be a map" },
        { "{'operation': 'invoke', 'devices': ['a'], 'params': {'argments': {}}}", "refused",
          "(allowed: action, arguments; did you mean 'arguments'?)" },
        { "{'operation': 'reboot', 'devices': ['a'], 'policy': {'start_at': "
          "'2030-01-01T00:00:00Z', 'end_at': '2029-01-01T00:00:00Z'}}",
          "usage", "end_at (--until) is not after start_at (--at)" },
        { "{'operation': 'reboot', 'devices': ['a'], 'policy': {'end_at': "
          "'2020-01-01T00:00:00Z'}}",
          "usage", "(--until) has passed already" },
        { "{'operation': 'reboot', 'devices': ['a'], 'policy': {'whole_timeout': '0s'}}", "usage",
          "whole_timeout (--timeout) must be more than 0" },
        { "{'operation': 'reboot', 'devices': ['a'], 'policy': {'retries': -1}}", "usage",
          "not a legal value for 'retries' (a whole number, 0 to 4294967295)" },
        { "{'operation': 'reboot', 'devices': ['a'], 'policy': {'conflict': 'win'}}", "usage",
          "'conflict' (one of refuse, queue, " },
        { "{'operation': 'reboot', 'devices': ['a'], 'policy': {'retry_causes': ['bad']}}", "usage",
          "'retry_causes' (a list of some of " },
        { "{'operation': 'reboot', 'devices': ['a'], 'policy': {'hold': 1}}", "usage",
          "'hold' (true or false)" },
        { "{'operation': 'reboot', 'devices': ['a'], 'package': 'p'}", "refused", "no package" },
        { "{'operation': 'firmware_update', 'devices': ['a']}", "refused", "needs a package" },
        { "{'operation': 'firmware_install', 'devices': ['a']}", "refused", "nothing is staged" },
        { "{'operation': 'firmware_update', 'devices': ['a'], 'package': 'p'}", "refused",
          "no package 'p'" },
        { "{'operation': 'firmware_update', 'devices': ['a'], 'uri': 'nonsense'}", "refused",
          "invalid_uri" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++)
        ask_refused(&world, "job create", cases[i].args, cases[i].error, cases[i].part);
    assert_int_equal(sb_book_jobs(world.core->book), 0);
}

TEST(policies_refused)
{
    static const struct {
        const char *policy, *part;
    } cases[] = {
        { "{'retrys': 1}", "no 'retrys'" },
        { "{'retries': -1}", "'retries'" },
        { "{'retries': '3'}", "'retries'" },
        { "{'retry_interval': '5 minutes'}", "not a duration" },
        { "{'run_timeout': '1'}", "not a duration" },
        { "{'whole_timeout': -5}", "'whole_timeout'" },
        { "{'online_timeout': '99999999999w'}", "online_timeout" },
        { "{'start_at': 'tomorrow'}", "not a time" },
        { "{'end_at': '2026-02-30T00:00:00Z'}", "not a time" },
        { "{'start': 'later'}", "'start'" },
        { "{'conflict': 'fight'}", "'conflict'" },
        { "{'window_from': 1440}", "'window_from'" },
        { "{'hold': 1}", "'hold'" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *args =
            sb_format("{'operation': 'reboot', 'devices': ['a'], 'policy': %s}", cases[i].policy);
        ask_refused(&world, "job create", args, "usage", cases[i].part);
    }
    ask_refused(&world, "job create",
                "{'operation': 'reboot', 'devices': ['a'], 'policy': {'window_to': 60,"
                " 'window_zone': 'Mars/Base'}}",
                "refused", "Mars/Base");
}

TEST(policy_as_people_write_it)
{
    int64_t job =
        create("{'operation': 'reboot', 'devices': ['a'], 'policy': {'hold': true, 'retries': 2,"
               " 'retry_interval': '90s', 'whole_timeout': '2h', 'start': 'at',"
               " 'start_at': '2026-01-31T04:00:00+01:00', 'end_at': 4102444800000}}");
    sb_cleanup(json_decrefp) json_t *shown = ask_ok(&world, "job show", by_id(job));
    const json_t *policy = json_object_get(shown, "policy");
    assert_int_equal(sb_json_int(policy, "retry_interval", 0), 90 * SB_SECOND);
    assert_int_equal(sb_json_int(policy, "whole_timeout", 0), 2 * SB_HOUR);
    assert_true(sb_json_int(policy, "start_at", 0) == INT64_C(1769828400000));
    assert_true(sb_json_int(policy, "end_at", 0) == INT64_C(4102444800000));
}

TEST(the_same_id_is_the_same_job)
{
    static const char args[] =
        "{'operation': 'reboot', 'devices': ['a'], 'id': 'mine', 'policy': {'hold': true}}";
    int64_t job = create(args);
    sb_cleanup(json_decrefp) json_t *again = ask_ok(&world, "job create", args);
    assert_int_equal(sb_json_int(again, "id", 0), job);
    assert_true(sb_json_bool(again, "existing", false));
    ask_refused(&world, "job create",
                "{'operation': 'factory_reset', 'devices': ['a'], 'id': 'mine'}", "refused",
                "conflict");
}

TEST(jobs_listed)
{
    static const char *const devices[] = { "a", "b", "a", "b", "a" };
    int64_t ids[5];
    for (size_t i = 0; i < 5; i++) {
        sb_cleanup(sb_freep) char *args =
            sb_format("{'operation': 'reboot', 'devices': ['%s', 'c']}", devices[i]);
        ids[i] = create(args);
        json_decref(wait_job(&world, ids[i]));
    }
    assert_int_equal(count("job list", NULL), 0); /* the open ones */
    int64_t open = create("{'operation': 'reboot', 'devices': ['b'], 'policy': {'hold': true}}");
    assert_int_equal(count("job list", NULL), 1);
    assert_int_equal(count("job list", "{'device': 'b'}"), 1);
    assert_int_equal(count("job list", "{'device': 'a'}"), 0);
    sb_cleanup(json_decrefp) json_t *all = ask_ok(&world, "job list", "{'all': true}");
    assert_int_equal(json_array_size(all), 6);
    for (size_t i = 0; i < 6; i++) /* newest first */
        assert_int_equal(sb_json_int(json_array_get(all, i), "id", 0), i ? ids[5 - i] : open);
    assert_string_equal(sb_json_str(json_array_get(all, 0), "state"), "active");
    assert_string_equal(sb_json_str(json_array_get(all, 1), "outcome"), "succeeded");
    assert_int_equal(sb_json_int(json_array_get(all, 1), "devices", 0), 2);
    assert_null(json_object_get(json_array_get(all, 1), "tasks"));
    assert_int_equal(count("job list", "{'all': true, 'limit': 4}"), 4);
    assert_int_equal(count("job list", "{'all': true, 'device': 'a'}"), 3);
    assert_int_equal(count("job list", "{'all': true, 'device': 'c', 'limit': 2}"), 2);
    sb_cleanup(sb_freep) char *before =
        sb_format("{'all': true, 'before': %lld}", (long long)ids[2]);
    assert_int_equal(count("job list", before), 2);
    sb_cleanup(sb_freep) char *both =
        sb_format("{'all': true, 'device': 'a', 'before': %lld}", (long long)ids[2]);
    sb_cleanup(json_decrefp) json_t *oldest = ask_ok(&world, "job list", both);
    assert_int_equal(json_array_size(oldest), 1);
    assert_int_equal(sb_json_int(json_array_get(oldest, 0), "id", 0), ids[0]);
    ask_refused(&world, "job list", "{'limit': 0}", "usage", "1 to 1000");
}

TEST(job_shown)
{
    int64_t job = create("{'operation': 'read', 'devices': ['a'], 'params': {'names': ['speed']}}");
    sb_cleanup(json_decrefp) json_t *shown = wait_job(&world, job);
    const json_t *task = json_array_get(json_object_get(shown, "tasks"), 0);
    assert_string_equal(sb_json_str(shown, "origin"), "native");
    assert_string_equal(sb_json_str(shown, "device"), "a");
    assert_int_equal(sb_json_int(json_object_get(task, "result"), "speed", 0), 42);
    assert_int_equal(sb_json_int(json_object_get(shown, "counts"), "succeeded", 0), 1);
    ask_refused(&world, "job show", "{'id': 4711}", "not_found", "no job 4711");
    ask_refused(&world, "job show", "{'id': -1}", "not_found", "no job -1");
    ask_refused(&world, "job show", "{'id': 0}", "not_found", "no job 0");
    json_t *none = sb_view_job(world.core, INT64_MAX, true);
    assert_null(none);
}

TEST(job_cancel)
{
    int64_t job =
        create("{'operation': 'reboot', 'devices': ['a', 'b'], 'policy': {'hold': true}}");
    sb_cleanup(sb_freep) char *one = sb_format("{'id': %lld, 'device': 'b'}", (long long)job);
    sb_cleanup(json_decrefp) json_t *data = ask_ok(&world, "job cancel", one);
    assert_int_equal(sb_json_int(data, "tasks", 0), 1);
    ask_refused(&world, "job cancel", one, "not_found", "nothing open on device 'b'");
    sb_cleanup(json_decrefp) json_t *rest = ask_ok(&world, "job cancel", by_id(job));
    assert_int_equal(sb_json_int(rest, "tasks", 0), 1);
    sb_cleanup(json_decrefp) json_t *shown = ask_ok(&world, "job show", by_id(job));
    assert_int_equal(sb_json_int(json_object_get(shown, "counts"), "cancelled", 0), 2);
    const json_t *task = json_array_get(json_object_get(shown, "tasks"), 0);
    assert_string_equal(sb_json_str(task, "cause"), "operator");
    sb_cleanup(sb_freep) char *subject =
        sb_format("task %lld", (long long)sb_json_int(task, "id", 0));
    assert_audited("state", subject);
    ask_refused(&world, "job cancel", by_id(job), "too_late", "has ended already");
    ask_refused(&world, "job cancel", "{'id': 4711}", "not_found", "no job 4711");
}

static bool committed(void *arg)
{
    const struct sb_job *job = sb_book_job(world.core->book, *(int64_t *)arg);
    return !job || job->tasks[0]->committed;
}

TEST(job_cancel_too_late)
{
    bench.step_ms = 50;
    int64_t job = create("{'operation': 'reboot', 'devices': ['a']}");
    world_until(&world, committed, &job);
    ask_refused(&world, "job cancel", by_id(job), "too_late", "cannot be stopped");
    sb_cleanup(json_decrefp) json_t *ended = wait_job(&world, job);
    assert_string_equal(sb_json_str(ended, "outcome"), "succeeded");
}

TEST(job_confirm)
{
    int64_t job = create("{'operation': 'reboot', 'devices': ['a'], 'policy': {'hold': true}}");
    world_turns(&world, 20);
    assert_int_equal(bench_device("a")->boots, 0);
    done("job confirm", by_id(job));
    sb_cleanup(json_decrefp) json_t *ended = wait_job(&world, job);
    assert_string_equal(sb_json_str(ended, "outcome"), "succeeded");
    assert_int_equal(bench_device("a")->boots, 1);
    ask_refused(&world, "job confirm", by_id(job), "too_late", "has ended");
    bench.step_ms = 50;
    job = create("{'operation': 'reboot', 'devices': ['b']}");
    ask_refused(&world, "job confirm", by_id(job), "refused", "state does not allow");
}

/* Every member of the policy can be given, and is what the job then has. */
TEST(every_policy)
{
    static const char all[] =
        "{'start': 'at', 'start_at': 1893456000000, 'end_at': 1893542400000, 'window_from': 60,"
        " 'window_to': 120, 'window_days': 3, 'window_zone': 'Europe/Berlin', 'pull': true,"
        " 'hold': true, 'rate_per_minute': 1, 'concurrency': 2, 'retries': 3, 'retry_interval': 4,"
        " 'retry_causes': ['busy', 'link_lost'], 'online_timeout': 5, 'answer_timeout': 6,"
        " 'run_timeout': 7, 'whole_timeout': 8000, 'conflict': 'queue', 'answer': 'accepted',"
        " 'allow_downgrade': true, 'source_versions': '1.0,1.1'}";
    sb_cleanup(sb_freep) char *args =
        sb_format("{'operation': 'reboot', 'devices': ['a'], 'policy': %s}", all);
    int64_t id = create(args);
    sb_cleanup(json_decrefp) json_t *job = ask_ok(&world, "job show", by_id(id));
    const json_t *policy = json_object_get(job, "policy");
    sb_cleanup(sb_freep) char *text = strdup(all);
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    sb_cleanup(json_decrefp) json_t *wanted = json_loads(text, 0, NULL);
    (void)json_object_del(wanted, "answer"); /* what is so anyway is not written */
    assert_true(json_equal(policy, wanted));
}

TEST(jobs_for_groups)
{
    done("device add", "{'id': 'g1', 'type': 'one-step', 'groups': ['hall']}");
    done("device add", "{'id': 'g2', 'type': 'one-step', 'groups': ['hall']}");
    add_typeless("g3", "hall");
    sb_cleanup(json_decrefp) json_t *job = wait_job(
        &world, create("{'operation': 'reboot', 'groups': ['hall'], 'tags': {'why': 'x'}}"));
    assert_int_equal(json_array_size(json_object_get(job, "tasks")), 3);
    assert_int_equal(sb_json_int(json_object_get(job, "counts"), "succeeded", 0), 2);
    assert_int_equal(sb_json_int(json_object_get(job, "counts"), "failed", 0), 1);
    assert_int_equal(sb_json_int(json_object_get(job, "causes"), "unsupported", 0), 1);
    assert_string_equal(sb_json_str(json_object_get(job, "tags"), "why"), "x");
    assert_non_null(sb_json_array(json_object_get(job, "targets"), "groups"));
    static const struct {
        const char *args, *error, *part;
    } cases[] = {
        { "{'operation': 'reboot'}", "refused", "no device is named" },
        { "{'operation': 'reboot', 'groups': [5]}", "usage", "groups is a list of names" },
        { "{'operation': 'reboot', 'groups': []}", "refused", "'groups' is a list of 1 to 64" },
        { "{'operation': 'reboot', 'groups': ['yard']}", "refused",
          "no device matches: none is in group 'yard'" },
        { "{'operation': 'reboot', 'groups': ['hall'], 'types': ['two-step', 'tow-step']}",
          "refused", "no device matches: none is of type 'tow-step'" },
        { "{'operation': 'reboot', 'groups': ['hall'], 'types': ['two-step']}", "refused",
          "no device matches" },
        { "{'operation': 'reboot', 'types': ['x', 'y'], 'sample': 0}", "usage", "1 to 100" },
        { "{'operation': 'reboot', 'running': ''}", "refused", "'versions'" },
        { "{'operation': 'reboot', 'devices': ['a'], 'tags': {'a': 5}}", "refused", "a tag is" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++)
        ask_refused(&world, "job create", cases[i].args, cases[i].error, cases[i].part);
}

static const char *with_id(int64_t id, const char *rest) /* args; good until the next call */
{
    static char text[256];
    (void)snprintf(text, sizeof(text), "{'id': %lld, %s}", (long long)id, rest);
    return text;
}

TEST(rules_are_switched)
{
    done("device add", "{'id': 'g1', 'type': 'one-step', 'groups': ['hall']}");
    int64_t id = create("{'operation': 'reboot', 'groups': ['hall'], 'rule': true}");
    done("device add", "{'id': 'g2', 'type': 'one-step', 'groups': ['hall']}");
    for (int i = 0; i < 400 && bench_device("g2")->boots == 0; i++)
        world_turns(&world, 1);
    sb_cleanup(json_decrefp) json_t *open = ask_ok(&world, "job show", by_id(id));
    assert_string_equal(sb_json_str(open, "state"), "active");
    assert_int_equal(json_array_size(json_object_get(open, "tasks")), 2);
    done("job rule", with_id(id, "'to': 'off'"));
    sb_cleanup(sb_freep) char *subject = sb_format("job %lld", (long long)id);
    assert_audited("edit", subject);
    sb_cleanup(json_decrefp) json_t *job = wait_job(&world, id);
    assert_string_equal(sb_json_str(job, "outcome"), "succeeded");
    ask_refused(&world, "job rule", with_id(id, "'to': 'on'"), "too_late", "ended already");
    int64_t plain = create("{'operation': 'reboot', 'devices': ['a'], 'policy': {'hold': true}}");
    ask_refused(&world, "job rule", with_id(plain, "'to': 'off'"), "refused", "not a rule");
    ask_refused(&world, "job rule", with_id(plain, "'to': 'up'"), "usage", "on or off");
    ask_refused(&world, "job rule", "{'id': 4711, 'to': 'on'}", "not_found", "no job 4711");
    /* A cancelled rule is off, whether anything is open or not. */
    int64_t idle = create("{'operation': 'reboot', 'groups': ['nobody'], 'rule': true}");
    done("job cancel", by_id(idle));
    json_decref(wait_job(&world, idle));
    int64_t held = create("{'operation': 'reboot', 'groups': ['hall'], 'rule': true,"
                          " 'policy': {'hold': true}}");
    world_turns(&world, 5);
    done("job cancel", by_id(held));
    sb_cleanup(json_decrefp) json_t *gone = wait_job(&world, held);
    assert_string_equal(sb_json_str(gone, "outcome"), "cancelled");
}

TEST(job_edited)
{
    int64_t id = create("{'operation': 'reboot', 'devices': ['a'], 'policy': {'pull': true}}");
    sb_cleanup(json_decrefp) json_t *job =
        ask_ok(&world, "job edit",
               with_id(id, "'policy': {'whole_timeout': '2h'}, 'tags': {'why': 'recall'}"));
    assert_int_equal(sb_json_int(json_object_get(job, "policy"), "whole_timeout", 0), 2 * SB_HOUR);
    assert_string_equal(sb_json_str(json_object_get(job, "tags"), "why"), "recall");
    sb_cleanup(sb_freep) char *subject = sb_format("job %lld", (long long)id);
    assert_audited("edit", subject);
    ask_refused(&world, "job edit", with_id(id, "'policy': {'hold': true}"), "usage",
                "'hold' cannot be changed");
    ask_refused(&world, "job edit", with_id(id, "'policy': {'retrys': 1}"), "usage", "no 'retrys'");
    ask_refused(&world, "job edit", by_id(id), "usage", "nothing is to be changed");
    ask_refused(&world, "job edit", "{'id': 4711, 'policy': {}}", "not_found", "no job 4711");
    done("job fetch", by_id(id)); /* nothing else would let it go */
    sb_cleanup(sb_freep) char *task =
        sb_format("task %lld", (long long)sb_book_job(world.core->book, id)->tasks[0]->id);
    assert_audited("fetch", task);
    json_decref(wait_job(&world, id));
    ask_refused(&world, "job edit", with_id(id, "'tags': {'a': 'b'}"), "too_late", "ended");
    ask_refused(&world, "job fetch", by_id(id), "too_late", "ended already");
}

/* policy.answer: final - the answer to the request is how the job has ended. */
TEST(the_answer_is_the_end)
{
    sb_cleanup(json_decrefp) json_t *job =
        ask_ok(&world, "job create",
               "{'operation': 'reboot', 'devices': ['a', 'b'], 'policy': {'answer': 'final'}}");
    assert_string_equal(sb_json_str(job, "state"), "done");
    assert_string_equal(sb_json_str(job, "outcome"), "succeeded");
    assert_int_equal(json_array_size(json_object_get(job, "tasks")), 2);
    ask_refused(&world, "job create",
                "{'operation': 'reboot', 'devices': ['z'], 'policy': {'answer': 'final'}}",
                "refused", "no device 'z'");
}

TEST(job_retry)
{
    bench_device("a")->fault = BENCH_LOOK;
    bench_device("a")->cause = SB_CAUSE_REFUSED;
    bench_device("a")->faults = 1;
    int64_t job = create("{'operation': 'reboot', 'devices': ['a', 'b']}");
    ask_refused(&world, "job retry", by_id(job), "refused", "still open");
    sb_cleanup(json_decrefp) json_t *failed = wait_job(&world, job);
    assert_string_equal(sb_json_str(failed, "outcome"), "failed");
    done("job retry", by_id(job));
    sb_cleanup(json_decrefp) json_t *again = wait_job(&world, job);
    assert_int_equal(json_array_size(json_object_get(again, "tasks")), 3);
    assert_int_equal(sb_json_int(again, "devices", 0), 2);
    assert_string_equal(sb_json_str(again, "outcome"), "succeeded"); /* the latest round counts */
    ask_refused(&world, "job retry", by_id(job), "refused", "nothing of job");
    ask_refused(&world, "job retry", "{'id': 4711}", "not_found", "no such");
}

TEST(pause_and_resume)
{
    sb_cleanup(json_decrefp) json_t *paused = ask_ok(&world, "job pause", NULL);
    assert_true(sb_json_bool(paused, "paused", false));
    assert_audited("pause", "all jobs");
    int64_t job = create("{'operation': 'reboot', 'devices': ['a']}");
    world_turns(&world, 30);
    sb_cleanup(json_decrefp) json_t *shown = ask_ok(&world, "job show", by_id(job));
    const json_t *task = json_array_get(json_object_get(shown, "tasks"), 0);
    assert_string_equal(sb_json_str(task, "reason"), "paused");
    sb_cleanup(json_decrefp) json_t *status = ask_ok(&world, "status", NULL);
    assert_true(sb_json_bool(status, "paused", false));
    done("job resume", NULL);
    assert_audited("resume", "all jobs");
    json_decref(wait_job(&world, job));
    assert_int_equal(bench_device("a")->boots, 1);
}

/* What a real store answers in its own order. */
#define SQLITE(name)                                                                               \
    SB_TEST(test_##name##_in_sqlite, set_up_sqlite, tear_down)                                     \
    {                                                                                              \
        test_##name(state);                                                                        \
    }
SQLITE(audit)
SQLITE(jobs_listed)
SQLITE(job_retry)
SQLITE(device_comes_and_goes)
