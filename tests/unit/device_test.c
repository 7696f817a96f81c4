/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/device/device.h"
#include "bridge/driver.h"
#include "bridge/mapping/type.h"
#include "tests/fakes/loop_sim.h"
#include "tests/fakes/store_mem.h"
#include "tests/test.h"

struct bench {
    struct sb_store_mem *disk;
    struct sb_loop *loop;
    struct sb_store *store;
    struct sb_registry *registry;
    struct sb_diags diags;
};

static void power_on(struct bench *b)
{
    assert_int_equal(0, sb_loop_new(&b->loop));
    assert_int_equal(0, sb_store_mem_start(b->disk, b->loop, &b->store));
    assert_int_equal(0, sb_registry_new(b->store, &b->registry));
}

static void power_off(struct bench *b)
{
    b->registry = sb_registry_free(b->registry);
    b->store = sb_store_free(b->store);
    b->loop = sb_loop_free(b->loop);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    assert_int_equal(0, sb_store_mem_new(&b->disk));
    power_on(b);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    power_off(b);
    sb_store_mem_free(b->disk);
    sb_diags_done(&b->diags);
    free(b);
    return 0;
}

static void restart(struct bench *b)
{
    sb_sim_turn(b->loop);
    power_off(b);
    power_on(b);
}

static json_t *spec_of(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    if (!json)
        fail_msg("not JSON: %s", text);
    return json;
}

static int add(struct bench *b, const char *text)
{
    sb_cleanup(json_decrefp) json_t *spec = spec_of(text);
    return sb_registry_add(b->registry, spec, NULL, &b->diags);
}

static int declare(struct bench *b, const char *text)
{
    sb_cleanup(json_decrefp) json_t *specs = spec_of(text);
    return sb_registry_declare(b->registry, specs, NULL, &b->diags);
}

static void assert_said(struct bench *b, const char *part)
{
    sb_cleanup(sb_freep) char *text = sb_diags_text(&b->diags);
    if (!text || !strstr(text, part))
        fail_msg("'%s' not in '%s'", part, text ? text : "");
    sb_diags_done(&b->diags);
    b->diags = (struct sb_diags){ 0 };
}

static struct sb_device *get(struct bench *b, const char *id)
{
    struct sb_device *device = sb_registry_get(b->registry, id);
    if (!device)
        fail_msg("no device %s", id);
    return device;
}

#define PUMP       "{\"id\":\"pump-7\",\"type\":\"drive\",\"bus\":\"rs485\",\"address\":{\"unit\":7}}"

#define TEST(name) SB_TEST_OF(struct bench *b, name, setup, teardown)

TEST(a_device_is_registered_and_kept)
{
    assert_int_equal(0, add(b, PUMP));
    assert_int_equal(0, add(b, "{\"id\":\"a-valve\",\"type\":\"valve\",\"parent\":\"pump-7\","
                               "\"commanders\":[\"plant\"],\"names\":{\"azure\":\"v:1\"}}"));
    sb_cleanup(sb_freep) char *uuid = strdup(get(b, "pump-7")->uuid);
    assert_int_equal(SB_UUID_TEXT, strlen(uuid));
    assert_string_not_equal(uuid, get(b, "a-valve")->uuid);
    restart(b);
    assert_int_equal(2, sb_registry_count(b->registry));
    assert_string_equal("pump-7", sb_registry_at(b->registry, 0)->id); /* not by name */
    assert_string_equal("a-valve", sb_registry_at(b->registry, 1)->id);
    assert_null(sb_registry_at(b->registry, 2));
    const struct sb_device *pump = get(b, "pump-7"), *valve = get(b, "a-valve");
    assert_string_equal(uuid, pump->uuid);
    assert_string_equal("drive", pump->type_name);
    assert_string_equal("rs485", pump->bus);
    assert_int_equal(7, sb_json_int(pump->address, "unit", 0));
    assert_false(pump->declared);
    assert_string_equal("pump-7", valve->parent);
    assert_string_equal("v:1", sb_device_name(valve, "azure"));
    assert_true(sb_device_may_command(pump, "anybody"));
    assert_true(sb_device_may_command(valve, "plant"));
    assert_false(sb_device_may_command(valve, "plan"));
    assert_false(sb_device_may_command(valve, NULL));
    assert_null(sb_registry_get(b->registry, "pump"));
    assert_null(sb_registry_get(b->registry, NULL));
}

TEST(names_are_derived_or_given)
{
    assert_int_equal(0, add(b, PUMP));
    assert_int_equal(0, add(b, "{\"id\":\"m.1\",\"type\":\"meter\",\"names\":"
                               "{\"ibm\":\"Meter/0001\",\"alibaba\":\"a1Xy/meter@1\"}}"));
    const struct sb_device *pump = get(b, "pump-7"), *meter = get(b, "m.1");
    assert_string_equal("drive/pump-7", sb_device_name(pump, "ibm"));
    assert_string_equal("pump-7", sb_device_name(pump, "azure"));
    assert_string_equal("pump-7", sb_device_name(pump, "a-fifth"));
    assert_string_equal("Meter/0001", sb_device_name(meter, "ibm"));
    assert_null(sb_device_name(meter, "huawei")); /* no dots there */
    assert_ptr_equal(pump, sb_registry_find(b->registry, "ibm", "drive/pump-7"));
    assert_ptr_equal(pump, sb_registry_find(b->registry, "huawei", "pump-7"));
    assert_ptr_equal(meter, sb_registry_find(b->registry, "ibm", "Meter/0001"));
    assert_ptr_equal(meter, sb_registry_find(b->registry, "alibaba", "a1Xy/meter@1"));
    assert_null(sb_registry_find(b->registry, "ibm", "meter/m.1")); /* a given one replaces it */
    assert_null(sb_registry_find(b->registry, "ibm", "valve/pump-7"));
    assert_null(sb_registry_find(b->registry, "ibm", "pump-7"));
    assert_null(sb_registry_find(b->registry, "huawei", "m.1"));
    assert_null(sb_registry_find(b->registry, "ibm", NULL));
}

TEST(a_name_too_long_for_a_dialect_is_none)
{
    assert_int_equal(0, add(b, "{\"id\":\"a2345678901234567890123456789012345678\",\"type\":"
                               "\"drive\"}"));
    const struct sb_device *device = sb_registry_at(b->registry, 0);
    assert_null(sb_device_name(device, "ibm"));
    assert_null(sb_device_name(device, "alibaba"));
    assert_non_null(sb_device_name(device, "azure"));
}

TEST(specs_are_checked_with_findings)
{
    static const struct {
        const char *spec, *said;
    } cases[] = {
        { "{\"type\":\"x\",\"_file\":\"d.yaml\",\"_line\":3}", "d.yaml:3: 'id' is missing" },
        { "{\"id\":\"-a\",\"type\":\"x\"}", "'id' must be 1 to 64" },
        { "{\"id\":\"a b\",\"type\":\"x\"}", "'id' must be" },
        { "{\"id\":7,\"type\":\"x\"}", "'id' must be" },
        { "{\"id\":\"a\"}", "device 'a': 'type' is missing" },
        { "{\"id\":\"a\",\"type\":\"x\",\"adress\":{}}", "did you mean 'address'?" },
        { "{\"id\":\"a\",\"type\":\"x\",\"_lime\":1}", "unknown key '_lime'" },
        { "{\"id\":\"a\",\"type\":\"x\",\"address\":[1]}", "'address' must be a map" },
        { "{\"id\":\"a\",\"type\":\"x\",\"bus\":\"/dev/tty\"}", "'bus' must be" },
        { "{\"id\":\"a\",\"type\":\"x\",\"parent\":\"b\"}", "parent 'b' is not a device" },
        { "{\"id\":\"a\",\"type\":\"x\",\"parent\":\"a\"}", "form a ring" },
        { "{\"id\":\"a\",\"type\":\"x\",\"names\":[]}", "'names' must be a map" },
        { "{\"id\":\"a\",\"type\":\"x\",\"names\":{\"ibm\":\"a\"}}", "it takes \"type/id\"" },
        { "{\"id\":\"a\",\"type\":\"x\",\"names\":{\"ibm\":\"t/a/b\"}}", "ibm name 't/a/b'" },
        { "{\"id\":\"a\",\"type\":\"x\",\"names\":{\"ibm\":\"/a\"}}", "not legal there" },
        { "{\"id\":\"a\",\"type\":\"x\",\"names\":{\"huawei\":\"a.b\"}}", "it takes 1 to 256" },
        { "{\"id\":\"a\",\"type\":\"x\",\"names\":{\"alibaba\":\"abc\"}}", "it takes 4 to 32" },
        { "{\"id\":\"a\",\"type\":\"x\",\"names\":{\"azure\":\"a/b\"}}", "it takes 1 to 128" },
        { "{\"id\":\"a\",\"type\":\"x\",\"names\":{\"azure\":12}}", "put it in quotes" },
        { "{\"id\":\"a\",\"type\":\"x\",\"names\":{\"new\":\"a b\"}}", "printable ASCII" },
        { "{\"id\":\"a\",\"type\":\"x\",\"names\":{\"New\":\"a\"}}", "cannot be a dialect" },
        { "{\"id\":\"a\",\"type\":\"x\",\"commanders\":\"all\"}", "'commanders' must be a list" },
        { "{\"id\":\"a\",\"type\":\"x\",\"commanders\":[\"\"]}", "'commanders' must be a list" },
        { "{\"id\":\"a\",\"type\":\"x\",\"groups\":\"all\"}", "'groups' must be a list" },
        { "{\"id\":\"a\",\"type\":\"x\",\"groups\":[\"a b\"]}", "'groups' must be a list" },
        { "{\"id\":\"a\",\"type\":\"x\",\"groups\":[5]}", "'groups' must be a list" },
        { "{\"id\":\"a\",\"type\":\"x\",\"gateway\":1}", "'gateway' must be true or false" },
        { "[]", "a device must be a map" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        if (add(b, cases[i].spec) != -EINVAL)
            fail_msg("taken: %s", cases[i].spec);
        assert_said(b, cases[i].said);
    }
    assert_int_equal(0, sb_registry_count(b->registry));
    sb_sim_turn(b->loop);
    assert_int_equal(0, sb_store_mem_rows(b->disk, SB_TABLE_DEVICE));
}

TEST(ids_and_names_are_unique)
{
    assert_int_equal(0, add(b, PUMP));
    assert_int_equal(-EEXIST, add(b, PUMP));
    assert_said(b, "this id already");
    assert_int_equal(0, add(b, "{\"id\":\"b\",\"type\":\"x\",\"names\":{\"ibm\":\"y/c\"}}"));
    /* given against given, given against derived, derived against given */
    assert_int_equal(-EINVAL, add(b, "{\"id\":\"d\",\"type\":\"x\",\"names\":{\"ibm\":\"y/c\"}}"));
    assert_said(b, "ibm name 'y/c' is taken by device 'b'");
    assert_int_equal(-EINVAL,
                     add(b, "{\"id\":\"d\",\"type\":\"x\",\"names\":{\"azure\":\"pump-7\"}}"));
    assert_said(b, "azure name 'pump-7' is taken by device 'pump-7'");
    assert_int_equal(-EINVAL, add(b, "{\"id\":\"c\",\"type\":\"y\"}"));
    assert_said(b, "derived ibm name 'y/c' is taken by device 'b'");
    assert_int_equal(0, add(b, "{\"id\":\"c\",\"type\":\"z\"}"));
    assert_int_equal(0, add(b, "{\"id\":\"gw\",\"type\":\"g\",\"gateway\":true}"));
    assert_int_equal(-EINVAL, add(b, "{\"id\":\"gw2\",\"type\":\"g\",\"gateway\":true}"));
    assert_said(b, "'gw' is the gateway already");
}

TEST(the_limit_is_the_configured_one)
{
    sb_registry_limit(b->registry, 2);
    assert_int_equal(0, add(b, PUMP));
    assert_int_equal(0, add(b, "{\"id\":\"b\",\"type\":\"x\"}"));
    assert_int_equal(-ENOSPC, add(b, "{\"id\":\"c\",\"type\":\"x\"}"));
    assert_said(b, "limit of 2 devices is reached (limits: devices)");
    assert_int_equal(-EINVAL, declare(b, "[{\"id\":\"d\",\"type\":\"x\"}]"));
    assert_said(b, "more than 2 devices (limits: devices)");
    assert_int_equal(2, sb_registry_count(b->registry));
}

TEST(the_nearest_name_is_told)
{
    static const char *const cases[][2] = {
        { "pmup-7", "there is no device 'pmup-7' (did you mean 'pump-7'?)" },
        { "PUMP-7", "there is no device 'PUMP-7' (did you mean 'pump-7'?)" },
        { "valve", "there is no device 'valve'" },
        { NULL, "there is no device ''" },
    };
    assert_int_equal(0, add(b, PUMP));
    assert_int_equal(0, add(b, "{\"id\":\"meter-12\",\"type\":\"x\"}"));
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *text = sb_registry_missing(b->registry, cases[i][0]);
        assert_string_equal(text, cases[i][1]);
    }
}

TEST(removing_forgets_it_everywhere)
{
    assert_int_equal(0, add(b, PUMP));
    assert_int_equal(0, add(b, "{\"id\":\"b\",\"type\":\"x\",\"names\":{\"ibm\":\"y/c\"}}"));
    assert_int_equal(0, add(b, "{\"id\":\"c\",\"type\":\"z\",\"parent\":\"b\"}"));
    assert_int_equal(0, sb_registry_remove(b->registry, "b"));
    assert_int_equal(-ENOENT, sb_registry_remove(b->registry, "b"));
    assert_null(sb_registry_find(b->registry, "ibm", "y/c"));
    assert_string_equal("c", sb_registry_at(b->registry, 1)->id);
    assert_null(get(b, "c")->parent);
    restart(b);
    assert_int_equal(2, sb_registry_count(b->registry));
    assert_null(get(b, "c")->parent);
    assert_int_equal(0, add(b, "{\"id\":\"e\",\"type\":\"x\",\"names\":{\"ibm\":\"y/c\"}}"));
}

static void learn(struct bench *b, const char *id)
{
    struct sb_device *device = get(b, id);
    sb_cleanup(json_decrefp) json_t *value = json_real(21.5);
    assert_int_equal(0, sb_device_set_version(device, NULL, "1.2.3"));
    assert_int_equal(0, sb_device_set_version(device, "radio", "7"));
    assert_int_equal(0, sb_device_set_property(device, "temp", value, 1000));
    assert_int_equal(0, sb_set_string(&device->staged.package, "p-1"));
    assert_int_equal(0, sb_set_string(&device->staged.artifact, "abc"));
    assert_int_equal(0, sb_set_string(&device->staged.door, "plant"));
    assert_int_equal(0, sb_set_string(&device->occupied, "job 4 timed out"));
    device->staged.when = 99;
    device->staged.on_device = true;
    device->occupied_left = 5000;
    device->seen = 42;
    device->presence = SB_PRESENCE_READY;
    assert_int_equal(0, sb_registry_save(b->registry, device));
}

static void assert_learnt(struct bench *b, const char *id)
{
    const struct sb_device *device = get(b, id);
    assert_string_equal("1.2.3", sb_device_version(device, ""));
    assert_string_equal("7", sb_device_version(device, "radio"));
    assert_null(sb_device_version(device, "other"));
    const json_t *property = sb_json_object(device->properties, "temp");
    assert_true(json_real_value(json_object_get(property, "value")) > 21.4);
    assert_int_equal(1000, sb_json_int(property, "time", 0));
    assert_string_equal("p-1", device->staged.package);
    assert_string_equal("abc", device->staged.artifact);
    assert_string_equal("plant", device->staged.door);
    assert_true(device->staged.on_device);
    assert_int_equal(99, device->staged.when);
    assert_string_equal("job 4 timed out", device->occupied);
    assert_int_equal(5000, device->occupied_left);
    assert_int_equal(42, device->seen);
}

TEST(files_change_what_they_say_and_no_more)
{
    assert_int_equal(0, add(b, "{\"id\":\"own\",\"type\":\"x\"}"));
    assert_int_equal(0, declare(b, "[" PUMP ",{\"id\":\"b\",\"type\":\"x\",\"parent\":\"pump-7\","
                                   "\"names\":{\"ibm\":\"y/c\"},\"commanders\":[]}]"));
    assert_true(get(b, "pump-7")->declared);
    assert_false(sb_device_may_command(get(b, "b"), "native"));
    learn(b, "pump-7");
    sb_cleanup(sb_freep) char *uuid = strdup(get(b, "pump-7")->uuid);
    sb_cleanup(json_decrefp) json_t *specs =
        spec_of("[{\"id\":\"c\",\"type\":\"y\"},{\"id\":\"pump-7\",\"type\":\"drive2\",\"bus\":"
                "\"other\",\"names\":{\"ibm\":\"y/d\"}},{\"id\":\"own\",\"type\":\"z\"}]");
    sb_cleanup(json_decrefp) json_t *removed = NULL;
    assert_int_equal(0, sb_registry_declare(b->registry, specs, &removed, &b->diags));
    assert_int_equal(1, json_array_size(removed));
    assert_string_equal("b", json_string_value(json_array_get(removed, 0)));
    for (int pass = 0; pass < 2; pass++) { /* in memory, then from the store */
        const struct sb_device *pump = get(b, "pump-7");
        assert_learnt(b, "pump-7");
        assert_string_equal(uuid, pump->uuid);
        assert_string_equal("drive2", pump->type_name);
        assert_string_equal("other", pump->bus);
        assert_null(pump->address);
        assert_ptr_equal(pump, sb_registry_find(b->registry, "ibm", "y/d"));
        assert_null(sb_registry_find(b->registry, "ibm", "drive/pump-7"));
        assert_null(sb_registry_get(b->registry, "b"));
        assert_string_equal("y/c", sb_device_name(get(b, "c"), "ibm")); /* b's is free again */
        assert_true(get(b, "own")->declared);
        assert_string_equal("z", get(b, "own")->type_name);
        assert_int_equal(3, sb_registry_count(b->registry));
        restart(b);
    }
}

TEST(groups_change_where_they_were_given)
{
    sb_cleanup(json_decrefp) json_t *halls = spec_of("[\"hall-1\",\"hall-2\"]");
    sb_cleanup(json_decrefp) json_t *wrong = spec_of("[\"hall 1\"]");
    sb_cleanup(json_decrefp) json_t *none = json_array();
    assert_int_equal(0, add(b, "{\"id\":\"own\",\"type\":\"x\",\"groups\":[\"old\"]}"));
    assert_int_equal(0, declare(b, "[{\"id\":\"f\",\"type\":\"x\",\"groups\":[\"hall-1\"]}]"));
    assert_int_equal(0, sb_registry_set_groups(b->registry, "own", halls, &b->diags));
    for (int pass = 0; pass < 2; pass++) { /* in memory, then from the store */
        assert_true(sb_device_in_group(get(b, "f"), "hall-1"));
        assert_true(sb_device_in_group(get(b, "own"), "hall-2"));
        assert_false(sb_device_in_group(get(b, "own"), "old"));
        assert_false(sb_device_in_group(get(b, "own"), NULL));
        restart(b);
    }
    assert_int_equal(-EPERM, sb_registry_set_groups(b->registry, "f", halls, &b->diags));
    assert_int_equal(-ENOENT, sb_registry_set_groups(b->registry, "z", halls, &b->diags));
    assert_int_equal(-EINVAL, sb_registry_set_groups(b->registry, "own", wrong, &b->diags));
    assert_said(b, "'groups' must be a list");
    assert_true(sb_device_in_group(get(b, "own"), "hall-1"));
    assert_int_equal(0, sb_registry_set_groups(b->registry, "own", none, &b->diags));
    assert_null(get(b, "own")->groups);
    assert_int_equal(0, declare(b, "[{\"id\":\"f\",\"type\":\"x\",\"groups\":[\"hall-3\"]}]"));
    assert_true(sb_device_in_group(get(b, "f"), "hall-3"));
    assert_false(sb_device_in_group(get(b, "f"), "hall-1"));
}

TEST(the_same_files_again_write_nothing)
{
    static const char files[] = "[" PUMP ",{\"id\":\"b\",\"type\":\"x\",\"names\":{\"ibm\":"
                                "\"y/c\"},\"commanders\":[\"p\"]}]";
    assert_int_equal(0, declare(b, files));
    sb_sim_advance(b->loop, 1000);
    uint64_t commits = sb_store_mem_commits(b->disk);
    assert_true(commits > 0);
    assert_int_equal(0, declare(b, files));
    sb_sim_advance(b->loop, 1000);
    assert_int_equal(commits, sb_store_mem_commits(b->disk));
}

TEST(two_devices_may_swap_their_names)
{
    assert_int_equal(0, declare(b, "[{\"id\":\"a\",\"type\":\"x\",\"names\":{\"ibm\":\"t/1\"}},"
                                   "{\"id\":\"b\",\"type\":\"x\",\"names\":{\"ibm\":\"t/2\"}}]"));
    assert_int_equal(0, declare(b, "[{\"id\":\"a\",\"type\":\"x\",\"names\":{\"ibm\":\"t/2\"}},"
                                   "{\"id\":\"b\",\"type\":\"x\",\"names\":{\"ibm\":\"t/1\"}}]"));
    assert_ptr_equal(get(b, "b"), sb_registry_find(b->registry, "ibm", "t/1"));
    assert_ptr_equal(get(b, "a"), sb_registry_find(b->registry, "ibm", "t/2"));
}

TEST(one_finding_and_nothing_changes)
{
    assert_int_equal(0, declare(b, "[" PUMP "]"));
    assert_int_equal(0, add(b, "{\"id\":\"own\",\"type\":\"x\",\"names\":{\"ibm\":\"y/c\"}}"));
    static const struct {
        const char *specs, *said;
    } cases[] = {
        { "[{\"id\":\"n\",\"type\":\"x\"},{\"id\":\"m\"}]", "'type' is missing" },
        { "[{\"id\":\"n\",\"type\":\"x\",\"_file\":\"a.yaml\",\"_line\":4},{\"id\":\"n\",\"type\":"
          "\"x\",\"_file\":\"b.yaml\",\"_line\":9}]",
          "b.yaml:9: device 'n': declared twice (also in a.yaml line 4)" },
        { "[{\"id\":\"c\",\"type\":\"y\"}]", "'y/c' is taken by device 'own'" },
        { "[{\"id\":\"n\",\"type\":\"x\",\"names\":{\"azure\":\"z\"}},{\"id\":\"z\",\"type\":"
          "\"x\"}]",
          "'z' is taken by device" },
        { "[{\"id\":\"n\",\"type\":\"x\",\"parent\":\"pump-7\"}]", "'pump-7' is not a device" },
        { "[{\"id\":\"n\",\"type\":\"x\",\"parent\":\"m\"},{\"id\":\"m\",\"type\":\"x\",\"parent\":"
          "\"n\"}]",
          "form a ring" },
        { "[{\"id\":\"n\",\"type\":\"x\",\"gateway\":true},{\"id\":\"m\",\"type\":\"x\","
          "\"gateway\":true}]",
          "is the gateway already" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        if (declare(b, cases[i].specs) != -EINVAL)
            fail_msg("taken: %s", cases[i].specs);
        assert_said(b, cases[i].said);
        assert_int_equal(2, sb_registry_count(b->registry));
        assert_non_null(sb_registry_find(b->registry, "ibm", "drive/pump-7"));
    }
}

TEST(a_failing_store_refuses_and_memory_follows_it)
{
    assert_int_equal(0, add(b, PUMP));
    sb_sim_advance(b->loop, 10);
    sb_store_mem_fail_next(b->disk, 1, -ENOSPC);
    assert_int_equal(0, add(b, "{\"id\":\"lost\",\"type\":\"x\"}"));
    for (int i = 0; i < 10 && sb_store_ready(b->store, NULL); i++)
        sb_sim_turn(b->loop);
    assert_false(sb_store_ready(b->store, NULL));
    assert_int_equal(-EAGAIN, add(b, "{\"id\":\"later\",\"type\":\"x\"}"));
    assert_null(sb_registry_get(b->registry, "later"));
    assert_int_equal(-EAGAIN, declare(b, "[]"));
    assert_int_equal(-EAGAIN, sb_registry_remove(b->registry, "pump-7"));
    assert_non_null(sb_registry_get(b->registry, "pump-7"));
    sb_registry_free(b->registry); /* as the core does it after a failed commit */
    assert_int_equal(0, sb_registry_new(b->store, &b->registry));
    assert_int_equal(1, sb_registry_count(b->registry));
    sb_sim_advance(b->loop, 60000);
    sb_store_renew(b->store);
    assert_int_equal(0, add(b, "{\"id\":\"later\",\"type\":\"x\"}"));
    sb_store_mem_fail_reads(b->disk, 1, -EIO);
    sb_cleanup(sb_registry_freep) struct sb_registry *unread = NULL;
    assert_int_equal(-EIO, sb_registry_new(b->store, &unread));
    assert_null(unread);
}

TEST(a_broken_record_does_not_hide_the_others)
{
    assert_int_equal(0, add(b, PUMP));
    static const char *const broken[] = {
        "{\"id\":\"x\"}", "{\"id\":\"x\",\"uuid\":\"u\",\"type\":\"t\",\"names\":{\"ibm\":1}}",
        "{\"id\":\"x\",\"uuid\":\"u\",\"type\":\"t\",\"versions\":[]}",
        "{\"id\":\"x\",\"uuid\":\"u\",\"type\":\"t\",\"staged\":{}}"
    };
    for (size_t i = 0; i < SB_COUNT(broken); i++) {
        sb_cleanup(json_decrefp) json_t *body = spec_of(broken[i]);
        sb_cleanup(sb_freep) char *name = sb_format("broken-%zu", i);
        const struct sb_row row = { .name = name, .body = body };
        assert_int_equal(0, sb_store_put(b->store, SB_TABLE_DEVICE, &row));
    }
    restart(b);
    assert_int_equal(1, sb_registry_count(b->registry));
    get(b, "pump-7");
}

TEST(what_is_learnt_is_bounded)
{
    assert_int_equal(0, add(b, PUMP));
    struct sb_device *pump = get(b, "pump-7");
    sb_cleanup(json_decrefp) json_t *small = json_true();
    int r = 0;
    for (int i = 0; i < 256 && r == 0; i++) {
        sb_cleanup(sb_freep) char *name = sb_format("p%d", i);
        r = sb_device_set_property(pump, name, small, 1);
    }
    assert_int_equal(0, r);
    assert_int_equal(-ENOSPC, sb_device_set_property(pump, "one-more", small, 1));
    assert_int_equal(0, sb_device_set_property(pump, "p7", small, 2));
    sb_cleanup(sb_freep) char *text = calloc(1, 5000);
    memset(text, 'x', 4999);
    sb_cleanup(json_decrefp) json_t *large = json_string(text);
    assert_int_equal(-E2BIG, sb_device_set_property(pump, "p7", large, 3));
    assert_int_equal(-EINVAL, sb_device_set_property(pump, "p7", NULL, 3));
    for (int i = 0; i < 64 && r == 0; i++) {
        sb_cleanup(sb_freep) char *module = sb_format("m%d", i);
        r = sb_device_set_version(pump, module, "1");
    }
    assert_int_equal(0, r);
    assert_int_equal(-ENOSPC, sb_device_set_version(pump, "one-more", "1"));
    assert_int_equal(0, sb_device_set_version(pump, "m3", NULL));
    assert_null(sb_device_version(pump, "m3"));
    assert_int_equal(0, sb_device_set_version(pump, "one-more", "1"));
    pump->facts = json_object();
    assert_int_equal(0, json_object_set_new(pump->facts, "metadata", json_string(text)));
    assert_int_equal(0, sb_registry_save(b->registry, pump));
    for (int i = 0; i < 7; i++) {
        sb_cleanup(sb_freep) char *key = sb_format("more%d", i);
        assert_int_equal(0, json_object_set_new(pump->facts, key, json_string(text)));
    }
    assert_int_equal(-E2BIG, sb_registry_save(b->registry, pump));
}

/* ---- types ---- */

static unsigned no_caps(const struct sb_type *type)
{
    (void)type;
    return 0;
}

static enum sb_cause takes_all(const struct sb_type *type, int op, const json_t *params,
                               char **ret_text)
{
    (void)type;
    (void)op;
    (void)params;
    (void)ret_text;
    return SB_CAUSE_NONE;
}

static const struct sb_driver_ops fake = { .name = "fake", .caps = no_caps, .accepts = takes_all };
static const struct sb_driver_ops *const drivers[] = { &fake, NULL };

static struct sb_types *load_types(const char *directory, const char *title)
{
    sb_cleanup(sb_freep) char *folder = sb_format("%s/devices", directory);
    sb_cleanup(sb_freep) char *path = sb_format("%s/devices/drive.yaml", directory);
    (void)mkdir(folder, 0700);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    (void)fprintf(out, "name: drive\ndriver: fake\ntitle: %s\n", title);
    assert_int_equal(0, fclose(out));
    char *list[] = { (char *)directory };
    const struct sb_strings directories = { list, 1 };
    struct sb_types *types = NULL;
    struct sb_diags diags = { 0 };
    int r = sb_types_load(&directories, drivers, &types, &diags);
    sb_cleanup(sb_freep) char *text = sb_diags_text(&diags);
    if (r < 0)
        fail_msg("%s", text);
    sb_diags_done(&diags);
    (void)unlink(path);
    (void)rmdir(folder);
    return types;
}

TEST(types_are_attached_and_exchanged)
{
    char directory[] = "/tmp/sb-device-XXXXXX";
    assert_non_null(mkdtemp(directory));
    assert_int_equal(0, add(b, PUMP));
    assert_null(get(b, "pump-7")->type);
    struct sb_types *first = load_types(directory, "one"), *second = load_types(directory, "two");
    sb_registry_attach_types(b->registry, first);
    assert_string_equal("one", get(b, "pump-7")->type->title);
    assert_int_equal(0, add(b, "{\"id\":\"b\",\"type\":\"drive\"}"));
    assert_ptr_equal(get(b, "pump-7")->type, get(b, "b")->type);
    assert_int_equal(0, add(b, "{\"id\":\"c\",\"type\":\"no-such\"}"));
    assert_null(get(b, "c")->type);
    const struct sb_type *held = sb_type_ref(get(b, "b")->type); /* as a running task does */
    sb_registry_attach_types(b->registry, second);
    sb_types_free(first);
    assert_string_equal("one", held->title);
    sb_type_unref(held);
    assert_string_equal("two", get(b, "b")->type->title);
    sb_sim_advance(b->loop, 10);
    assert_int_equal(0, declare(b, "[{\"id\":\"c\",\"type\":\"drive\"}]"));
    assert_string_equal("two", get(b, "c")->type->title);
    sb_registry_attach_types(b->registry, NULL);
    assert_null(get(b, "b")->type);
    sb_types_free(second);
    assert_int_equal(0, rmdir(directory));
}

static int64_t cpu_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static json_t *fleet(int count)
{
    json_t *specs = json_array();
    for (int i = 0; i < count; i++) {
        sb_cleanup(sb_freep) char *text =
            sb_format("{\"id\":\"dev-%05d\",\"type\":\"drive\",\"bus\":\"rs485-1\",\"address\":"
                      "{\"unit\":%d},\"names\":{\"huawei\":\"hw_%05d\"}}",
                      i, i, i);
        assert_int_equal(0, json_array_append_new(specs, spec_of(text)));
    }
    return specs;
}

TEST(ten_thousand_are_found_fast)
{
    sb_cleanup(json_decrefp) json_t *specs = fleet(10000);
    int64_t before = cpu_ms();
    assert_int_equal(0, sb_registry_declare(b->registry, specs, NULL, &b->diags));
    sb_sim_turn(b->loop);
    assert_int_equal(10000, sb_registry_count(b->registry));
    for (int i = 0; i < 10000; i++) {
        sb_cleanup(sb_freep) char *ibm = sb_format("drive/dev-%05d", i);
        sb_cleanup(sb_freep) char *huawei = sb_format("hw_%05d", i);
        struct sb_device *device = sb_registry_find(b->registry, "ibm", ibm);
        assert_non_null(device);
        assert_ptr_equal(device, sb_registry_find(b->registry, "huawei", huawei));
        assert_ptr_equal(device, sb_registry_get(b->registry, device->id));
    }
    assert_true(cpu_ms() - before < 20000); /* with sanitizers: about 1 s; quadratic: minutes */
}

TEST(a_thousand_need_little_memory)
{
    sb_cleanup(json_decrefp) json_t *specs = fleet(1000);
    assert_int_equal(0, sb_registry_declare(b->registry, specs, NULL, &b->diags));
    sb_sim_advance(b->loop, 100);
#ifndef __SANITIZE_ADDRESS__ /* whose allocator does not count */
    size_t before = mallinfo2().uordblks;
    struct sb_registry *second = NULL;
    assert_int_equal(0, sb_registry_new(b->store, &second));
    size_t used = mallinfo2().uordblks - before;
    sb_registry_free(second);
    print_message("1000 devices: %zu bytes\n", used);
    assert_in_range(used, 100000, 2000000);
#endif
    const struct sb_device *device = get(b, "dev-00500");
    assert_null(device->properties);
    assert_null(device->versions);
    assert_null(device->facts);
}
