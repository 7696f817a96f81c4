/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What drivers share to read the descriptions of properties and actions.
 */
#include "findings.h"

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/driver.h"
#include "bridge/mapping/described.h"

static json_t *json_of(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    return json;
}

SB_TEST(test_names_and_keys)
{
    static const char *const keys[] = { "address", "type" };
    sb_cleanup(json_decrefp) json_t *good = json_of("{\"address\":1}"),
                                    *bad = json_of("{\"adress\":1}"), *list = json_of("[1]");
    sb_cleanup(sb_freep) char *error = NULL;
    assert_int_equal(sb_described_keys(good, keys, 2, &error), 0);
    assert_int_equal(sb_described_keys(bad, keys, 2, &error), -EINVAL);
    assert_string_equal(error, "unknown key 'adress' (did you mean 'address'?)");
    assert_int_equal(sb_described_keys(list, keys, 2, &error), -EINVAL);
    assert_string_equal(error, "must be a map");
    assert_int_equal(sb_described_unknown("property", "adres", good, &error), -ENOENT);
    assert_string_equal(error, "no property 'adres' (did you mean 'address'?)");
    assert_int_equal(sb_described_unknown("action", "zzzzzz", NULL, &error), -ENOENT);
    assert_string_equal(error, "no action 'zzzzzz'");
}

SB_TEST(test_access_choice_duration)
{
    static const char *const texts[] = { "coil", "holding" };
    static const struct sb_names names = { texts, 2 };
    sb_cleanup(json_decrefp) json_t *spec =
        json_of("{\"access\":\"write\",\"table\":\"holdin\",\"wait\":\"5s\"}");
    sb_cleanup(json_decrefp) json_t *none = json_object(), *odd = json_of("{\"access\":5}");
    sb_cleanup(sb_freep) char *error = NULL;
    struct sb_described_access access;
    int64_t ms;
    int choice;
    assert_int_equal(sb_described_access(spec, &access, &error), 0);
    assert_true(access.writable && !access.readable);
    assert_int_equal(sb_described_access(none, &access, &error), 0);
    assert_true(access.writable && access.readable);
    assert_int_equal(sb_described_access(odd, &access, &error), -EINVAL);
    assert_int_equal(sb_described_choice(spec, "table", &names, 0, &choice, &error), -EINVAL);
    assert_string_equal(error,
                        "table is 'holdin' (allowed: coil holding) (did you mean 'holding'?)");
    assert_int_equal(sb_described_choice(none, "table", &names, 1, &choice, &error), 0);
    assert_int_equal(choice, 1);
    assert_int_equal(sb_described_choice(none, "table", &names, -1, &choice, &error), -EINVAL);
    assert_int_equal(sb_described_duration(spec, "wait", 0, SB_MINUTE, 0, &ms, &error), 0);
    assert_int_equal(ms, 5000);
    assert_int_equal(sb_described_duration(spec, "wait", 0, SB_SECOND, 0, &ms, &error), -EINVAL);
    assert_int_equal(sb_described_duration(none, "wait", 0, SB_SECOND, 7, &ms, &error), 0);
    assert_int_equal(ms, 7);
}

/* Values are numbers; `w` is for writing only. */
static int property(const struct sb_type *type SB_UNUSED, const char *name, const json_t *value,
                    struct sb_described_access *ret, char **ret_error)
{
    *ret = (struct sb_described_access){ !sb_streq(name, "w"), !sb_streq(name, "r") };
    if (!sb_streq(name, "w") && !sb_streq(name, "r") && !sb_streq(name, "both"))
        return sb_described_wrong(ret_error, -ENOENT, "no property '%s'", name);
    return !value || json_is_integer(value)
               ? 0
               : sb_described_wrong(ret_error, -EINVAL, "not a number");
}

SB_TEST(test_what_may_be_asked)
{
    static const struct {
        int op;
        const char *params, *text;
        enum sb_cause cause;
    } cases[] = {
        { SB_OP_READ, "{\"names\":[\"r\",\"both\"]}", NULL, SB_CAUSE_NONE },
        { SB_OP_READ, "{}", NULL, SB_CAUSE_NONE },
        { SB_OP_READ, "{\"names\":[5]}", "names must be texts", SB_CAUSE_INVALID_REQUEST },
        { SB_OP_READ, "{\"names\":[\"x\"]}", "no property 'x'", SB_CAUSE_INVALID_REQUEST },
        { SB_OP_READ, "{\"names\":[\"w\"]}", "w: cannot be read", SB_CAUSE_UNSUPPORTED },
        { SB_OP_WRITE, "{\"values\":{\"w\":1}}", NULL, SB_CAUSE_NONE },
        { SB_OP_WRITE, "{}", "values must be a map of name: value", SB_CAUSE_INVALID_REQUEST },
        { SB_OP_WRITE, "{\"values\":{\"r\":1}}", "r: cannot be written", SB_CAUSE_UNSUPPORTED },
        { SB_OP_WRITE, "{\"values\":{\"w\":\"1\"}}", "w: not a number", SB_CAUSE_INVALID_REQUEST },
        { SB_OP_CONFIGURE, "{}", NULL, SB_CAUSE_NONE },
        { SB_OP_CONFIGURE, "{\"values\":{\"x\":1}}", "no property 'x'", SB_CAUSE_INVALID_REQUEST },
    };
    struct sb_type type = { .properties = json_of("{\"r\":{},\"w\":{},\"both\":{}}") };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(json_decrefp) json_t *params = json_of(cases[i].params);
        sb_cleanup(sb_freep) char *text = NULL;
        assert_int_equal(sb_described_accepts(&type, cases[i].op, params, property, &text),
                         cases[i].cause);
        assert_true(sb_streq(text, cases[i].text));
    }
    json_decref(type.properties);
}

SB_TEST(test_what_a_read_asks_for)
{
    static const struct {
        const char *params, *names;
    } cases[] = {
        { "{}", "[\"r\",\"both\"]" }, /* all that can be read */
        { "{\"names\":[]}", "[\"r\",\"both\"]" },
        { "{\"names\":[\"both\"]}", "[\"both\"]" },
    };
    struct sb_type type = { .properties = json_of("{\"r\":{},\"w\":{},\"both\":{}}") };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(json_decrefp) json_t *params = json_of(cases[i].params),
                                        *names = json_of(cases[i].names),
                                        *wanted = sb_described_wanted(&type, params, property);
        assert_true(json_equal(wanted, names));
    }
    json_decref(type.properties);
}

SB_TEST(test_a_package_of_values)
{
    char *folder = new_folder();
    sb_cleanup(sb_freep) char *good = put_file(folder, "good", "{\"a\":1}"),
                              *list = put_file(folder, "list", "[1]"),
                              *broken = put_file(folder, "broken", "{"), *error = NULL;
    sb_cleanup(json_decrefp) json_t *values = NULL;
    assert_int_equal(sb_described_package(good, &values, &error), 0);
    assert_int_equal(sb_json_int(values, "a", 0), 1);
    json_t *other = NULL;
    assert_int_equal(sb_described_package(list, &other, &error), -EINVAL);
    assert_int_equal(sb_described_package(broken, &other, &error), -EINVAL);
    assert_non_null(strstr(error, "no JSON object of values: "));
    assert_int_equal(sb_described_package("/nowhere/at/all", &other, &error), -ENOENT);
    assert_null(other);
    remove_folder(folder);
}
