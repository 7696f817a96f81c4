/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device types: the generic part, the driver's part, folders that override each other, lifetime.
 */
#include "findings.h"

#include "bridge/base/time.h"
#include "bridge/driver.h"
#include "bridge/mapping/type.h"

/* ---- two drivers of the test's own ---- */

struct meter_config {
    int64_t unit;
    char *parity;
};
static const struct sb_field meter_fields[] = {
    { .key = "unit",
      .type = SB_TYPE_INT,
      .offset = offsetof(struct meter_config, unit),
      .flags = SB_FIELD_REQUIRED,
      .min = 1,
      .max = 247 },
    { .key = "parity",
      .type = SB_TYPE_STRING,
      .offset = offsetof(struct meter_config, parity),
      .otherwise = "even" },
    { 0 },
};

static int checks; /* how often the driver was asked */

static void check_meter(const struct sb_type *type, struct sb_diags *diags)
{
    const struct meter_config *config = type->driver_config;
    checks++;
    if (config->unit == 13)
        sb_schema_find(diags, sb_yaml_get(sb_yaml_get(type->yaml, "meter"), "unit"),
                       "nobody wants unit 13");
}

static const struct sb_driver_ops meter = { .name = "meter",
                                            .type_fields = meter_fields,
                                            .type_size = sizeof(struct meter_config),
                                            .check_type = check_meter };
static const struct sb_driver_ops plain = { .name = "plain" };
static const struct sb_driver_ops *const drivers[] = { &meter, &plain, NULL };

/* ---- one file ---- */

static int load(const char *text, struct sb_type **ret, struct sb_diags *diags)
{
    char *folder = new_folder();
    sb_cleanup(sb_freep) char *path = put_file(folder, "t.yaml", text);
    int error = sb_type_load_file(path, drivers, ret, diags);
    for (size_t i = 0; i < diags->count; i++) { /* the folder's name is random */
        assert_string_equal(diags->list[i].file, path);
        free(diags->list[i].file);
        diags->list[i].file = strdup("t.yaml");
    }
    remove_folder(folder);
    return error;
}

static struct sb_type *good(const char *text)
{
    struct sb_type *type = NULL;
    struct sb_diags diags = { 0 };
    int error = load(text, &type, &diags);
    expect_findings(&diags, "");
    assert_int_equal(error, 0);
    return type;
}

static void refused(const char *text, const char *findings)
{
    struct sb_type *type = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(load(text, &type, &diags), -EINVAL);
    assert_null(type);
    expect_findings(&diags, findings);
}

static int make(void **state);
static int unmake(void **state);

SB_TEST(a_short_file_has_sensible_defaults)
{
    struct sb_type *t = good("name: board\ndriver: plain\n");
    assert_string_equal(t->name, "board");
    assert_string_equal(t->driver_name, "plain");
    assert_ptr_equal(t->driver, &plain);
    assert_non_null(t->driver_config);
    assert_null(t->title);
    assert_int_equal(t->verify, SB_VERIFY_VERSION);
    assert_int_equal(t->confirm, SB_CONFIRM_AUTO);
    assert_false(t->require_digest);
    assert_false(t->allow_downgrade);
    assert_int_equal(t->max_image, 0);
    assert_int_equal(t->stall, SB_MINUTE);
    assert_int_equal(t->restart, 2 * SB_MINUTE);
    assert_int_equal(t->occupied, 10 * SB_MINUTE);
    assert_int_equal(t->identify_every, SB_HOUR);
    for (int op = 0; op < SB_OP_MAX_; op++)
        assert_true(sb_type_allows(t, (enum sb_op)op));
    assert_false(sb_type_allows(t, SB_OP_MAX_));
    assert_null(sb_type_unref(t));
}

SB_TEST(a_full_file_is_read)
{
    checks = 0;
    struct sb_type *t = good("name: em-24\ndriver: meter\ntitle: Energy meter\n"
                             "manufacturer: Acme\nmodel: EM24\nhardware: \"2\"\n"
                             "verify: hash\nconfirm: manual\nrequire_digest: true\n"
                             "allow_downgrade: true\nimage_magic: 3DB8f396\nmax_image: 512K\n"
                             "stall: 5s\nrestart: 90s\noccupied: 0\nidentify_every: 0\n"
                             "operations: [firmware_update, read]\n"
                             "actions: { beep: { register: 7 }, calm: }\n"
                             "properties: { energy/total.kWh: { type: u32 } }\n"
                             "meter: { unit: 7 }\n");
    assert_int_equal(checks, 1);
    assert_string_equal(t->title, "Energy meter");
    assert_string_equal(t->manufacturer, "Acme");
    assert_string_equal(t->model, "EM24");
    assert_string_equal(t->hardware, "2");
    assert_int_equal(t->verify, SB_VERIFY_HASH);
    assert_int_equal(t->confirm, SB_CONFIRM_MANUAL);
    assert_true(t->require_digest && t->allow_downgrade);
    assert_string_equal(t->image_magic, "3DB8f396");
    assert_int_equal(t->max_image, 512 << 10);
    assert_int_equal(t->stall, 5000);
    assert_int_equal(t->restart, 90000);
    assert_int_equal(t->occupied + t->identify_every, 0);
    assert_true(sb_type_allows(t, SB_OP_READ));
    assert_true(sb_type_allows(t, SB_OP_FIRMWARE_UPDATE));
    assert_false(sb_type_allows(t, SB_OP_REBOOT));
    assert_int_equal(sb_json_int(sb_json_object(t->actions, "beep"), "register", 0), 7);
    assert_string_equal(sb_json_str(sb_json_object(t->properties, "energy/total.kWh"), "type"),
                        "u32");
    const struct meter_config *config = t->driver_config;
    assert_int_equal(config->unit, 7);
    assert_string_equal(config->parity, "even");
    (void)sb_type_unref(t);
}

SB_TEST(all_findings_come_at_once)
{
    checks = 0;
    refused("name: a b\n"
            "driver: meter\n"
            "verify: hassh\n"
            "stal: 5s\n"
            "restart: 5ms\n"
            "image_magic: 3db\n"
            "operations: [firmware_updat, read]\n"
            "actions: [beep]\n"
            "properties: { 7up: {}, on: true }\n"
            "meter: { unit: 300, partiy: odd }\n",
            "t.yaml:1:7: 'a b' cannot be the name of a device type (allowed: letters, digits, '.', "
            "'_', '-', the first one a letter or digit, at most 64)\n"
            "t.yaml:3:9: unknown value of 'verify': 'hassh' (allowed: none, status, version, hash; "
            "did you mean 'hash'?)\n"
            "t.yaml:4:1: unknown key 'stal' (allowed: name, driver, title, manufacturer, model, "
            "hardware, verify, confirm, require_digest, allow_downgrade, image_magic, max_image, "
            "stall, restart, occupied, identify_every, operations, actions, properties, asks, "
            "meter; did "
            "you mean 'stall'?)\n"
            "t.yaml:5:10: 'restart': 5ms is out of range (allowed: 1s to 30d)\n"
            "t.yaml:6:14: 'image_magic' is an even number of hex digits, 2 to 64, as they stand at "
            "the image's begin (such as 3db8f396)\n"
            "t.yaml:7:14: unknown operation 'firmware_updat' (allowed: firmware_download, "
            "firmware_install, firmware_update, reboot, factory_reset, configure, read, write, "
            "invoke; did you mean 'firmware_update'?)\n"
            "t.yaml:8:10: 'actions' is a map (name: { ... }) of at most 256 names\n"
            "t.yaml:9:15: '7up' cannot be a name here (allowed: a letter, then letters, digits, "
            "'_', '.', '-', '/', at most 64)\n"
            "t.yaml:9:28: 'on' wants a map here: { ... }\n"
            "t.yaml:10:16: 'unit': 300 is out of range (allowed: 1 to 247)\n"
            "t.yaml:10:21: unknown key 'partiy' (allowed: unit, parity; did you mean 'parity'?)\n");
    assert_int_equal(checks, 0); /* the driver is not asked about half a type */
}

SB_TEST(drivers_are_known_or_named)
{
    refused("name: x\ndriver: metre\nmetre: { anything: 1 }\n",
            "t.yaml:2:9: unknown driver 'metre' (allowed: meter, plain; did you mean 'meter'?)\n");
    refused("name: x\ndriver: []\n",
            "t.yaml:2:9: 'driver': a list cannot stand here: a single text is wanted\n");
    refused("name: x\n",
            "t.yaml:1:1: missing key 'driver' (Who talks to it; its own settings stand in a "
            "section of that name.)\n");
    refused("name: x\ndriver: meter\n",
            "t.yaml:1:1: missing section 'meter': the driver's settings\n");
    refused("name: x\ndriver: meter\nmeter: 7\n",
            "t.yaml:3:8: a map of settings (key: value) is wanted here, not a single value\n");
    refused("name: x\ndriver: plain\nplain: { a: 1 }\n",
            "t.yaml:3:10: unknown key 'a' (allowed: none)\n");
    refused("name: x\ndriver: plain\nmeter: { unit: 1 }\n",
            "t.yaml:3:1: unknown key 'meter' (allowed: name, driver, title, manufacturer, model, "
            "hardware, verify, confirm, require_digest, allow_downgrade, image_magic, max_image, "
            "stall, restart, occupied, identify_every, operations, actions, properties, asks, "
            "plain)\n");
    /* no restriction that was begun becomes none */
    refused(
        "name: x\ndriver: meter\noperations: []\nmax_image:\nmeter: { unit: 1 }\n",
        "t.yaml:3:13: 'operations' is an empty list (allowed: at least one entry; to have the "
        "default, leave the key out)\n"
        "t.yaml:4:11: 'max_image' has no value (allowed: size, 0 to 1024G; default 0); to have the "
        "default, leave the key out\n");
    refused("name: x\ndriver: meter\nmeter: { unit: 13 }\n", "t.yaml:3:16: nobody wants unit 13\n");
}

SB_TEST(files_that_are_no_types)
{
    refused("", "t.yaml:1:1: missing key 'name' (What devices.d and doors call this type.)\n"
                "t.yaml:1:1: missing key 'driver' (Who talks to it; its own settings stand in a "
                "section of that name.)\n");
    refused("- 1\n", "t.yaml:1:1: a map of settings (key: value) is wanted here, not a list\n");
    struct sb_type *type = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_type_load_file("/none/t.yaml", drivers, &type, &diags), -ENOENT);
    expect_findings(&diags, "/none/t.yaml: cannot be read: No such file or directory\n");
    assert_null(type);
}

/* ---- folders ---- */

struct fixture {
    char *folder;
    char *paths[2];
    struct sb_strings directories;
};

static int make(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->folder = new_folder();
    f->paths[0] = sb_format("%s/usr", f->folder);
    f->paths[1] = sb_format("%s/etc", f->folder);
    f->directories = (struct sb_strings){ f->paths, 2 };
    *state = f;
    return 0;
}

static int unmake(void **state)
{
    struct fixture *f = *state;
    remove_folder(f->folder);
    free(f->paths[0]);
    free(f->paths[1]);
    free(f);
    return 0;
}

static void put(const struct fixture *f, const char *name, const char *text)
{
    free(put_file(f->folder, name, text));
}

SB_TEST(later_folders_override, make, unmake)
{
    struct fixture *f = *state;
    put(f, "usr/devices/b.yaml", "name: beta\ndriver: plain\ntitle: stock\n");
    put(f, "usr/devices/a.yaml", "name: gamma\ndriver: plain\n");
    put(f, "usr/devices/notes.txt", "no type");
    put(f, "etc/devices/other.yaml", "name: beta\ndriver: plain\ntitle: own\n");
    put(f, "etc/devices/z.yaml", "name: alpha\ndriver: plain\n");
    struct sb_types *types = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_types_load(&f->directories, drivers, &types, &diags), 0);
    expect_findings(&diags, "");
    assert_string_equal(sb_types_get(types, "beta")->title, "own");
    assert_null(sb_types_get(types, "delta"));
    assert_null(sb_types_get(types, NULL));
    static const char *const order[] = { "alpha", "beta", "gamma" };
    for (size_t i = 0; i < SB_COUNT(order); i++)
        assert_string_equal(sb_types_at(types, i)->name, order[i]);
    assert_null(sb_types_at(types, SB_COUNT(order)));
    assert_null(sb_types_free(types));
}

SB_TEST(missing_folders_have_no_types, make, unmake)
{
    struct fixture *f = *state;
    struct sb_types *types = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_types_load(&f->directories, drivers, &types, &diags), 0);
    expect_findings(&diags, "");
    assert_null(sb_types_at(types, 0));
    (void)sb_types_free(types);
    assert_null(sb_types_get(NULL, "x"));
    assert_null(sb_types_at(NULL, 0));
    assert_null(sb_types_free(NULL));
}

SB_TEST(one_bad_file_stops_no_other, make, unmake)
{
    struct fixture *f = *state;
    put(f, "usr/devices/a.yaml", "name: good\ndriver: plain\n");
    put(f, "usr/devices/b.yaml", "name: twisted\ndriver: plain\ntitel: x\n");
    put(f, "usr/devices/c.yaml", "driver: [\n");
    put(f, "usr/devices/d.yaml", "name: good\ndriver: plain\ntitle: again\n");
    put(f, "usr/devices/e.yaml", "name: stock\ndriver: plain\n");
    put(f, "usr/devices/f.yaml", "name: fine\ndriver: plain\n");
    put(f, "etc/devices/a.yaml", "name: stock\ndriver: plain\nmax_image: lots\n");
    struct sb_types *types = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_types_load(&f->directories, drivers, &types, &diags), -EINVAL);
    assert_int_equal(diags.total, 4);
    expect_finding(&diags, "usr/devices/b.yaml:3:1: unknown key 'titel'");
    expect_finding(&diags, "usr/devices/c.yaml:2:1: ");
    sb_cleanup(sb_freep) char *twice = sb_format(
        "usr/devices/d.yaml:1:7: device type 'good' is described already (%s/devices/a.yaml)",
        f->paths[0]);
    expect_finding(&diags, twice);
    expect_finding(&diags, "etc/devices/a.yaml:3:12: 'max_image': 'lots' is not a size");
    sb_diags_done(&diags);
    assert_null(sb_types_get(types, "good")->title);
    assert_non_null(sb_types_get(types, "fine"));
    assert_null(sb_types_get(types, "twisted"));
    assert_null(sb_types_get(types, "stock")); /* not what its owner wanted instead */
    assert_null(sb_types_at(types, 2));
    (void)sb_types_free(types);
}

SB_TEST(a_folder_that_is_none_is_told, make, unmake)
{
    struct fixture *f = *state;
    put(f, "usr/devices", "a file");
    put(f, "etc/devices/a.yaml", "name: good\ndriver: plain\n");
    struct sb_types *types = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_types_load(&f->directories, drivers, &types, &diags), -EINVAL);
    expect_finding(&diags, "usr/devices: cannot be read: Not a directory");
    sb_diags_done(&diags);
    assert_non_null(sb_types_get(types, "good"));
    (void)sb_types_free(types);
}

/* A running task keeps the type it began with over a reload. */
SB_TEST(a_replaced_type_lives_on, make, unmake)
{
    struct fixture *f = *state;
    put(f, "etc/devices/a.yaml", "name: em\ndriver: meter\nmeter: { unit: 1 }\n");
    struct sb_types *types = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_types_load(&f->directories, drivers, &types, &diags), 0);
    const struct sb_type *held = sb_type_ref(sb_types_get(types, "em"));
    put(f, "etc/devices/a.yaml", "name: em\ndriver: meter\nmeter: { unit: 2 }\n");
    struct sb_types *reloaded = NULL;
    assert_int_equal(sb_types_load(&f->directories, drivers, &reloaded, &diags), 0);
    expect_findings(&diags, "");
    (void)sb_types_free(types);
    const struct meter_config *before = held->driver_config;
    const struct meter_config *after = sb_types_get(reloaded, "em")->driver_config;
    assert_int_equal(before->unit, 1);
    assert_int_equal(after->unit, 2);
    assert_string_equal(sb_yaml_get(held->yaml, "name")->text, "em");
    assert_null(sb_type_unref(held));
    assert_null(sb_type_ref(NULL));
    (void)sb_types_free(reloaded);
}

SB_TEST(every_key_is_documented)
{
    for (const struct sb_field *field = sb_type_fields; field->key; field++)
        if (!field->doc)
            fail_msg("no doc for '%s'", field->key);
}
