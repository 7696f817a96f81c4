// SPDX-License-Identifier: Apache-2.0
'use strict';
// ibmiotf's managed device. usage: ibm_device.js TYPE ID; see vendor.js.
const { vendor, steer, identity } = require('./vendor.js');

const { IotfManagedDevice } = vendor('ibmiotf');
const client = new IotfManagedDevice(identity(process.argv[2], process.argv[3]));

// The application's part, as in the package's own sample: do what the platform asked for and
// report. What an action is answered with is set by the test (commands `answer`, `outcome`).
let answer = 202;
let downloadEnds = [['changeState', 2]];
let updateEnds = [['changeUpdateState', 0], ['changeState', 0]];
client.answer = (rc) => { answer = rc; };
client.outcome = (download, update) => { downloadEnds = download; updateEnds = update; };

// The package emits before it answers 202; work begins after that.
client.on('firmwareDownload', () => setImmediate(() => {
  client.changeState(1);
  for (const [method, value] of downloadEnds) client[method](value);
}));
client.on('firmwareUpdate', () => setImmediate(() => {
  client.changeUpdateState(1);
  for (const [method, value] of updateEnds) client[method](value);
}));
client.on('dmAction', (request) => {
  const custom = !client.isRebootAction(request) && !client.isFactoryResetAction(request);
  client.respondDeviceAction(request, custom && answer === 202 ? 200 : answer, 'as you wish');
});

steer(client, ['connect', 'disconnect', 'dmResponse', 'dmAction', 'firmwareDownload',
  'firmwareUpdate', 'locationUpdate'],
['manage', 'unmanage', 'updateLocation', 'addErrorCode', 'clearErrorCodes', 'addLog', 'clearLogs',
  'changeState', 'answer', 'outcome']);
