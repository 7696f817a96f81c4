/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver "modbus" without a device: values in registers, device types, recipes, decisions.
 */
#include "adapters/devices/modbus/driver.h"
#include "adapters/devices/modbus/update.h"
#include "bridge/base/str.h"
#include "tests/unit/driver_types.h"

static const struct sb_driver_ops *const drivers[] = { &sb_modbus_driver, NULL };

static json_t *json_of(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!json)
        fail_msg("no JSON: %s", text);
    return json;
}

static struct sb_modbus_property property_of(json_t *spec)
{
    struct sb_modbus_property property;
    sb_cleanup(sb_freep) char *error = NULL;
    if (sb_modbus_property_read("p", spec, SB_MODBUS_ABCD, &property, &error) < 0)
        fail_msg("%s", error);
    return property;
}

/* ---- values ---- */

SB_TEST(test_values)
{
    static const struct {
        const char *spec, *value, *words;
    } cases[] = {
        { "{}", "65535", "ffff" },
        { "{\"type\":\"i16\"}", "-2", "fffe" },
        { "{\"type\":\"u32\"}", "305419896", "12345678" },
        { "{\"type\":\"u32\",\"order\":\"CDAB\"}", "305419896", "56781234" },
        { "{\"type\":\"u32\",\"order\":\"BADC\"}", "305419896", "34127856" },
        { "{\"type\":\"u32\",\"order\":\"DCBA\"}", "305419896", "78563412" },
        { "{\"type\":\"i32\"}", "-1", "ffffffff" },
        { "{\"type\":\"u64\"}", "72623859790382856", "0102030405060708" },
        { "{\"type\":\"u64\",\"order\":\"CDAB\"}", "72623859790382856", "0708050603040102" },
        { "{\"type\":\"i64\",\"order\":\"DCBA\"}", "72623859790382856", "0807060504030201" },
        { "{\"type\":\"u64\"}", "\"18446744073709551615\"", "ffffffffffffffff" },
        { "{\"type\":\"f32\"}", "1.5", "3fc00000" },
        { "{\"type\":\"f32\",\"order\":\"CDAB\"}", "1.5", "00003fc0" },
        { "{\"type\":\"f64\"}", "0.1", "3fb999999999999a" },
        { "{\"type\":\"string\",\"length\":5}", "\"Pump1\"", "50756d703100" },
        { "{\"type\":\"string\",\"length\":4,\"order\":\"BADC\"}", "\"Pump\"", "7550706d" },
        { "{\"type\":\"string\",\"length\":4,\"order\":\"CDAB\"}", "\"Pump\"", "50756d70" },
        { "{\"type\":\"bytes\",\"length\":4}", "\"00ff01fe\"", "00ff01fe" },
        { "{\"type\":\"bool\"}", "true", "0001" },
        { "{\"type\":\"bool\",\"bit\":9}", "true", "0200" },
        { "{\"scale\":0.1}", "230.1", "08fd" },
        { "{\"type\":\"i16\",\"scale\":0.01,\"offset\":-40}", "21.55", "180b" },
        { "{\"scale\":10}", "1200.0", "0078" },
        { "{\"names\":{\"0\":\"off\",\"0x10\":\"on\"}}", "\"on\"", "0010" },
        { "{\"names\":{\"0\":\"off\"}}", "7", "0007" },
        { "{\"table\":\"coil\"}", "true", "0001" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(json_decrefp) json_t *spec = json_of(cases[i].spec),
                                        *value = json_of(cases[i].value);
        uint16_t words[SB_MODBUS_WORDS_MAX], mask[SB_MODBUS_WORDS_MAX];
        sb_cleanup(sb_freep) char *error = NULL;
        struct sb_str hex = { 0 };
        json_t *back = NULL;
        assert_int_equal(json_object_set_new(spec, "address", json_integer(3)), 0);
        struct sb_modbus_property property = property_of(spec);
        if (sb_modbus_encode(&property, value, words, mask, &error) < 0)
            fail_msg("case %zu: %s", i, error);
        for (size_t k = 0; k < property.at.count; k++)
            sb_str_format(&hex, "%04x", words[k]);
        assert_string_equal(sb_str_get(&hex), cases[i].words);
        assert_int_equal(sb_modbus_decode(&property, words, &back, &error), 0);
        sb_cleanup(sb_freep) char *got = json_dumps(back, JSON_ENCODE_ANY);
        if (!json_equal(back, value))
            fail_msg("case %zu: back as %s", i, got);
        json_decref(back);
        sb_str_done(&hex);
    }
}

SB_TEST(test_values_that_do_not_fit)
{
    static const struct {
        const char *spec, *value, *error;
    } cases[] = {
        { "{}", "65536", "out of range for u16" },
        { "{}", "-1", "out of range for u16" },
        { "{}", "\"x\"", "not the right kind of value for u16" },
        { "{\"type\":\"i16\"}", "32768", "out of range for i16" },
        { "{\"max\":100}", "101", "above 100" },
        { "{\"min\":10}", "9", "below 10" },
        { "{\"scale\":0.1}", "1.25", "not a multiple of 0.1" },
        { "{\"scale\":0.1}", "\"a\"", "not a number" },
        { "{\"scale\":0.1}", "10000", "out of range for u16" },
        { "{\"scale\":0.1,\"type\":\"i64\"}", "1e300", "out of range" },
        { "{\"type\":\"string\",\"length\":3}", "\"12345\"", "longer than its 4 bytes" },
        { "{\"type\":\"bool\"}", "2", "not true or false" },
        { "{\"names\":{\"0\":\"off\",\"1\":\"slow\"}}", "\"slwo\"", "did you mean 'slow'" },
        { "{\"type\":\"bits\",\"flags\":{\"run\":0}}", "{\"rnu\":true}", "did you mean 'run'" },
        { "{\"type\":\"bits\",\"flags\":{\"run\":0}}", "{\"run\":1}", "not true or false" },
        { "{\"type\":\"bits\",\"flags\":{\"run\":0}}", "5", "flag: true or false" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(json_decrefp) json_t *spec = json_of(cases[i].spec),
                                        *value = json_of(cases[i].value);
        uint16_t words[SB_MODBUS_WORDS_MAX], mask[SB_MODBUS_WORDS_MAX];
        sb_cleanup(sb_freep) char *error = NULL;
        assert_int_equal(json_object_set_new(spec, "address", json_integer(3)), 0);
        struct sb_modbus_property property = property_of(spec);
        int r = sb_modbus_encode(&property, value, words, mask, &error);
        if (r != -EINVAL || !strstr(error, cases[i].error))
            fail_msg("case %zu: %d %s", i, r, error ? error : "");
    }
}

SB_TEST(test_texts_are_trimmed_and_must_be_texts)
{
    sb_cleanup(json_decrefp) json_t *spec =
        json_of("{\"address\":0,\"type\":\"string\",\"length\":8}");
    struct sb_modbus_property property = property_of(spec);
    sb_cleanup(sb_freep) char *error = NULL;
    sb_cleanup(json_decrefp) json_t *text = NULL;
    json_t *none = NULL;
    const uint16_t padded[] = { 0x4142, 0x2020, 0x2000, 0xffff }, odd[] = { 0xff41, 0, 0, 0 };
    assert_int_equal(sb_modbus_decode(&property, padded, &text, &error), 0);
    assert_string_equal(json_string_value(text), "AB");
    assert_int_equal(sb_modbus_decode(&property, odd, &none, &error), -EINVAL);
}

/* ---- types ---- */

#define HEAD       "name: t\ndriver: modbus\nverify: status\n"
#define PROPERTY   HEAD "properties:\n  x: "
#define TWO(a, b)  HEAD "properties:\n  x: " a "\n  y: " b "\n"
#define FIRMWARE   HEAD "modbus: { firmware: { block: 128, "
#define BLOCKS     "blocks: [{ data: 256 }]"
#define ACTION     HEAD "actions: { go: { steps: [" /* ... */
#define SECTION(x) HEAD "modbus: { " x " }\n"

static const struct wrong_type wrong_types[] = {
    { PROPERTY "{ type: u16 }\n", ":5: properties.x: needs address" },
    { PROPERTY "{ address: 70000 }\n", "no such address (0..65535)" },
    { PROPERTY "{ address: 65535, type: u32 }\n", "beyond register 65535" },
    { PROPERTY "{ adress: 1 }\n", "did you mean 'address'" },
    { PROPERTY "{ address: 1, type: u23 }\n", "did you mean 'u32'" },
    { PROPERTY "{ address: 1, table: inputs }\n", "did you mean 'input'" },
    { PROPERTY "{ address: 1, type: u32, order: ABDC }\n", "allowed: ABCD CDAB BADC DCBA" },
    { PROPERTY "{ address: 1, table: input, access: both }\n", "table input cannot be written" },
    { PROPERTY "{ address: 1, table: coil, type: u16 }\n", "table coil is a bool" },
    { PROPERTY "{ address: 1, type: string }\n", "needs length (1..246)" },
    { PROPERTY "{ address: 1, type: string, length: 300 }\n", "no such length" },
    { PROPERTY "{ address: 1, length: 3 }\n", "a u16 has no `length`" },
    { PROPERTY "{ address: 1, type: bool, scale: 2 }\n", "a bool has no `scale`" },
    { PROPERTY "{ address: 1, scale: 0 }\n", "scale is 0" },
    { PROPERTY "{ address: 1, min: 5, max: 4 }\n", "min is above max" },
    { PROPERTY "{ address: 1, min: low }\n", "min is no number" },
    { PROPERTY "{ address: 1, names: { a: off } }\n", "names.a: wants number: text" },
    { PROPERTY "{ address: 1, scale: 2, names: { 1: off } }\n", "unscaled" },
    { PROPERTY "{ address: 1, type: bits }\n", "go together" },
    { PROPERTY "{ address: 1, type: bits, flags: { a: 16 } }\n", "no such bit" },
    { PROPERTY "{ address: 1, poll: yes }\n", "poll is true or false" },
    { PROPERTY "{ address: 1, read_back: off }\n", "read_back is true or false" },
    { SECTION("reboot: [{ write: 1, value: 1, once: yes }]"), "once is true or false" },
    { SECTION("reboot: [{ write: 1, value: 1, broadcast: 1 }]"), "broadcast is true or false" },
    { SECTION("reboot: [{ poll: 1, ok: 1, silent: on }]"), "silent is true or false" },
    { FIRMWARE "blocks: [{ data: 1, advance: no }] } }\n", "advance is true or false" },
    { ACTION "{ wait: 1s }], repeatable: yes } }\n", "repeatable is true or false" },
    { PROPERTY "{ address: 1, bit: 3 }\n", "`bit` is for a bool" },
    { PROPERTY "{ address: 1, access: write, poll: true }\n", "poll: it cannot be read" },
    { TWO("{ address: 1, type: u32 }", "{ address: 2 }"),
      "properties.y: writes holding 2, which x" },
    { TWO("{ address: 1, type: bits, flags: { a: 1 } }", "{ address: 1, type: bool, bit: 1 }"),
      "which x writes as well" },
    { HEAD "modbus: { max_read: 3 }\nproperties:\n  x: { address: 1, type: u64 }\n",
      "reads at most 3 in a frame" },
    { HEAD "modbus: { max_write: 1 }\nproperties:\n  x: { address: 1, type: u32 }\n",
      "writes at most 1 in a frame" },
    { SECTION("tries: 0"), "tries" },
    { SECTION("max_read: 126"), "max_read" },
    { SECTION("timout: 1s"), "did you mean 'timeout'" },
    { SECTION("identify: [device]"), "modbus.identify: no way 'device'" },
    { SECTION("identify: [registers]"), "registers needs `identity`" },
    { SECTION("identity: { version: v }"), "version: no property 'v'" },
    { SECTION("identity: { versoin: v }"), "did you mean 'version'" },
    { SECTION("reboot: [{ wirte: 1, value: 1 }]"), "step 1: a step does one thing" },
    { SECTION("reboot: [{ wirte: 1, value: 1 }]"), "did you mean 'write'" },
    { SECTION("reboot: [{ wait: 1s }, { write: 1 }]"), "step 2: needs `value`" },
    { HEAD "modbus:\n  reboot:\n  - { wait: 1s }\n  - write: 1\n    value: $x\n",
      ":7: modbus.reboot: steps: step 2: no value here 'x'" },
    { HEAD "modbus:\n  firmware:\n    block: 8\n    blocks: [{ data: 1 }]\n    bootloader:\n"
           "      probe:\n      - { wait: 1s }\n      - { wait: 2h }\n",
      ":11: modbus.firmware: firmware.bootloader.probe: step 2: wait is '2h'" },
    { HEAD "actions:\n  go:\n    steps:\n    - { wait: 1s }\n    - { set: { x: 1 } }\n",
      ":8: actions.go: steps: step 2: x: no property 'x'" },
    { SECTION("reboot: [{ write: 1, value: 70000 }]"), "out of range for u16" },
    { SECTION("reboot: [{ write: 1, value: $x }]"), "no value here 'x'" },
    { SECTION("reboot: [{ write: 1, value: 1, onec: true }]"), "did you mean 'once'" },
    { SECTION("reboot: [{ write: 1, value: 1, answer: maybe }]"), "true, false or echo" },
    { SECTION("reboot: [{ poll: 1 }]"), "poll needs `ok`" },
    { SECTION("reboot: [{ poll: 1, ok: 0, errors: { 1: verify_faild } }]"),
      "did you mean 'verify_failed'" },
    { SECTION("reboot: [{ poll: 1, ok: 0, errors: { x: busy } }]"), "'x' is no number" },
    { SECTION("reboot: [{ poll: 1, ok: yes }]"), "ok: wants a number" },
    { SECTION("reboot: [{ poll: 1, ok: 1, type: u32, mask: 1 }]"), "`mask` is for one register" },
    { TWO("{ address: 1, group: g }", "{ address: 126, group: g }"),
      "properties.y: group g spans 126 registers, and the device reads at most 125" },
    { SECTION("reboot: [{ data: 1 }]"), "there is no block to send here" },
    { SECTION("reboot: [{ request: '4' }]"), "wants function and data in hex" },
    { SECTION("reboot: [{ request: '83 00' }]"), "wants function and data in hex" },
    { SECTION("reboot: [{ request: '03 00' }]"), "wants function and data in hex" },
    { SECTION("reboot: [{ set: { x: 1 } }]"), "step 1: x: no property 'x'" },
    { SECTION("reboot: [{ mask: 1 }]"), "needs and" },
    { SECTION("reboot: [{ wait: 2h }]"), "wait is '2h'" },
    { SECTION("reboot: { write: 1, value: 1 }"), "wants a list of at most 64 steps" },
    { ACTION "] } }\n", "needs `steps`" },
    { ACTION "{ write: 1, value: $to }], arguments: { too: 1 } } }\n", "did you mean 'too'" },
    { ACTION "{ wait: 1s }], results: [x] } }\n", "results: no property 'x'" },
    { FIRMWARE "enter: [{ wait: 1s }] } }\n", "needs `block` (its bytes) and `blocks`" },
    { FIRMWARE "blocks: [{ file: 0 }] } }\n", "no such file" },
    { HEAD "modbus: { firmware: { block: 127, blocks: [{ file: 1 }] } }\n", "block must be even" },
    { FIRMWARE "blocks: [{ write: 1, value: $blok }] } }\n", "did you mean 'block'" },
    { FIRMWARE BLOCKS ", erase: [{ write: 1, value: $block }] } }\n", "no value here 'block'" },
    { FIRMWARE BLOCKS ", enter: [{ wait: 1s }], resume: { register: 1 } } }\n",
      "resume needs bootloader.probe" },
    { FIRMWARE BLOCKS ", resume: { register: 1, type: f64 } } }\n", "must be a whole number" },
    { FIRMWARE BLOCKS ", comit: erase } }\n", "did you mean 'commit'" },
    { FIRMWARE BLOCKS ", bootloader: { unit: 248 } } }\n", "unit" },
    { HEAD "confirm: never\n", "confirm: a Modbus device tries no image out" },
    { HEAD "asks: wsh\nproperties: { wish: { address: 1 } }\n", "did you mean 'wish'" },
    { HEAD "asks: wish\nproperties: { wish: { address: 1 } }\n",
      "asks: 'wish' is not read at a look" },
    { "name: t\ndriver: modbus\nverify: hash\nmodbus: { firmware: { block: 8, " BLOCKS " } }\n",
      "shows no hash" },
    { "name: t\ndriver: modbus\nmodbus: { identify: [server_id], firmware: { block: 8, " BLOCKS
      " } }\n",
      "nothing says which version runs" },
};

SB_TEST(test_types_that_are_wrong)
{
    expect_wrong(drivers, wrong_types, SB_COUNT(wrong_types));
}

SB_TEST(test_bits_of_one_register_may_be_several_properties)
{
    struct sb_type *type = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(load_text(drivers,
                               TWO("{ address: 1, type: bits, flags: { a: 1, b: 2 } }",
                                   "{ address: 1, type: bool, bit: 3 }"),
                               &type, &diags),
                     0);
    (void)sb_type_unref(type);
}

SB_TEST(test_shipped_types)
{
    static const char *const names[] = { "modbus-energy-meter", "modbus-bootloader" };
    for (size_t i = 0; i < SB_COUNT(names); i++) {
        struct sb_type *type = shipped_type(drivers, names[i]);
        assert_int_equal(sb_modbus_driver.caps(type), SB_CAP_SHARES_BUS | SB_CAP_CANCEL);
        (void)sb_type_unref(type);
    }
}

/* ---- requests ---- */

/* The example that the README walks through is a type in order. */
SB_TEST(test_the_example_of_the_readme)
{
    sb_cleanup(sb_freep) char *path =
        sb_format("%s/adapters/devices/modbus/README.md", getenv("SB_SOURCE"));
    FILE *file = fopen(path, "re");
    static char text[65536];
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[n] = '\0';
    char *begin = strstr(text, "```yaml\n"), *end = begin ? strstr(begin + 8, "```") : NULL;
    assert_non_null(end);
    *end = '\0';
    struct sb_type *type = NULL;
    struct sb_diags diags = { 0 };
    int r = load_text(drivers, begin + 8, &type, &diags);
    sb_cleanup(sb_freep) char *findings = sb_diags_text(&diags);
    sb_diags_done(&diags);
    if (r < 0)
        fail_msg("%s", findings);
    assert_int_equal(json_object_size(type->properties), 6);
    (void)sb_type_unref(type);
}

SB_TEST(test_what_may_be_asked)
{
    static const char text[] =
        HEAD "modbus: { reboot: [{ write: 1, value: 1 }] }\n"
             "properties:\n"
             "  r: { address: 1, access: read }\n"
             "  w: { address: 2, max: 9 }\n"
             "actions:\n"
             "  go: { arguments: { to: null }, steps: [{ write: 3, value: $to }] }\n";
    static const struct {
        int op;
        const char *params;
        enum sb_cause cause;
    } cases[] = {
        { SB_OP_READ, "{\"names\":[\"r\",\"w\"]}", SB_CAUSE_NONE },
        { SB_OP_READ, "{\"names\":[\"x\"]}", SB_CAUSE_INVALID_REQUEST },
        { SB_OP_WRITE, "{\"values\":{\"w\":9}}", SB_CAUSE_NONE },
        { SB_OP_WRITE, "{\"values\":{\"w\":10}}", SB_CAUSE_INVALID_REQUEST },
        { SB_OP_WRITE, "{\"values\":{\"r\":1}}", SB_CAUSE_UNSUPPORTED },
        { SB_OP_INVOKE, "{\"action\":\"go\",\"arguments\":{\"to\":5}}", SB_CAUSE_NONE },
        { SB_OP_INVOKE, "{\"action\":\"go\",\"arguments\":{\"to\":-70000}}",
          SB_CAUSE_INVALID_REQUEST },
        { SB_OP_INVOKE, "{\"action\":\"go\",\"arguments\":{\"too\":5}}", SB_CAUSE_INVALID_REQUEST },
        { SB_OP_INVOKE, "{\"action\":\"go\"}", SB_CAUSE_INVALID_REQUEST },
        { SB_OP_INVOKE, "{\"action\":\"went\"}", SB_CAUSE_UNSUPPORTED },
        { SB_OP_INVOKE, "{}", SB_CAUSE_INVALID_REQUEST },
        { SB_OP_REBOOT, "{}", SB_CAUSE_NONE },
        { SB_OP_FACTORY_RESET, "{}", SB_CAUSE_UNSUPPORTED },
        { SB_OP_FIRMWARE_UPDATE, "{}", SB_CAUSE_UNSUPPORTED },
        { SB_OP_FIRMWARE_INSTALL, "{}", SB_CAUSE_UNSUPPORTED },
        { SB_OP_FIRMWARE_DOWNLOAD, "{}", SB_CAUSE_UNSUPPORTED },
    };
    struct sb_type *type = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(load_text(drivers, text, &type, &diags), 0);
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(json_decrefp) json_t *params = json_of(cases[i].params);
        sb_cleanup(sb_freep) char *why = NULL;
        enum sb_cause cause = sb_modbus_driver.accepts(type, cases[i].op, params, &why);
        if (cause != cases[i].cause || (cause == SB_CAUSE_NONE) != !why)
            fail_msg("case %zu: %s %s", i, sb_cause_name((int)cause), why ? why : "");
    }
    (void)sb_type_unref(type);
}

/* ---- updates ---- */

SB_TEST(test_where_an_update_begins)
{
    static const struct {
        struct sb_modbus_standing standing;
        enum sb_modbus_stage stage;
    } cases[] = {
        /* in_bootloader, has_probe, has_enter, has_resume, kept, begun */
        { { false, true, true, true, SB_MODBUS_AT_ENTER, false }, SB_MODBUS_AT_ENTER },
        { { true, true, true, true, SB_MODBUS_AT_ENTER, false }, SB_MODBUS_AT_ERASE },
        { { true, true, true, true, SB_MODBUS_AT_ENTER, true }, SB_MODBUS_AT_ERASE },
        { { true, true, true, true, SB_MODBUS_AT_ERASE, true }, SB_MODBUS_AT_ERASE },
        { { true, true, true, true, SB_MODBUS_AT_BLOCKS, true }, SB_MODBUS_AT_BLOCKS },
        { { true, true, true, false, SB_MODBUS_AT_BLOCKS, true }, SB_MODBUS_AT_ERASE },
        { { true, true, true, true, SB_MODBUS_AT_FINISH, true }, SB_MODBUS_AT_BLOCKS },
        { { true, true, true, true, SB_MODBUS_AT_REBOOT, true }, SB_MODBUS_AT_REBOOT },
        { { false, true, true, true, SB_MODBUS_AT_REBOOT, true }, SB_MODBUS_AT_ENTER },
        { { false, false, true, false, SB_MODBUS_AT_BLOCKS, true }, SB_MODBUS_AT_ENTER },
        { { false, false, true, false, SB_MODBUS_AT_REBOOT, true }, SB_MODBUS_AT_REBOOT },
        { { false, false, false, false, SB_MODBUS_AT_ENTER, false }, SB_MODBUS_AT_ERASE },
        { { false, false, false, true, SB_MODBUS_AT_BLOCKS, true }, SB_MODBUS_AT_BLOCKS },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++)
        if (sb_modbus_decide(&cases[i].standing) != cases[i].stage)
            fail_msg("case %zu", i);
}

SB_TEST(test_sums)
{
    struct sb_modbus_sums sums;
    sb_modbus_sums_begin(&sums);
    sb_modbus_sums_add(&sums, (const uint8_t *)"1234", 4);
    sb_modbus_sums_add(&sums, (const uint8_t *)"56789", 5);
    sb_modbus_sums_end(&sums);
    assert_int_equal(sums.crc16, 0x4b37); /* the published check values */
    assert_int_equal(sums.crc32, 0xcbf43926);
    assert_int_equal(sums.sum16, 477);
    const struct sb_modbus_image image = { .size = 300, .blocks = 3, .sums = sums };
    const struct sb_modbus_block block = { .index = 2, .offset = 256, .n = 44, .sums = sums };
    sb_cleanup(json_decrefp) json_t *names = sb_modbus_block_names(&image, &block);
    assert_int_equal(sb_json_int(names, "size", 0), 300);
    assert_int_equal(sb_json_int(names, "image_crc16", 0), 0x4b37);
    assert_int_equal(sb_json_int(names, "number", 0), 3);
    assert_int_equal(sb_json_int(names, "offset_words", 0), 128);
    assert_int_equal(sb_json_int(names, "words", 0), 22);
}
