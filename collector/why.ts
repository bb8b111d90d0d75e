// "Why is this workload slow?": what the fabric did to it, and what it did to others, around a time. Answered by the collector, asked by the command line.
//
// Rule: "nothing that the fabric did" is only said together with what could be seen.

import type { Incident } from './event.ts';

/** The answer of `GET /api/v1/why`. */
export interface WhyAnswer {
  subject: string;
  at: string;
  /** Plain text, a paragraph for each thing to say. */
  text: string;
  /** Ids of the incidents that it tells of. */
  incidents: string[];
}

/** What is known of the telemetry as a whole. */
export interface Trust {
  reports: number;
  lost: number;
  nodes: number;
}

/** An incident that ended this long before the time asked for may still be what is meant. */
const BEFORE_MS = 60_000;
const MAX_STORIES = 5;

/** Answers for `namespace/name`, where the name is that of a workload or of a pod. Throws an Error with a plain sentence when asked badly. */
export function whyOf(
  subject: string,
  at: string | undefined,
  nowUnixMs: number,
  incidents: readonly Incident[],
  trust: Trust,
): WhyAnswer {
  const [namespace, name, ...more] = subject.split('/');
  if (namespace === '' || name === undefined || name === '' || more.length > 0)
    throw new Error('the subject must be NAMESPACE/NAME, where NAME is a workload or a pod');
  const atMs = at === undefined ? nowUnixMs : Date.parse(at);
  if (Number.isNaN(atMs)) throw new Error(`${at}: is no time; give one like 2026-11-27T10:15:00Z`);
  const then = incidents.filter((incident) => isAround(incident, atMs));
  const isMeant = (who: { namespace: string; workload: string; pods?: string[] }): boolean =>
    who.namespace === namespace && (who.workload === name || (who.pods?.includes(name) ?? false));
  const suffered = then.filter(({ victims }) => victims.some(isMeant));
  const caused = then.filter(
    (incident) => incident.confidence >= 0.5 && incident.culprits[0] !== undefined && isMeant(incident.culprits[0]),
  );
  const harmful = then.filter(({ type, severity }) => type !== 'congestion' && severity >= 3);
  const own = [...suffered, ...caused.filter((incident) => !suffered.includes(incident))];
  const told = [...own, ...harmful.filter((incident) => !own.includes(incident))].slice(0, MAX_STORIES);
  const paragraphs = [
    opening(subject, suffered.length, caused.length, trust),
    ...told.map(({ story, related }) => {
      const causes = related.filter(({ relation }) => relation === 'cause').map(({ id, type }) => `${type} (${id})`);
      const because = causes.length === 0 ? '' : ` It comes from: ${causes.join(', ')}.`;
      const help = story.help.length === 0 ? '' : ` What would help: ${story.help.join('; ')}.`;
      return `${story.text}${because}${help}`;
    }),
  ];
  return { subject, at: new Date(atMs).toISOString(), text: paragraphs.join('\n\n'), incidents: told.map(({ id }) => id) };
}

function isAround({ openedAt, state, updatedAt, events }: Incident, atMs: number): boolean {
  const lastMs = Math.max(Date.parse(updatedAt), ...events.map((event) => Date.parse(event.lastSeen)));
  return Date.parse(openedAt) <= atMs && (state === 'open' || lastMs >= atMs - BEFORE_MS);
}

function opening(subject: string, suffered: number, caused: number, { reports, lost, nodes }: Trust): string {
  const share = reports + lost === 0 ? 0 : (lost / (reports + lost)) * 100;
  const seen = `${reports} reports from ${nodes} nodes, ${share.toFixed(2)} % lost on the way`;
  if (reports === 0) return `Nothing can be said about ${subject}: no node reports to this collector.`;
  const parts = [
    ...(suffered > 0 ? [`was harmed in ${suffered} incident${suffered === 1 ? '' : 's'}`] : []),
    ...(caused > 0 ? [`was the cause of ${caused}`] : []),
  ];
  if (parts.length > 0) return `${subject} ${parts.join(' and ')} (${seen}).`;
  return `Nothing that the fabric did harmed ${subject} then, as far as is reported (${seen}). If it is slow, look at its host, its peers and itself.`;
}
