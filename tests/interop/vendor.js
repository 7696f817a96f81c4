// SPDX-License-Identifier: Apache-2.0
'use strict';
// Runs the unmodified npm package `ibmiotf` against a broker on a port of our choice, steered by
// lines of JSON on stdin, and tells what the package itself saw and emitted as lines of JSON.
//
// What is not as the vendor made it, said plainly: the package connects to ssl://HOST:8883, and
// no option of it changes the port. So mqtt.connect(), which the package calls, is wrapped here at
// run time: the URL's port is replaced, nothing else. Host (option `mqtt-server`), TLS and the
// check of the broker's certificate (NODE_EXTRA_CA_CERTS) are the package's own. No file of the
// package is changed.
const path = require('path');
const readline = require('readline');

const modules = process.env.SB_NODE_MODULES;
const vendor = (name) => require(path.join(modules, name));

function tell(event, data) {
  process.stdout.write(JSON.stringify(Object.assign({ event }, data)) + '\n');
}

// Loaded before ibmiotf, so that the package gets this same module from require's cache.
const mqtt = vendor('mqtt');
const connect = mqtt.connect;
mqtt.connect = (url, options) => {
  const to = new URL(url);
  if (to.port !== '8883') throw new Error(`ibmiotf wanted ${url}, not port 8883`);
  to.port = process.env.SB_BROKER_PORT;
  const client = connect(to.href, options);
  client.on('message', (topic, payload) => tell('received', { topic, payload: String(payload) }));
  client.on('packetsend', (packet) => {
    if (packet.cmd === 'publish') {
      tell('published', { topic: packet.topic, payload: String(packet.payload), qos: packet.qos });
    } else if (packet.cmd === 'subscribe') {
      tell('subscribe', { subscriptions: packet.subscriptions });
    }
  });
  client.on('packetreceive', (packet) => {
    if (packet.cmd === 'suback') tell('subscribed', { granted: packet.granted });
  });
  tell('connecting', { url: to.href, clientId: options.clientId, username: options.username });
  return client;
};

// The managed gateway prints every message with console.log: keep stdout ours.
console.log = (...words) => console.error(...words);

// What the package throws inside the MQTT stream ends a real program; told, then the same.
process.on('uncaughtException', (error) => {
  tell('uncaught', { message: String(error.message) });
  process.exitCode = 70;
  process.stdout.write('', () => process.exit());
});

// Emitted events of the package, and the commands (methods) that stdin may call.
function steer(client, events, methods) {
  for (const name of events) {
    client.on(name, (...data) => tell(name, { data: data.map(plain) }));
  }
  client.on('error', (error) => tell('error', { message: String(error) }));
  const input = readline.createInterface({ input: process.stdin });
  input.on('close', () => process.exit(1)); // the test is gone
  input.on('line', (line) => {
    const [method, ...words] = JSON.parse(line);
    if (method === 'quit') {
      client.once('disconnect', () => process.exit(0));
      client.disconnect();
      return;
    }
    if (!methods.includes(method)) throw new Error(`no such command: ${method}`);
    const result = client[method](...words);
    tell('called', { method, result: typeof result === 'string' ? result : null });
  });
  client.connect();
}

// A copy: the package goes on changing the objects that it hands out.
function plain(value) {
  return value === undefined ? null : JSON.parse(JSON.stringify(value));
}

function identity(type, id) {
  return {
    org: process.env.SB_ORG, type, id, 'auth-method': 'token', 'auth-token': process.env.SB_TOKEN,
    'mqtt-server': 'localhost',
  };
}

module.exports = { vendor, tell, steer, identity };
