// A process that produces webhook events as fast as it can store them, to be killed: node webhook-sender.ts STORE URL FIRST COUNT
// It prints the number of an incident when its opening is on disk. COUNT 0 only delivers what is left.

import { sendWebhook } from '../../alerts/remediation/actions/webhook.ts';
import { WebhookDelivery } from '../../alerts/remediation/delivery.ts';
import { Remediation } from '../../alerts/remediation/remediation.ts';
import { Outbox } from '../../collector/store/outbox.ts';
import { incidentOf } from './incidents.ts';

const [store, url, first, count] = process.argv.slice(2);
const endpoints = [{ name: 'a', url, secret: 'a secret of the test, long enough', minSeverity: 1 }];
const outbox = new Outbox(store);
const delivery: WebhookDelivery = new WebhookDelivery({
  endpoints,
  outbox,
  send: sendWebhook,
  onDelivered: () => undefined,
  now: () => Date.now(),
  notice: () => undefined,
});
const remediation = new Remediation({
  mode: 'observe',
  minSeverity: 1,
  expiryNs: 60e9,
  settleNs: 5e9,
  endpoints,
  outbox,
  readQueue: () => undefined,
  nowUnixMs: () => Date.now(),
  onStored: () => delivery.wake(),
  onLost: (reason) => {
    throw new Error(reason);
  },
});
remediation.start();
delivery.start();
let next = Number(first);
const end = next + Number(count);
const timer = setInterval(() => {
  if (next < end) {
    const incident = incidentOf({ id: `inc_${next}` });
    remediation.onIncident(incident, 'opened');
    if (next % 2 === 0) remediation.onIncident({ ...incident, state: 'closed' }, 'closed');
    process.stdout.write(`${next}\n`);
    next++;
  } else if (count === '0' && outbox.pending().size === 0) {
    clearInterval(timer);
    void delivery.stop().then(() => process.exit(0));
  }
}, 2);
