/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/modbus_bench.h"

#include "adapters/devices/modbus/driver.h"

#define SIMULATOR "tests/simulators/modbus_device.py"

static const struct bench_kind kind = { .driver = &sb_modbus_driver, .type = "restart: 5s\n" };

/* What a test does not say itself. */
static const struct {
    const char *key, *line;
} standard[] = {
    { "  timeout:", "  timeout: 150ms\n" },
    { "  tries:", "  tries: 3\n" },
    { "  busy:", "  busy: 2s\n" },
    { "  identity:", "  identity: { version: version, serial: serial }\n" },
    { "  reboot:", "  reboot: [{ write: 61, value: 0x0b00, once: true }]\n" },
};

static const char properties[] =
    "properties:\n"
    "  version: { table: input, address: 1000, type: string, length: 12 }\n"
    "  serial: { table: input, address: 1010, type: u32 }\n"
    "  starts: { table: input, address: 1020, poll: true }\n"
    "  interval: { address: 1, min: 1, max: 3600, unit: s, poll: true }\n"
    "  gain: { address: 2, type: f32 }\n"
    "  clamped: { address: 5 }\n"
    "  locked: { address: 33 }\n"
    "  low: { address: 6, group: limits }\n"
    "  high: { address: 7, group: limits }\n"
    "  name: { address: 8, type: string, length: 8 }\n"
    "  mode: { address: 12, names: { 0: off, 1: slow, 2: fast }, access: both }\n"
    "  control: { address: 13, type: bits, flags: { run: 0, reverse: 1, fault: 15 } }\n"
    "  tenths: { address: 14, type: i16, scale: 0.1, offset: -40 }\n"
    "  enabled: { address: 15, type: bool, bit: 3 }\n"
    "  relay: { table: coil, address: 4 }\n"
    "  door: { table: discrete, address: 3 }\n"
    "  first: { table: input, address: 98, group: both }\n"
    "  hole: { table: input, address: 105 }\n"
    "  second: { table: input, address: 111, group: apart }\n"
    "  third: { table: input, address: 115, group: apart }\n";

int bench_setup(void **state)
{
    struct bench *bench = bench_new(&kind);
    bench->command.address = json_pack("{s:i}", "unit", 1);
    bench_type(bench, NULL, NULL);
    *state = bench;
    return 0;
}

int bench_modbus_teardown(void **state)
{
    struct bench *bench = *state;
    json_decref((json_t *)bench->command.address);
    return bench_teardown(state);
}

static bool has_line(const char *text, const char *key)
{
    const char *found = text ? strstr(text, key) : NULL;
    return found && (found == text || found[-1] == '\n');
}

void bench_type(struct bench *bench, const char *modbus, const char *rest)
{
    struct sb_str text = { 0 };
    sb_str_add(&text, "modbus:\n");
    for (size_t i = 0; i < SB_COUNT(standard); i++)
        if (!has_line(modbus, standard[i].key))
            sb_str_add(&text, standard[i].line);
    sb_str_add(&text, modbus ? modbus : "");
    sb_str_add(&text, rest ? rest : properties);
    bench_load_type(bench, sb_str_get(&text));
    sb_str_done(&text);
}

const char *bench_firmware(const char *bootloader, const char *more)
{
    static char *kept;
    free(kept);
    kept =
        sb_format("  firmware:\n"
                  "    block: 128\n"
                  "    enter: [{ write: 61, value: 0xb007 }]\n"
                  "    bootloader:\n"
                  "      wait: 4s\n"
                  "%s"
                  "      probe: [{ poll: 0x9f00, ok: 0xb001, busy: [], timeout: 200ms }]\n"
                  "    erase:\n"
                  "    - { write: 0x9000, value: 1 }\n"
                  "    - { poll: 0x9001, ok: 0, busy: 1, every: 20ms, timeout: 5s }\n"
                  "    blocks:\n"
                  "    - { write: 0x9010, value: $offset, type: u32 }\n"
                  "    - { write: 0x9012, values: [$block, $length, $crc16] }\n"
                  "    - { data: 0x9100 }\n"
                  "    - { write: 0x9000, value: 2 }\n"
                  "    - { poll: 0x9001, ok: 0, busy: 1, every: 5ms, timeout: 3s,\n"
                  "        errors: { 2: repeat, 3: write_failed, 4: no_space, 6: not_ready, 8: "
                  "low_battery } }\n"
                  "    finish:\n"
                  "    - { write: 0x9003, value: $size, type: u32 }\n"
                  "    - { write: 0x9005, value: $image_crc16 }\n"
                  "    - { write: 0x9000, value: 3 }\n"
                  "    - { poll: 0x9001, ok: 0, busy: 1, errors: { 5: verify_failed } }\n"
                  "    reboot: [{ write: 0x9000, value: 5, once: true }]\n"
                  "    abort: [{ write: 0x9000, value: 4 }]\n"
                  "%s",
                  bootloader ? bootloader : "", more ? more : "    resume: { register: 0x9002 }\n");
    return kept;
}

void bench_line(struct bench *bench, const char *members, ...)
{
    sb_cleanup(sb_freep) char *device =
        sb_format("{\"unit\": 1%s%s}", members ? ", " : "", members ? members : "");
    const char *const words[] = { "--boot-time", "0.4", "--erase-time", "0.1", "--device",
                                  device,        NULL };
    va_list more;
    va_start(more, members);
    bench_simulate(bench, SIMULATOR, words, more, "ready");
    va_end(more);
}

const char *bench_image(struct bench *bench, const char *version, int size)
{
    sb_cleanup(sb_freep) char *name = sb_format("image-%s-%d", version, size);
    return bench_make_image(bench, SIMULATOR, name, version, size, NULL);
}

enum sb_cause bench_update(struct bench *bench, const char *version, int size)
{
    bench->image.version = version;
    return bench_run(bench, SB_OP_FIRMWARE_UPDATE, NULL,
                     bench_image(bench, version ? version : "2.0.0", size));
}

enum sb_cause bench_update_again(struct bench *bench, const char *version, int size, bool committed)
{
    bench->image.version = version;
    return bench_resume(bench, SB_OP_FIRMWARE_UPDATE, NULL,
                        bench_image(bench, version ? version : "2.0.0", size), committed);
}
