/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The glue between a dialect, a connection and the host, with all three played by the test: a
 * dialect whose conversation does what the test says, and stand-ins for sb_mqtt_* and sb_host_*.
 */
#include "adapters/dialects/uplink.h"

#include <errno.h>
#include <stdio.h>

#include "adapters/transports/mqtt.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/ibm_world.h"
#include "tests/fakes/loop_sim.h"
#include "tests/test.h"

static const char *const news_names[] = { "task",     "device_added", "device_removed", "presence",
                                          "identity", "firmware",     "staged" };
static const char *const class_names[] = { "passing", "progress", "answer", "final" };

/* ---- what happened, as lines of text ---- */

static struct sb_str happened;

static void record(const char *fmt, ...) SB_PRINTF(1, 2);
static void record(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(&happened, fmt, ap);
    va_end(ap);
    sb_str_add(&happened, "\n");
}

static void check_at(int line, const char *wanted)
{
    if (strcmp(sb_str_get(&happened), wanted) != 0)
        fail_msg("line %d, happened:\n%swanted:\n%s", line, sb_str_get(&happened), wanted);
    sb_str_done(&happened);
}
#define check(wanted) check_at(__LINE__, wanted)

/* ---- the connection ---- */

struct sb_mqtt { /* the link's own is the one of which the tests speak without a number */
    sb_mqtt_login_fn login;
    sb_mqtt_fn fn;
    void *arg;
    bool freed;
};
static struct sb_mqtt connections[24];
static size_t connection_count;
static int publish_error;

int sb_mqtt_crew_new(struct sb_mqtt_crew **ret)
{
    *ret = NULL;
    return 0;
}

struct sb_mqtt_crew *sb_mqtt_crew_free(struct sb_mqtt_crew *crew)
{
    return crew;
}

/* " 2" of the third, nothing of the first */
static const char *number_of(const struct sb_mqtt *mqtt)
{
    static char text[8];
    (void)snprintf(text, sizeof(text), " %d", (int)(mqtt - connections));
    return mqtt == connections ? "" : text;
}

int sb_mqtt_new(struct sb_loop *loop, struct sb_mqtt_crew *crew, sb_mqtt_login_fn login,
                sb_mqtt_fn fn, void *arg, struct sb_mqtt **ret)
{
    (void)loop;
    (void)crew;
    if (connections[0].freed) /* the daemon was restarted */
        connection_count = 0;
    assert_true(connection_count < SB_COUNT(connections));
    *ret = &connections[connection_count++];
    **ret = (struct sb_mqtt){ login, fn, arg, false };
    return 0;
}

void sb_mqtt_start(struct sb_mqtt *mqtt)
{
    record("start%s", number_of(mqtt));
}

void sb_mqtt_renew(struct sb_mqtt *mqtt)
{
    record("renew%s", number_of(mqtt));
}

int sb_mqtt_publish(struct sb_mqtt *mqtt, const char *topic, const void *payload, size_t n, int qos,
                    int64_t id)
{
    record("publish%s %s %.*s qos %d id %lld", number_of(mqtt), topic, (int)n,
           (const char *)payload, qos, (long long)id);
    return publish_error;
}

struct sb_mqtt *sb_mqtt_free(struct sb_mqtt *mqtt)
{
    if (mqtt && mqtt != connections)
        record("free%s", number_of(mqtt));
    if (mqtt)
        mqtt->freed = true;
    return NULL;
}

static void event_on(size_t which, enum sb_mqtt_event_kind kind, int64_t value)
{
    assert_false(connections[which].freed);
    connections[which].fn(
        connections[which].arg,
        &(struct sb_mqtt_event){
            .kind = kind, .value = value, .text = "broken pipe", .session_present = value != 0 });
}

static void event(enum sb_mqtt_event_kind kind, int64_t value)
{
    event_on(0, kind, value);
}

static void arrives_on(size_t which, const char *topic, const char *payload)
{
    connections[which].fn(
        connections[which].arg,
        &(struct sb_mqtt_event){
            .kind = SB_MQTT_MESSAGE, .topic = topic, .payload = payload, .size = strlen(payload) });
}

static void arrives(const char *topic, const char *payload)
{
    arrives_on(0, topic, payload);
}

/* ---- the host ---- */

struct sb_host {
    struct sb_loop *loop;
    struct sb_device *devices[64];
    json_t *saved;
    int error; /* of what may fail */
    bool ready;
    struct sb_verdict verdict; /* of the next submit */
    struct sb_task *task;      /* the one that is open */
    char kept[64];             /* the message that was kept last, and on which connection */
    const char *lost, *on;     /* a message to be heard again */
};
static struct sb_host host;

struct sb_loop *sb_host_loop(struct sb_host *h)
{
    return h->loop;
}

const struct sb_device *sb_host_device_at(struct sb_host *h, size_t index)
{
    return index < SB_COUNT(h->devices) ? h->devices[index] : NULL;
}

const struct sb_device *sb_host_device(struct sb_host *h, const char *id)
{
    for (size_t i = 0; i < SB_COUNT(h->devices) && h->devices[i]; i++) {
        if (sb_streq(h->devices[i]->id, id))
            return h->devices[i];
    }
    return NULL;
}

const struct sb_device *sb_host_find(struct sb_host *h, const char *dialect, const char *name)
{
    for (size_t i = 0; i < SB_COUNT(h->devices) && h->devices[i]; i++) {
        if (sb_streq(sb_device_name(h->devices[i], dialect), name))
            return h->devices[i];
    }
    return NULL;
}

const struct sb_package *sb_host_staged(struct sb_host *h, const struct sb_device *device)
{
    (void)h;
    (void)device;
    return NULL;
}

int sb_host_submit(struct sb_host *h, struct sb_door *door, const struct sb_request *request,
                   struct sb_verdict *ret)
{
    sb_cleanup(sb_freep) char *params = sb_json_text(request->params);
    record("submit %s %s for %s as %s: %s", door->link, sb_op_name((int)request->op),
           request->devices[0], request->external_id, params ? params : "-");
    if (h->error)
        return h->error;
    *ret = h->verdict;
    ret->text = h->verdict.text ? strdup(h->verdict.text) : NULL;
    return 0;
}

int sb_host_cancel(struct sb_host *h, struct sb_door *door, int64_t task, enum sb_cause cause)
{
    (void)door;
    record("cancel %lld %s", (long long)task, sb_cause_name((int)cause));
    return h->error;
}

const struct sb_task *sb_host_task(struct sb_host *h, int64_t task)
{
    return h->task && h->task->id == task ? h->task : NULL;
}

int sb_host_set_fact(struct sb_host *h, struct sb_door *door, const char *device, const char *name,
                     const json_t *value)
{
    (void)door;
    sb_cleanup(sb_freep) char *text = sb_json_text(value);
    record("fact %s %s %s", device, name, text);
    return h->error;
}

int sb_host_unstage(struct sb_host *h, struct sb_door *door, const char *device)
{
    (void)door;
    record("unstage %s", device);
    return h->error;
}

int sb_host_save(struct sb_host *h, struct sb_door *door, const char *device, const json_t *state)
{
    (void)door;
    sb_cleanup(sb_freep) char *text = sb_json_text(state);
    record("save '%s' %s", device, text ? text : "nothing");
    if (h->error)
        return h->error;
    if (!state)
        json_object_del(h->saved, device);
    else
        (void)json_object_set_new(h->saved, device, json_deep_copy(state));
    return 0;
}

json_t *sb_host_saved(struct sb_host *h, struct sb_door *door, const char *device)
{
    (void)door;
    return json_deep_copy(json_object_get(h->saved, device));
}

int sb_host_put(struct sb_host *h, struct sb_door *door, struct sb_parcel *parcel)
{
    (void)door;
    record("put %s of %s%s%s: %s %.*s key %s token %s task %lld", class_names[parcel->class],
           parcel->device ? parcel->device : "-", parcel->connection ? " on " : "",
           parcel->connection ? parcel->connection : "", parcel->topic, (int)parcel->size,
           (const char *)parcel->payload, parcel->key ? parcel->key : "-",
           parcel->token ? parcel->token : "-", (long long)parcel->task);
    return h->error;
}

void sb_host_settle(struct sb_host *h, struct sb_door *door, int64_t parcel)
{
    (void)h;
    (void)door;
    record("settle %lld", (long long)parcel);
}

bool sb_host_settle_token(struct sb_host *h, struct sb_door *door, const char *device,
                          const char *token)
{
    (void)h;
    (void)door;
    record("settle token %s of %s", token, device ? device : "-");
    return true;
}

void sb_host_link(struct sb_host *h, struct sb_door *door, bool up, const char *text)
{
    (void)h;
    record("link %s %s: %s", door->link, up ? "up" : "down", text);
}

void sb_host_connection(struct sb_host *h, struct sb_door *door, const char *connection, bool up)
{
    (void)h;
    (void)door;
    if (connection)
        record("connection %s %s", connection, up ? "up" : "down");
}

void sb_host_connection_gone(struct sb_host *h, struct sb_door *door, const char *connection)
{
    (void)h;
    (void)door;
    record("connection %s gone", connection);
}

void sb_host_keep(struct sb_host *h, struct sb_door *door, const char *connection,
                  const char *topic, const void *payload, size_t n)
{
    (void)door;
    (void)snprintf(h->kept, sizeof(h->kept), "%s %.*s %s", topic, (int)n, (const char *)payload,
                   connection ? connection : "-");
}

void sb_host_supply(struct sb_host *h, struct sb_door *door, const struct sb_piece *piece)
{
    (void)h;
    (void)door;
    (void)piece;
}

void sb_host_recall(struct sb_host *h, struct sb_door *door, const char *connection,
                    sb_recall_fn fn, void *arg)
{
    (void)door;
    if (h->lost && sb_streq(h->on, connection))
        fn(arg, SB_STEAL(h->lost), "lost", 4);
}

bool sb_host_ready(struct sb_host *h, struct sb_door *door, const char **ret_why)
{
    (void)door;
    if (ret_why)
        *ret_why = h->ready ? NULL : "not now";
    return h->ready;
}

bool sb_host_durable(struct sb_host *h)
{
    return h->ready;
}

void sb_verdict_done(struct sb_verdict *verdict)
{
    free(verdict->text);
    *verdict = (struct sb_verdict){ 0 };
}

/* ---- the dialect ---- */

static void (*plan)(const struct sb_input *input,
                    struct sb_effects *effects); /* of the next step */
static bool plan_stays;
static int step_error;

struct talk {
    int steps;
};

static void *talk_load(const json_t *saved)
{
    struct talk *talk = calloc(1, sizeof(*talk));
    if (talk)
        talk->steps = (int)sb_json_int(saved, "steps", 0);
    return talk;
}

static json_t *talk_save(const void *state)
{
    return json_pack("{s:i}", "steps", ((const struct talk *)state)->steps);
}

static int talk_decode(const struct sb_words *words, const void *config, const char *topic,
                       const void *payload, size_t n, struct sb_message *ret)
{
    (void)config;
    assert_string_equal(sb_words_dialect(words), "ibm");
    if (strncmp(topic, "in/", 3) != 0)
        return sb_streq(topic, "broken") ? -ENOMEM : -ENOMSG;
    ret->name = topic[3] ? strdup(topic + 3) : NULL;
    ret->what = strndup(payload, n);
    return 0;
}

static const char *const kinds[] = { "message", "news", "verdict", "timer",
                                     "up",      "down", "told",    "loaded" };

static int talk_step(void *state, const struct sb_input *input, struct sb_effects *effects)
{
    struct talk *talk = state;
    sb_cleanup(sb_freep) char *detail =
        input->told      ? sb_format("%s by %s: %s", input->tag, input->from ? input->from : "self",
                                     sb_json_str(input->told, "text"))
        : input->message ? sb_format("%s", input->message->what)
        : input->verdict ? sb_format("%s %s", input->tag, sb_cause_name((int)input->verdict->cause))
        : input->news    ? sb_format("%s %lld", news_names[input->news->kind],
                                     (long long)(input->news->task ? input->news->task->id : 0))
        : input->tag     ? strdup(input->tag)
                         : sb_format("%lld", (long long)input->value);
    record("%s %s%s%s: %s%s%s", kinds[input->kind], input->self ? "self" : input->name,
           input->device ? " " : "", input->device ? input->device->id : "", detail,
           input->backlog ? " backlog" : "", input->ready ? "" : " not ready");
    talk->steps++;
    void (*now)(const struct sb_input *, struct sb_effects *) = plan;
    if (!plan_stays)
        plan = NULL;
    if (now)
        now(input, effects);
    return step_error;
}

static int talk_connect(const struct sb_words *words, const void *config, const char *name,
                        int64_t wall, struct sb_connect *ret, char **ret_error)
{
    (void)words;
    (void)config;
    (void)ret;
    *ret_error = sb_format("%s%sat %lld", name ? name : "", name ? " " : "", (long long)wall);
    return -EACCES;
}

static const struct sb_dialect_ops talk = { .name = "talk",
                                            .connect = talk_connect,
                                            .decode = talk_decode,
                                            .load = talk_load,
                                            .save = talk_save,
                                            .drop = free,
                                            .step = talk_step };
static const struct sb_door_ops ops = { .dialect = "talk", .role = "uplink", .adapter = &talk };

/* ---- setting up ---- */

static struct sb_door *door;
static struct sb_device pump = { .id = "pump-7" }, valve = { .id = "valve-1" },
                        gateway = { .id = "gw", .gateway = true };

static void opens(void)
{
    assert_int_equal(sb_uplink_open(&ops, &host, "cloud", NULL, core_words(&sb_ibm_shape), &door),
                     0);
    sb_uplink_start(door);
}

static int set_up(void **state)
{
    (void)state;
    host = (struct sb_host){ .ready = true, .saved = json_object() };
    pump.names = json_pack("{s:s}", "talk", "pump/p7");
    valve.names = json_pack("{s:s}", "talk", "valve/v1");
    gateway.names = json_pack("{s:s}", "talk", "gw/1");
    host.devices[0] = &gateway;
    host.devices[1] = &pump;
    plan = NULL;
    plan_stays = false;
    publish_error = step_error = 0;
    connection_count = 0;
    connections[0].freed = false;
    return sb_loop_new(&host.loop);
}

static int tear_down(void **state)
{
    (void)state;
    if (door)
        sb_uplink_close(door);
    door = NULL;
    sb_loop_free(host.loop);
    json_decref(host.saved);
    json_decref(pump.names);
    json_decref(valve.names);
    json_decref(gateway.names);
    sb_str_done(&happened);
    return 0;
}

static void is_up(void)
{
    opens();
    event(SB_MQTT_UP, 0);
    sb_str_done(&happened);
}

/* ---- plans ---- */

static void plan_send(const struct sb_input *input, struct sb_effects *effects)
{
    (void)input;
    struct sb_output *output = sb_effects_add(effects, SB_OUT_SEND);
    output->topic = strdup("out/x");
    output->json = json_pack("{s:i}", "a", 1);
    output->qos = 1;
    output->class = SB_PARCEL_FINAL;
    output->key = strdup("k");
    output->token = strdup("t1");
    output->task = 9;
    effects->save = true;
}

static void plan_submit(const struct sb_input *input, struct sb_effects *effects)
{
    (void)input;
    struct sb_output *output = sb_effects_add(effects, SB_OUT_SUBMIT);
    output->tag = strdup("r1");
    output->id = strdup("r1");
    output->op = SB_OP_REBOOT;
    output->json = json_object();
    plan_send(input, effects); /* comes after the verdict */
}

static void plan_rest(const struct sb_input *input, struct sb_effects *effects)
{
    (void)input;
    struct sb_output *output = sb_effects_add(effects, SB_OUT_CANCEL);
    output->task = 5;
    output->cause = SB_CAUSE_OVERRIDDEN;
    output = sb_effects_add(effects, SB_OUT_FACT);
    output->name = strdup("location");
    output->json = json_integer(7);
    sb_effects_add(effects, SB_OUT_UNSTAGE);
    output = sb_effects_add(effects, SB_OUT_SETTLE);
    output->token = strdup("t9");
    output = sb_effects_add(effects, SB_OUT_NOTE);
    output->text = strdup("noted");
}

static void plan_timer(const struct sb_input *input, struct sb_effects *effects)
{
    static int64_t wait = 1000;
    (void)input;
    struct sb_output *output = sb_effects_add(effects, SB_OUT_TIMER);
    output->tag = strdup("tick");
    output->value = wait;
}

static void plan_stop(const struct sb_input *input, struct sb_effects *effects)
{
    plan_timer(input, effects);
    effects->list[0].value = -1;
}

static void plan_look(const struct sb_input *input, struct sb_effects *effects)
{
    (void)input;
    sb_effects_add(effects, SB_OUT_LOOK)->task = 42;
}

static void plan_current(const struct sb_input *input, struct sb_effects *effects)
{
    if (input->self)
        sb_effects_add(effects, SB_OUT_CURRENT);
}

static void plan_tell(const struct sb_input *input, struct sb_effects *effects)
{
    struct sb_output *output = sb_effects_add(effects, SB_OUT_TELL);
    output->name = input->self ? strdup("pump/p7") : NULL;
    output->tag = strdup("part");
    output->json = json_pack("{s:s}", "text", "yours");
}

static void plan_tell_nobody(const struct sb_input *input, struct sb_effects *effects)
{
    plan_tell(input, effects);
    free(effects->list[0].name);
    effects->list[0].name = strdup("pump/p9");
}

static void plan_renew(const struct sb_input *input, struct sb_effects *effects)
{
    (void)input;
    sb_effects_add(effects, SB_OUT_RENEW);
}

static void plan_bytes(const struct sb_input *input, struct sb_effects *effects)
{
    (void)input;
    struct sb_output *output = sb_effects_add(effects, SB_OUT_SEND);
    output->topic = strdup("out/x");
    output->bytes = strdup("not json");
    output->size = 3;
    output = sb_effects_add(effects, SB_OUT_SEND);
    output->topic = strdup("out/empty");
}

static void plan_equal(const struct sb_input *input, struct sb_effects *effects)
{
    plan_submit(input, effects);
    free(SB_STEAL(effects->list[0].id));
}

static void plan_saving(const struct sb_input *input, struct sb_effects *effects)
{
    (void)input;
    effects->save = true;
}

/* ---- tests ---- */

#define TEST(name) SB_TEST(name, set_up, tear_down)

TEST(a_connect_tells_everybody_once)
{
    host.devices[2] = &valve;
    opens();
    check("start\n");
    char *error = NULL;
    struct sb_connect login = { 0 };
    assert_int_equal(connections[0].login(connections[0].arg, &login, &error), -EACCES);
    sb_cleanup(sb_freep) char *at = sb_format("at %lld", (long long)SB_SIM_WALL);
    assert_string_equal(error, at);
    free(error);
    event(SB_MQTT_UP, 0);
    check("link cloud up: connected\n"
          "up self gw: -1\n"
          "up pump/p7 pump-7: -1\n"
          "up valve/v1 valve-1: -1\n"
          "save '' {\"seen\":1767571200000,\"state\":{\"steps\":1}}\n");
    sb_sim_advance(host.loop, 5 * SB_SECOND);
    event(SB_MQTT_DOWN, 2000);
    check("save '' {\"seen\":1767571205000,\"state\":{\"steps\":1}}\n"
          "link cloud down: broken pipe; next try in 2s\n"
          "down self gw: 0 backlog\n"
          "down pump/p7 pump-7: 0 backlog\n"
          "down valve/v1 valve-1: 0 backlog\n");
    event(SB_MQTT_DOWN, 4000);
    check("link cloud down: broken pipe; next try in 4s\n");
    sb_sim_advance(host.loop, 7 * SB_SECOND);
    event(SB_MQTT_UP, 0);
    check("link cloud up: connected\n"
          "up self gw: 7000\n"
          "up pump/p7 pump-7: 7000\n"
          "up valve/v1 valve-1: 7000\n"
          "save '' {\"seen\":1767571212000,\"state\":{\"steps\":3}}\n");
}

TEST(messages_find_their_conversation)
{
    is_up();
    arrives("in/pump/p7", "hello");
    check("message pump/p7 pump-7: hello\n");
    arrives("in/", "gateway");
    arrives("in/gw/1", "by its name");
    check("message self gw: gateway\nmessage self gw: by its name\n");
    arrives("in/nobody", "who?");
    check("message nobody: who?\n");
    arrives("elsewhere", "x");
    arrives("broken", "x");
    check("");
    host.ready = false;
    arrives("in/pump/p7", "now");
    check("message pump/p7 pump-7: now not ready\n");
}

TEST(a_message_that_is_heard_again)
{
    is_up();
    arrives("in/pump/p7", "hello");
    assert_string_equal(host.kept, "in/pump/p7 hello -");
    arrives("elsewhere", "x"); /* nothing that is answered */
    assert_string_equal(host.kept, "in/pump/p7 hello -");
    event(SB_MQTT_DOWN, 2000);
    host.lost = "in/pump/p7";
    sb_str_done(&happened);
    event(SB_MQTT_UP, 0);
    const char *again = strstr(sb_str_get(&happened), "message pump/p7 pump-7: lost\n");
    assert_non_null(again);
    assert_true(strstr(sb_str_get(&happened), "up pump/p7 pump-7:") < again);
    sb_str_done(&happened);
    assert_string_equal(host.kept, "in/pump/p7 lost -"); /* it may be lost again */
}

TEST(a_strangers_conversation_leaves_nothing_behind)
{
    is_up();
    plan = plan_submit;
    arrives("in/nobody", "x");
    check("message nobody: x\n"
          "put final of -: out/x {\"a\":1} key k token t1 task 9\n");
    plan = plan_rest;
    arrives("in/nobody", "x");
    check("message nobody: x\nsettle token t9 of -\n");
    plan = plan_timer;
    arrives("in/nobody", "x");
    check("message nobody: x\n");
    sb_sim_advance(host.loop, 2 * SB_SECOND);
    check("");
}

TEST(what_a_step_puts_out_is_done_in_order)
{
    is_up();
    plan = plan_submit;
    host.verdict = (struct sb_verdict){ .task = 42 };
    arrives("in/pump/p7", "x");
    check("message pump/p7 pump-7: x\n"
          "submit cloud reboot for pump-7 as r1: {}\n"
          "verdict pump/p7 pump-7: r1 none\n"
          "put final of pump-7: out/x {\"a\":1} key k token t1 task 9\n"
          "save 'pump-7' {\"steps\":3}\n");
    plan = plan_rest;
    arrives("in/pump/p7", "y");
    check("message pump/p7 pump-7: y\n"
          "cancel 5 overridden\n"
          "fact pump-7 location 7\n"
          "unstage pump-7\n"
          "settle token t9 of pump-7\n");
    host.error = -EIO; /* each goes on after the other's failure */
    plan = plan_rest;
    arrives("in/pump/p7", "z");
    check("message pump/p7 pump-7: z\n"
          "cancel 5 overridden\n"
          "fact pump-7 location 7\n"
          "unstage pump-7\n"
          "settle token t9 of pump-7\n");
}

TEST(the_gateways_facts_go_to_its_record)
{
    is_up();
    plan = plan_rest;
    arrives("in/", "x");
    check("message self gw: x\n"
          "cancel 5 overridden\n"
          "fact gw location 7\n"
          "settle token t9 of -\n");
}

TEST(a_core_that_fails_is_a_verdict)
{
    is_up();
    plan = plan_submit;
    host.error = -ENOMEM;
    arrives("in/pump/p7", "x");
    check("message pump/p7 pump-7: x\n"
          "submit cloud reboot for pump-7 as r1: {}\n"
          "verdict pump/p7 pump-7: r1 internal\n"
          "put final of pump-7: out/x {\"a\":1} key k token t1 task 9\n"
          "save 'pump-7' {\"steps\":3}\n");
}

TEST(an_existing_task_is_shown_at_once)
{
    is_up();
    struct sb_job job = { .origin = "cloud", .op = SB_OP_REBOOT };
    struct sb_task task = { .id = 42, .job = &job, .state = SB_TASK_RUNNING };
    host.task = &task;
    host.verdict = (struct sb_verdict){ .task = 42, .existing = true };
    plan = plan_submit;
    arrives("in/pump/p7", "x");
    check("message pump/p7 pump-7: x\n"
          "submit cloud reboot for pump-7 as r1: {}\n"
          "verdict pump/p7 pump-7: r1 none\n"
          "news pump/p7 pump-7: task 42\n"
          "put final of pump-7: out/x {\"a\":1} key k token t1 task 9\n"
          "save 'pump-7' {\"steps\":4}\n");
}

TEST(looks)
{
    is_up();
    struct sb_job job = { .origin = "cloud", .op = SB_OP_REBOOT };
    struct sb_task task = { .id = 42, .job = &job, .state = SB_TASK_RUNNING };
    host.task = &task;
    plan = plan_look;
    arrives("in/pump/p7", "own");
    job.origin = "native";
    plan = plan_look;
    arrives("in/pump/p7", "another's");
    host.task = NULL;
    plan = plan_look;
    arrives("in/pump/p7", "lost");
    check("message pump/p7 pump-7: own\nnews pump/p7 pump-7: task 42\n"
          "message pump/p7 pump-7: another's\nnews pump/p7 pump-7: firmware 42\n"
          "message pump/p7 pump-7: lost\nnews pump/p7 pump-7: task 0\n");
}

TEST(a_conversation_that_talks_to_itself_is_stopped)
{
    is_up();
    plan = plan_look;
    plan_stays = true;
    arrives("in/pump/p7", "x");
    plan_stays = false;
    plan = NULL;
    assert_in_range(happened.length, 100, 1000);
}

TEST(timers)
{
    is_up();
    plan = plan_timer;
    arrives("in/pump/p7", "set");
    sb_sim_advance(host.loop, 900);
    plan = plan_timer; /* anew */
    arrives("in/pump/p7", "again");
    sb_sim_advance(host.loop, 900);
    check("message pump/p7 pump-7: set\nmessage pump/p7 pump-7: again\n");
    plan = plan_timer; /* from inside */
    sb_sim_advance(host.loop, 100);
    check("timer pump/p7 pump-7: tick\n");
    sb_sim_advance(host.loop, 1000);
    check("timer pump/p7 pump-7: tick\n");
    plan = plan_timer;
    arrives("in/pump/p7", "set");
    plan = plan_stop;
    arrives("in/pump/p7", "stop");
    sb_str_done(&happened);
    sb_sim_advance(host.loop, 5000);
    check("");
    plan = plan_timer;
    arrives("in/pump/p7", "left armed at the close");
}

TEST(conversations_come_back)
{
    is_up();
    plan = plan_saving;
    arrives("in/pump/p7", "x");
    sb_uplink_close(door);
    sb_str_done(&happened);
    sb_sim_advance(host.loop, SB_HOUR);
    plan = plan_look;
    opens();
    check("loaded self gw: 0 backlog\nnews self gw: task 0 backlog\nstart\n");
    arrives("in/pump/p7", "queued at the broker");
    check(
        "loaded pump/p7 pump-7: 0 backlog\nmessage pump/p7 pump-7: queued at the broker backlog\n");
    event(SB_MQTT_UP, 1);
    check("link cloud up: connected\n"
          "up self gw: 3600000 backlog\n"
          "up pump/p7 pump-7: 3600000 backlog\n"
          "save '' {\"seen\":1767574800000,\"state\":{\"steps\":4}}\n");
}

TEST(the_backlog_ends_when_the_dialect_says_so)
{
    opens();
    event(SB_MQTT_UP, 1);
    sb_str_done(&happened);
    arrives("in/pump/p7", "a");
    plan = plan_current;
    arrives("in/", "b");
    arrives("in/pump/p7", "c");
    check("message pump/p7 pump-7: a backlog\nmessage self gw: b backlog\n"
          "message pump/p7 pump-7: c\n");
}

TEST(a_device_that_comes_late)
{
    is_up();
    host.devices[2] = &valve;
    sb_uplink_hear(door, &(struct sb_news){ .kind = SB_NEWS_DEVICE_ADDED, .device = &valve });
    check("up valve/v1 valve-1: -1\nnews valve/v1 valve-1: device_added 0\n");
}

TEST(a_device_that_goes)
{
    is_up();
    plan = plan_timer;
    arrives("in/pump/p7", "x");
    plan = plan_send;
    host.devices[1] = NULL;
    sb_uplink_hear(door, &(struct sb_news){ .kind = SB_NEWS_DEVICE_REMOVED, .device = &pump });
    check("message pump/p7 pump-7: x\n"
          "news pump/p7 pump-7: device_removed 0\n"
          "put final of -: out/x {\"a\":1} key k token t1 task 9\n"
          "save 'pump-7' {\"steps\":3}\n"
          "save 'pump-7' nothing\n");
    sb_sim_advance(host.loop, 5000);
    struct sb_job job = { .origin = "cloud" };
    struct sb_task task = { .id = 1, .job = &job, .device = "pump-7" };
    sb_uplink_hear(door, &(struct sb_news){ .kind = SB_NEWS_TASK, .task = &task });
    check("");
}

TEST(news_of_a_task_whose_device_is_gone)
{
    is_up();
    host.devices[1] = NULL;
    struct sb_job job = { .origin = "cloud" };
    struct sb_task task = { .id = 1, .job = &job, .device = "pump-7" };
    sb_uplink_hear(door, &(struct sb_news){ .kind = SB_NEWS_TASK, .task = &task });
    check("news pump/p7: task 1\n");
}

TEST(a_step_that_fails_does_nothing)
{
    is_up();
    plan = plan_send;
    step_error = -ENOMEM;
    arrives("in/pump/p7", "x");
    check("message pump/p7 pump-7: x\n");
}

static int send(int64_t id, const char *token)
{
    return sb_uplink_send(
        door,
        &(struct sb_parcel){
            .id = id, .topic = "out/x", .payload = "{}", .size = 2, .qos = 1, .token = token });
}

TEST(parcels_settle_by_puback_or_reply)
{
    opens();
    assert_int_equal(send(1, NULL), -EAGAIN);
    event(SB_MQTT_UP, 0);
    sb_str_done(&happened);
    assert_int_equal(send(1, NULL), 0);
    event(SB_MQTT_PUBACK, 1);
    check("publish out/x {} qos 1 id 1\nsettle 1\n");
    assert_int_equal(send(2, "t9"), 0);
    event(SB_MQTT_PUBACK, 2);
    check("publish out/x {} qos 1 id 2\n");
    plan = plan_rest;
    arrives("in/pump/p7", "reply");
    assert_non_null(strstr(sb_str_get(&happened), "settle 2\n"));
    sb_str_done(&happened);
    sb_sim_advance(host.loop, SB_HOUR); /* nothing is awaited any more */
    assert_null(strstr(sb_str_get(&happened), "settle 2"));
}

/* Its device has another name by now, or is gone. */
TEST(a_reply_on_another_name_settles_too)
{
    is_up();
    assert_int_equal(send(7, "t9"), 0);
    sb_str_done(&happened);
    plan = plan_rest;
    arrives("in/pump/former", "reply"); /* before the PUBACK */
    assert_non_null(strstr(sb_str_get(&happened), "settle 7\n"));
    plan = plan_rest; /* of an earlier connection: the outbox finds it, or not */
    arrives("in/pump/p7", "reply");
    assert_non_null(strstr(sb_str_get(&happened), "settle token t9 of pump-7\n"));
}

TEST(a_reply_that_does_not_come)
{
    is_up();
    assert_int_equal(send(1, "a"), 0);
    assert_int_equal(send(2, "b"), 0);
    assert_int_equal(send(3, "c"), 0);
    event(SB_MQTT_PUBACK, 1);
    sb_sim_advance(host.loop, 5 * SB_SECOND);
    event(SB_MQTT_PUBACK, 2);
    sb_str_done(&happened);
    sb_sim_advance(host.loop, 5 * SB_SECOND);
    check("settle 1\n");
    sb_sim_advance(host.loop, 5 * SB_SECOND);
    check("settle 2\n");
    event(SB_MQTT_DOWN, 1000); /* the third has no PUBACK: the outbox sends it again */
    sb_str_done(&happened);
    event(SB_MQTT_LOST, 3);
    check("");
}

TEST(what_cannot_be_published_awaits_nothing)
{
    is_up();
    publish_error = -EAGAIN;
    assert_int_equal(send(1, "a"), -EAGAIN);
    publish_error = -ENOMEM; /* it is up, and can soon be tried again */
    assert_int_equal(send(1, "a"), -EBUSY);
    publish_error = -ENOBUFS;
    assert_int_equal(send(1, "a"), -EBUSY);
    publish_error = -EMSGSIZE;
    assert_int_equal(send(1, "a"), -EMSGSIZE);
    sb_str_done(&happened);
    event(SB_MQTT_PUBACK, 1);
    check("settle 1\n");
}

TEST(signs_of_life)
{
    is_up();
    sb_sim_advance(host.loop, 5 * SB_MINUTE); /* half of stale_after */
    check("save '' {\"seen\":1767571500000,\"state\":{\"steps\":1}}\n");
    host.ready = false;
    sb_sim_advance(host.loop, 5 * SB_MINUTE); /* not while nothing can be kept */
    check("");
    event(SB_MQTT_DOWN, 1000);
    sb_str_done(&happened);
    sb_sim_advance(host.loop, SB_HOUR);
    check("");
}

static size_t lines_logged(FILE *log, const char *part)
{
    char *line = NULL;
    size_t room = 0, count = 0;
    rewind(log);
    while (getline(&line, &room, log) >= 0)
        count += strstr(line, part) != NULL;
    free(line);
    return count;
}

static void plan_note(const struct sb_input *input, struct sb_effects *effects)
{
    (void)input;
    sb_effects_add(effects, SB_OUT_NOTE)->text = strdup("chatter");
}

TEST(notes_do_not_fill_the_log)
{
    is_up();
    FILE *log = tmpfile();
    int kept = dup(STDERR_FILENO);
    assert_non_null(log);
    assert_true(dup2(fileno(log), STDERR_FILENO) >= 0);
    plan = plan_note;
    plan_stays = true;
    for (int i = 0; i < 300; i++)
        arrives("in/nobody", "x");
    sb_sim_advance(host.loop, SB_MINUTE);
    arrives("in/nobody", "x");
    plan_stays = false;
    (void)dup2(kept, STDERR_FILENO);
    (void)close(kept);
    assert_int_equal(lines_logged(log, "chatter"), 101);
    assert_int_equal(lines_logged(log, "are left out"), 1);
    (void)fclose(log);
}

TEST(without_a_clock_the_outage_is_unknown)
{
    is_up();
    sb_uplink_close(door);
    sb_sim_set_wall(host.loop, 0);
    opens();
    sb_str_done(&happened);
    event(SB_MQTT_UP, 1);
    assert_non_null(strstr(sb_str_get(&happened), "up self gw: -1 backlog"));
}

TEST(a_clock_that_was_set_back_tells_nothing)
{
    is_up();
    sb_uplink_close(door);
    sb_sim_set_wall(host.loop, SB_SIM_WALL - SB_DAY);
    opens();
    sb_str_done(&happened);
    event(SB_MQTT_UP, 1);
    assert_non_null(strstr(sb_str_get(&happened), "up self gw: -1 backlog"));
}

#define CROWD 25

static struct sb_device crowd[CROWD];
static char crowd_ids[CROWD][8];

static void gathers(void)
{
    for (size_t i = 0; i < CROWD; i++) {
        (void)snprintf(crowd_ids[i], sizeof(crowd_ids[i]), "d%02zu", i);
        crowd[i] = (struct sb_device){ .id = crowd_ids[i] };
        host.devices[i] = &crowd[i];
    }
}

static size_t told_up(void)
{
    size_t count = 0;
    for (const char *at = sb_str_get(&happened); (at = strstr(at, "up d")); at++)
        count++;
    return count;
}

/* A thousand devices do not hold the loop up, nor exceed what the platform takes. */
TEST(many_devices_are_told_in_groups)
{
    gathers();
    is_up();
    assert_int_equal(told_up(), 0); /* forgotten by is_up(): the first ten */
    arrives("in/d24", "x");         /* spoken to: told first */
    assert_non_null(strstr(sb_str_get(&happened), "up d24 d24: -1\nmessage d24 d24: x\n"));
    sb_sim_advance(host.loop, 100);
    assert_int_equal(told_up(), 11);
    sb_uplink_hear(door, &(struct sb_news){ .kind = SB_NEWS_DEVICE_REMOVED, .device = &crowd[3] });
    sb_uplink_hear(door, &(struct sb_news){ .kind = SB_NEWS_DEVICE_REMOVED, .device = &crowd[22] });
    assert_null(strstr(sb_str_get(&happened), "up d22")); /* it need not be any more */
    for (size_t i = 3; i < CROWD - 1; i++)
        host.devices[i] = host.devices[i + 1];
    host.devices[CROWD - 1] = NULL;
    host.devices[21] = host.devices[CROWD - 2];
    host.devices[CROWD - 2] = NULL;
    sb_sim_advance(host.loop, SB_SECOND);
    assert_int_equal(told_up(), 14); /* 25, less the first ten and the one that left */
    assert_non_null(strstr(sb_str_get(&happened), "up d20"));
    sb_str_done(&happened);
    event(SB_MQTT_DOWN, 1000);
    event(SB_MQTT_UP, 0);
    event(SB_MQTT_DOWN, 1000); /* in mid-round */
    assert_int_equal(told_up(), 10);
    sb_sim_advance(host.loop, SB_SECOND);
    assert_int_equal(told_up(), 10);
}

/* ---- what the tongues of other clouds need ---- */

TEST(conversations_tell_each_other)
{
    is_up();
    plan = plan_tell;
    arrives("in/", "for many");
    check("message self gw: for many\ntold pump/p7 pump-7: part by self: yours\n");
    plan = plan_tell;
    arrives("in/pump/p7", "for the gateway");
    check("message pump/p7 pump-7: for the gateway\ntold self gw: part by pump/p7: yours\n");
    plan = plan_tell_nobody;
    arrives("in/", "for nobody");
    check("message self gw: for nobody\n");
}

TEST(payloads_that_are_no_json)
{
    is_up();
    plan = plan_bytes;
    arrives("in/pump/p7", "send");
    check("message pump/p7 pump-7: send\n"
          "put passing of pump-7: out/x not key - token - task 0\n"
          "put passing of pump-7: out/empty  key - token - task 0\n");
}

TEST(requests_without_an_id_of_their_own)
{
    is_up();
    plan = plan_equal;
    arrives("in/pump/p7", "reboot");
    char *as = strstr(sb_str_get(&happened), "submit cloud reboot for pump-7 as (null): {}");
    assert_non_null(as);
    sb_str_done(&happened);
}

/* ---- a connection for each device ---- */

static bool each_has(const void *config, const struct sb_device *device)
{
    (void)config;
    return device && !device->gateway;
}

static struct sb_dialect_ops talk_each;
static const struct sb_door_ops ops_each = { .dialect = "talk",
                                             .role = "uplink",
                                             .adapter = &talk_each };

static void opens_each(void)
{
    talk_each = talk;
    talk_each.has_connection = each_has;
    host.devices[2] = &valve;
    assert_int_equal(
        sb_uplink_open(&ops_each, &host, "cloud", NULL, core_words(&sb_ibm_shape), &door), 0);
    sb_uplink_start(door);
    sb_sim_advance(host.loop, 0); /* devices are declared in the turn of the start */
}

TEST(each_device_has_its_connection)
{
    opens_each();
    check("start\nstart 1\n");
    sb_cleanup(sb_freep) char *error = NULL;
    struct sb_connect login = { 0 };
    assert_int_equal(connections[1].login(connections[1].arg, &login, &error), -EACCES);
    assert_ptr_equal(strstr(error, "valve/v1 at"), error);
    event_on(0, SB_MQTT_UP, 0);
    check("link cloud up: 1 of 2 devices connected\nconnection pump-7 up\n"
          "up pump/p7 pump-7: -1\n"
          "save '' {\"seen\":1767571200000,\"state\":{\"steps\":0}}\n");
    event_on(1, SB_MQTT_UP, 0);
    check("link cloud up: 2 of 2 devices connected\nconnection valve-1 up\n"
          "up valve/v1 valve-1: -1\n");
    plan = plan_send;
    arrives_on(1, "in/", "to whom it came");
    check("message valve/v1 valve-1: to whom it came\n"
          "put final of valve-1 on valve-1: out/x {\"a\":1} key k token t1 task 9\n"
          "save 'valve-1' {\"steps\":2}\n");
    event_on(1, SB_MQTT_DOWN, 2000);
    check("link cloud up: 1 of 2 devices connected; valve/v1: broken pipe; next try in 2s\n"
          "connection valve-1 down\ndown valve/v1 valve-1: 0 backlog\n");
    event_on(0, SB_MQTT_DOWN, 2000);
    check("save '' {\"seen\":1767571200000,\"state\":{\"steps\":0}}\n"
          "link cloud down: 0 of 2 devices connected; pump/p7: broken pipe; next try in 2s\n"
          "connection pump-7 down\ndown pump/p7 pump-7: 0 backlog\n");
}

TEST(connections_that_fail_together_do_not_chatter)
{
    opens_each();
    sb_str_done(&happened);
    event_on(0, SB_MQTT_DOWN, 1000);
    for (int i = 0; i < 50; i++)
        event_on((size_t)(i % 2), SB_MQTT_DOWN, 1000);
    assert_null(strstr(strstr(sb_str_get(&happened), "link cloud down") + 1, "link cloud down"));
    sb_str_done(&happened);
    sb_sim_advance(host.loop, 3 * SB_SECOND);
    event_on(1, SB_MQTT_DOWN, 1000);
    check("link cloud down: 0 of 2 devices connected; valve/v1: broken pipe; next try in 1s\n"
          "connection valve-1 down\n");
}

TEST(a_parcel_goes_by_its_own_connection)
{
    const struct sb_parcel parcel = {
        .id = 4, .topic = "x", .connection = "valve-1", .payload = ""
    };
    opens_each();
    event_on(0, SB_MQTT_UP, 0);
    sb_str_done(&happened);
    assert_int_equal(sb_uplink_send(door, &parcel), -EAGAIN);
    event_on(1, SB_MQTT_UP, 0);
    sb_str_done(&happened);
    assert_int_equal(sb_uplink_send(door, &parcel), 0);
    check("publish 1 x  qos 0 id 4\n");
    assert_int_equal(sb_uplink_send(door, &(struct sb_parcel){ .topic = "x", .payload = "" }),
                     -EAGAIN); /* the link itself has none */
}

TEST(a_login_is_renewed)
{
    opens_each();
    event_on(1, SB_MQTT_UP, 0);
    sb_str_done(&happened);
    plan = plan_renew;
    arrives_on(1, "in/", "it is time");
    check("message valve/v1 valve-1: it is time\nrenew 1\n");
    connections[1].fn(connections[1].arg,
                      &(struct sb_mqtt_event){ .kind = SB_MQTT_DOWN, .renewal = true });
    event_on(1, SB_MQTT_UP, 0);
    check("save '' {\"seen\":1767571200000,\"state\":{\"steps\":0}}\n"
          "connection valve-1 down\ndown valve/v1 valve-1: 0 backlog\n"
          "connection valve-1 up\n"
          "up valve/v1 valve-1: 0\n"
          "save '' {\"seen\":1767571200000,\"state\":{\"steps\":0}}\n");
}

/* Its last words may leave yet; what is left then never will. */
TEST(a_device_goes_and_its_connection_after_it)
{
    opens_each();
    event_on(0, SB_MQTT_UP, 0);
    event_on(1, SB_MQTT_UP, 0);
    sb_str_done(&happened);
    host.devices[2] = NULL;
    const struct sb_news gone = { .kind = SB_NEWS_DEVICE_REMOVED, .device = &valve };
    plan = plan_send;
    sb_uplink_hear(door, &gone);
    check("news valve/v1 valve-1: device_removed 0\n"
          "put final of - on valve-1: out/x {\"a\":1} key k token t1 task 9\n"
          "save 'valve-1' {\"steps\":2}\nsave 'valve-1' nothing\n");
    sb_sim_advance(host.loop, 11 * SB_SECOND);
    check("connection valve-1 gone\nfree 1\nlink cloud up: 1 of 1 devices connected\n");
}

TEST(a_device_that_comes_back_keeps_its_connection)
{
    opens_each();
    event_on(1, SB_MQTT_UP, 0);
    host.devices[2] = NULL;
    sb_uplink_hear(door, &(struct sb_news){ .kind = SB_NEWS_DEVICE_REMOVED, .device = &valve });
    host.devices[2] = &valve;
    json_object_set_new(valve.names, "talk", json_string("valve/v2"));
    sb_str_done(&happened);
    sb_uplink_hear(door, &(struct sb_news){ .kind = SB_NEWS_DEVICE_ADDED, .device = &valve });
    check("renew 1\nup valve/v2 valve-1: -1\nnews valve/v2 valve-1: device_added 0\n");
    sb_sim_advance(host.loop, 11 * SB_SECOND);
    assert_int_equal(connection_count, 2);
    assert_false(connections[1].freed);
}

/* Another device may have its name now, and the platform lets only one of that name in. */
TEST(a_connection_that_ends_does_not_come_back)
{
    opens_each();
    event_on(0, SB_MQTT_UP, 0);
    event_on(1, SB_MQTT_UP, 0);
    host.devices[2] = NULL;
    sb_uplink_hear(door, &(struct sb_news){ .kind = SB_NEWS_DEVICE_REMOVED, .device = &valve });
    sb_str_done(&happened);
    event_on(1, SB_MQTT_DOWN, 1000);
    check("link cloud up: 1 of 2 devices connected; valve/v1: broken pipe; next try in 1s\n"
          "connection valve-1 down\nconnection valve-1 gone\nfree 1\n"
          "link cloud up: 1 of 1 devices connected\n");
}

static bool all_have(const void *config, const struct sb_device *device)
{
    (void)config;
    (void)device;
    return true;
}

/* The gateway is there before them: its connection is not theirs. */
TEST(a_device_waits_for_its_own_connection)
{
    talk_each = talk;
    talk_each.has_connection = all_have;
    assert_int_equal(
        sb_uplink_open(&ops_each, &host, "cloud", NULL, core_words(&sb_ibm_shape), &door), 0);
    sb_uplink_start(door);
    event_on(0, SB_MQTT_UP, 0);
    check("start\nlink cloud up: connected\nup self gw: -1\n"
          "save '' {\"seen\":1767571200000,\"state\":{\"steps\":1}}\n");
    sb_sim_advance(host.loop, 0);
    event_on(1, SB_MQTT_UP, 0);
    check("start 1\nlink cloud up: 2 of 2 devices connected\nconnection pump-7 up\n"
          "up pump/p7 pump-7: -1\n");
}

/* A reload may bring hundreds. */
TEST(devices_that_come_are_connected_at_their_pace)
{
    enum { MANY = 15 };
    struct sb_device many[MANY] = { 0 };
    char ids[MANY][2] = { 0 };
    opens_each();
    for (size_t i = 0; i < MANY; i++) {
        ids[i][0] = (char)('a' + i);
        many[i] = (struct sb_device){ .id = ids[i], .names = json_pack("{s:s}", "talk", ids[i]) };
        host.devices[3 + i] = &many[i];
    }
    for (size_t i = 0; i < MANY; i++)
        sb_uplink_hear(door, &(struct sb_news){ .kind = SB_NEWS_DEVICE_ADDED, .device = &many[i] });
    sb_sim_advance(host.loop, 0);
    assert_int_equal(connection_count, 2 + 10); /* a tenth of what its words allow in a second */
    sb_sim_advance(host.loop, 100);
    assert_int_equal(connection_count, 2 + MANY);
    sb_uplink_close(door);
    door = NULL;
    for (size_t i = 0; i < MANY; i++)
        json_decref(many[i].names);
}
