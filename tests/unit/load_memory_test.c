/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading without memory: every single allocation of a load is refused once. Then the load either
 * says -ENOMEM and gives nothing, or ends as it would have; and the sanitizer sees no leak.
 */
#include "findings.h"

#include <errno.h>

#include "bridge/config/config.h"
#include "bridge/driver.h"
#include "bridge/mapping/type.h"
#include "bridge/mapping/words.h"
#include "tests/fakes/starved.h"

/* ---- what is loaded ---- */

static const struct sb_field cell[] = {
    { .key = "code", .type = SB_TYPE_INT },
    { .key = "text", .type = SB_TYPE_STRING },
    { 0 },
};
static const struct sb_field limits[] = {
    { .key = "payload", .type = SB_TYPE_SIZE, .otherwise = "4K" },
    { .key = "list", .type = SB_TYPE_STRINGS, .otherwise = "[a, b]" },
    { 0 },
};
static const struct sb_field names[] = {
    { .key = "topic", .type = SB_TYPE_STRING, .otherwise = "up/{type}/{id}" },
    { 0 },
};
static const struct sb_dialect_shape shape = { "test", cell, limits, names, false };

struct meter_config {
    int64_t unit;
    char *parity;
};
static const struct sb_field meter_fields[] = {
    { .key = "unit",
      .type = SB_TYPE_INT,
      .offset = offsetof(struct meter_config, unit),
      .flags = SB_FIELD_REQUIRED },
    { .key = "parity",
      .type = SB_TYPE_STRING,
      .offset = offsetof(struct meter_config, parity),
      .otherwise = "even" },
    { 0 },
};
static const struct sb_driver_ops meter = { .name = "meter",
                                            .type_fields = meter_fields,
                                            .type_size = sizeof(struct meter_config) };
static const struct sb_driver_ops *const drivers[] = { &meter, NULL };

/* Each loads, checks that there is a result only with 0, and drops it. */
typedef int (*load_fn)(const char *path, struct sb_diags *diags);

static int load_words(const char *path, struct sb_diags *diags)
{
    struct sb_words *words = NULL;
    int error = sb_words_load(path, &shape, &words, diags);
    assert_int_equal(error == 0, words != NULL);
    sb_words_free(words);
    return error;
}

static int load_type(const char *path, struct sb_diags *diags)
{
    struct sb_type *type = NULL;
    int error = sb_type_load_file(path, drivers, &type, diags);
    assert_int_equal(error == 0, type != NULL);
    (void)sb_type_unref(type);
    return error;
}

static int load_types(const char *path, struct sb_diags *diags)
{
    char *list[] = { (char *)path, (char *)path }; /* the second overrides the first */
    const struct sb_strings directories = { list, SB_COUNT(list) };
    struct sb_types *types = NULL;
    int error = sb_types_load(&directories, drivers, &types, diags);
    assert_int_equal(error == -ENOMEM, types == NULL); /* the good ones come with findings too */
    (void)sb_types_free(types);
    return error;
}

static int load_config(const char *path, struct sb_diags *diags)
{
    struct sb_config *config = NULL;
    int error = sb_config_load(path, &config, diags);
    assert_int_equal(error == 0, config != NULL);
    (void)sb_config_free(config);
    return error;
}

static int load_devices(const char *path, struct sb_diags *diags)
{
    json_t *specs = NULL;
    int error = sb_devices_load(path, &specs, diags);
    assert_int_equal(error == 0, specs != NULL);
    json_decref(specs);
    return error;
}

static int load_and_turn_back(const char *path, struct sb_diags *diags)
{
    sb_cleanup(sb_yaml_freep) struct sb_yaml *root = NULL, *back = NULL;
    int error = sb_yaml_load(path, &root, diags);
    if (error < 0)
        return error;
    sb_cleanup(json_decrefp) json_t *json = sb_yaml_json(root);
    return json ? sb_yaml_from_json("back", 1, json, &back) : -ENOMEM;
}

/* ---- refusing each allocation ---- */

static void refuse_each(load_fn load, const char *path, int expected)
{
    struct sb_diags diags = { 0 };
    assert_int_equal(load(path, &diags), expected);
    const size_t findings = diags.total;
    sb_diags_done(&diags);
    int n = 0;
    bool refused;
    do {
        starved_refuse(n++);
        int error = load(path, &diags);
        refused = starved_refused();
        starved_grant(STARVED_UNLIMITED);
        if (error != -ENOMEM && (error != expected || diags.total != findings))
            fail_msg("%s, allocation %d: error %d, %zu findings", path, n - 1, error, diags.total);
        sb_diags_done(&diags);
    } while (refused);
    assert_true(n > 20);
}

static void corpus(load_fn load, const char *name, int expected)
{
    sb_cleanup(sb_freep) char *path =
        sb_format("%s/tests/fuzz/corpus/%s", getenv("SB_SOURCE"), name);
    refuse_each(load, path, expected);
}

SB_TEST(words)
{
    corpus(load_words, "words/total", 0);
    corpus(load_words, "words/phases", 0);
    corpus(load_words, "words/wrong-cells", -EINVAL);
    corpus(load_words, "words/wrong-sections", -EINVAL);
    corpus(load_words, "words/placeholder", -EINVAL);
}

SB_TEST(trees)
{
    corpus(load_and_turn_back, "yaml/all-types", 0);
    corpus(load_and_turn_back, "yaml/duplicates", -EINVAL);
    corpus(load_and_turn_back, "yaml/anchors", -EINVAL);
}

static void one_file(load_fn load, const char *text, int expected)
{
    char *folder = new_folder();
    sb_cleanup(sb_freep) char *path = put_file(folder, "x.yaml", text);
    refuse_each(load, path, expected);
    remove_folder(folder);
}

SB_TEST(configuration)
{
    one_file(load_config,
             "links: { c: { dialect: ibm, uri_rules: { a: b } } }\nbuses: { r: }\n"
             "log: { level: debug }\nmappings: /m\n",
             0);
    one_file(load_config,
             "links: { c: { dialct: ibm } }\nbsues: {}\nlog: { level: debgu }\nstate: x\n",
             -EINVAL);
}

SB_TEST(folders)
{
    static const char good[] = "name: a\ndriver: meter\nproperties: { a: { b: [1, 2] } }\n"
                               "operations: [read]\nmeter: { unit: 3 }\n";
    static const char bad[] = "name: b\ndriver: metre\nstal: 1\noperations: raed\n";
    one_file(load_type, good, 0);
    one_file(load_type, bad, -EINVAL);
    char *folder = new_folder();
    free(put_file(folder, "devices/a.yaml", good));
    refuse_each(load_types, folder, 0);
    free(put_file(folder, "devices/b.yaml", bad));
    refuse_each(load_types, folder, -EINVAL);
    remove_folder(folder);

    folder = new_folder();
    free(put_file(folder, "a.yaml",
                  "devices:\n  - id: a\n    type: t\n    names: { ibm: x }\n"
                  "    address: { u: 1 }\n    commanders: [l, m]\n"));
    free(put_file(folder, "b.yaml", "devices: [ { id: b, type: t } ]\n"));
    refuse_each(load_devices, folder, 0);
    free(put_file(folder, "c.yaml", "devices: [ { id: b, type: t, nmaes: 1 } ]\n"));
    refuse_each(load_devices, folder, -EINVAL);
    remove_folder(folder);
}

SB_TEST(templates_and_manuals)
{
    for (int n = 0; n < 40; n++) {
        starved_refuse(n);
        sb_cleanup(sb_freep) char *text = sb_words_fill("{a}/{b}", "a", "x", "b", "y", NULL);
        assert_int_equal(text == NULL, starved_refused());
        starved_refuse(starved_left());
        sb_cleanup(sb_freep) char *manual = sb_schema_manual(sb_config_fields);
        bool refused = starved_refused();
        starved_grant(STARVED_UNLIMITED);
        assert_int_equal(manual == NULL, refused);
    }
}

int main(void)
{
    starved_begin();
    return sb_tests_run(NULL, NULL);
}
