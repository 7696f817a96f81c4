/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a gateway bears many devices on one IBM link: the real core, conversations, outbox and
 * SQLite store on the real loop; connection, platform and devices are played here.
 *
 *     bench_ibm_load [DEVICES]
 *
 * Prints for each phase how long it took, the processor time of the loop's thread, the longest
 * turn (processor time, so that other programs on the machine do not count), and the memory.
 * Fails when the phases do not come to their end; the numbers themselves are not judged.
 */
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "adapters/dialects/ibm/ibm.h"
#include "adapters/transports/mqtt.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/core.h"
#include "bridge/store/store.h"
#include "tests/fakes/bench.h"
#include "tests/fakes/shelf.h"

#define BURST     64 /* events that the connection hands on in one turn */
#define PHASE_MAX (120 * SB_SECOND)
#define URI       "https://fw.example.com/2.0.0.bin"
#define TICK      10

/* ---- the loop's turns ---- */

static struct {
    int64_t begin, cpu, last, longest;
    unsigned turns, long_ones;
} meter;

static int64_t clock_us(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void on_turn(void *arg)
{
    (void)arg;
    int64_t now = clock_us(CLOCK_THREAD_CPUTIME_ID), spent = now - meter.last;
    meter.last = now;
    meter.turns++;
    meter.longest = SB_MAX(meter.longest, spent);
    meter.long_ones += spent > 5000;
}

static void meter_begin(void)
{
    int64_t cpu = clock_us(CLOCK_THREAD_CPUTIME_ID);
    meter.begin = clock_us(CLOCK_MONOTONIC);
    meter.cpu = meter.last = cpu;
    meter.turns = meter.long_ones = 0;
    meter.longest = 0;
}

static long resident_kib(void)
{
    char text[64] = { 0 };
    FILE *file = fopen("/proc/self/statm", "re");
    size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
    if (file)
        (void)fclose(file);
    const char *second = n ? strchr(text, ' ') : NULL;
    return second ? strtol(second, NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024) : 0;
}

static void meter_print(const char *phase)
{
    int64_t wall = clock_us(CLOCK_MONOTONIC) - meter.begin;
    int64_t cpu = clock_us(CLOCK_THREAD_CPUTIME_ID) - meter.cpu;
    (void)printf("%-28s %7.1f ms, cpu %7.1f ms, turns %5u, longest %6.2f ms, over 5 ms: %u, "
                 "memory %ld KiB\n",
                 phase, (double)wall / 1000, (double)cpu / 1000, meter.turns,
                 (double)meter.longest / 1000, meter.long_ones, resident_kib());
}

/* ---- the platform, in the place of the connection ---- */

struct happening {
    struct happening *next;
    enum sb_mqtt_event_kind kind;
    int64_t value;
    char *topic, *payload;
};

struct sb_mqtt {
    struct sb_loop *loop;
    sb_mqtt_fn fn;
    void *arg;
    struct sb_timer *timer;
    bool up;
    struct happening *first, **end;
    unsigned manages, responses, downloaded;
};
static struct sb_mqtt *platform;

static void happens(enum sb_mqtt_event_kind kind, int64_t value, char *topic, char *payload)
{
    struct happening *item = calloc(1, sizeof(*item));
    if (!item)
        abort();
    *item = (struct happening){ NULL, kind, value, topic, payload };
    *platform->end = item;
    platform->end = &item->next;
    if (!sb_timer_armed(platform->timer))
        sb_timer_in(platform->timer, 0);
}

static void forget(struct happening *item)
{
    free(item->topic);
    free(item->payload);
    free(item);
}

static void on_happening(void *arg)
{
    struct sb_mqtt *mqtt = arg;
    for (int i = 0; i < BURST && mqtt->first; i++) {
        struct happening *item = mqtt->first;
        mqtt->first = item->next;
        if (!mqtt->first)
            mqtt->end = &mqtt->first;
        mqtt->up = item->kind == SB_MQTT_UP || (mqtt->up && item->kind != SB_MQTT_DOWN);
        mqtt->fn(mqtt->arg,
                 &(struct sb_mqtt_event){ .kind = item->kind,
                                          .text = "closed",
                                          .topic = item->topic,
                                          .payload = item->payload,
                                          .size = item->payload ? strlen(item->payload) : 0,
                                          .value = item->value,
                                          .session_present = item->value != 0 });
        forget(item);
    }
    if (mqtt->first)
        sb_timer_in(mqtt->timer, 0);
}

int sb_mqtt_crew_new(struct sb_mqtt_crew **ret)
{
    *ret = NULL;
    return 0;
}

struct sb_mqtt_crew *sb_mqtt_crew_free(struct sb_mqtt_crew *crew)
{
    return crew;
}

void sb_mqtt_renew(struct sb_mqtt *mqtt)
{
    (void)mqtt;
}

int sb_mqtt_new(struct sb_loop *loop, struct sb_mqtt_crew *crew, sb_mqtt_login_fn login,
                sb_mqtt_fn fn, void *arg, struct sb_mqtt **ret)
{
    (void)crew;
    (void)login;
    struct sb_mqtt *mqtt = calloc(1, sizeof(*mqtt));
    if (!mqtt)
        return -ENOMEM;
    *mqtt = (struct sb_mqtt){ .loop = loop, .fn = fn, .arg = arg };
    mqtt->end = &mqtt->first;
    platform = mqtt;
    *ret = mqtt;
    return sb_timer_new(loop, on_happening, mqtt, &mqtt->timer);
}

void sb_mqtt_start(struct sb_mqtt *mqtt)
{
    (void)mqtt;
    happens(SB_MQTT_UP, 0, NULL, NULL);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* "iotdevice-1/type/T/id/D/WHAT" answered on "iotdm-1/type/T/id/D/response" */
static void reply(const char *topic, const char *what, const char *payload)
{
    sb_cleanup(json_decrefp) json_t *root = json_loads(payload, 0, NULL);
    const char *id = sb_json_str(root, "reqId");
    int stem = (int)(strlen(topic) - strlen("iotdevice-1/") - strlen(what));
    happens(SB_MQTT_MESSAGE, 0,
            sb_format("iotdm-1/%.*sresponse", stem, topic + strlen("iotdevice-1/")),
            sb_format("{\"rc\":200,\"reqId\":\"%s\"}", id ? id : ""));
}

int sb_mqtt_publish(struct sb_mqtt *mqtt, const char *topic, const void *payload, size_t n, int qos,
                    int64_t id)
{
    static const char *const asking[] = { "mgmt/manage", "notify", "add/diag/log",
                                          "add/diag/errorCodes" };
    (void)qos;
    if (!mqtt->up)
        return -EAGAIN;
    sb_cleanup(sb_freep) char *text = strndup(payload, n);
    mqtt->manages += ends_with(topic, "/mgmt/manage");
    mqtt->responses += ends_with(topic, "/response");
    mqtt->downloaded += ends_with(topic, "/notify") && text && strstr(text, "\"state\":2");
    happens(SB_MQTT_PUBACK, id, NULL, NULL);
    for (size_t i = 0; i < SB_COUNT(asking); i++)
        if (ends_with(topic, asking[i]))
            reply(topic, asking[i], text);
    return 0;
}

struct sb_mqtt *sb_mqtt_free(struct sb_mqtt *mqtt)
{
    while (mqtt && mqtt->first) {
        struct happening *item = mqtt->first;
        mqtt->first = item->next;
        forget(item);
    }
    if (mqtt)
        sb_timer_free(mqtt->timer);
    free(mqtt);
    platform = NULL;
    return NULL;
}

static void say(unsigned device, const char *suffix, const char *step, const char *rest)
{
    happens(SB_MQTT_MESSAGE, 0, sb_format("iotdm-1/type/pump/id/d%u/%s", device, suffix),
            sb_format("{\"reqId\":\"%s-%u\"%s}", step, device, rest));
}

/* ---- the gateway ---- */

static const struct sb_door_ops *const doors[] = { &sb_ibm_uplink, NULL };
static const struct sb_driver_ops *const drivers[] = { &bench_driver, NULL };
static const struct sb_port_ops *const transports[] = { NULL };
static const struct sb_adapters adapters = { doors, drivers, transports };

static unsigned devices = 1000;
static char directory[] = "/tmp/sb-load-XXXXXX";

static FILE *open_file(const char *name)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/%s", directory, name);
    FILE *file = path ? fopen(path, "we") : NULL;
    if (!file)
        abort();
    return file;
}

static void make_directory(const char *name)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/%s", directory, name);
    if (!path || mkdir(path, 0700) < 0)
        abort();
}

static void write_files(const char *source)
{
    make_directory("devices");
    make_directory("devices.d");
    sb_cleanup(sb_freep) char *relative = sb_format("%s/mappings/dialects", source);
    sb_cleanup(sb_freep) char *words = relative ? realpath(relative, NULL) : NULL;
    sb_cleanup(sb_freep) char *dialects = sb_format("%s/dialects", directory);
    if (!words || !dialects || symlink(words, dialects) < 0)
        abort();
    FILE *file = open_file("devices/pump.yaml");
    (void)fputs("name: pump\ndriver: bench\nverify: version\n", file);
    (void)fclose(file);
    file = open_file("devices.d/all.yaml");
    (void)fputs("devices:\n", file);
    for (unsigned i = 0; i < devices; i++)
        (void)fprintf(file, "  - { id: d%u, type: pump }\n", i);
    (void)fclose(file);
    file = open_file("token");
    (void)fputs("secret\n", file);
    (void)fclose(file);
    file = open_file("southbridge.yaml");
    (void)fprintf(file,
                  "state: %s\nmappings: [ %s ]\ndevices: %s/devices.d\n"
                  "links:\n  cloud: { dialect: ibm, role: uplink, uri: \"mqtt://localhost\", "
                  "org: org123, type: gw, id: gw1, token: \"file:%s/token\" }\n",
                  directory, directory, directory, directory);
    (void)fclose(file);
}

static struct sb_loop *loop;
static struct sb_timer *tick;
static struct sb_core *core;
static struct sb_config *config;
static bool (*done)(void);
static bool reached; /* in some turn, if not for ever: more may come of itself */
static int64_t deadline;

static void on_tick(void *arg)
{
    (void)arg;
    reached = done();
    if (reached || sb_loop_now(loop) > deadline)
        sb_loop_stop(loop);
    else
        sb_timer_in(tick, TICK);
}

static bool run_until(bool (*condition)(void), const char *phase)
{
    done = condition;
    deadline = sb_loop_now(loop) + PHASE_MAX;
    sb_timer_in(tick, TICK);
    (void)sb_loop_run(loop);
    meter_print(phase);
    if (reached)
        return true;
    (void)fprintf(stderr, "%s: not done in time (manage %u, responses %u, downloaded %u)\n", phase,
                  platform->manages, platform->responses, platform->downloaded);
    return false;
}

static bool all_managed(void)
{
    return platform->manages >= devices + 1 && !platform->first;
}

static bool all_prepared(void)
{
    return platform->responses >= 2 * devices;
}

static bool all_downloaded(void)
{
    return platform->responses >= 3 * devices && platform->downloaded >= devices;
}

static void boot(void)
{
    struct sb_core_parts parts = {
        .loop = loop, .config = config, .adapters = &adapters, .fetcher_ops = &shelf_ops
    };
    sb_cleanup(sb_freep) char *path = sb_format("%s/state.db", directory);
    sb_cleanup(sb_freep) char *error = NULL;
    if (sb_sqlite_open(loop, path, &parts.backend_ops, &parts.backend, &error) < 0 ||
        sb_core_new(&parts, &core) < 0 || sb_core_start(core) < 0)
        abort();
}

static void set_up(const char *source)
{
    struct sb_diags diags = { 0 };
    if (!mkdtemp(directory))
        abort();
    write_files(source);
    sb_cleanup(sb_freep) char *path = sb_format("%s/southbridge.yaml", directory);
    if (sb_config_load(path, &config, &diags) < 0) {
        (void)fprintf(stderr, "%s\n", sb_diags_text(&diags));
        abort();
    }
    sb_diags_done(&diags);
    sb_log_setup(getenv("SB_VERBOSE") ? SB_LOG_DEBUG : SB_LOG_ERROR, SB_LOG_LOGFMT);
    if (sb_loop_new(&loop) < 0 || sb_timer_new(loop, on_tick, NULL, &tick) < 0)
        abort();
    bench_reset();
    shelf_reset();
    bench_power_on(loop);
    shelf_power_on(loop);
    shelf.step_ms = 1;
}

static void tear_down(void)
{
    sb_core_free(core);
    bench_power_off();
    bench_reset();
    shelf_reset();
    sb_timer_free(tick);
    sb_loop_free(loop);
    sb_config_free(config);
    sb_cleanup(sb_freep) char *command = sb_format("rm -rf '%s'", directory);
    if (!command || system(command) != 0) // NOLINT(cert-env33-c): our own directory
        (void)fprintf(stderr, "%s stays behind\n", directory);
}

static bool phases(void)
{
    static const char field[] = ",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\"%s}]}";
    sb_cleanup(sb_freep) char *observe = sb_format(field, "");
    sb_cleanup(sb_freep) char *update =
        sb_format(field, ",\"value\":{\"version\":\"2.0.0\",\"name\":\"n\",\"uri\":\"" URI
                         "\",\"verifier\":\"\",\"state\":0,\"updateStatus\":0}");
    meter_begin();
    boot();
    meter_print("load and start");
    if (sb_loop_on_turn_end(loop, on_turn, NULL) < 0)
        return false;
    meter_begin();
    if (!run_until(all_managed, "connect, manage all"))
        return false;

    meter_begin();
    for (unsigned i = 0; i < devices; i++) {
        say(i, "device/update", "u", update);
        say(i, "observe", "o", observe);
    }
    if (!run_until(all_prepared, "device/update, observe"))
        return false;

    meter_begin();
    for (unsigned i = 0; i < devices; i++)
        say(i, "mgmt/initiate/firmware/download", "d", "");
    if (!run_until(all_downloaded, "download on all"))
        return false;

    meter_begin();
    platform->manages = 0;
    happens(SB_MQTT_DOWN, 1000, NULL, NULL);
    happens(SB_MQTT_UP, 1, NULL, NULL);
    if (!run_until(all_managed, "reconnect"))
        return false;

    core = sb_core_free(core);
    meter_begin();
    boot();
    meter_print("load and start again");
    meter_begin();
    return run_until(all_managed, "connect after a restart");
}

int main(int argc, char **argv)
{
    const char *source = getenv("SB_SOURCE");
    devices = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : devices;
    set_up(source ? source : ".");
    bool good = phases();
    tear_down();
    return good ? 0 : 1;
}
