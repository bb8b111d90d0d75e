// `hopscope demo`: a simulated fabric and a collector with embedded defaults in one process; shows an incident within a minute.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LiveFabric } from '../p4-int/fabric/live.ts';
import type { Scenario } from '../p4-int/fabric/scenario.ts';
import { parseConfig, type Config } from './config.ts';
import { isCongestion, placeText, type Incident } from './event.ts';
import { startCollector, type Log } from './main.ts';
import { scenarioSettings } from './scenario-settings.ts';

export interface DemoOptions {
  scenario: Scenario;
  seed: number;
  httpPort: number;
  /** Stop after so many seconds; 0 runs until told to stop. */
  seconds: number;
}

/** Configuration for a scenario: what its operator would write, and ports and store of the demo. */
function demoConfig(scenario: Scenario, storePath: string, httpPort: number): Config {
  const settings = scenarioSettings(scenario);
  return parseConfig(
    JSON.stringify({ ...settings, http: { address: '127.0.0.1', port: httpPort }, store: { path: storePath } }),
    'demo',
  );
}

/** Runs the demo until `stopped` resolves or its time is over. Writes for people through `say`. */
export async function runDemo(
  options: DemoOptions,
  log: Log,
  say: (text: string) => void,
  stopped: Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'hopscope-demo-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const { scenario } = options;
  const shown = new Map<string, number>();
  const collector = await startCollector(demoConfig(scenario, join(folder, 'demo.db'), options.httpPort), log, (incident) => {
    if (!isTelling(incident) || (shown.get(incident.id) ?? 0) >= incident.severity) return;
    shown.set(incident.id, incident.severity);
    say(describe(incident));
  });
  const fabric = new LiveFabric({ scenario, seed: options.seed, port: collector.udpPort });
  const base = `http://127.0.0.1:${collector.httpPort}`;
  say(
    [
      `Hopscope demo: ${scenario.name}, ${fabric.pace}.`,
      ...wrapped(scenario.about),
      `  page       ${base}/`,
      `  incidents  ${base}/api/v1/incidents`,
      `  metrics    ${base}/metrics`,
      'Ctrl-C stops it.',
      '',
    ].join('\n'),
  );
  fabric.start();
  const startedMs = Date.now();
  const progress = setInterval(() => {
    const [{ state }] = collector.lanes;
    const { counters, nodes, queues } = state;
    const seconds = Math.round((Date.now() - startedMs) / 1000);
    const open = collector.incidents.list().filter((i) => i.state === 'open').length;
    say(
      `${seconds} s: ${counters.read().of('reportsDecoded')} of ${fabric.reports} reports arrived from ${nodes.keys.totals[0]} switches; ` +
        `${queues.keys.totals[0]} queues watched, ${open} incident${open === 1 ? '' : 's'} open`,
    );
  }, 2000);
  await (options.seconds === 0 ? stopped : Promise.race([stopped, delay(options.seconds * 1000)]));
  clearInterval(progress);
  await fabric.stop();
  await collector.stop();
  say('stopped.');
}

/** Characters in a line. */
const MAX_LINE = 100;
/** Smaller shares of a build-up are not worth telling. */
const MIN_TOLD_SHARE = 0.01;

/** An incident worth a story: events have closed, so culprits and victims are final for them. */
function isTelling(incident: Incident): boolean {
  return incident.victims.length > 0 && incident.events.some((event) => event.state === 'closed');
}

function describe(incident: Incident): string {
  const event = incident.events.filter(isCongestion).findLast((candidate) => candidate.state === 'closed')!;
  const { place } = incident;
  const share = (v: number): string => `${Math.round(v * 100)} %`;
  const micros = (ns: number): string => `${Math.round(ns / 1000)} µs`;
  const depth = event.peakDepthBytes === null ? '' : `, ${Math.round(event.peakDepthBytes / 1000)} kB deep`;
  return [
    '',
    `INCIDENT ${incident.id} (severity ${incident.severity} of 5)`,
    `  where     ${placeText(place)}`,
    `  when      ${event.start} to ${event.end?.latest ?? 'now'} (${micros(event.durationNs)})`,
    `  how bad   packets waited up to ${micros(event.peakWaitNs)}${depth}`,
    `  caused by ${incident.culprits
      .filter((c, i) => i === 0 || c.buildUpShare >= MIN_TOLD_SHARE)
      .map((c) => `${c.namespace}/${c.workload} ${share(c.buildUpShare)}`)
      .join(', ')}`,
    `  suffered  ${incident.victims.map((v) => `${v.namespace}/${v.workload} (p99 ${micros(v.excessWaitP99Ns)}, ${share(v.budgetUse)} of its budget)`).join(', ')}`,
    `  how sure  ${share(incident.confidence)}; ${share(incident.evidence.reportLossRatio ?? 0)} of the reports lost, ${share(incident.evidence.coverage ?? 1)} of the octets seen`,
    `  story     ${incident.story.text}`,
    `  plan      ${incident.plan.action} ${incident.plan.targets.join(', ')} (only observed: nothing is done)`,
    '',
  ].join('\n');
}

/** The words in lines of at most 100 characters. */
function wrapped(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < MAX_LINE) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
