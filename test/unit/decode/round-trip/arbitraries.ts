// What the round-trip tests draw from: numbers by width, addresses, hops as the writers take them, and the JSON that such a hop must come back as.
// Rule: nothing here reads octets. What is expected follows from what the writer was given.

import fc from 'fast-check';
import type { IntHop } from '../../../../p4-int/wire/int-stack.ts';
import { packetOf, type Layer } from '../../../../p4-int/wire/layers.ts';
import { bitMask } from '../../../../p4-int/wire/metadata.ts';

export const SEED = 20_261_125;
export const RUNS = { numRuns: 400, seed: SEED };
export const ETHERNET: Layer = { kind: 'ethernet', destination: '02:00:00:00:00:0b', source: '02:00:00:00:00:0a' };

/** Ports that announce no tunnel. */
export const port = fc.integer({ min: 20_000, max: 60_000 });
export const uint = (bits: number) => fc.integer({ min: 0, max: 2 ** bits - 1 });
/** All ones mean "not available", so that no number may be them. */
export const notOnes = (bits: number) => fc.integer({ min: 0, max: 2 ** bits - 2 });
export const bigNotOnes = (bits: number) => fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 2n });
export const known = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null, freq: 4 });
export const octets = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((data) => Buffer.from(data));
export const words = (max: number) =>
  fc
    .integer({ min: 0, max })
    .chain((n) => fc.uint8Array({ minLength: n * 4, maxLength: n * 4 }))
    .map((data) => Buffer.from(data));

export const ipv4Address = fc.tuple(uint(8), uint(8), uint(8), uint(8)).map((parts) => parts.join('.'));
/** In their shortest form (RFC 5952): groups without zeros, or zeros where the longest run of them is. */
export const ipv6Address = fc.oneof(
  fc
    .array(fc.integer({ min: 1, max: 0xffff }), { minLength: 8, maxLength: 8 })
    .map((groups) => groups.map((group) => group.toString(16)).join(':')),
  fc.constantFrom('fd00::1', '2001:db8::a:b', 'fe80::', '::1', '2001:db8:0:1::2'),
);

export const pair = (bits: number) =>
  fc.record({ ingressInterfaceId: known(notOnes(bits)), egressInterfaceId: known(notOnes(bits)) });
export const queue = fc
  .record({ queueId: uint(8), queueOccupancy: uint(24) })
  .filter(({ queueId, queueOccupancy }) => queueId !== 0xff || queueOccupancy !== 0xff_ffff);
const buffer = fc
  .record({ bufferId: uint(8), bufferOccupancy: uint(24) })
  .filter(({ bufferId, bufferOccupancy }) => bufferId !== 0xff || bufferOccupancy !== 0xff_ffff);

/** A hop of a stack, `null` where its node does not know; no node has the id 0. */
export const intHop = (timeBits: number, level2Bits: number): fc.Arbitrary<IntHop> =>
  fc.record({
    nodeId: known(fc.integer({ min: 1, max: 2 ** 32 - 2 })),
    level1Interfaces: known(pair(16)),
    hopLatency: known(notOnes(32)),
    queue: known(queue),
    ingressTimestamp: known(bigNotOnes(timeBits)),
    egressTimestamp: known(bigNotOnes(timeBits)),
    level2Interfaces: known(pair(level2Bits)),
    egressTxUtilization: known(notOnes(32)),
    buffer: known(buffer),
    queueCongestion: known(notOnes(32)),
    checksumComplement: known(uint(32)),
  });

/** D, Q and F of a report, and its queue and drop reason. */
export const flags = { dropped: fc.boolean(), congestedQueue: fc.boolean(), trackedFlow: fc.boolean() };
export const drop = fc.record({ queueId: uint(8), dropReason: uint(8) });

export const ipOf = (version: number): Layer =>
  version === 6
    ? { kind: 'ipv6', source: 'fd00::1', destination: 'fd00::2' }
    : { kind: 'ipv4', source: '10.0.0.1', destination: '10.0.0.2' };
export const udp = (destinationPort: number): Layer => ({ kind: 'udp', sourcePort: 40_001, destinationPort });

/** Of an object the keys that are asked for. */
export const pick = (given: object, keys: readonly string[]): object =>
  Object.fromEntries(Object.entries(given).filter(([key]) => keys.includes(key)));

/** A hop as JSON has it that knows nothing. */
export const NOTHING = {
  nodeId: null,
  ingressInterfaceId: null,
  egressInterfaceId: null,
  queueId: null,
  queueOccupancy: null,
  hopLatency: null,
  ingressTimestamp: null,
  egressTimestamp: null,
};

/** What an INT version knows of the sixteen bits. */
export interface BitMeaning {
  origin: string;
  level2: boolean;
  buffer: boolean;
}

/** What a report's own metadata means. */
export const REPORT: BitMeaning = { origin: 'report', level2: true, buffer: true };

/** The hop as JSON has it, of what the bitmap asks for. */
export function hopJson(hop: IntHop, bitmap: number, { origin, level2, buffer: hasBuffer }: BitMeaning): Record<string, unknown> {
  const has = (bit: number): boolean => (bitmap & bitMask(bit)) !== 0;
  const text = (value: bigint | null | undefined) => value?.toString() ?? null;
  const interfaces = has(6) && level2 ? hop.level2Interfaces : null;
  const utilization = has(7) ? hop.egressTxUtilization : null;
  return {
    nodeId: has(0) ? (hop.nodeId ?? null) : null,
    ingressInterfaceId: has(1) ? (hop.level1Interfaces?.ingressInterfaceId ?? null) : null,
    egressInterfaceId: has(1) ? (hop.level1Interfaces?.egressInterfaceId ?? null) : null,
    hopLatency: has(2) ? (hop.hopLatency ?? null) : null,
    queueId: has(3) ? (hop.queue?.queueId ?? null) : null,
    queueOccupancy: has(3) ? (hop.queue?.queueOccupancy ?? null) : null,
    ingressTimestamp: has(4) ? text(hop.ingressTimestamp) : null,
    egressTimestamp: has(5) ? text(hop.egressTimestamp) : null,
    origin,
    ...only('level2IngressInterfaceId', interfaces?.ingressInterfaceId),
    ...only('level2EgressInterfaceId', interfaces?.egressInterfaceId),
    ...only('egressInterfaceTxUtilization', utilization),
    ...(has(8) && hasBuffer ? hop.buffer : {}),
  };
}

/** A key that is left out where its value is not known. */
function only(key: string, value: number | null | undefined): object {
  return (value ?? null) === null ? {} : { [key]: value };
}

/** Where each layer of a packet begins and ends, and how long the packet from there on is. */
export function spansOf(layers: readonly Layer[]): { layer: Layer; start: number; end: number; bytes: number }[] {
  const whole = packetOf(layers).length;
  return layers.map((layer, i) => {
    const bytes = packetOf(layers.slice(i)).length;
    return { layer, start: whole - bytes, end: whole - packetOf(layers.slice(i + 1)).length, bytes };
  });
}
