/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/transports/mqtt.h"

#include <errno.h>

#include "adapters/transports/mqtt_link.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define BACK_OFF_FIRST SB_SECOND
#define BACK_OFF_MAX   (2 * SB_MINUTE)
/* A link that fell sooner goes on backing off: two that push each other out do not storm. */
#define STEADY   SB_MINUTE
#define DRAIN    (2 * SB_SECOND) /* before a renewal */
#define PER_TURN 64 /* events that are handed on at once: a burst does not hold the loop up */

enum state { STATE_IDLE, STATE_WAITING, STATE_TRYING, STATE_UP, STATE_DRAINING, STATE_ENDING };

struct sb_mqtt {
    struct sb_loop *loop;
    sb_mqtt_login_fn login;
    sb_mqtt_fn fn;
    void *arg;
    struct sb_mailbox *box;
    struct sb_mqtt_link *link;
    struct sb_timer *timer; /* the next try, or this one's deadline */
    struct sb_timer *more;  /* hands on what this turn had no room for */
    enum state state;
    uint64_t attempt;
    unsigned failures; /* in a row */
    size_t under_way;  /* publishes without outcome */
    bool renewing;     /* this attempt ends because its login data do */
    int64_t up_since;
    struct sb_mqtt_told *told, **told_end; /* to be handed on */
    bool handing_on, freed;                /* freed by its own function */
};

static void add_told(struct sb_mqtt *mqtt, struct sb_mqtt_told *told)
{
    *mqtt->told_end = told;
    while (*mqtt->told_end)
        mqtt->told_end = &(*mqtt->told_end)->next;
}

/* Full jitter, so that a thousand gateways do not come back as one. */
static int64_t next_delay(const struct sb_mqtt *mqtt)
{
    int64_t most = BACK_OFF_FIRST;

    for (unsigned i = 1; i < mqtt->failures && most < BACK_OFF_MAX; i++)
        most *= 2;
    return 1 + sb_random((uint32_t)SB_MIN(most, BACK_OFF_MAX));
}

static void go_down(struct sb_mqtt *mqtt, const char *text)
{
    struct sb_mqtt_event event = { .kind = SB_MQTT_DOWN, .text = text };

    event.renewal = mqtt->renewing;
    if (mqtt->up_since && sb_loop_now(mqtt->loop) - mqtt->up_since >= STEADY)
        mqtt->failures = 0;
    mqtt->up_since = 0;
    mqtt->failures += !mqtt->renewing;
    mqtt->state = STATE_WAITING;
    event.value = mqtt->renewing ? 0 : next_delay(mqtt);
    mqtt->renewing = false;
    sb_timer_in(mqtt->timer, event.value);
    mqtt->fn(mqtt->arg, &event);
}

/* Everything that was told before, and what is lost by it, is handed on first. */
static void end_attempt(struct sb_mqtt *mqtt, struct sb_mqtt_told *down)
{
    mqtt->state = STATE_ENDING;
    sb_timer_stop(mqtt->timer);
    sb_mqtt_link_drop(mqtt->link);
    add_told(mqtt, sb_mqtt_link_take(mqtt->link));
    add_told(mqtt, down);
}

static void go_up(struct sb_mqtt *mqtt, const struct sb_mqtt_told *told)
{
    struct sb_mqtt_event event = { .kind = SB_MQTT_UP, .session_present = told->session_present };

    sb_timer_stop(mqtt->timer);
    mqtt->state = STATE_UP;
    mqtt->up_since = sb_loop_now(mqtt->loop);
    mqtt->fn(mqtt->arg, &event);
}

/* Takes the text. */
static void fail_attempt(struct sb_mqtt *mqtt, char *text);

static void renew_now(struct sb_mqtt *mqtt)
{
    mqtt->renewing = true;
    fail_attempt(mqtt, strdup("the login is renewed"));
}

static void pass(struct sb_mqtt *mqtt, const struct sb_mqtt_told *told)
{
    bool outcome = told->kind == SB_MQTT_PUBACK || told->kind == SB_MQTT_LOST;

    mqtt->under_way -= outcome && mqtt->under_way > 0;
    struct sb_mqtt_event event = {
        .kind = told->kind,
        .topic = told->topic,
        .payload = told->payload,
        .size = told->size,
        .value = told->id,
    };
    mqtt->fn(mqtt->arg, &event);
}

/* Takes it. */
static void hand_on(struct sb_mqtt *mqtt, struct sb_mqtt_told *told)
{
    bool present = told->attempt == mqtt->attempt;

    if (told->kind == SB_MQTT_DOWN && present && mqtt->state == STATE_ENDING)
        go_down(mqtt, told->text ? told->text : "out of memory");
    else if (told->kind == SB_MQTT_DOWN && present && mqtt->state >= STATE_TRYING) {
        end_attempt(mqtt, SB_STEAL(told)); /* comes again as the last */
        return;
    } else if (told->kind == SB_MQTT_UP && present && mqtt->state == STATE_TRYING)
        go_up(mqtt, told);
    else if (told->kind != SB_MQTT_UP && told->kind != SB_MQTT_DOWN)
        pass(mqtt, told);
    if (!mqtt->freed && mqtt->state == STATE_DRAINING && mqtt->under_way == 0)
        sb_timer_in(mqtt->timer, 0);
    sb_mqtt_told_free(told);
}

static void release(struct sb_mqtt *mqtt)
{
    while (mqtt->told)
        mqtt->told = sb_mqtt_told_free(mqtt->told);
    free(mqtt);
}

/* The next in order: first what was taken already. NULL: no more, and the next one told will wake
 * the loop. */
static struct sb_mqtt_told *next_told(struct sb_mqtt *mqtt)
{
    if (!mqtt->told)
        add_told(mqtt, sb_mqtt_link_take(mqtt->link));
    struct sb_mqtt_told *told = mqtt->told;
    if (!told)
        return NULL;
    mqtt->told = told->next;
    if (!mqtt->told)
        mqtt->told_end = &mqtt->told;
    told->next = NULL;
    return told;
}

static void hand_on_some(struct sb_mqtt *mqtt)
{
    struct sb_mqtt_told *told = NULL;

    mqtt->handing_on = true;
    for (int i = 0; i < PER_TURN && !mqtt->freed && (told = next_told(mqtt)); i++)
        hand_on(mqtt, told);
    mqtt->handing_on = false;
    if (mqtt->freed)
        release(mqtt);
    else if (told)
        sb_timer_in(mqtt->more, 0);
}

static void on_note(void *arg, struct sb_note *note)
{
    const struct sb_mqtt *mqtt = arg;

    (void)note;
    if (!sb_timer_armed(mqtt->more)) /* else there is a queue, and it is at its end */
        hand_on_some(arg);
}

static void on_more(void *arg)
{
    hand_on_some(arg);
}

/* For what is found out here. */
static void fail_attempt(struct sb_mqtt *mqtt, char *text)
{
    struct sb_mqtt_told *down = calloc(1, sizeof(*down));

    if (!down) { /* then without order */
        sb_mqtt_link_drop(mqtt->link);
        free(text);
        go_down(mqtt, "out of memory");
        return;
    }
    down->kind = SB_MQTT_DOWN;
    down->attempt = mqtt->attempt;
    down->text = text;
    end_attempt(mqtt, down);
    hand_on_some(mqtt);
}

static void try_now(struct sb_mqtt *mqtt)
{
    struct sb_connect login = { 0 };
    sb_cleanup(sb_freep) char *error = NULL;

    mqtt->state = STATE_TRYING;
    mqtt->attempt++;
    int r = mqtt->login(mqtt->arg, &login, &error);
    if (r == 0) {
        sb_timer_in(mqtt->timer, SB_MQTT_TRY_MS);
        r = sb_mqtt_link_try(mqtt->link, mqtt->attempt, &login);
    }
    sb_connect_done(&login);
    if (r < 0)
        fail_attempt(mqtt, error ? SB_STEAL(error) : sb_format("login: %s", strerror(-r)));
}

static void on_timer(void *arg)
{
    struct sb_mqtt *mqtt = arg;

    if (mqtt->state == STATE_DRAINING)
        renew_now(mqtt);
    else if (mqtt->state == STATE_TRYING)
        fail_attempt(mqtt, sb_format("the broker did not answer within %d s",
                                     (int)(SB_MQTT_TRY_MS / SB_SECOND)));
    else
        try_now(mqtt);
}

int sb_mqtt_new(struct sb_loop *loop, struct sb_mqtt_crew *crew, sb_mqtt_login_fn login,
                sb_mqtt_fn fn, void *arg, struct sb_mqtt **ret)
{
    sb_cleanup(sb_mqtt_freep) struct sb_mqtt *mqtt = calloc(1, sizeof(*mqtt));
    int r;

    if (!mqtt)
        return -ENOMEM;
    mqtt->loop = loop;
    mqtt->login = login;
    mqtt->fn = fn;
    mqtt->arg = arg;
    mqtt->told_end = &mqtt->told;
    r = sb_mailbox_new(loop, 1, on_note, mqtt, &mqtt->box);
    if (r == 0)
        r = sb_timer_new(loop, on_timer, mqtt, &mqtt->timer);
    if (r == 0)
        r = sb_timer_new(loop, on_more, mqtt, &mqtt->more);
    if (r == 0)
        r = sb_mqtt_link_new(crew, mqtt->box, &mqtt->link);
    if (r < 0)
        return r;
    *ret = SB_STEAL(mqtt);
    return 0;
}

void sb_mqtt_start(struct sb_mqtt *mqtt)
{
    if (mqtt->state != STATE_IDLE)
        return;
    mqtt->state = STATE_WAITING;
    sb_timer_in(mqtt->timer, 0); /* so that nothing is reported before this returns */
}

int sb_mqtt_publish(struct sb_mqtt *mqtt, const char *topic, const void *payload, size_t n, int qos,
                    int64_t id)
{
    if (mqtt->state != STATE_UP)
        return -EAGAIN;
    if (n > SB_MQTT_MESSAGE_MAX)
        return -EMSGSIZE;
    int r = sb_mqtt_link_publish(mqtt->link, topic, payload, n, qos, id);
    mqtt->under_way += r == 0;
    return r;
}

void sb_mqtt_renew(struct sb_mqtt *mqtt)
{
    if (mqtt->state != STATE_UP && mqtt->state != STATE_TRYING)
        return;
    mqtt->state = STATE_DRAINING;
    sb_timer_in(mqtt->timer, mqtt->under_way > 0 ? DRAIN : 0);
}

struct sb_mqtt *sb_mqtt_free(struct sb_mqtt *mqtt)
{
    if (!mqtt)
        return NULL;
    mqtt->timer = sb_timer_free(mqtt->timer);
    mqtt->more = sb_timer_free(mqtt->more);
    mqtt->link = sb_mqtt_link_free(mqtt->link);
    mqtt->box = sb_mailbox_close(mqtt->box);
    mqtt->freed = true;
    if (!mqtt->handing_on)
        release(mqtt);
    return NULL;
}
