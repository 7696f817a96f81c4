// SPDX-License-Identifier: Apache-2.0
'use strict';
// ibmiotf's managed gateway. usage: ibm_gateway.js TYPE ID; see vendor.js.
const { vendor, steer, identity } = require('./vendor.js');

const { IotfManagedGateway } = vendor('ibmiotf');
const client = new IotfManagedGateway(identity(process.argv[2], process.argv[3]));
steer(client, ['connect', 'disconnect', 'dmResponse', 'dmAction', 'firmwareDownload',
  'firmwareUpdate'],
['manageGateway', 'manageDevice', 'unmanageGateway', 'unmanageDevice', 'updateLocationDevice',
  'addErrorCodeDevice', 'clearErrorCodesDevice', 'addLogDevice', 'clearLogsDevice',
  'addLogGateway']);
