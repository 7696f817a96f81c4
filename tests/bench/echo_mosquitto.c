/* SPDX-License-Identifier: Apache-2.0 */
/* The yardstick on libmosquitto: answers at QoS 1 and does nothing else. bench_echo_mosquitto PORT
 */
#include <mosquitto.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/echo.h"

static void on_connect(struct mosquitto *mosquitto, void *arg, int code)
{
    (void)arg;
    if (code != 0 || mosquitto_subscribe(mosquitto, NULL, ECHO_TOPIC, 1) != MOSQ_ERR_SUCCESS)
        exit(1);
}

static void on_message(struct mosquitto *mosquitto, void *arg,
                       const struct mosquitto_message *message)
{
    struct echo echo;
    (void)arg;
    if (!echo_answer(message->topic, message->payload, (size_t)message->payloadlen, &echo))
        return;
    (void)mosquitto_publish(mosquitto, NULL, echo.topic, (int)strlen(echo.payload), echo.payload, 1,
                            false);
    free(echo.payload);
}

int main(int argc, char **argv)
{
    (void)mosquitto_lib_init();
    struct mosquitto *mosquitto = argc > 1 ? mosquitto_new(ECHO_CLIENT, true, NULL) : NULL;
    if (!mosquitto)
        return 2;
    (void)mosquitto_int_option(mosquitto, MOSQ_OPT_TCP_NODELAY, 1);
    (void)mosquitto_int_option(mosquitto, MOSQ_OPT_SEND_MAXIMUM, UINT16_MAX);
    mosquitto_connect_callback_set(mosquitto, on_connect);
    mosquitto_message_callback_set(mosquitto, on_message);
    if (mosquitto_connect(mosquitto, "127.0.0.1", (int)strtol(argv[1], NULL, 10), 60) != 0)
        return 1;
    return mosquitto_loop_forever(mosquitto, -1, 1) != 0;
}
