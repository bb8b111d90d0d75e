// `hopscope switch plan|apply|status FILE`: brings switches to what a file says, and tells what it found and did. One switch that cannot
// be reached does not keep the others from their turn.

import ipaddr from 'ipaddr.js';
import { ipv4Text } from '../p4-int/runtime/address.ts';
import { applyTo } from '../p4-int/runtime/apply.ts';
import { SwitchClient } from '../p4-int/runtime/client.ts';
import type { Entry, MatchValue } from '../p4-int/runtime/entry.ts';
import { isDone, planFor, type Plan } from '../p4-int/runtime/plan.ts';
import { EntryError } from '../p4-int/runtime/program.ts';
import type { SwitchSpec } from '../p4-int/runtime/spec.ts';
import { SwitchError } from '../p4-int/runtime/switch-error.ts';
import { readSwitchFile } from './switch-file.ts';

export type SwitchVerb = 'plan' | 'apply' | 'status';

export interface SwitchOptions {
  /** These alone; without any, all of the file. */
  switch?: string[];
  replaceProgram?: boolean;
  json?: boolean;
}

/** Runs the verb for every switch that is chosen; false where one of them failed. Throws ConfigError for the file. */
export async function runSwitchCommand(
  verb: SwitchVerb,
  path: string,
  options: SwitchOptions,
  write: (text: string) => void,
): Promise<boolean> {
  const specs = readSwitchFile(path);
  const chosen = specs.filter(({ target }) => options.switch === undefined || options.switch.includes(target.name));
  const unknown = options.switch?.filter((name) => !specs.some(({ target }) => target.name === name)) ?? [];
  if (unknown.length > 0)
    throw new Error(`${path} has no switch ${unknown.join(', ')}: it has ${specs.map((one) => one.target.name).join(', ')}`);
  const results = await Promise.all(chosen.map((spec) => attempt(verb, spec, options.replaceProgram ?? false)));
  for (const result of results) write(options.json === true ? JSON.stringify(result) : textOf(result));
  return results.every(({ fault }) => fault === undefined);
}

/** What became of one switch; the form of a line of --json. */
interface SwitchResult {
  switch: string;
  fault?: { kind: string; message: string };
  program?: { name: string; state: string };
  /** Election id of who leads it; null where nobody does. */
  leader?: string | null;
  writes?: number;
  insert?: string[];
  modify?: string[];
  remove?: string[];
  conflicts?: string[];
  unchanged?: number;
  foreign?: number;
  reportInterface?: { is?: number; wanted?: number };
  isDone?: boolean;
}

async function attempt(verb: SwitchVerb, spec: SwitchSpec, replaceProgram: boolean): Promise<SwitchResult> {
  let client: SwitchClient | undefined;
  try {
    // Who only looks must not lead: of all election ids, 0 is the one that never does.
    const target = verb === 'apply' ? spec.target : { ...spec.target, electionId: 0n };
    client = new SwitchClient(target);
    if (verb === 'apply') {
      const { plan, writes } = await applyTo(spec, client, replaceProgram);
      return { ...resultOf(plan), writes, isDone: true };
    }
    if (verb === 'plan') return resultOf(await planFor(spec, client));
    await client.open();
    const { leader } = client;
    return { ...resultOf(await planFor(spec, client)), leader: leader === undefined || leader === 0n ? null : String(leader) };
  } catch (error) {
    // One switch's fault, whatever it is, is no other's.
    const { name } = spec.target;
    if (error instanceof SwitchError) return { switch: name, fault: { kind: error.kind, message: error.message } };
    const kind = error instanceof EntryError ? 'specification' : 'internal';
    return { switch: name, fault: { kind, message: `${name}: ${(error as Error).message}` } };
  } finally {
    client?.close();
  }
}

function resultOf(plan: Plan): SwitchResult {
  return {
    switch: plan.switchName,
    program: { name: plan.program.name, state: plan.programState },
    insert: plan.insert.map(entryText),
    modify: plan.modify.map(({ from, to }) => `${entryText(to)}, now ${doingText(from)}`),
    remove: plan.remove.map(entryText),
    conflicts: plan.conflicts.map(
      ({ wanted, theirs }) => `${entryText(wanted)}, in its place stands ${doingText(theirs)}, cookie "${theirs.cookie}"`,
    ),
    unchanged: plan.unchanged,
    foreign: plan.foreign,
    reportInterface: plan.reportInterface,
    isDone: isDone(plan),
  };
}

const PROGRAM_TEXT: Record<string, string> = {
  same: 'runs',
  none: 'runs no program; wanted:',
  other: 'runs another program; wanted:',
};

function textOf(result: SwitchResult): string {
  if (result.fault !== undefined) return `✗ ${result.fault.message}\n`;
  const { program, insert = [], modify = [], remove = [], conflicts = [], unchanged, foreign, reportInterface, writes } = result;
  const { is, wanted } = reportInterface ?? {};
  const lines = [
    ...insert.map((text) => `  + ${text}`),
    ...modify.map((text) => `  ~ ${text}`),
    ...remove.map((text) => `  - ${text}`),
    ...conflicts.map((text) => `  ! ${text}`),
    ...(wanted !== undefined && is !== wanted
      ? [`  ~ reports leave by interface ${wanted}${is === undefined ? '' : `, now ${is}`}`]
      : []),
  ];
  const state = [
    `${PROGRAM_TEXT[program!.state]} ${program!.name}`,
    ...(result.leader === undefined
      ? []
      : [result.leader === null ? 'nobody leads it' : `led with election id ${result.leader}`]),
    `${unchanged} entries as wanted, ${foreign} of others`,
    ...(writes === undefined ? [] : [writes === 0 ? 'nothing to write' : `${writes} updates written and read back`]),
    ...(writes === undefined && lines.length > 0 ? [`${lines.length} to change`] : []),
  ];
  return [`${result.isDone === true ? '✓' : '·'} ${result.switch}: ${state.join('; ')}`, ...lines, ''].join('\n');
}

function entryText(entry: Entry): string {
  const fields = Object.entries(entry.match).map(([name, value]) => `${name} ${valueText(name, value)}`);
  return `${entry.table}: ${fields.join(', ') || 'everything'} → ${doingText(entry)}`;
}

function doingText({ action, params }: Entry): string {
  const named = Object.entries(params).map(([name, value]) => `${name} ${numberText(name, value)}`);
  return [action, ...named].join(' ');
}

function valueText(name: string, value: MatchValue): string {
  if (value.kind === 'range') return `${value.low}–${value.high}`;
  if (value.kind === 'lpm') return prefixText(value.value, value.prefixLength);
  if (value.kind !== 'ternary') return numberText(name, value.value);
  const isAddress = name === 'source' || name === 'destination';
  return isAddress ? prefixText(value.value, value.mask.toString(2).replaceAll('0', '').length) : String(value.value);
}

function numberText(name: string, value: bigint): string {
  if (name.endsWith('mac'))
    return value
      .toString(16)
      .padStart(12, '0')
      .replaceAll(/..(?=.)/g, '$&:');
  if (name === 'address' || name === 'source' || name === 'destination') return ipv4Text(value);
  return String(value);
}

/** An IPv4 prefix where the address is in IPv6's mapped form. */
function prefixText(value: bigint, length: number): string {
  if (value >> 32n === 0xffffn && length >= 96) return `${ipv4Text(value & 0xffff_ffffn)}/${length - 96}`;
  const parts = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(112 - 16 * i)) & 0xffffn));
  return `${new ipaddr.IPv6(parts).toRFC5952String()}/${length}`;
}
