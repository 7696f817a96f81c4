// SPDX-License-Identifier: Apache-2.0
'use strict';
// The unmodified npm packages `azure-iot-device` and `azure-iot-device-mqtt` as a device, steered by
// lines of JSON on stdin; what the package itself saw is told as lines of JSON.
// usage: azure_device.js CONNECTION-STRING CA-FILE
const fs = require('fs');
const path = require('path');
const readline = require('readline');

const modules = process.env.SB_NODE_MODULES;
const vendor = (name) => require(path.join(modules, name));
const { Client } = vendor('azure-iot-device');
const { Mqtt } = vendor('azure-iot-device-mqtt');

function tell(event, data) {
  process.stdout.write(JSON.stringify(Object.assign({ event }, data)) + '\n');
}

const client = Client.fromConnectionString(process.argv[2], Mqtt);
let twin = null;

client.on('error', (error) => tell('error', { message: String(error) }));
client.on('disconnect', () => tell('disconnect', {}));

const commands = {
  // A method is answered as the test has said before.
  method(name, status, payload) {
    client.onDeviceMethod(name, (request, response) => {
      tell('method', { name: request.methodName, payload: request.payload,
        id: request.requestId });
      response.send(status, payload, (error) => tell('answered',
        { name, error: error && error.message }));
    });
    tell('done', { command: 'method' });
  },
  report(patch) {
    twin.properties.reported.update(patch, (error) => tell('reported', { error: error ? error.name : null }));
  },
  quit() {
    client.close(() => process.exit(0));
    // One that is put out just now may never say that it has closed.
    setTimeout(() => process.exit(0), 2000);
  },
};

client.setOptions({ ca: fs.readFileSync(process.argv[3], 'utf8') }, () => {
  client.open((error) => {
    if (error) {
      tell('refused', { name: error.name, message: error.message });
      process.exit(0);
    }
    client.getTwin((failed, got) => {
      if (failed) { // the connection went meanwhile
        tell('failed', { message: failed.message });
        return;
      }
      twin = got;
      tell('twin', { desired: got.properties.desired,
        reported: JSON.parse(JSON.stringify(got.properties.reported)) });
      got.on('properties.desired', (delta) => tell('desired', { delta }));
    });
  });
});

const input = readline.createInterface({ input: process.stdin });
input.on('close', () => process.exit(1)); // the test is gone
input.on('line', (line) => {
  const [command, ...words] = JSON.parse(line);
  commands[command](...words);
});
