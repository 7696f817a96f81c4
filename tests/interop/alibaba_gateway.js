// SPDX-License-Identifier: Apache-2.0
'use strict';
// The unmodified npm package `alibabacloud-iot-device-sdk` as a gateway, steered by lines of JSON on
// stdin; what the package itself heard is told as lines of JSON. It has no OTA of its own: as its
// users do, those topics are published and subscribed by hand.
// usage: alibaba_gateway.js PORT PRODUCT NAME SECRET
const path = require('path');
const readline = require('readline');

const iot = require(path.join(process.env.SB_NODE_MODULES, 'alibabacloud-iot-device-sdk'));
const [port, productKey, deviceName, deviceSecret] = process.argv.slice(2);

function tell(event, data) {
  process.stdout.write(JSON.stringify(Object.assign({ event }, data)) + '\n');
}

const gateway = iot.gateway({ productKey, deviceName, deviceSecret,
  brokerUrl: `mqtt://127.0.0.1:${port}`, tls: false, reconnectPeriod: 0 });
const subs = {};

gateway.on('connect', () => tell('connect', {}));
gateway.on('error', (error) => {
  tell('error', { message: String(error.message || error) });
  process.exit(0);
});
gateway.on('message', (topic, payload) => tell('message', { topic, payload: payload.toString() }));

const commands = {
  register: (device) => gateway.regiestSubDevice([device], (reply) => tell('registered', { reply })),
  add: (device) => gateway.addTopo([device], (reply) => tell('added', { reply })),
  topology: () => gateway.getTopo((reply) => tell('topology', { reply })),
  remove: (device) => gateway.removeTopo([device], (reply) => tell('removed', { reply })),
  login: (device) => {
    const sub = gateway.login(device, (reply) => tell('login', { reply }));
    sub.on('error', () => {});
    sub.onProps((reply) => tell('props', { reply }));
    sub.onService('rinse', (reply, answer) => {
      tell('service', { reply });
      answer({ id: reply.id, code: 200, data: { done: true } }, 'async');
    });
    subs[device.deviceName] = sub;
  },
  post: (name, props) => subs[name].postProps(props, (reply) => tell('posted', { reply })),
  logout: (device) => gateway.logout(device, (reply) => tell('logout', { reply })),
  publish: (topic, payload) => gateway.publish(topic, JSON.stringify(payload)),
  quit: () => gateway.end(true, () => process.exit(0)),
};

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [command, ...words] = JSON.parse(line);
  commands[command](...words);
});
