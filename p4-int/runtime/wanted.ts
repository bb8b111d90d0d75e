// From what a switch is wanted to be to the entries that make it so. The order of the entries is the order in which they can be written:
// a route comes after its next hops.

import { fullMask, prefixMask } from './bytes.ts';
import { EntryError } from './program.ts';
import { keyOf, type Entry, type MatchValue } from './entry.ts';
import type { EmbeddedSpec, FlowSet, Prefix, ReportSpec, RouteSpec, SwitchSpec, WatchSpec } from './spec.ts';

/** What entries that come from a switch's file are known by; remediation has cookies of its own. */
export const SWITCH_COOKIE = 'hopscope:switch';
/** The clone session of reports (p4src/report.p4). */
export const REPORT_SESSION = 1;

const BUCKETS = 256;
const NEVER_REPORT_PRIORITY = 1_000_000;
const UDP = 17n;
/** Words of metadata by INT instruction bit, the first of 16 first (INT v2.1, section 5.7). */
const INSTRUCTION_WORDS = [1, 1, 1, 1, 2, 2, 2, 1, 1, 0, 0, 0, 0, 0, 0, 1];

export interface Wanted {
  entries: Entry[];
  /** The interface that reports leave by; undefined: no reports. */
  reportInterface: number | undefined;
}

/** Throws EntryError where the parts do not fit together. */
export function wantedOf(spec: SwitchSpec): Wanted {
  const nexthopIds = stableIds(spec.nexthops.map(({ name }) => name));
  const entries = [
    ...(spec.report ? reportEntries(spec.report, spec.nodeId) : []),
    ...spec.nexthops.map((nexthop) =>
      entry('nexthop', { nexthop_id: exact(nexthopIds.get(nexthop.name)!) }, 0, 'forward', {
        egress_port: BigInt(nexthop.interface),
        source_mac: nexthop.sourceMac,
        destination_mac: nexthop.destinationMac,
      }),
    ),
    ...routeEntries(spec.routes, nexthopIds),
    ...spec.gateways.map(({ address, mac }) =>
      entry('gateway', { address: exact(address.value & fullMask(32)) }, 0, 'answer', { mac }),
    ),
    ...spec.deny.map((flows, i) => entry('acl', flowMatch(flows), spec.deny.length - i, 'deny', {})),
    ...spec.queues.map(({ dscp, queue }) =>
      entry('dscp_queue', { dscp: exact(dscp) }, 0, 'take_queue', { queue_id: BigInt(queue) }),
    ),
    ...spec.queueReports.map((one) =>
      entry('queue_watch', { interface: exact(one.interface), queue_id: exact(one.queue) }, 0, 'watch_queue', {
        trigger_us: BigInt(one.triggerUs),
        reset_us: BigInt(one.resetUs),
        quota: BigInt(one.quota),
      }),
    ),
    ...(spec.report ? [neverReport(spec.report)] : []),
    ...spec.watch.map((watch, i) => watchEntry(watch, spec.watch.length - i)),
    ...(spec.embedded ? embeddedEntries(spec.embedded, spec.nodeId) : []),
  ];
  const keys = new Set<string>();
  for (const one of entries) {
    if (keys.has(keyOf(one)))
      throw new EntryError(`table ${one.table} is wanted to hold two entries in one place: ${keyOf(one)}`);
    keys.add(keyOf(one));
  }
  return { entries, reportInterface: spec.report?.interface };
}

/** A member of an ECMP group: the buckets that take it, and where it leads. */
export interface GroupMember {
  group: number;
  firstBucket: number;
  lastBucket: number;
  nexthop: number;
  interfaceId: number;
}

/** The members of all groups that a switch is wanted to have. */
export function groupMembersOf(spec: SwitchSpec): GroupMember[] {
  const { entries } = wantedOf(spec);
  const of = (table: string): Entry[] => entries.filter((one) => one.table === table);
  const number = (match: MatchValue): number => ('value' in match ? Number(match.value) : 0);
  const interfaces = new Map(of('nexthop').map(({ match, params }) => [number(match.nexthop_id), Number(params.egress_port)]));
  return of('ecmp_member').flatMap(({ match: { group_id: group, bucket }, params }) => {
    const nexthop = Number(params.nexthop_id);
    const interfaceId = interfaces.get(nexthop);
    if (bucket.kind !== 'range' || interfaceId === undefined) return [];
    return { group: number(group), firstBucket: Number(bucket.low), lastBucket: Number(bucket.high), nexthop, interfaceId };
  });
}

function routeEntries(routes: readonly RouteSpec[], nexthopIds: ReadonlyMap<string, number>): Entry[] {
  const idOf = (nexthop: string): bigint => {
    const id = nexthopIds.get(nexthop);
    if (id === undefined) throw new EntryError(`a route goes via ${nexthop}, which is none of the next hops`);
    return BigInt(id);
  };
  const groupOf = ({ via }: RouteSpec) => via.map(({ nexthop, weight }) => `${nexthop}*${weight}`).join(',');
  const shared = new Map(routes.filter(({ via }) => via.length > 1).map((route) => [groupOf(route), route]));
  const groupIds = stableIds([...shared.keys()]);
  const members = [...shared].flatMap(([group, { via }]) => {
    const total = via.reduce((sum, { weight }) => sum + weight, 0);
    let before = 0;
    return via.map(({ nexthop, weight }) => {
      const low = Math.round((BUCKETS * before) / total);
      const high = Math.round((BUCKETS * (before + weight)) / total) - 1;
      before += weight;
      if (high < low)
        throw new EntryError(`next hop ${nexthop} has too small a weight among ${total}: a share is at least 1 in ${BUCKETS}`);
      const match = {
        group_id: exact(groupIds.get(group)!),
        bucket: { kind: 'range', low: BigInt(low), high: BigInt(high) } as const,
      };
      return entry('ecmp_member', match, 1, 'use_nexthop', { nexthop_id: idOf(nexthop) });
    });
  });
  const lookups = routes.map((route) => {
    const match = { destination: { kind: 'lpm', value: route.to.value, prefixLength: route.to.length } as const };
    return route.via.length === 1
      ? entry('route', match, 0, 'use_nexthop', { nexthop_id: idOf(route.via[0].nexthop) })
      : entry('route', match, 0, 'use_group', { group_id: BigInt(groupIds.get(groupOf(route))!) });
  });
  return [...members, ...lookups];
}

function reportEntries(report: ReportSpec, nodeId: number): Entry[] {
  const ipv4 = ({ value }: Prefix): bigint => value & fullMask(32);
  const params = {
    source_mac: report.sourceMac,
    destination_mac: report.destinationMac,
    source: ipv4(report.source),
    destination: ipv4(report.destination),
    source_port: BigInt(report.sourcePort),
    destination_port: BigInt(report.destinationPort),
    dscp: BigInt(report.dscp),
    node_id: BigInt(nodeId),
    hw_id: BigInt(report.hardwareId),
    fragment_limit_bytes: BigInt(report.truncateBytes),
  };
  return [0, 1].map((isDropped) => entry('report_session', { is_dropped: exact(isDropped) }, 0, 'send', params));
}

/** Reports of other switches that pass through here. */
function neverReport({ destination, destinationPort }: ReportSpec): Entry {
  const match = {
    ...flowMatch({ destination, destinationPort }),
    protocol: { kind: 'ternary', value: UDP, mask: 0xffn } as const,
  };
  return entry('watchlist', match, NEVER_REPORT_PRIORITY, 'never_report', {});
}

function watchEntry({ flows, latencyQuantumUs, periodUs, dropPeriodUs, sampleOneIn }: WatchSpec, priority: number): Entry {
  const isFiltered = latencyQuantumUs > 0 || periodUs > 0;
  return entry('watchlist', flowMatch(flows), priority, 'watch', {
    latency_mask_us: isFiltered ? quantumMask(latencyQuantumUs, 32) : 0n,
    period_mask_us: isFiltered ? quantumMask(periodUs, 48) : 0n,
    drop_period_mask_us: dropPeriodUs === 0 ? 0n : quantumMask(dropPeriodUs, 48),
    sample_up_to: BigInt(Math.floor(2 ** 32 / sampleOneIn) - 1),
  });
}

/** A mask that keeps whole quanta; of a quantum of 0, nothing. */
function quantumMask(quantum: number, bitwidth: number): bigint {
  return quantum === 0 ? 0n : prefixMask(bitwidth - Math.log2(quantum), bitwidth);
}

function embeddedEntries({ sources, sinks, mtuBytes }: EmbeddedSpec, nodeId: number): Entry[] {
  return [
    entry('int_node', { int_version: exact(2) }, 0, 'take_part', { node_id: BigInt(nodeId), mtu: BigInt(mtuBytes) }),
    ...sinks.map((id) => entry('int_sink', { interface: exact(id) }, 0, 'end_int', {})),
    ...sources.map(({ flows, instructions, remainingHops }, i) =>
      entry('int_source', flowMatch(flows), sources.length - i, 'start_int', {
        instructions_wanted: BigInt(instructions),
        words: BigInt(hopWordsOf(instructions)),
        hops: BigInt(remainingHops),
      }),
    ),
  ];
}

/** Words that each hop adds for these instructions. */
export function hopWordsOf(instructions: number): number {
  return INSTRUCTION_WORDS.reduce((sum, words, bit) => sum + ((instructions >>> (15 - bit)) & 1) * words, 0);
}

/** The fields of a set of flows, in every table that has them (FLOW_SET_KEY in p4src/remedy.p4). */
export function flowMatch(flows: FlowSet): Record<string, MatchValue> {
  const match: Record<string, MatchValue> = {};
  const prefix = (name: string, one: Prefix | undefined): void => {
    if (one !== undefined) match[name] = { kind: 'ternary', value: one.value, mask: prefixMask(one.length, 128) };
  };
  const whole = (name: string, value: number | undefined, bitwidth: number): void => {
    if (value !== undefined) match[name] = { kind: 'ternary', value: BigInt(value), mask: fullMask(bitwidth) };
  };
  prefix('source', flows.source);
  prefix('destination', flows.destination);
  whole('protocol', flows.protocol, 8);
  whole('source_port', flows.sourcePort, 16);
  whole('destination_port', flows.destinationPort, 16);
  whole('dscp', flows.dscp, 6);
  return match;
}

function exact(value: number | bigint): MatchValue {
  return { kind: 'exact', value: BigInt(value) };
}

function entry(
  table: string,
  match: Record<string, MatchValue>,
  priority: number,
  action: string,
  params: Record<string, bigint>,
): Entry {
  return { table, match, priority, action, params, cookie: SWITCH_COOKIE };
}

/** Ids from 1 to 65,535 that mostly stay the same when other names come and go, so that a change of the file is a small change of the switch. */
function stableIds(names: readonly string[]): Map<string, number> {
  const taken = new Set<number>();
  const ids = new Map<string, number>();
  for (const name of [...names].sort()) {
    let id = hashOf(name);
    while (id === 0 || taken.has(id)) id = (id + 1) & 0xffff;
    taken.add(id);
    ids.set(name, id);
  }
  return ids;
}

/** FNV-1a, folded to 16 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return ((hash >>> 16) ^ hash) & 0xffff;
}
