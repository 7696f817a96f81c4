/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML trees: positions, what is refused and how it is said, JSON both ways.
 */
#include "findings.h"

static void refused(const char *text, const char *findings)
{
    struct sb_yaml *root = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_yaml_parse("a.yaml", text, strlen(text), &root, &diags), -EINVAL);
    assert_null(root);
    expect_findings(&diags, findings);
}

SB_TEST(tree_knows_where_everything_stood)
{
    sb_cleanup(sb_yaml_freep) struct sb_yaml *root = tree("# head\n"
                                                          "device: pump-7\n"
                                                          "list:\n"
                                                          "  - 1\n"
                                                          "  - \"2\"\n"
                                                          "map: { x: , y: [a, b] }\n");
    assert_int_equal(root->kind, SB_YAML_MAP);
    assert_int_equal(root->count, 3);
    assert_string_equal(root->keys[0]->text, "device");
    assert_int_equal(root->items[0]->line, 2);
    assert_int_equal(root->items[0]->column, 9);
    const struct sb_yaml *list = sb_yaml_get(root, "list");
    assert_int_equal(list->kind, SB_YAML_LIST);
    assert_int_equal(list->count, 2);
    assert_null(list->keys);
    assert_false(list->items[0]->quoted);
    assert_true(list->items[1]->quoted);
    assert_int_equal(list->items[1]->line, 5);
    const struct sb_yaml *map = sb_yaml_get(root, "map");
    assert_true(sb_yaml_is_null(sb_yaml_get(map, "x")));
    assert_string_equal(sb_yaml_get(map, "y")->items[1]->text, "b");
    assert_string_equal(map->file, "t.yaml");
    assert_null(sb_yaml_get(map, "z"));
    assert_null(sb_yaml_get(list, "x"));
    assert_null(sb_yaml_get(NULL, "x"));
}

SB_TEST(empty_files_are_empty_scalars)
{
    static const char *const texts[] = { "", "\n", "# nothing\n", "---\n", "~\n" };
    for (size_t i = 0; i < SB_COUNT(texts); i++) {
        sb_cleanup(sb_yaml_freep) struct sb_yaml *root = tree(texts[i]);
        assert_int_equal(root->kind, SB_YAML_SCALAR);
        assert_true(sb_yaml_is_null(root));
        assert_string_equal(root->file, "t.yaml");
    }
}

SB_TEST(null_is_unquoted)
{
    sb_cleanup(sb_yaml_freep) struct sb_yaml *root = tree("[null, ~, '', 'null', Null, {}]");
    static const bool expected[] = { true, true, false, false, false, false };
    assert_int_equal(root->count, SB_COUNT(expected));
    for (size_t i = 0; i < root->count; i++)
        assert_int_equal(sb_yaml_is_null(root->items[i]), expected[i]);
    assert_true(sb_yaml_is_null(NULL));
}

SB_TEST(what_hides_mistakes_is_refused)
{
    refused("a: 1\nb: 2\na: 3\n",
            "a.yaml:3:1: key 'a' stands twice in this map (first in line 1)\n");
    refused("a: &base { x: 1 }\nb: *base\n",
            "a.yaml:1:4: anchors and aliases are not supported ('&base'): write the value out\n"
            "a.yaml:2:4: anchors and aliases are not supported ('*base'): write the value out\n");
    refused("a: !!str 1\nb: !mine [x]\nc: ! {}\n",
            "a.yaml:1:4: tags are not supported ('tag:yaml.org,2002:str'): leave it out, and quote "
            "what is text\n"
            "a.yaml:2:4: tags are not supported ('!mine'): leave it out, and quote what is text\n"
            "a.yaml:3:4: tags are not supported ('!'): leave it out, and quote what is text\n");
    refused("a: 1\n---\nb: 2\n", "a.yaml:2:1: a second document begins here: one file is one "
                                 "document\n");
    refused("? [a, b]\n: 1\n", "a.yaml:1:3: a key must be a plain word, not a list or a map\n");
    refused("x: { [1]: 2 }\n", "a.yaml:1:6: a key must be a plain word, not a list or a map\n");
    refused("a: \"x\\0y\"\n", "a.yaml:1:4: a text must not contain a NUL character\n");
}

SB_TEST(all_duplicates_are_told)
{
    refused("m:\n  k: 1\n  j: 1\n  k: 2\n  k: 3\nm: 2\n",
            "a.yaml:4:3: key 'k' stands twice in this map (first in line 2)\n"
            "a.yaml:5:3: key 'k' stands twice in this map (first in line 2)\n"
            "a.yaml:6:1: key 'm' stands twice in this map (first in line 1)\n");
}

/* The words are libyaml's; the place and the hint are ours. */
static void broken(const char *text, const char *place, const char *hint)
{
    struct sb_yaml *root = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_yaml_parse("a.yaml", text, strlen(text), &root, &diags), -EINVAL);
    assert_int_equal(diags.total, 1);
    expect_finding(&diags, place);
    expect_finding(&diags, hint);
    sb_diags_done(&diags);
}

SB_TEST(broken_text_is_told_with_its_place)
{
    broken("a: 1\n\tb: 2\n", "a.yaml:2:1: ", "(the line begins with a tab: indent by spaces)");
    broken("a:\n \t- b: 2\n\t x", "a.yaml:", "(the line begins with a tab: indent by spaces)");
    broken("a: [1, 2\nb: 3\n", "a.yaml:2:2: ", "while parsing a flow sequence: ");
    broken("a: 1\n  b: 2\n", "a.yaml:2:4: ", "mapping values are not allowed");
    broken("a: 1\nb: \"\xff\"\n", "a.yaml:2:1: ", "UTF-8");
    broken("a: 'x", "a.yaml:1:6: ", "quoted scalar");
}

SB_TEST(bounds_are_kept)
{
    refused("[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "a.yaml:1:17: nested deeper than 16 levels\n");
    sb_cleanup(sb_yaml_freep) struct sb_yaml *deep = tree("[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]");
    assert_int_equal(deep->count, 1);

    struct sb_str many = { 0 };
    for (int i = 0; i < 50000; i++)
        sb_str_add(&many, "- x\n");
    refused(sb_str_get(&many), "a.yaml:50000:3: more than 50000 values\n");
    sb_str_done(&many);

    struct sb_str large = { 0 };
    while (large.length <= SB_YAML_BYTES)
        sb_str_add(&large, "# a comment that says nothing, again and again\n");
    refused(sb_str_get(&large), "a.yaml: larger than 1 MiB\n");
    sb_str_done(&large);
}

/* A map of many keys must not take quadratic time: this would run for a minute. */
SB_TEST(many_keys_are_quick)
{
    struct sb_str text = { 0 };
    for (int i = 0; i < 24000; i++)
        sb_str_format(&text, "a-rather-long-common-prefix-%d: 1\n", i);
    sb_cleanup(sb_yaml_freep) struct sb_yaml *root = tree(sb_str_get(&text));
    assert_int_equal(root->count, 24000);
    sb_str_done(&text);
}

SB_TEST(integers_are_plain)
{
    static const struct {
        const char *text;
        int error;
        int64_t value;
    } cases[] = {
        { "0", 0, 0 },
        { "-17", 0, -17 },
        { "0x1F", 0, 31 },
        { "9223372036854775807", 0, INT64_MAX },
        { "9223372036854775808", -ERANGE, 0 },
        { "0xffffffffffffffff", -ERANGE, 0 },
        { "007", -EINVAL, 0 },
        { "+7", -EINVAL, 0 },
        { "0x", -EINVAL, 0 },
        { "-", -EINVAL, 0 },
        { "1.0", -EINVAL, 0 },
        { "1 2", -EINVAL, 0 },
        { "\"7\"", -EINVAL, 0 },
        { "[7]", -EINVAL, 0 },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_yaml_freep) struct sb_yaml *root = tree(cases[i].text);
        int64_t value = 0;
        assert_int_equal(sb_yaml_integer(root, &value), cases[i].error);
        assert_int_equal(value, cases[i].value);
    }
    int64_t value = 0;
    assert_int_equal(sb_yaml_integer(NULL, &value), -EINVAL);
}

SB_TEST(json_has_the_types)
{
    sb_cleanup(sb_yaml_freep) struct sb_yaml *root =
        tree("{t: true, f: false, n: , q: 'true', i: -3, h: 0x10, r: 1.5, e: 2e3, v: 1.2.3,"
             " z: 007, big: 99999999999999999999, inf: 1e999, dot: 1., list: [1, x], map: {}}");
    sb_cleanup(json_decrefp) json_t *json = sb_yaml_json(root);
    sb_cleanup(sb_freep) char *text = sb_json_text(json);
    assert_string_equal(text, "{\"t\":true,\"f\":false,\"n\":null,\"q\":\"true\",\"i\":-3,\"h\":16,"
                              "\"r\":1.5,\"e\":2000.0,\"v\":\"1.2.3\",\"z\":\"007\","
                              "\"big\":\"99999999999999999999\",\"inf\":\"1e999\",\"dot\":\"1.\","
                              "\"list\":[1,\"x\"],\"map\":{}}");
    sb_cleanup(json_decrefp) json_t *nothing = sb_yaml_json(NULL);
    assert_true(json_is_null(nothing));
}

SB_TEST(json_goes_back)
{
    static const char text[] = "{\"a\":[1,true,null,\"7\",2.5,\"null\"],\"b\":{\"c\":\"true\"}}";
    sb_cleanup(json_decrefp) json_t *json = json_loads(text, 0, NULL);
    sb_cleanup(sb_yaml_freep) struct sb_yaml *root = NULL;
    assert_int_equal(sb_yaml_from_json("request", 9, json, &root), 0);
    assert_int_equal(sb_yaml_get(root, "b")->line, 9);
    assert_string_equal(sb_yaml_get(root, "b")->file, "request");
    sb_cleanup(json_decrefp) json_t *back = sb_yaml_json(root);
    assert_true(json_equal(json, back));

    sb_cleanup(sb_yaml_freep) struct sb_yaml *none = NULL;
    assert_int_equal(sb_yaml_from_json(NULL, 0, NULL, &none), 0);
    assert_true(sb_yaml_is_null(none));
}

SB_TEST(json_goes_back_within_bounds)
{
    struct sb_yaml *root = NULL;
    sb_cleanup(json_decrefp) json_t *deep = json_array();
    for (int i = 0; i < SB_YAML_DEPTH; i++) {
        json_t *outer = json_array();
        (void)json_array_append_new(outer, deep);
        deep = outer;
    }
    assert_int_equal(sb_yaml_from_json("x", 1, deep, &root), -E2BIG);
    sb_cleanup(json_decrefp) json_t *many = json_array();
    for (int i = 0; i < SB_YAML_NODES; i++)
        (void)json_array_append_new(many, json_null());
    assert_int_equal(sb_yaml_from_json("x", 1, many, &root), -E2BIG);
    assert_null(root);
}

SB_TEST(files_are_loaded_or_the_reason_told)
{
    char *folder = new_folder();
    struct sb_diags diags = { 0 };
    sb_cleanup(sb_yaml_freep) struct sb_yaml *root = NULL;
    sb_cleanup(sb_freep) char *path = put_file(folder, "a.yaml", "x: 1\n");
    assert_int_equal(sb_yaml_load(path, &root, &diags), 0);
    assert_string_equal(root->file, path);
    assert_string_equal(sb_yaml_get(root, "x")->text, "1");

    struct sb_yaml *none = NULL;
    sb_cleanup(sb_freep) char *missing = sb_format("%s/none.yaml", folder);
    sb_cleanup(sb_freep) char *told =
        sb_format("%s: cannot be read: No such file or directory\n", missing);
    assert_int_equal(sb_yaml_load(missing, &none, &diags), -ENOENT);
    expect_findings(&diags, told);
    assert_int_equal(sb_yaml_load(folder, &none, &diags), -EISDIR);
    expect_finding(&diags, "cannot be read: Is a directory");
    sb_diags_done(&diags);

    sb_cleanup(sb_freep) char *fifo = sb_format("%s/fifo", folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(sb_yaml_load(fifo, &none, &diags), -EINVAL); /* and does not hang */
    expect_finding(&diags, "cannot be read: not a regular file");
    sb_diags_done(&diags);
    assert_null(none);
    remove_folder(folder);
}
