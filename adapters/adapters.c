/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/adapters.h"

#include "adapters/devices/dialog/driver.h"
#include "adapters/devices/modbus/driver.h"
#include "adapters/devices/smp/driver.h"
#include "adapters/dialects/alibaba/alibaba.h"
#include "adapters/dialects/azure/azure.h"
#include "adapters/dialects/huawei/huawei.h"
#include "adapters/dialects/ibm/ibm.h"
#include "adapters/transports/serial.h"

static const struct sb_door_ops *const doors[] = { &sb_alibaba_uplink, &sb_azure_uplink,
                                                   &sb_huawei_uplink, &sb_ibm_uplink, NULL };
static const struct sb_driver_ops *const drivers[] = { &sb_dialog_driver, &sb_modbus_driver,
                                                       &sb_smp_driver, NULL };
static const struct sb_port_ops *const transports[] = { &sb_serial_transport, NULL };

const struct sb_adapters sb_adapters = { doors, drivers, transports };
