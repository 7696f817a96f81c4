/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The yardstick on Paho MQTT C, the library of southbridge's links: answers at QoS 1 and does
 * nothing else. With TCP_NODELAY, which Paho leaves off: without it the yardstick would be bent.
 *
 *     bench_echo_paho PORT
 */
#include <MQTTAsync.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters/transports/nodelay.h"
#include "tests/bench/echo.h"

static MQTTAsync client;

static void on_failed(void *context, MQTTAsync_failureData *data)
{
    (void)context, (void)data;
    _exit(1);
}

static void on_connected(void *context, MQTTAsync_successData *data)
{
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
    (void)context, (void)data;
    sb_nodelay_all();
    options.onFailure = on_failed;
    if (MQTTAsync_subscribe(client, ECHO_TOPIC, 1, &options) != MQTTASYNC_SUCCESS)
        _exit(1);
}

static int on_message(void *context, char *topic, int topic_length, MQTTAsync_message *message)
{
    struct echo echo;
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
    (void)context, (void)topic_length;
    if (echo_answer(topic, message->payload, (size_t)message->payloadlen, &echo)) {
        (void)MQTTAsync_send(client, echo.topic, (int)strlen(echo.payload), echo.payload, 1, 0,
                             &options);
        free(echo.payload);
    }
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    return 1;
}

static void on_lost(void *context, char *cause)
{
    (void)context, (void)cause;
    _exit(1);
}

int main(int argc, char **argv)
{
    char uri[64];
    MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
    (void)snprintf(uri, sizeof(uri), "tcp://127.0.0.1:%s", argc > 1 ? argv[1] : "");
    options.maxInflight = 65535;
    options.cleansession = 1;
    options.onSuccess = on_connected;
    options.onFailure = on_failed;
    if (MQTTAsync_create(&client, uri, ECHO_CLIENT, MQTTCLIENT_PERSISTENCE_NONE, NULL) != 0 ||
        MQTTAsync_setCallbacks(client, NULL, on_lost, on_message, NULL) != 0 ||
        MQTTAsync_connect(client, &options) != MQTTASYNC_SUCCESS)
        return 1;
    for (;;)
        pause();
}
