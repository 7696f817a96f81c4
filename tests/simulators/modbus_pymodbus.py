#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A Modbus RTU device by pymodbus: modbus_pymodbus.py PORT. Unit 1, its identification, memory."""
import asyncio
import sys

from pymodbus.datastore import (ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext)
from pymodbus.device import ModbusDeviceIdentification
from pymodbus.server.async_io import ModbusSerialServer
from pymodbus.transaction import ModbusRtuFramer


async def main(port):
    block = lambda first: ModbusSequentialDataBlock(0, [first + i for i in range(200)])  # noqa: E731
    slave = ModbusSlaveContext(di=block(0), co=block(0), hr=block(1000), ir=block(2000),
                               zero_mode=True)
    identity = ModbusDeviceIdentification(info_name={
        "VendorName": "Acme", "ProductCode": "VFD7", "MajorMinorRevision": "2.4.1"})
    server = ModbusSerialServer(ModbusServerContext(slaves={1: slave}, single=False),
                                framer=ModbusRtuFramer, identity=identity, port=port,
                                baudrate=115200, parity="N")
    await server.start()
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
