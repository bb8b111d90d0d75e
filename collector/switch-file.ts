// Switches as a YAML file tells them (docs/switches.md): what each of them is to run, forward, watch and report.
// Rule: every problem is told at once, with its path, before a switch is asked anything.

import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { addressNumber, MAPPED_BITS } from '../p4-int/runtime/address.ts';
import type { FlowSet, Prefix, SwitchSpec } from '../p4-int/runtime/spec.ts';
import { PROGRAM_NAMES } from '../p4-int/runtime/shipped-program.ts';
import { cidr, ConfigError, duration, formOf, plainOf, port, problemsOf, textOf } from './config-form.ts';

/** Ports of BMv2's v1model are 9 bits; 510 is the controller's, 511 drops. */
const interfaceId = z.number().int().min(0).max(509);
const nodeId = z.number().int().min(0).max(0xffff_ffff);
const dscp = z.number().int().min(0).max(63);
const queue = z.number().int().min(0).max(7);
const byte = z.number().int().min(0).max(255);
const mac = textOf('a MAC address, like 02:00:00:00:01:01', (text) => /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text)).transform(
  (text) => BigInt(`0x${text.replaceAll(':', '')}`),
);
const ipv4 = textOf('an IPv4 address, like 10.0.1.1', (text) => ipaddr.IPv4.isValidFourPartDecimal(text)).transform(prefixOf);
const COVERS_IPV4 = 'covers all of IPv4 as well: give a longer prefix, like 2000::/3';
/** IPv4 stands at ::ffff:0:0/96: a prefix of IPv6 that has it in it would match what nobody meant. */
const coversIpv4 = (text: string): boolean => {
  if (!text.includes(':')) return false;
  const { value, length } = prefixOf(text);
  return length < MAPPED_BITS && value === ((0xffffn << 32n) >> BigInt(128 - length)) << BigInt(128 - length);
};
const prefixText = cidr.refine((text) => !coversIpv4(text), COVERS_IPV4);
const prefix = prefixText.transform(prefixOf);
const PROTOCOLS: Record<string, number> = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 };
const protocol = z.union([byte, z.enum(['icmp', 'tcp', 'udp', 'icmpv6']).transform((name) => PROTOCOLS[name])]);
const microseconds = duration.transform((ns) => Math.round(ns / 1000));
/** The switch compares by masks. */
const quantum = duration
  .refine((ns) => ns === 0 || (ns >= 1000 && ns <= 3600e9), 'must be from 1us to 1h, or 0s for none')
  .transform((ns) => (ns === 0 ? 0 : 2 ** Math.floor(Math.log2(ns / 1000))));
const INSTRUCTIONS = {
  'node-id': 0x8000,
  interfaces: 0x4000,
  'hop-latency': 0x2000,
  queue: 0x1000,
  'ingress-time': 0x0800,
  'egress-time': 0x0400,
} as const;
const instruction = z.enum(Object.keys(INSTRUCTIONS) as (keyof typeof INSTRUCTIONS)[]);

const flows = z.strictObject({
  source: prefix.optional(),
  destination: prefix.optional(),
  protocol: protocol.optional(),
  sourcePort: port.optional(),
  destinationPort: port.optional(),
  dscp: dscp.optional(),
}) satisfies z.ZodType<FlowSet>;

const share = z.number().int().min(1).max(255);
const via = z.union(
  [
    z.string().transform((nexthop) => [{ nexthop, weight: 1 }]),
    z
      .array(z.string())
      .min(1)
      .transform((names) => names.map((nexthop) => ({ nexthop, weight: 1 }))),
    z
      .record(z.string(), share)
      .refine((weights) => Object.keys(weights).length > 0)
      .transform((weights) => Object.entries(weights).map(([nexthop, weight]) => ({ nexthop, weight }))),
  ],
  'must be a next hop, a list of them, or next hops with weights, like { spine-1: 3, spine-2: 1 }',
);

const tls = z.strictObject({
  ca: z.string().min(1),
  certificate: z.string().min(1).optional(),
  key: z.string().min(1).optional(),
  serverName: z.string().min(1).optional(),
});

const oneSwitch = z.strictObject({
  address: textOf('host:port of its P4Runtime server, like 127.0.0.1:9559', (text) => /^(unix:.+|.+:\d+)$/.test(text)),
  deviceId: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(1),
  role: z.string().default(''),
  electionId: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER).default(1),
  timeout: duration.default(10e9),
  tls: tls.optional(),
  program: z.enum(PROGRAM_NAMES).default('postcards'),
  nodeId,
  /** Its own, of all its interfaces. */
  mac,
  nexthops: z.record(z.string(), z.strictObject({ interface: interfaceId, mac })).default({}),
  gateways: z.array(ipv4).default([]),
  routes: z.record(prefixText, via).default({}),
  deny: z.array(flows).default([]),
  queues: z.record(z.string().regex(/^\d+$/, 'must be a DSCP, like "46"'), queue).default({}),
  watch: z
    .array(
      z.strictObject({
        flows,
        changes: z.strictObject({ latency: quantum, period: quantum }).optional(),
        drops: quantum.default(0),
        sampleOneIn: z.number().int().min(1).max(1_000_000).default(1),
      }),
    )
    .default([]),
  queueReports: z
    .array(
      z.strictObject({
        interfaces: z.array(interfaceId).min(1),
        queues: z.array(queue).min(1).default([0, 1, 2, 3, 4, 5, 6, 7]),
        trigger: microseconds,
        reset: microseconds.optional(),
        quota: z.number().int().min(1).max(0xffff_ffff).default(1024),
      }),
    )
    .default([]),
  report: z
    .strictObject({
      interface: interfaceId,
      collector: ipv4,
      mac,
      from: ipv4,
      port: port.default(32_766),
      sourcePort: port.default(32_766),
      dscp: dscp.default(0),
      hardwareId: z.number().int().min(0).max(63).default(0),
      /** 980: a report has at most 254 words behind its first. */
      truncate: z.number().int().min(64).max(980).multipleOf(4).default(224),
    })
    .optional(),
  embedded: z
    .strictObject({
      sources: z
        .array(
          z.strictObject({
            flows,
            instructions: z
              .array(instruction)
              .min(1)
              .default(Object.keys(INSTRUCTIONS) as (keyof typeof INSTRUCTIONS)[]),
            remainingHops: byte.default(8),
          }),
        )
        .default([]),
      sinks: z.array(interfaceId).default([]),
      mtu: z.number().int().min(576).max(65_535).default(1500),
    })
    .optional(),
});

const fileForm = z.strictObject({ switches: z.record(z.string().min(1), oneSwitch) }).superRefine(({ switches }, context) => {
  for (const [name, one] of Object.entries(switches)) {
    const problem = (path: (string | number)[], message: string) =>
      context.addIssue({ code: 'custom', path: ['switches', name, ...path], message });
    for (const [to, hops] of Object.entries(one.routes)) {
      for (const { nexthop } of hops) {
        if (!(nexthop in one.nexthops)) problem(['routes', to], `goes via ${nexthop}, which is none of its nexthops`);
      }
    }
    for (const value of Object.keys(one.queues)) {
      if (Number(value) > 63) problem(['queues', value], 'must be a DSCP from 0 to 63');
    }
    one.queueReports.forEach(({ trigger, reset }, i) => {
      if (reset !== undefined && reset > trigger) problem(['queueReports', i, 'reset'], 'must not be more than trigger');
    });
    if (one.embedded !== undefined && one.program !== 'embedded') {
      problem(['embedded'], `needs the program embedded, not ${one.program}`);
    }
    if (one.report === undefined && one.watch.length + one.queueReports.length + (one.embedded?.sinks.length ?? 0) > 0) {
      problem(['report'], 'must be given: something is watched, and nobody would be told');
    }
    if ((one.tls?.certificate === undefined) !== (one.tls?.key === undefined)) {
      problem(['tls'], 'a certificate needs its key, and a key its certificate');
    }
  }
});

/** Reads a file of switches. Throws ConfigError with every problem. */
export function readSwitchFile(path: string): SwitchSpec[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError([`${path}: cannot be read: ${(error as Error).message}`]);
  }
  const result = fileForm.safeParse(plainOf(text, path), { error: formOf });
  if (!result.success) throw new ConfigError(result.error.issues.flatMap(problemsOf));
  const folder = dirname(resolve(path));
  return Object.entries(result.data.switches).map(([name, one]) => specOf(name, one, folder));
}

type SwitchForm = z.output<typeof oneSwitch>;

function specOf(name: string, one: SwitchForm, folder: string): SwitchSpec {
  const { tls, report, embedded } = one;
  const file = (path: string | undefined): string | undefined => (path === undefined ? undefined : resolve(folder, path));
  return {
    target: {
      name,
      address: one.address,
      deviceId: BigInt(one.deviceId),
      role: one.role,
      electionId: BigInt(one.electionId),
      timeoutMs: one.timeout / 1e6,
      tls: tls && { ca: file(tls.ca)!, certificate: file(tls.certificate), key: file(tls.key), serverName: tls.serverName },
    },
    program: one.program,
    nodeId: one.nodeId,
    nexthops: Object.entries(one.nexthops).map(([nexthop, { interface: id, mac: destinationMac }]) => ({
      name: nexthop,
      interface: id,
      sourceMac: one.mac,
      destinationMac,
    })),
    routes: Object.entries(one.routes).map(([to, hops]) => ({ to: prefixOf(to), via: hops })),
    gateways: one.gateways.map((gateway) => ({ address: gateway, mac: one.mac })),
    deny: one.deny,
    queues: Object.entries(one.queues).map(([value, id]) => ({ dscp: Number(value), queue: id })),
    watch: one.watch.map(({ flows, changes, drops, sampleOneIn }) => ({
      flows,
      latencyQuantumUs: changes?.latency ?? 0,
      periodUs: changes?.period ?? 0,
      dropPeriodUs: drops,
      sampleOneIn,
    })),
    queueReports: one.queueReports.flatMap(({ interfaces, queues, trigger, reset, quota }) =>
      interfaces.flatMap((id) =>
        queues.map((queueId) => ({
          interface: id,
          queue: queueId,
          triggerUs: trigger,
          resetUs: reset ?? Math.floor(trigger / 2),
          quota,
        })),
      ),
    ),
    report: report && {
      interface: report.interface,
      sourceMac: one.mac,
      destinationMac: report.mac,
      source: report.from,
      destination: report.collector,
      sourcePort: report.sourcePort,
      destinationPort: report.port,
      dscp: report.dscp,
      hardwareId: report.hardwareId,
      truncateBytes: report.truncate,
    },
    embedded: embedded && {
      sources: embedded.sources.map(({ flows, instructions, remainingHops }) => ({
        flows,
        instructions: instructions.reduce((bits, one) => bits | INSTRUCTIONS[one], 0),
        remainingHops,
      })),
      sinks: embedded.sinks,
      mtuBytes: embedded.mtu,
    },
  };
}

/** An address, or one with a prefix length, as 128 bits; what stands behind the prefix is cleared. */
function prefixOf(text: string): Prefix {
  const [bare, length] = text.split('/');
  const isIpv4 = !bare.includes(':');
  const whole = addressNumber(bare);
  const bits = (isIpv4 ? MAPPED_BITS : 0) + Number(length ?? (isIpv4 ? 32 : 128));
  return { value: (whole >> BigInt(128 - bits)) << BigInt(128 - bits), length: bits };
}
