// The story of an incident and the answer to "why": what is said, and what is never said.

import { describe, expect, it } from 'vitest';
import { IncidentBook } from '../../collector/diagnose/incident.ts';
import { storyOf } from '../../collector/diagnose/story.ts';
import { isCongestion, type ConditionEvent, type Incident } from '../../collector/event.ts';
import { whyOf } from '../../collector/why.ts';
import { incidentOf } from '../support/incidents.ts';

const TRUST = { reports: 1000, lost: 10, nodes: 4 };
const NOW_MS = Date.parse('2026-11-24T10:01:00Z');

const condition = (changes: Partial<ConditionEvent> = {}): ConditionEvent => ({
  id: 'evt_c',
  kind: 'loop',
  state: 'open',
  place: { node: 'leaf-1' },
  start: '2026-11-24T10:00:01.000000000Z',
  lastSeen: '2026-11-24T10:00:02.000000000Z',
  end: null,
  durationNs: 1e9,
  severity: 5,
  summary: 'packets of 3 flow(s) go round',
  numbers: { flows: 3 },
  confidence: 1,
  related: [],
  ...changes,
});

function bookOf(...events: ConditionEvent[]): IncidentBook {
  const planFor = () => incidentOf().plan;
  const book = new IncidentBook({ quietNs: 60e9, maxIncidents: 100, iso: (ns) => `t${ns}`, planFor }, () => undefined);
  for (const event of events) book.record(event, 1e9);
  return book;
}

describe('the story', () => {
  it('says when, where, how bad, who, without whom how much less, and who suffered', () => {
    const incident = incidentOf();
    incident.culprits[0] = { ...incident.culprits[0], counterfactual: 0.97 };
    const { text, help } = storyOf(incident);
    const [culprit] = incident.culprits;
    const [victim] = incident.victims;
    for (const part of [
      'leaf-2 interface 1 queue 0',
      '1.6 ms',
      `${culprit.namespace}/${culprit.workload}`,
      '97 % less',
      victim.workload,
    ])
      expect(text).toContain(part);
    expect(help.join(' ')).toContain('up to 97 % less waiting');
  });

  it('says where the same flows were queued before, and which were the largest', () => {
    const related = [
      { id: 'inc_2', type: 'congestion' as const, relation: 'cause' as const, where: 'leaf-7 interface 9 queue 0' },
    ];
    const incident = incidentOf({ related });
    const flow = {
      source: '10.0.0.1',
      destination: '10.0.0.2',
      sourcePort: 7,
      destinationPort: 80,
      protocol: 6,
      sender: 'shop/cart',
      path: ['leaf-1', 'spine-1'],
    };
    const events = incident.events.map((event) => ({ ...event, flows: [{ ...flow, buildUpShare: 0.4, buildUpBytes: 1 }] }));
    const { text, evidence } = storyOf({ ...incident, events: events });
    expect(text).toContain('queued before that at leaf-7 interface 9 queue 0');
    expect(evidence).toContain('flow 10.0.0.1 port 7 to 10.0.0.2 port 80, protocol 6, of shop/cart, by leaf-1, spine-1: 40 %');
  });

  it('names nobody below half a confidence', () => {
    const incident = incidentOf({ confidence: 0.49 });
    const { text, help } = storyOf(incident);
    expect(text).toContain('not enough evidence to name a cause');
    expect(help.join(' ')).not.toContain(incident.culprits[0].workload);
  });

  it('says what was lost and what was not seen', () => {
    const incident = incidentOf();
    incident.evidence = { ...incident.evidence, reportLossRatio: 0.2, coverage: 0.6 };
    expect(storyOf(incident).text).toContain('20 % of the node’s'.replace('’', "'"));
    expect(storyOf(incident).text).toContain('only 60 % of the traffic was seen');
  });

  it('names the pod where one is known, and never makes a name of the unknown', () => {
    const incident = incidentOf();
    incident.culprits[0] = { ...incident.culprits[0], pods: ['backup-x7'] };
    expect(storyOf(incident).text).toContain('pod backup-x7');
    const event = incident.events.find(isCongestion)!;
    incident.events = [{ ...event, pattern: 'unwatched' }];
    incident.culprits[0] = { ...incident.culprits[0], kind: 'unknown', namespace: 'unknown', workload: 'unwatched' };
    expect(storyOf(incident).text).toContain('is in no report');
    expect(storyOf(incident).text).not.toContain('unknown/unwatched');
  });
});

describe('incidents of other kinds', () => {
  it('are opened at their place, with a story and a plan to look into it', () => {
    const [incident] = bookOf(condition()).list();
    expect(incident).toMatchObject({ type: 'loop', severity: 5, queue: null, place: { node: 'leaf-1' }, eventCount: 1 });
    expect(incident.story.text).toContain('packets go round in a loop at leaf-1');
  });

  it('again at the same place are the same incident; the same event again is no new one', () => {
    const again = condition({ id: 'evt_d', start: '2026-11-24T10:00:10.000000000Z' });
    const [incident, ...others] = bookOf(condition(), condition({ state: 'closed' }), again).list();
    expect(others).toEqual([]);
    expect(incident.eventCount).toBe(2);
  });

  it('know their causes and effects, and what limits what is known of them', () => {
    const drops = condition({ id: 'evt_l', kind: 'loss', place: { node: 'spine-1' }, severity: 3 });
    const blind = condition({ id: 'evt_t', kind: 'telemetry-degraded', place: { node: 'spine-1' }, severity: 2 });
    const book = bookOf(condition(), blind, drops);
    const [loss] = book.list();
    expect(loss.related.map(({ type, relation }) => [type, relation])).toEqual([
      ['loop', 'cause'],
      ['telemetry-degraded', 'limits-what-is-known'],
    ]);
  });
});

describe('why', () => {
  const ask = (subject: string, incidents: Incident[], at?: string) => whyOf(subject, at, NOW_MS, incidents, TRUST);
  const [victim] = incidentOf().victims;
  const subject = `${victim.namespace}/${victim.workload}`;
  const recent = (): Incident => incidentOf({ openedAt: '2026-11-24T10:00:30.000Z', updatedAt: '2026-11-24T10:00:40.000Z' });

  it('tells a victim what happened to it, by workload or by pod', () => {
    expect(ask(subject, [recent()])).toMatchObject({ incidents: ['inc_1'] });
    expect(ask(subject, [recent()]).text).toContain('was harmed in 1 incident');
    const incident = recent();
    incident.victims[0] = { ...incident.victims[0], pods: ['upf-abc'] };
    expect(ask(`${victim.namespace}/upf-abc`, [incident]).incidents).toEqual(['inc_1']);
  });

  it('tells a culprit what it did, and others that it was not the fabric', () => {
    const [culprit] = incidentOf().culprits;
    expect(ask(`${culprit.namespace}/${culprit.workload}`, [recent()]).text).toContain('was the cause of 1');
    const answer = ask('shop/bystander', [recent()]);
    expect(answer.text).toContain('Nothing that the fabric did harmed shop/bystander');
    expect(answer.incidents).toEqual([]);
  });

  it('is about the time that is asked for', () => {
    const old = { ...recent(), state: 'closed' as const, events: [] };
    expect(ask(subject, [old], '2026-11-24T10:00:35Z').incidents).toEqual(['inc_1']);
    expect(ask(subject, [old], '2026-11-24T12:00:00Z').incidents).toEqual([]);
    expect(ask(subject, [old], '2026-11-24T09:00:00Z').incidents).toEqual([]);
  });

  it('that cannot be answered says why', () => {
    expect(() => ask('no-slash', [])).toThrow('NAMESPACE/NAME');
    expect(() => ask(subject, [], 'yesterday')).toThrow('is no time');
    expect(whyOf(subject, undefined, NOW_MS, [], { reports: 0, lost: 0, nodes: 0 }).text).toContain('no node reports');
  });
});
