/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Modbus RTU device by libmodbus: modbus_server PORT. Unit 1; registers and coils in memory,
 * holding i is 1000 + i, input i is 2000 + i. It ends with its line.
 */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>

#define REGISTERS 200

static modbus_mapping_t *make_mapping(void)
{
    modbus_mapping_t *map = modbus_mapping_new(REGISTERS, REGISTERS, REGISTERS, REGISTERS);
    for (unsigned i = 0; map && i < REGISTERS; i++) {
        map->tab_registers[i] = (uint16_t)(1000 + i);
        map->tab_input_registers[i] = (uint16_t)(2000 + i);
        map->tab_bits[i] = i % 2;
        map->tab_input_bits[i] = i % 3 == 0;
    }
    return map;
}

int main(int argc, char **argv)
{
    modbus_t *ctx = argc == 2 ? modbus_new_rtu(argv[1], 115200, 'N', 8, 1) : NULL;
    modbus_mapping_t *map = make_mapping();
    if (!ctx || !map || modbus_set_slave(ctx, 1) < 0 || modbus_connect(ctx) < 0) {
        (void)fprintf(stderr, "modbus_server: %s\n", modbus_strerror(errno));
        return 1;
    }
    (void)puts("listening");
    (void)fflush(stdout);
    for (;;) {
        uint8_t request[MODBUS_RTU_MAX_ADU_LENGTH];
        int n = modbus_receive(ctx, request);
        if (n > 0)
            (void)modbus_reply(ctx, request, n, map);
        else if (n < 0 && errno != EMBBADCRC && errno != ETIMEDOUT)
            break;
    }
    modbus_mapping_free(map);
    modbus_close(ctx);
    modbus_free(ctx);
    return 0;
}
