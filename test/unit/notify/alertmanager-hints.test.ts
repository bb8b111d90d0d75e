// Alertmanager's hint: which incident an alert is about, and what is not a payload.

import { expect, it } from 'vitest';
import { AlertmanagerHints } from '../../../alerts/notify/alertmanager-hints.ts';
import type { Incident, LinkedAlert } from '../../../collector/event.ts';
import { incidentOf } from '../../support/incidents.ts';

const QUEUE = { alertname: 'FabricCongestion', node: 'leaf-2', interface: '1', queue: '0' };
const CULPRIT = { ...QUEUE, namespace: 'analytics', workload: 'backup' };
const VICTIM = { alertname: 'FabricVictimBudget', namespace: 'core5g', workload: 'upf' };

function alert(labels: Record<string, string>, changes: object = {}) {
  return { status: 'firing', labels, startsAt: '2026-11-24T10:00:05Z', fingerprint: 'f1', ...changes };
}
function hintsOf(incidents: Incident[]) {
  const linked: [string, LinkedAlert][] = [];
  const hints = new AlertmanagerHints({
    incidents: () => incidents,
    link: (id, known) => linked.push([id, known]) > 0,
  });
  return { hints, linked };
}
function link(alerts: object[], incidents: Incident[]) {
  const { hints, linked } = hintsOf(incidents);
  const result = hints.take({ version: '4', alerts });
  return { result, ids: linked.map(([id]) => id) };
}

it.each([
  ['the culprit on its queue', CULPRIT, ['inc_1']],
  ['the queue alone', QUEUE, ['inc_1']],
  ['a victim', VICTIM, ['inc_1']],
  ['another culprit on that queue', { ...CULPRIT, workload: 'other' }, []],
  ['another queue', { ...CULPRIT, queue: '3' }, []],
  ['a stranger', { alertname: 'X', namespace: 'core5g', workload: 'smf' }, []],
])('an alert that names %s', (_what, labels, ids) => {
  expect(link([alert(labels)], [incidentOf()]).ids).toEqual(ids);
});

it('an alert that is new belongs to the open incident, the end of an old one to the incident that knows it', () => {
  const known = { fingerprint: 'f1', name: 'FabricCongestion', status: 'firing', startsAt: '2026-11-24T09:00:00Z' };
  const old = incidentOf({ id: 'inc_old', state: 'closed', alerts: [known] });
  const open = incidentOf({ id: 'inc_new' });
  expect(link([alert(CULPRIT)], [open, old]).ids).toEqual(['inc_new']);
  expect(link([alert(CULPRIT, { status: 'resolved', startsAt: known.startsAt })], [open, old]).ids).toEqual(['inc_old']);
  expect(link([alert(CULPRIT)], [old]).ids).toEqual([]);
});

it('says how many were linked, unmatched and left out, and takes any number', () => {
  const alerts = Array.from({ length: 1500 }, (_, i) => alert(i === 0 ? CULPRIT : { alertname: 'X' }, { fingerprint: `f${i}` }));
  expect(link(alerts, [incidentOf()]).result).toEqual({ linked: 1, unmatched: 1499, repeated: 0, truncated: 0 });
});

it.each([[undefined], ['text'], [{ version: '3', alerts: [] }], [{ version: '4', alerts: [{}] }]])(
  '%j is refused with a sentence',
  (body) => {
    expect(() => hintsOf([]).hints.take(body)).toThrow(/^not an Alertmanager webhook of version "4": /);
  },
);

it('three copies of each payload, shuffled and again five minutes later, count once', () => {
  const { hints, linked } = hintsOf([incidentOf()]);
  const payload = (status: string, groupKey: string) => ({
    version: '4',
    groupKey,
    truncatedAlerts: groupKey === 'b' ? 2 : 0,
    alerts: [alert(CULPRIT, { status }), alert(VICTIM, { status, fingerprint: 'f2' })],
  });
  const copies = [1, 2, 3].flatMap(() => [payload('firing', 'a'), payload('firing', 'b'), payload('resolved', 'a')]);
  for (const i of [4, 0, 8, 2, 6, 1, 7, 3, 5, 5, 0]) hints.take(copies[i]);
  expect(linked).toHaveLength(6);
  expect(hints.counts).toEqual({ linked: 6, unmatched: 0, repeated: 16, truncated: 2 * 3 });
});

it('an alert that came before its incident is linked when it comes again', () => {
  const incidents: Incident[] = [];
  const { hints, linked } = hintsOf(incidents);
  hints.take({ version: '4', alerts: [alert(CULPRIT)] });
  incidents.push(incidentOf());
  hints.take({ version: '4', alerts: [alert(CULPRIT)] });
  expect(hints.counts).toMatchObject({ linked: 1, unmatched: 1, repeated: 0 });
  expect(linked).toHaveLength(1);
});
