/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls into Paho MQTT C 1.3 and its callbacks.
 *
 * Each attempt has a Paho client of its own: so Paho never sends again what was reported lost
 * (the outbox does), and the login data may change in any part.
 * Paho stops its threads when its last client goes, and to start them at that moment from
 * another thread is a race in it: one idle client is kept as long as there are links.
 * Of a WebSocket frame with two MQTT packets Paho reads the second when the next frame arrives
 * (seen with 1.3.12): with a broker that packs frames so, an answer may wait for the keepalive.
 */
#include "adapters/transports/mqtt_link.h"

#include <MQTTAsync.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>

#include "adapters/transports/mqtt_address.h"
#include "adapters/transports/nodelay.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"

#define SYSTEM_TRUST "/etc/ssl/certs/ca-certificates.crt"
#define REFUSED      0x80 /* a topic, in SUBACK */
#define IN_FLIGHT    65535

/* ---- Paho's threads ---- */

static pthread_mutex_t idle_mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned idle_users;
static MQTTAsync idle;

void sb_mqtt_paho_use(void)
{
    sb_mqtt_leaks();
    pthread_mutex_lock(&idle_mutex);
    if (idle_users++ == 0 && MQTTAsync_create(&idle, "tcp://localhost:1883", "idle",
                                              MQTTCLIENT_PERSISTENCE_NONE, NULL) != 0)
        idle = NULL;
    pthread_mutex_unlock(&idle_mutex);
}

void sb_mqtt_paho_release(void)
{
    pthread_mutex_lock(&idle_mutex);
    if (--idle_users == 0 && idle)
        MQTTAsync_destroy(&idle);
    pthread_mutex_unlock(&idle_mutex);
}

/* ---- telling ---- */

/* Once for each attempt; takes the text. */
static void tell_down(struct sb_mqtt_attempt *attempt, char *text)
{
    if (!attempt->down) {
        free(text);
        return;
    }
    sb_mqtt_link_lose(attempt->link); /* first what is lost, then why */
    attempt->down->text = text;
    sb_mqtt_link_tell(attempt->link, SB_STEAL(attempt->down));
}

static void tell_up(struct sb_mqtt_attempt *attempt)
{
    if (!attempt->up || !attempt->down)
        return;
    attempt->up->session_present = attempt->session_present;
    sb_mqtt_link_tell(attempt->link, SB_STEAL(attempt->up));
}

/* CONNACK's return codes, MQTT 3.1.1 section 3.2.2.3. */
static const char *const refusals[] = {
    [1] = "the broker does not speak MQTT 3.1.1",
    [2] = "the broker refuses the client id: check organisation, type and id",
    [3] = "the broker says that it is not available at present",
    [4] = "wrong user name or password: check user and token",
    [5] = "not authorised: check the token, and that this client may connect",
};

static char *tls_text(const struct sb_mqtt_attempt *attempt)
{
    const char *reason = attempt->tls_reason;

    if (strstr(reason, "certificate verify failed"))
        return sb_format("%s: its certificate is not trusted: check ca_file (%s), and that this "
                         "machine's clock is right",
                         attempt->place,
                         attempt->login.ca_file ? attempt->login.ca_file : SYSTEM_TRUST);
    return sb_format("%s: TLS failed: %s", attempt->place, reason);
}

static char *failure_text(const struct sb_mqtt_attempt *attempt, int code)
{
    if (code > 0 && code < (int)SB_COUNT(refusals))
        return sb_format("%s: %s", attempt->place, refusals[code]);
    if (code > 0)
        return sb_format("%s: the broker refuses the connection with code %d", attempt->place,
                         code);
    if (attempt->tls_reason)
        return tls_text(attempt);
    return sb_format("%s: no connection: refused, unreachable%s, or closed before it answered",
                     attempt->place, attempt->tls ? ", its certificate made for another name" : "");
}

/* ---- callbacks: on Paho's threads, with Paho locked ---- */

static int on_message(void *context, char *topic, int topic_length, MQTTAsync_message *message)
{
    struct sb_mqtt_attempt *attempt = context;
    size_t n = message->payloadlen > 0 ? (size_t)message->payloadlen : 0;
    bool taken = true;

    if (topic_length > 0 && strlen(topic) != (size_t)topic_length)
        sb_warning(NULL, "mqtt: message dropped: its topic is not a text");
    else if (n > SB_MQTT_MESSAGE_MAX)
        sb_warning(NULL, "mqtt: message of %zu bytes on %s dropped: too long", n, topic);
    else
        taken = sb_mqtt_link_message(attempt->link, topic, message->payload, n);
    if (!taken)
        return 0; /* Paho offers it again with its next packet */
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    return 1;
}

static void on_lost(void *context, char *cause)
{
    struct sb_mqtt_attempt *attempt = context;

    tell_down(attempt, sb_format("%s: connection lost%s%s", attempt->place, cause ? ": " : "",
                                 cause ? cause : ""));
}

static void on_delivered(void *context, MQTTAsync_successData *data)
{
    (void)data;
    sb_mqtt_link_settle(context, SB_MQTT_PUBACK);
}

static void on_not_delivered(void *context, MQTTAsync_failureData *data)
{
    (void)data;
    sb_mqtt_link_settle(context, SB_MQTT_LOST);
}

static char *refused_topic_text(const struct sb_mqtt_attempt *attempt, size_t index)
{
    return sb_format("%s: the broker refuses the subscription of %s: check what this client may do",
                     attempt->place, attempt->login.topics[index]);
}

static void subscribe_next(struct sb_mqtt_attempt *attempt);

/* Of a single topic's answer Paho says the code itself; of several it points to as many as the
 * broker sent, and does not say how many those are. So each topic is subscribed alone. */
static void on_subscribed(void *context, MQTTAsync_successData *data)
{
    struct sb_mqtt_attempt *attempt = context;
    bool granted = data->alt.qos >= 0 && data->alt.qos <= 2;

    if (!granted)
        tell_down(attempt, refused_topic_text(attempt, attempt->subscribed));
    else if (++attempt->subscribed < attempt->login.topic_count)
        subscribe_next(attempt);
    else
        tell_up(attempt);
}

static void on_not_subscribed(void *context, MQTTAsync_failureData *data)
{
    struct sb_mqtt_attempt *attempt = context;

    if (data->code == REFUSED)
        tell_down(attempt, refused_topic_text(attempt, attempt->subscribed));
    else
        tell_down(attempt, sb_format("%s: subscribing failed: %s", attempt->place,
                                     data->message ? data->message : "connection lost"));
}

static void subscribe_next(struct sb_mqtt_attempt *attempt)
{
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;

    options.onSuccess = on_subscribed;
    options.onFailure = on_not_subscribed;
    options.context = attempt;
    int r = MQTTAsync_subscribe(attempt->handle, attempt->login.topics[attempt->subscribed],
                                attempt->login.qos, &options);
    if (r != MQTTASYNC_SUCCESS)
        tell_down(attempt,
                  sb_format("%s: cannot subscribe: %s", attempt->place, MQTTAsync_strerror(r)));
}

static void on_connected(void *context, MQTTAsync_successData *data)
{
    struct sb_mqtt_attempt *attempt = context;

    sb_nodelay_all();
    attempt->session_present = data->alt.connect.sessionPresent != 0;
    if (attempt->login.topic_count > 0)
        subscribe_next(attempt);
    else
        tell_up(attempt);
}

static void on_not_connected(void *context, MQTTAsync_failureData *data)
{
    struct sb_mqtt_attempt *attempt = context;

    tell_down(attempt, failure_text(attempt, data->code));
}

/* OpenSSL's line is "...:error:code:library:function:reason:file:..."; the first is the cause. */
static int on_tls_error(const char *line, size_t n, void *context)
{
    struct sb_mqtt_attempt *attempt = context;
    const char *at = memmem(line, n, "error:", 6), *end = line + n;

    for (int field = 0; at && field < 4; field++) {
        at = memchr(at, ':', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    if (at && at < end && !attempt->tls_reason)
        attempt->tls_reason = strndup(at, strcspn(at, ":\n"));
    return 1;
}

/* ---- the server's address ---- */

static char *look_up(const struct sb_mqtt_attempt *attempt, const char *host, const char *port)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    int r = getaddrinfo(host, port, &hints, &found);

    if (r == 0)
        freeaddrinfo(found);
    return r == 0 ? NULL
                  : sb_format("%s: cannot find the host: %s", attempt->place,
                              r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
}

/* Fills uri and place and looks the name up. NULL, or what is wrong. */
static char *resolve(struct sb_mqtt_attempt *attempt)
{
    struct sb_mqtt_address address = { 0 };
    char *wrong = sb_mqtt_address_read(attempt->login.uri, &address);
    if (wrong)
        return wrong;
    attempt->tls = address.tls;
    attempt->place = SB_STEAL(address.place);
    attempt->uri = SB_STEAL(address.paho);
    wrong = look_up(attempt, address.host, address.port);
    sb_mqtt_address_done(&address);
    return wrong;
}

static char *check_file(const char *what, const char *path)
{
    if (!path || access(path, R_OK) == 0)
        return NULL;
    return sb_format("%s %s: %s", what, path, strerror(errno));
}

static char *check_files(const struct sb_connect *login)
{
    char *text = check_file("ca_file", login->ca_file);

    if (!text)
        text = check_file("cert_file", login->cert_file);
    return text ? text : check_file("key_file", login->key_file);
}

/* ---- an attempt ---- */

struct sb_mqtt_attempt *sb_mqtt_attempt_new(struct sb_mqtt_link *link, uint64_t number,
                                            struct sb_connect *login)
{
    struct sb_mqtt_attempt *attempt = calloc(1, sizeof(*attempt));

    if (!attempt)
        return NULL;
    attempt->up = calloc(1, sizeof(*attempt->up));
    attempt->down = calloc(1, sizeof(*attempt->down));
    if (!attempt->up || !attempt->down)
        return sb_mqtt_attempt_free(attempt);
    attempt->up->kind = SB_MQTT_UP;
    attempt->down->kind = SB_MQTT_DOWN;
    attempt->up->attempt = attempt->down->attempt = number;
    attempt->link = link;
    attempt->number = number;
    attempt->login = *login;
    *login = (struct sb_connect){ 0 };
    return attempt;
}

struct sb_mqtt_attempt *sb_mqtt_attempt_free(struct sb_mqtt_attempt *attempt)
{
    if (!attempt)
        return NULL;
    if (attempt->handle)
        MQTTAsync_destroy(&attempt->handle); /* says DISCONNECT, if it can */
    if (attempt->up)
        sb_mqtt_told_free(attempt->up);
    if (attempt->down)
        sb_mqtt_told_free(attempt->down);
    sb_connect_done(&attempt->login);
    free(attempt->uri);
    free(attempt->place);
    free(attempt->tls_reason);
    free(attempt);
    return NULL;
}

static MQTTAsync_SSLOptions tls_options(struct sb_mqtt_attempt *attempt)
{
    const struct sb_connect *login = &attempt->login;
    MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;

    tls.trustStore = login->ca_file ? login->ca_file : SYSTEM_TRUST;
    tls.disableDefaultTrustStore = 1; /* the system's set, loaded for each client, is megabytes */
    tls.keyStore = login->cert_file;
    tls.privateKey = login->key_file;
    tls.enableServerCertAuth = login->verify;
    tls.verify = login->verify; /* the name in the certificate */
    tls.ssl_error_cb = on_tls_error;
    tls.ssl_error_context = attempt;
    return tls;
}

static int connect_paho(struct sb_mqtt_attempt *attempt)
{
    const struct sb_connect *login = &attempt->login;
    MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
    MQTTAsync_SSLOptions tls = tls_options(attempt);
    int r =
        MQTTAsync_create(&attempt->handle, attempt->uri, login->client_id ? login->client_id : "",
                         MQTTCLIENT_PERSISTENCE_NONE, NULL);

    if (r != MQTTASYNC_SUCCESS)
        return r;
    r = MQTTAsync_setCallbacks(attempt->handle, attempt, on_lost, on_message, NULL);
    if (r != MQTTASYNC_SUCCESS)
        return r;
    options.MQTTVersion = MQTTVERSION_3_1_1;
    options.keepAliveInterval = login->keepalive;
    options.cleansession = login->clean;
    options.maxInflight = IN_FLIGHT;
    options.username = login->user;
    options.password = login->password;
    options.connectTimeout = (int)(SB_MQTT_TRY_MS / 1000);
    options.ssl = attempt->tls ? &tls : NULL;
    options.onSuccess = on_connected;
    options.onFailure = on_not_connected;
    options.context = attempt;
    return MQTTAsync_connect(attempt->handle, &options);
}

void sb_mqtt_attempt_open(struct sb_mqtt_attempt *attempt)
{
    char *wrong = resolve(attempt);

    if (!wrong && attempt->tls)
        wrong = check_files(&attempt->login);
    if (wrong) {
        tell_down(attempt, wrong);
        return;
    }
    int r = connect_paho(attempt);
    if (r != MQTTASYNC_SUCCESS)
        tell_down(attempt,
                  sb_format("%s: cannot connect: %s", attempt->place, MQTTAsync_strerror(r)));
}

int sb_mqtt_attempt_publish(struct sb_mqtt_attempt *attempt, struct sb_mqtt_parcel *parcel)
{
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;

    if (!attempt->handle)
        return -ENOTCONN;
    options.onSuccess = on_delivered;
    options.onFailure = on_not_delivered;
    options.context = parcel;
    int r = MQTTAsync_send(attempt->handle, parcel->topic, (int)parcel->size, parcel->payload,
                           parcel->qos, 0, &options);
    return r == MQTTASYNC_SUCCESS ? 0 : -ENOTCONN;
}
