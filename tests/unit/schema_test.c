/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables: every type of value, every finding's text, two tables for one map, the daemon's own
 * configuration and its devices.
 */
#include "findings.h"

#include "bridge/base/log.h"
#include "bridge/base/time.h"
#include "bridge/config/config.h"

enum colour { RED, GREEN, BLUE, COLOUR_MAX_, COLOUR_INVALID = -EINVAL };
SB_NAMES_DECLARE(colour)
SB_NAMES(colour, COLOUR_MAX_, [RED] = "red", [GREEN] = "green", [BLUE] = "blue");

struct point {
    char *name; /* key of a table */
    int64_t x, y;
};

struct thing {
    bool on;
    int64_t count, wait, room;
    char *title, *secret;
    int colour;
    struct sb_strings tags;
    uint64_t colours;
    struct point inner;
    struct sb_array list, table;
    json_t *any;
    const struct sb_yaml *node;
};

#define AT(member) offsetof(struct thing, member)

static const struct sb_field point_fields[] = {
    { .key = "x",
      .type = SB_TYPE_INT,
      .offset = offsetof(struct point, x),
      .flags = SB_FIELD_REQUIRED },
    { .key = "y", .type = SB_TYPE_INT, .offset = offsetof(struct point, y), .otherwise = "-1" },
    { 0 },
};

static const struct sb_field fields[] = {
    { .key = "on", .type = SB_TYPE_BOOL, .offset = AT(on), .otherwise = "true" },
    { .key = "count",
      .type = SB_TYPE_INT,
      .offset = AT(count),
      .min = 1,
      .max = 10,
      .otherwise = "3",
      .doc = "How many." },
    { .key = "wait",
      .type = SB_TYPE_DURATION,
      .offset = AT(wait),
      .min = 1000,
      .max = 60000,
      .otherwise = "5s" },
    { .key = "room",
      .type = SB_TYPE_SIZE,
      .offset = AT(room),
      .min = 1024,
      .max = 1 << 20,
      .otherwise = "64K" },
    { .key = "title",
      .type = SB_TYPE_STRING,
      .offset = AT(title),
      .min = 1,
      .max = 5,
      .otherwise = "a: b" },
    { .key = "secret", .type = SB_TYPE_SECRET, .offset = AT(secret) },
    { .key = "colour",
      .type = SB_TYPE_CHOICE,
      .offset = AT(colour),
      .otherwise = "green",
      .choices = &colour_names },
    { .key = "tags",
      .type = SB_TYPE_STRINGS,
      .offset = AT(tags),
      .min = 1,
      .max = 3,
      .otherwise = "[a, b]" },
    { .key = "colours",
      .type = SB_TYPE_FLAGS,
      .offset = AT(colours),
      .otherwise = "[red, blue]",
      .choices = &colour_names },
    { .key = "inner", .type = SB_TYPE_OBJECT, .offset = AT(inner), .fields = point_fields },
    { .key = "list",
      .type = SB_TYPE_LIST,
      .offset = AT(list),
      .min = 0,
      .max = 2,
      .fields = point_fields,
      .size = sizeof(struct point) },
    { .key = "table",
      .type = SB_TYPE_TABLE,
      .offset = AT(table),
      .fields = point_fields,
      .size = sizeof(struct point) },
    { .key = "any", .type = SB_TYPE_JSON, .offset = AT(any) },
    { .key = "node", .type = SB_TYPE_NODE, .offset = AT(node) },
    { 0 },
};

/* ---- good values ---- */

SB_TEST(absent_means_default)
{
    struct thing t = { 0 };
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_schema_read(NULL, "x", fields, &t, &diags), 0);
    expect_findings(&diags, "");
    assert_true(t.on);
    assert_int_equal(t.count, 3);
    assert_int_equal(t.wait, 5000);
    assert_int_equal(t.room, 65536);
    assert_string_equal(t.title, "a: b"); /* a text's default is not YAML */
    assert_null(t.secret);
    assert_int_equal(t.colour, GREEN);
    assert_int_equal(t.tags.count, 2);
    assert_string_equal(t.tags.list[1], "b");
    assert_int_equal(t.colours, 1u << RED | 1u << BLUE);
    assert_int_equal(t.inner.y, -1); /* its own defaults, but not its required keys */
    assert_int_equal(t.list.count + t.table.count, 0);
    assert_null(t.any);
    assert_null(t.node);
    sb_schema_done(fields, &t);
}

SB_TEST(given_is_read)
{
    sb_cleanup(sb_yaml_freep) struct sb_yaml *root = tree(
        "on: false\ncount: 0x0a\nwait: 1m\nroom: 2048\ntitle: 1.10\nsecret: file:/run/s\n"
        "colour: blue\ntags: one\ncolours: [green]\ninner: { x: 4 }\n"
        "list: [ { x: 1, y: 2 }, { x: 3 } ]\ntable:\n  first: { x: 5 }\n  2nd: { x: 6, y: 7 }\n"
        "any: [1, { a: null }]\nnode: { q: 1 }\n");
    struct thing t = { 0 };
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_schema_read(root, NULL, fields, &t, &diags), 0);
    expect_findings(&diags, "");
    assert_false(t.on);
    assert_int_equal(t.count, 10);
    assert_int_equal(t.wait, 60000);
    assert_int_equal(t.room, 2048);
    assert_string_equal(t.title, "1.10"); /* as written, not as a number */
    assert_string_equal(t.secret, "file:/run/s");
    assert_int_equal(t.colour, BLUE);
    assert_int_equal(t.tags.count, 1);
    assert_string_equal(t.tags.list[0], "one");
    assert_int_equal(t.colours, 1u << GREEN);
    assert_int_equal(t.inner.x, 4);
    const struct point *list = t.list.list, *table = t.table.list;
    assert_int_equal(t.list.count, 2);
    assert_int_equal(list[0].y, 2);
    assert_int_equal(list[1].y, -1);
    assert_int_equal(t.table.count, 2);
    assert_string_equal(table[1].name, "2nd");
    assert_int_equal(table[1].y, 7);
    sb_cleanup(sb_freep) char *any = sb_json_text(t.any);
    assert_string_equal(any, "[1,{\"a\":null}]");
    assert_ptr_equal(t.node, sb_yaml_get(root, "node"));
    sb_schema_done(fields, &t);
    assert_null(t.title);
    assert_null(t.table.list);
}

/* ---- findings ---- */

static void finds(const char *text, const char *findings)
{
    sb_cleanup(sb_yaml_freep) struct sb_yaml *root = tree(text);
    struct thing t = { 0 };
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_schema_read(root, NULL, fields, &t, &diags), -EINVAL);
    sb_schema_done(fields, &t);
    expect_findings(&diags, findings);
}

SB_TEST(wrong_values_are_told)
{
    finds("on: yes", "t.yaml:1:5: 'on': 'yes' is neither true nor false\n");
    finds("on: 'true'",
          "t.yaml:1:5: 'on': the text 'true' (in quotes) is neither true nor false\n");
    finds("count: many",
          "t.yaml:1:8: 'count': 'many' is not a whole number (such as 16 or 0x10)\n");
    finds("count: 11", "t.yaml:1:8: 'count': 11 is out of range (allowed: 1 to 10)\n");
    finds("count: 99999999999999999999",
          "t.yaml:1:8: 'count': '99999999999999999999' does not fit 64 bits\n");
    finds("count: [1]", "t.yaml:1:8: 'count': a list is not a whole number (such as 16 or 0x10)\n");
    finds("wait: 5",
          "t.yaml:1:7: 'wait': '5' is not a duration (a number with ms, s, m, h, d or w: "
          "90s)\n");
    finds("wait: 2m", "t.yaml:1:7: 'wait': 2m is out of range (allowed: 1s to 1m)\n");
    finds("wait: 999999999999999w", "t.yaml:1:7: 'wait': '999999999999999w' is too long\n");
    finds("room: 99999999999999G", "t.yaml:1:7: 'room': '99999999999999G' is too large\n");
    finds("colour: [red]",
          "t.yaml:1:9: 'colour': a list cannot stand here: one of the names is wanted\n");
    finds("room: 2X", "t.yaml:1:7: 'room': '2X' is not a size (bytes, or a number with K, M or G: "
                      "64M)\n");
    finds("room: 2M", "t.yaml:1:7: 'room': 2M is out of range (allowed: 1K to 1M)\n");
    finds("title: toolong", "t.yaml:1:8: 'title' has 7 characters (allowed: 1 to 5)\n");
    finds("title: {}", "t.yaml:1:8: 'title': a map cannot stand here: a single text is wanted\n");
    finds("colour: bleu",
          "t.yaml:1:9: unknown value of 'colour': 'bleu' (allowed: red, green, blue; "
          "did you mean 'blue'?)\n");
    finds("colours: [red, pink]",
          "t.yaml:1:16: unknown value of 'colours': 'pink' (allowed: red, green, blue)\n");
    finds("colours: {}",
          "t.yaml:1:10: 'colours': a map cannot stand here: a list of names is wanted\n");
    finds("tags:\n- a\n-\n- [b]\n",
          "t.yaml:3:2: 'tags': every entry is a single text, and not empty\n"
          "t.yaml:4:3: 'tags': every entry is a single text, and not empty\n");
    finds("tags: [a, b, c, d]", "t.yaml:1:7: 'tags' has 4 entries (allowed: 1 to 3)\n");
}

SB_TEST(wrong_shapes_are_told)
{
    finds("inner: 5", "t.yaml:1:8: a map of settings (key: value) is wanted here, not a single "
                      "value\n");
    finds("inner: {}", "t.yaml:1:8: missing key 'x'\n");
    finds("list: { x: 1 }", "t.yaml:1:7: 'list': a list (- ...) is wanted here\n");
    finds("list: [ {x: 1}, {x: 2}, {x: 3} ]",
          "t.yaml:1:7: 'list' has 3 entries (allowed: 0 to 2)\n");
    finds("list: [ { y: 1 }, 7 ]",
          "t.yaml:1:9: missing key 'x'\n"
          "t.yaml:1:19: a map of settings (key: value) is wanted here, not a single value\n");
    finds("table: [ { x: 1 } ]",
          "t.yaml:1:8: 'table': a map of names (name: { ... }) is wanted here\n");
    finds("table:\n  one:\n  two: { x: z }\n",
          "t.yaml:2:7: missing key 'x'\n"
          "t.yaml:3:13: 'x': 'z' is not a whole number (such as 16 or 0x10)\n");
    finds("- 1", "t.yaml:1:1: a map of settings (key: value) is wanted here, not a list\n");
}

/* A limit or a restriction that was begun must not end as none at all. */
SB_TEST(a_key_without_a_value_is_told)
{
    static const char out[] = "; to have the default, leave the key out\n";
    sb_cleanup(sb_freep) char *several =
        sb_format("t.yaml:1:7: 'count' has no value (allowed: whole number, 1 to 10; default 3)%s"
                  "t.yaml:2:8: 'secret' has no value (allowed: file:PATH or credential:NAME)%s"
                  "t.yaml:3:7: 'tags' has no value (allowed: list of texts, 1 to 3; default [a, "
                  "b])%s"
                  "t.yaml:4:7: 'list' has no value (allowed: list of maps, 0 to 2)%s",
                  out, out, out, out);
    finds("count:\nsecret:\ntags: ~\nlist: null\n", several);
    finds("inner: { x: , y: 1 }", "t.yaml:1:13: 'x' has no value (allowed: whole number; "
                                  "required)\n");
    finds("tags: []", "t.yaml:1:7: 'tags' has 0 entries (allowed: 1 to 3)\n");
    finds("colours: []", "t.yaml:1:10: 'colours' is an empty list (allowed: at least one entry; to "
                         "have the default, leave the key out)\n");

    sb_cleanup(sb_yaml_freep) struct sb_yaml *root =
        tree("inner:\ntable:\nany:\nnode:\nlist: []\n"); /* sections may be empty */
    struct thing t = { 0 };
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_schema_read(root, NULL, fields, &t, &diags), 0);
    expect_findings(&diags, "");
    sb_schema_done(fields, &t);
}

SB_TEST(unknown_keys_get_a_suggestion)
{
    static const char allowed[] = "on, count, wait, room, title, secret, colour, tags, colours, "
                                  "inner, list, table, any, node";
    sb_cleanup(sb_freep) char *expected =
        sb_format("t.yaml:1:1: unknown key 'cuont' (allowed: %s; did you mean 'count'?)\n"
                  "t.yaml:2:1: unknown key 'zzz' (allowed: %s)\n"
                  "t.yaml:3:10: unknown key 'X1' (allowed: x, y)\n"
                  "t.yaml:3:8: missing key 'x'\n",
                  allowed, allowed);
    finds("cuont: 1\nzzz: 2\ninner: { X1: 2 }\n", expected);
}

SB_TEST(a_secret_is_never_shown)
{
    static const char told[] = "t.yaml:1:9: 'secret': a secret does not stand in this file "
                               "(allowed: file:/path/of/the/secret, credential:NAME)\n";
    finds("secret: hunter2hunter2", told);
    finds("secret: 'file:'", told);
    finds("secret: [hunter2]", told);
}

SB_TEST(foreign_text_is_cut_and_clean)
{
    finds("colour: \"a\\tb\\e\"",
          "t.yaml:1:9: unknown value of 'colour': 'a?b?' (allowed: red, green, blue)\n");
    /* 59 letters, then a character of two bytes that must not be halved */
    finds("on: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaé tail",
          "t.yaml:1:5: 'on': 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...' is "
          "neither true nor false\n");
}

SB_TEST(a_wrong_default_is_the_tables_fault)
{
    static const struct sb_field bad[] = {
        { .key = "a", .type = SB_TYPE_INT, .otherwise = "x" },
        { .key = "b", .type = SB_TYPE_INT, .otherwise = "[" },
        { 0 },
    };
    int64_t value = 0;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_schema_read(NULL, NULL, bad, &value, &diags), -EINVAL);
    expect_finding(&diags, "(default):1:1: 'a': 'x' is not a whole number");
    assert_int_equal(diags.total, 2);
    sb_diags_done(&diags);
}

/* ---- one map, two tables ---- */

struct part {
    int64_t one;
    const struct sb_yaml *self;
};
static const struct sb_field common[] = {
    { .key = "dialect", .type = SB_TYPE_INT, .offset = 0, .flags = SB_FIELD_REQUIRED },
    { .key = "", .type = SB_TYPE_NODE, .offset = offsetof(struct part, self) },
    { 0 },
};
static const struct sb_field own[] = {
    { .key = "server", .type = SB_TYPE_INT, .offset = 0 },
    { 0 },
};

SB_TEST(two_tables_share_a_map)
{
    sb_cleanup(sb_yaml_freep) struct sb_yaml *root = tree("dialect: 1\nserver: 2\n");
    struct part first = { 0 }, second = { 0 };
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_schema_read(root, NULL, common, &first, &diags), 0);
    assert_ptr_equal(first.self, root);
    assert_int_equal(sb_schema_read_also(first.self, NULL, own, common, &second, &diags), 0);
    assert_int_equal(first.one, 1);
    assert_int_equal(second.one, 2);
    expect_findings(&diags, "");

    sb_cleanup(sb_yaml_freep) struct sb_yaml *wrong = tree("dialekt: 1\nservr: 2\n");
    assert_int_equal(sb_schema_read(wrong, NULL, common, &first, &diags), -EINVAL);
    expect_findings(&diags, "t.yaml:1:1: missing key 'dialect'; is 'dialekt' in line 1 meant?\n");
    assert_int_equal(sb_schema_read_also(wrong, NULL, own, common, &second, &diags), -EINVAL);
    expect_findings(&diags, "t.yaml:1:1: unknown key 'dialekt' (allowed: server, dialect; did you "
                            "mean 'dialect'?)\n"
                            "t.yaml:2:1: unknown key 'servr' (allowed: server, dialect; did you "
                            "mean 'server'?)\n");
}

/* ---- objects, manual, ids ---- */

SB_TEST(objects_have_typed_values)
{
    sb_cleanup(sb_yaml_freep) struct sb_yaml *root =
        tree("count: 7\nwait: 2s\ncolours: [red, green]\nsecret: credential:x\nany: ~\n"
             "list: [ { x: 1 } ]\ntable: { a: { x: 2 } }\nnode: [1]\n");
    struct sb_diags diags = { 0 };
    sb_cleanup(json_decrefp) json_t *json = NULL;
    assert_int_equal(sb_schema_json(root, NULL, fields, NULL, &json, &diags), 0);
    sb_cleanup(json_decrefp) json_t *expected = json_pack(
        "{sb si si si ss ss ss s[ss] s[ss] s{si} s[{sisi}] s{s{sisi}} s[i]}", "on", 1, "count", 7,
        "wait", 2000, "room", 65536, "title", "a: b", "secret", "credential:x", "colour", "green",
        "tags", "a", "b", "colours", "red", "green", "inner", "y", -1, "list", "x", 1, "y", -1,
        "table", "a", "x", 2, "y", -1, "node", 1);
    sb_cleanup(sb_freep) char *text = sb_json_text(json);
    if (!json_equal(json, expected))
        fail_msg("%s", text);
}

SB_TEST(objects_find_the_same)
{
    sb_cleanup(sb_yaml_freep) struct sb_yaml *root =
        tree("count: 70\nlist: [ 1 ]\ntable: 3\ntitle: x\nextra: 1\n");
    struct sb_diags diags = { 0 };
    json_t *json = NULL;
    static const struct sb_field also[] = { { .key = "extra", .type = SB_TYPE_INT }, { 0 } };
    assert_int_equal(sb_schema_json(root, NULL, fields, also, &json, &diags), -EINVAL);
    assert_null(json);
    expect_findings(&diags,
                    "t.yaml:1:8: 'count': 70 is out of range (allowed: 1 to 10)\n"
                    "t.yaml:2:9: a map of settings (key: value) is wanted here, not a single "
                    "value\n"
                    "t.yaml:3:8: 'table': a map of names (name: { ... }) is wanted here\n");
}

SB_TEST(the_manual_tells_the_table)
{
    sb_cleanup(sb_freep) char *text = sb_schema_manual(fields);
    assert_non_null(text);
    assert_non_null(strstr(text, "count: whole number, 1 to 10; default 3\n    How many.\n"));
    assert_non_null(strstr(text, "wait: duration, 1s to 1m; default 5s\n"));
    assert_non_null(strstr(text, "title: text, length 1 to 5; default a: b\n"));
    assert_non_null(strstr(text, "colour: one of red, green, blue; default green\n"));
    assert_non_null(strstr(text, "inner: map\n    x: whole number; required\n"));
}

/* What ships must at least have a sentence for each key. */
static void check_docs(const struct sb_field *table)
{
    for (; table && table->key; table++) {
        if (table->key[0] && !table->doc)
            fail_msg("no doc for '%s'", table->key);
        check_docs(table->fields);
    }
}

SB_TEST(ids_are_checked)
{
    static const char *const good[] = { "a", "7", "pump-7", "A.b_c" };
    static const char *const bad[] = {
        "''",
        "-a",
        "a b",
        "ä",
        "a/b",
        "[]",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    };
    struct sb_diags diags = { 0 };
    for (size_t i = 0; i < SB_COUNT(good); i++) {
        sb_cleanup(sb_yaml_freep) struct sb_yaml *node = tree(good[i]);
        assert_true(sb_schema_check_id(&diags, node, "bus"));
    }
    expect_findings(&diags, "");
    for (size_t i = 0; i < SB_COUNT(bad); i++) {
        sb_cleanup(sb_yaml_freep) struct sb_yaml *node = tree(bad[i]);
        assert_false(sb_schema_check_id(&diags, node, "bus"));
    }
    assert_int_equal(diags.total, SB_COUNT(bad));
    expect_finding(&diags, "'a b' cannot be the name of a bus (allowed: letters");
    sb_diags_done(&diags);
}

/* ---- the daemon's configuration ---- */

static struct sb_config *configure(const char *text, int error, const char *findings)
{
    char *folder = new_folder();
    sb_cleanup(sb_freep) char *path = put_file(folder, "southbridge.yaml", text);
    struct sb_config *config = NULL;
    struct sb_diags diags = { 0 };
    int result = sb_config_load(path, &config, &diags);
    for (size_t i = 0; i < diags.count; i++) { /* the folder's name is random */
        assert_string_equal(diags.list[i].file, path);
        free(diags.list[i].file);
        diags.list[i].file = strdup("s.yaml");
    }
    remove_folder(folder);
    expect_findings(&diags, findings);
    assert_int_equal(result, error);
    return config;
}

SB_TEST(an_empty_configuration_is_a_good_one)
{
    sb_cleanup(sb_config_freep) struct sb_config *c = configure("", 0, "");
    assert_string_equal(c->state, "/var/lib/southbridge");
    assert_int_equal(c->mappings.count, 2);
    assert_string_equal(c->mappings.list[1], "/etc/southbridge/mappings");
    assert_string_equal(c->devices, "/etc/southbridge/devices.d");
    assert_string_equal(c->control.socket, "/run/southbridge/control");
    assert_string_equal(c->control.group, "southbridge");
    assert_int_equal(c->log.level, SB_LOG_INFO);
    assert_int_equal(c->log.format, SB_LOG_AUTO);
    assert_int_equal(c->artifacts.limit, 64 << 20);
    assert_int_equal(c->artifacts.file_limit, 16 << 20);
    assert_int_equal(c->artifacts.free_floor, 8 << 20);
    assert_int_equal(c->artifacts.parallel, 2);
    assert_int_equal(c->outbox.count, 5000);
    assert_int_equal(c->outbox.answer_age, SB_HOUR);
    assert_int_equal(c->outbox.final_age, 30 * SB_DAY);
    assert_int_equal(c->outbox.window, 16);
    assert_int_equal(c->retention.bytes, 48 << 20);
    assert_int_equal(c->retention.job_age, 90 * SB_DAY);
    assert_int_equal(c->retention.job_count, 10000);
    assert_int_equal(c->retention.remember, 7 * SB_DAY);
    assert_int_equal(c->retention.audit_age, 365 * SB_DAY);
    assert_int_equal(c->retention.audit_count, 50000);
    assert_int_equal(c->retention.package_age, 180 * SB_DAY);
    assert_int_equal(c->retention.package_count, 1000);
    assert_int_equal(c->limits.jobs, 1000);
    assert_int_equal(c->limits.tasks, 20000);
    assert_int_equal(c->limits.devices, 10000);
    assert_int_equal(c->limits.under_way, 64);
    assert_null(sb_config_bus(c, 0));
    assert_null(sb_config_link(c, 0));
    check_docs(sb_config_fields);
    check_docs(sb_device_fields);
}

SB_TEST(buses_and_links_keep_their_nodes)
{
    sb_cleanup(sb_config_freep) struct sb_config *c =
        configure("log: { level: debug }\n"
                  "buses:\n  rs485: { device: /dev/ttyS1 }\n  pipe: { transport: pipe }\n"
                  "links:\n  cloud: { dialect: ibm, server: x, uri_rules: { hosts: [a] } }\n",
                  0, "");
    assert_int_equal(c->log.level, SB_LOG_DEBUG);
    const struct sb_bus_config *bus = sb_config_bus(c, 0);
    assert_string_equal(bus->name, "rs485");
    assert_string_equal(bus->transport, "serial");
    assert_string_equal(sb_yaml_get(bus->yaml, "device")->text, "/dev/ttyS1");
    assert_string_equal(sb_config_bus(c, 1)->transport, "pipe");
    assert_null(sb_config_bus(c, 2));
    const struct sb_link_config *link = sb_config_link(c, 0);
    assert_string_equal(link->name, "cloud");
    assert_string_equal(link->dialect, "ibm");
    assert_string_equal(link->role, "uplink");
    assert_non_null(sb_yaml_get(link->uri_rules, "hosts"));
    assert_string_equal(sb_yaml_get(link->yaml, "server")->text, "x");
    assert_null(sb_config_link(c, 1));
}

SB_TEST(what_no_table_can_say_is_checked)
{
    assert_null(configure(
        "state: var\nmappings: [ /a, b ]\nartifacts: { limit: 2M, file_limit: 4M }\n"
        "control: { socket: run/s }\n"
        "buses: { 'a b': {} }\nlinks: { native: { dialect: ibm }, x: { dialct: ibm } }\n",
        -EINVAL,
        "s.yaml:1:8: 'var' must be an absolute path (begin with '/')\n"
        "s.yaml:2:17: 'b' must be an absolute path (begin with '/')\n"
        "s.yaml:4:20: 'run/s' must be an absolute path (begin with '/')\n"
        "s.yaml:5:10: 'a b' cannot be the name of a bus (allowed: letters, digits, '.', '_', "
        "'-', the first one a letter or digit, at most 64)\n"
        "s.yaml:6:10: 'native' is the name of southbridge's own door\n"
        "s.yaml:6:39: missing key 'dialect'; is 'dialct' in line 6 meant?\n"));
    assert_null(configure("artifacts: { limit: 2M, file_limit: 4M }\n", -EINVAL,
                          "s.yaml:1:37: 'file_limit' (4M) is above 'limit' (2M): such an image "
                          "could never be kept\n"));
    assert_null(configure("artifacts: { limit: 2M }\n", -EINVAL,
                          "s.yaml:1:21: 'file_limit' (16M) is above 'limit' (2M): such an image "
                          "could never be kept\n"));
    assert_null(configure("retention: { remember: 100d }\n", -EINVAL,
                          "s.yaml:1:24: 'remember' (100d) is longer than 'job_age' (90d): an id "
                          "is remembered only as long as its job is kept\n"));
    assert_null(configure("retention: { job_age: 1d }\n", -EINVAL,
                          "s.yaml:1:23: 'remember' (7d) is longer than 'job_age' (1d): an id is "
                          "remembered only as long as its job is kept\n"));
    assert_null(configure("a: [\n", -EINVAL,
                          "s.yaml:2:1: while parsing a flow node: did not find expected node "
                          "content\n"));
}

SB_TEST(a_missing_configuration_is_told)
{
    struct sb_config *config = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_config_load("/none/southbridge.yaml", &config, &diags), -ENOENT);
    expect_findings(&diags, "/none/southbridge.yaml: cannot be read: No such file or directory\n");
    assert_null(config);
}

/* ---- devices.d ---- */

SB_TEST(devices_come_in_name_order_with_their_place)
{
    char *folder = new_folder();
    SB_UNUSED sb_cleanup(sb_freep) char *b =
        put_file(folder, "20-b.yaml", "devices:\n  - id: c\n    type: meter\n");
    sb_cleanup(sb_freep) char *a = put_file(
        folder, "10-a.yaml",
        "devices:\n"
        "  - { id: gw, type: gateway, gateway: true }\n"
        "  - id: a\n    type: board\n    bus: rs485\n    address: { unit: 7 }\n"
        "    names: { ibm: board/7, huawei: 42 }\n    parent: gw\n    commanders: cloud\n");
    SB_UNUSED sb_cleanup(sb_freep) char *hidden = put_file(folder, ".x.yaml", "nonsense");
    SB_UNUSED sb_cleanup(sb_freep) char *other = put_file(folder, "readme.txt", "nonsense");
    sb_cleanup(json_decrefp) json_t *specs = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_devices_load(folder, &specs, &diags), 0);
    expect_findings(&diags, "");
    sb_cleanup(json_decrefp) json_t *expected =
        json_pack("[{ss ss sb ss si} {ss ss ss s{si} s{ssss} ss s[s] ss si} {ss ss ss si}]", "id",
                  "gw", "type", "gateway", "gateway", 1, "_file", a, "_line", 2, "id", "a", "type",
                  "board", "bus", "rs485", "address", "unit", 7, "names", "ibm", "board/7",
                  "huawei", "42", "parent", "gw", "commanders", "cloud", "_file", a, "_line", 3,
                  "id", "c", "type", "meter", "_file", b, "_line", 2);
    sb_cleanup(sb_freep) char *text = sb_json_text(specs);
    if (!json_equal(specs, expected))
        fail_msg("%s", text);
    remove_folder(folder);
}

SB_TEST(no_devices_is_fine)
{
    struct sb_diags diags = { 0 };
    sb_cleanup(json_decrefp) json_t *specs = NULL;
    assert_int_equal(sb_devices_load("/none/devices.d", &specs, &diags), 0);
    expect_findings(&diags, "");
    assert_int_equal(json_array_size(specs), 0);
}

SB_TEST(all_findings_of_all_device_files_come_at_once)
{
    char *folder = new_folder();
    sb_cleanup(sb_freep) char *a = put_file(folder, "a.yaml", "devices: [ { id: x, type: t } ]\n");
    SB_UNUSED sb_cleanup(sb_freep) char *b = put_file(folder, "b.yaml", "devices: [\n");
    SB_UNUSED sb_cleanup(sb_freep) char *c =
        put_file(folder, "c.yaml",
                 "devices:\n  - { id: x, type: t }\n  - { id: y z, type: t, adress: {} }\n"
                 "  - { id: w }\n  - { id: v, type: t, address: 7, names: { ibm: [] } }\n  - 9\n");
    SB_UNUSED sb_cleanup(sb_freep) char *d = put_file(folder, "d.yaml", "devices: { x: 1 }\n");
    SB_UNUSED sb_cleanup(sb_freep) char *e = put_file(folder, "e.yaml", "device: []\n");
    json_t *specs = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_devices_load(folder, &specs, &diags), -EINVAL);
    assert_null(specs);
    sb_cleanup(sb_freep) char *twice =
        sb_format("c.yaml:2:11: device 'x' is declared already (%s:1)", a);
    expect_finding(&diags, "b.yaml:2:1: ");
    expect_finding(&diags, twice);
    expect_finding(&diags, "c.yaml:3:11: 'y z' cannot be the name of a device");
    expect_finding(&diags, "c.yaml:3:25: unknown key 'adress' (allowed: id, type, bus, address, ");
    expect_finding(&diags, "did you mean 'address'?");
    expect_finding(&diags, "c.yaml:4:5: missing key 'type' (What it is: the name of a device type");
    expect_finding(&diags, "c.yaml:5:32: 'address' is a map (address: { ... })");
    expect_finding(&diags, "c.yaml:5:49: 'names' wants a single text here");
    expect_finding(&diags, "c.yaml:6:5: a map of settings (key: value) is wanted here");
    expect_finding(&diags, "d.yaml:1:10: 'devices' is a list (- { id: ..., type: ... })");
    expect_finding(&diags, "e.yaml:1:1: unknown key 'device' (allowed: devices; did you mean");
    sb_diags_done(&diags);
    remove_folder(folder);
}

/* Nobody is not everybody. */
SB_TEST(commanders_may_be_nobody_but_not_left_open)
{
    static const char *const open[] = { "", " ~", " [ cloud, ]\n    groups:" };
    char *folder = new_folder();
    struct sb_diags diags = { 0 };
    json_t *specs = NULL;
    for (size_t i = 0; i < SB_COUNT(open); i++) {
        sb_cleanup(sb_freep) char *text =
            sb_format("devices:\n  - id: a\n    type: board\n    commanders:%s\n", open[i]);
        SB_UNUSED sb_cleanup(sb_freep) char *file = put_file(folder, "a.yaml", text);
        assert_int_equal(sb_devices_load(folder, &specs, &diags), -EINVAL);
        expect_finding(&diags, i < 2 ? "a.yaml:4:1" : "a.yaml:5:1");
        expect_finding(&diags, "has no value (allowed: list of texts, 0 to 32); to have the "
                               "default, leave the key out");
        sb_diags_done(&diags);
    }
    SB_UNUSED sb_cleanup(sb_freep) char *file =
        put_file(folder, "a.yaml", "devices:\n  - { id: a, type: board, commanders: [] }\n");
    assert_int_equal(sb_devices_load(folder, &specs, &diags), 0);
    expect_findings(&diags, "");
    const json_t *nobody = json_object_get(json_array_get(specs, 0), "commanders");
    assert_true(json_is_array(nobody));
    assert_int_equal(json_array_size(nobody), 0);
    json_decref(specs);
    remove_folder(folder);
}

SB_TEST(a_folder_that_is_none_is_told)
{
    char *folder = new_folder();
    sb_cleanup(sb_freep) char *file = put_file(folder, "devices.d", "");
    json_t *specs = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_devices_load(file, &specs, &diags), -ENOTDIR);
    expect_finding(&diags, "devices.d: cannot be read: Not a directory");
    sb_diags_done(&diags);
    remove_folder(folder);
}
