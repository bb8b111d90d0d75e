// A process whose one incident burns until it is killed: node alert-sender.ts STORE INCIDENT ALERTMANAGER... ; INCIDENT "none" only ends what others
// have left.

import { AlertmanagerOut } from '../../alerts/notify/alertmanager-out.ts';
import { Destinations } from '../../alerts/notify/destination.ts';
import { Poster } from '../../alerts/notify/post.ts';
import { AlertState } from '../../collector/store/alert-state.ts';
import { openDatabase } from '../../collector/store/database.ts';
import { incidentOf } from './incidents.ts';

const [store, id, ...peers] = process.argv.slice(2);
const poster = new Poster(new Destinations(peers.map((peer) => ({ network: '127.0.0.1', port: Number(new URL(peer).port) }))));
const out = new AlertmanagerOut({
  peers,
  minSeverity: 1,
  state: new AlertState(openDatabase(store)),
  post: (url, body, signal) => poster.post({ url, headers: { 'content-type': 'application/json' }, body }, signal),
  now: () => Date.now(),
  notice: (message) => process.stderr.write(`${message}\n`),
});
out.start();
if (id !== 'none') {
  const incident = incidentOf({ id, openedAt: new Date().toISOString() });
  // Each has a queue of its own, so that each is an alert of its own.
  out.onIncident({ ...incident, place: { ...incident.place, interface: id } }, 'opened');
}
setInterval(() => undefined, 60_000);
