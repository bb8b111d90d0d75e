// YAML and environment in, one frozen Config out. Every problem is reported at once, each with its path and the accepted form.
// Rule: secrets come from the environment or a file and are never part of an error, a log line or the printed configuration.

import { readFileSync } from 'node:fs';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { allowedDestinationOf, type AllowedDestination } from '../alerts/notify/destination.ts';
import {
  address,
  bitRate,
  cidr,
  ConfigError,
  duration,
  formOf,
  httpUrl,
  isAddress,
  plainOf,
  port,
  problemsOf,
  textOf,
} from './config-form.ts';
import { IDENTITY_PROFILE, type SourceProfile } from './decode/profile.ts';
import { ProfileBook, profileShape, settingsProblems, sourceProfileOf, type ProfileSettings } from './profile-file.ts';
import { rulesForm } from './rule-form.ts';

/** Where a secret lies: exactly one of an environment variable or a file. */
const secret = z
  .strictObject({ env: z.string().optional(), file: z.string().optional() })
  .refine((s) => (s.env === undefined) !== (s.file === undefined), 'must name exactly one of env (a variable) or file (a path)');
type SecretReference = z.output<typeof secret>;

const isDestination = (text: string): boolean => allowedDestinationOf(text) !== undefined;
const destination = textOf(
  'a network like 10.0.0.0/8, or an address and a port like 127.0.0.1:9000 or [fd00::5]:9000',
  isDestination,
).transform((text): AllowedDestination => allowedDestinationOf(text)!);

const source = z
  .strictObject({
    /** Everybody's datagrams to `port` when there are none. */
    addresses: z.array(cidr).min(1).optional(),
    port: port.min(1).optional(),
    profile: z.string().min(1).optional(),
    ...profileShape,
  })
  .refine((s) => s.addresses !== undefined || s.port !== undefined, 'must have addresses, a port, or both');

/** Whose datagrams a profile is for, the first that matches wins: from these addresses (undefined: any), to this port (undefined: any). */
export interface SourceRule {
  readonly addresses: readonly string[] | undefined;
  readonly port: number | undefined;
  readonly profile: SourceProfile;
}

const schema = z.strictObject({
  ingest: z
    .strictObject({
      address: address.default('0.0.0.0'),
      port: port.default(32_766),
      receiveBufferBytes: z
        .number()
        .int()
        .positive()
        .max(1024 * 1024 * 1024)
        .default(16 * 1024 * 1024),
      /** Datagrams per second that the fabric sends: the receive buffer is judged by it. */
      expectedRate: z.number().int().positive().default(50_000),
      /** Threads that receive, decode and observe; each node's reports go to one of them. */
      threads: z.number().int().min(1).max(16).default(1),
      /** Collectors that share the port; all must say the same number, and the same number of threads. */
      processes: z.number().int().min(1).max(16).default(1),
      /** Who may send; everybody when empty. */
      allow: z.array(cidr).default([]),
      /** Datagrams per second and sender. */
      maxRatePerSource: z.number().int().positive().optional(),
      sources: z.array(source).default([]),
      /** Folder with profiles of the user's own. */
      profiles: z.string().min(1).optional(),
    })
    .prefault({}),
  nodes: z
    .array(
      z
        .strictObject({
          id: z.number().int().min(1).max(0xffff_ffff).optional(),
          /** Of a node that sends no id: its sender's, or its agent's. */
          address: address.optional(),
          name: z.string().min(1),
          interfaces: z
            .record(z.string().regex(/^\d+$/), z.string().min(1))
            .refine((names) => areDistinct(Object.values(names)), 'must not use one name twice')
            .default({}),
          /** By interface, where it is not the rate of the source. */
          portRates: z.record(z.string().regex(/^\d+$/), bitRate).default({}),
        })
        .refine((node) => node.id !== undefined || Object.keys(node.portRates).length === 0, 'must have an id for its portRates')
        .refine((node) => node.id !== undefined || node.address !== undefined, 'must have an id, an address, or both'),
    )
    .refine((nodes) => areDistinct(nodes.flatMap((node) => node.id ?? [])), 'must not list one id twice')
    .refine((nodes) => areDistinct(nodes.flatMap((node) => node.address ?? [])), 'must not list one address twice')
    .refine((nodes) => areDistinct(nodes.map((node) => node.name)), 'must not use one name twice')
    .default([]),
  inventory: z
    .array(
      z.strictObject({
        address: cidr,
        namespace: z.string().min(1),
        workload: z.string().min(1),
        slice: z.string().min(1).optional(),
      }),
    )
    .default([]),
  kubernetes: z.strictObject({ kubeconfig: z.string().optional() }).optional(),
  /** Which DSCP values are put in which queue, and which queue is served first; the class without values takes the rest. */
  classes: z
    .array(
      z.strictObject({
        queue: z.number().int().min(0).max(255),
        dscp: z.array(z.number().int().min(0).max(63)).default([]),
        priority: z.number().int().min(0).max(7).default(0),
      }),
    )
    .refine((classes) => areDistinct(classes.map(({ queue }) => queue)), 'must not list one queue twice')
    .refine((classes) => areDistinct(classes.flatMap(({ dscp }) => dscp)), 'must not put one DSCP value in two queues')
    .default([]),
  slices: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        /** What the fabric may cost a packet. */
        fabricBudget: duration.default(1e6),
        /** Share of packets that must keep to it. */
        objective: z.number().min(0.5).max(0.999_999).default(0.999),
      }),
    )
    .max(63)
    .refine((slices) => areDistinct(slices.map(({ name }) => name)), 'must not use one name twice')
    .default([]),
  congestion: z
    .strictObject({
      openWait: duration.default(50_000),
      closeWait: duration.default(25_000),
      fabricBudget: duration.default(1e6),
      /** From which wait on a packet is harmed; 5 % of its budget, and 25 us at least, when it is not said. */
      harmWait: duration.optional(),
      silentAfter: duration.default(2e9),
      timeoutAfter: duration.refine((ns) => ns <= 300e9, 'must be at most 5m').default(60e9),
      incidentQuiet: duration.default(60e9),
    })
    .refine((c) => !(c.closeWait >= c.openWait), { path: ['closeWait'], message: 'must be smaller than openWait' })
    .prefault({}),
  http: z
    .strictObject({
      address: address.default('127.0.0.1'),
      port: port.default(9733),
      token: secret.optional(),
      /** Series of queues, nodes, exporters and workloads that /metrics shows, in all and of one metric. */
      maxSeries: z.number().int().min(100).default(50_000),
      maxSeriesPerMetric: z.number().int().min(100).default(20_000),
    })
    .prefault({}),
  otlp: z.strictObject({ url: httpUrl }).optional(),
  influx: z
    .strictObject({
      url: httpUrl,
      database: z.string().min(1).default('hopscope'),
      username: z.string().optional(),
      password: secret.optional(),
      interval: duration.default(10e9),
      maxQueuedPoints: z.number().int().positive().default(50_000),
    })
    .optional(),
  webhooks: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        url: httpUrl,
        secret,
        /** Signs as well while receivers change over to the new one. */
        previousSecret: secret.optional(),
        minSeverity: z.number().int().min(1).max(5).default(2),
      }),
    )
    .refine((webhooks) => areDistinct(webhooks.map((webhook) => webhook.name)), 'must not use one name twice')
    .default([]),
  /** Addresses that are not public and may be sent to all the same, by webhooks and to Alertmanagers. */
  egress: z.strictObject({ allow: z.array(destination).default([]) }).prefault({}),
  /** Every member of the cluster. */
  alertmanager: z
    .strictObject({ peers: z.array(httpUrl).min(1), minSeverity: z.number().int().min(1).max(5).default(3) })
    .optional(),
  remediation: z
    .strictObject({
      /** Below it the plan of an incident is to investigate, never to act. */
      minConfidence: z.number().min(0).max(1).default(0.8),
      /** Files of the safe loop: what it may write to, what it must not lose, what it has decided, and the file whose presence stops it. */
      switches: z.string().min(1).optional(),
      safety: z.string().min(1).default('hopscope-data/safety.db'),
      audit: z.string().min(1).default('hopscope-data/audit.jsonl'),
      killSwitch: z.string().min(1).default('hopscope-data/remediation-stopped'),
      /** Who may change workloads; undefined: as kubernetes, or in the cluster. */
      kubeconfig: z.string().optional(),
      /** Addresses whose flows are never touched, beside the collector's own. */
      protect: z.array(address).default([]),
      rules: rulesForm,
    })
    .refine((r) => r.rules.every(({ switches }) => switches.length === 0) || r.switches !== undefined, {
      path: ['switches'],
      message: 'must name the file of the switches that rules write to',
    })
    .prefault({}),
  store: z.strictObject({ path: z.string().min(1).default('hopscope-data/hopscope.db') }).prefault({}),
  limits: z
    .strictObject({
      sources: z.number().int().min(16).max(65_536).default(1024),
      nodes: z.number().int().min(16).max(65_536).default(1024),
      queues: z.number().int().min(16).max(262_144).default(8192),
      links: z.number().int().min(16).max(262_144).default(4096),
      flows: z.number().int().min(16).max(4_194_304).default(131_072),
      arrivalLogs: z.number().int().min(1).max(4096).default(64),
      arrivalsPerLog: z.number().int().min(64).max(65_536).default(8192),
      incidents: z.number().int().min(1).max(100_000).default(1000),
    })
    .prefault({}),
});

type Parsed = z.output<typeof schema>;
export type Config = Readonly<
  Omit<Parsed, 'ingest'> & { ingest: Omit<Parsed['ingest'], 'sources'> & { sources: readonly SourceRule[] } }
>;

/** Parses and checks YAML text (or nothing, for the defaults). Throws ConfigError with every problem. */
export function parseConfig(text: string, origin = 'configuration'): Config {
  const raw = withoutEmpty(plainOf(text, origin) ?? {});
  const result = schema.safeParse(raw, { error: formOf });
  const problems = [...(result.error?.issues.flatMap((issue) => problemsOf(issue)) ?? []), ...crossCheck(raw)];
  const sources = result.success ? sourceRules(result.data.ingest, problems) : [];
  if (!result.success || problems.length > 0) throw new ConfigError(problems);
  return Object.freeze({ ...result.data, ingest: { ...result.data.ingest, sources } });
}

/** Entries of ingest.sources with the profiles that they name; what is wrong with them goes to `problems`. */
function sourceRules(ingest: Parsed['ingest'], problems: string[]): SourceRule[] {
  if (ingest.sources.length === 0 && ingest.profiles === undefined) return [];
  let book: ProfileBook;
  try {
    book = ProfileBook.load(ingest.profiles);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
    return [];
  }
  return ingest.sources.map(({ addresses, port: to, profile: name, ...own }, i) => {
    const base = name === undefined ? {} : book.settings(name);
    if (base === undefined) problems.push(`ingest.sources[${i}].profile: must be one of ${book.names.join(', ')}`);
    const settings: ProfileSettings = { ...base, ...own };
    const wrong = settingsProblems(settings).map(({ setting, problem }) => `ingest.sources[${i}].${setting}: ${problem}`);
    problems.push(...wrong);
    return { addresses, port: to, profile: wrong.length === 0 ? sourceProfileOf(settings) : IDENTITY_PROFILE };
  });
}

/** A section whose contents are all commented out is as good as one that is not there. */
function withoutEmpty(raw: unknown): unknown {
  if (typeof raw !== 'object' || Array.isArray(raw)) return raw;
  return Object.fromEntries(Object.entries(raw as object).filter(([, value]) => value !== null));
}

/** Ports beside `port` that a source is bound to: each is listened on as well. */
export function otherPorts(ingest: Config['ingest']): number[] {
  const ports = ingest.sources.flatMap((rule) => rule.port ?? []);
  return [...new Set(ports)].filter((to) => to !== ingest.port);
}

/** Reads the file at `path`. Throws ConfigError when it cannot be read or used. */
export function loadConfig(path: string): Config {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError([`${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`]);
  }
  return parseConfig(text, path);
}

/** What the secret references of a configuration stand for. */
export interface Secrets {
  httpToken: string | undefined;
  influxPassword: string | undefined;
  /** In the order of `webhooks`: of each the one to sign with, and the one before it where it is still in use. */
  webhooks: string[][];
}

/** Reads all secrets. Throws ConfigError with every one that is missing or too short, naming only where it should have been. */
export function readSecrets(config: Config): Secrets {
  const problems: string[] = [];
  const read = (reference: SecretReference | undefined, path: string, minLength: number): string => {
    if (reference === undefined) return '';
    const value = secretAt(reference);
    const where = reference.env === undefined ? `${path}.file: ${reference.file}` : `${path}.env: variable ${reference.env}`;
    if (value === undefined) problems.push(`${where} is not set or cannot be read`);
    else if (value.length < minLength) problems.push(`${where} must hold at least ${minLength} characters`);
    else if (value.startsWith('whsec_') && !/^whsec_[A-Za-z0-9+/]+={0,2}$/.test(value)) {
      problems.push(`${where} must be whsec_ and base64, or begin otherwise`);
    }
    return value ?? '';
  };
  const secrets: Secrets = {
    httpToken: read(config.http.token, 'http.token', 16) || undefined,
    influxPassword: read(config.influx?.password, 'influx.password', 1) || undefined,
    webhooks: config.webhooks.map(({ secret: current, previousSecret: previous }, i) => [
      read(current, `webhooks[${i}].secret`, 24),
      ...(previous === undefined ? [] : [read(previous, `webhooks[${i}].previousSecret`, 24)]),
    ]),
  };
  if (problems.length > 0) throw new ConfigError(problems);
  return secrets;
}

function secretAt(reference: SecretReference): string | undefined {
  if (reference.env !== undefined) return process.env[reference.env];
  try {
    return readFileSync(reference.file!, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** True for addresses that only this machine reaches. */
export function isLoopback(text: string): boolean {
  return ipaddr.parse(text).range() === 'loopback';
}

function areDistinct(values: readonly unknown[]): boolean {
  return new Set(values).size === values.length;
}

/** Checks across settings. They look at the raw document, so that they speak up even when other settings are wrong. */
function crossCheck(raw: unknown): string[] {
  const { http, webhooks, remediation } = raw as Record<string, Record<string, unknown> | undefined>;
  const problems: string[] = [];
  const address = http?.address;
  if (typeof address === 'string' && isAddress(address) && !isLoopback(address) && http?.token === undefined) {
    problems.push('http.token: must be set (env or file) when http.address is not a loopback address');
  }
  const names = listOf(webhooks).map(({ name }) => name);
  listOf(remediation?.rules).forEach(({ endpoint }, i) => {
    if (endpoint !== undefined && !names.includes(endpoint))
      problems.push(`remediation.rules[${i}].endpoint: must be the name of one of the webhooks`);
  });
  return problems;
}

function listOf(raw: unknown): Record<string, unknown>[] {
  return Array.isArray(raw) ? raw.filter((one): one is Record<string, unknown> => typeof one === 'object' && one !== null) : [];
}
