// A process that produces webhook events as fast as it can store them, to be killed: node webhook-sender.ts STORE URL FIRST COUNT
// It prints the number of an incident when its opening is on disk. COUNT 0 only delivers what is left.

import { WebhookDelivery } from '../../alerts/notify/delivery.ts';
import { Destinations } from '../../alerts/notify/destination.ts';
import { Poster } from '../../alerts/notify/post.ts';
import { Notifications } from '../../alerts/notify/notifications.ts';
import { webhookSender } from '../../alerts/notify/webhook.ts';
import { openDatabase } from '../../collector/store/database.ts';
import { Outbox } from '../../collector/store/outbox.ts';
import { incidentOf } from './incidents.ts';

const [store, url, first, count] = process.argv.slice(2);
const endpoints = [{ name: 'a', url, secrets: ['a secret of the test, long enough'], minSeverity: 1 }];
const outbox = new Outbox(openDatabase(store));
const delivery: WebhookDelivery = new WebhookDelivery({
  endpoints,
  outbox,
  send: webhookSender(new Poster(new Destinations([{ network: '127.0.0.1', port: Number(new URL(url).port) }]))),
  onSettled: () => undefined,
  now: () => Date.now(),
  notice: () => undefined,
});
const notifications = new Notifications({
  endpoints,
  outbox,
  nowUnixMs: () => Date.now(),
  onStored: () => delivery.wake(),
  onLost: (reason) => {
    throw new Error(reason);
  },
});
notifications.start();
delivery.start();
// Nobody waits for hours here.
if (count === '0') outbox.hurry('a', Date.now());
let next = Number(first);
const end = next + Number(count);
const timer = setInterval(() => {
  if (next < end) {
    const incident = incidentOf({ id: `inc_${next}` });
    notifications.onIncident(incident, 'opened');
    if (next % 2 === 0) notifications.onIncident({ ...incident, state: 'closed' }, 'closed');
    process.stdout.write(`${next}\n`);
    next++;
  } else if (count === '0' && outbox.pending().size === 0) {
    clearInterval(timer);
    void delivery.stop().then(() => process.exit(0));
  }
}, 2);
