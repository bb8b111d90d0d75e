// YAML and environment in, one frozen Config out. Every problem is reported at once, each with its path and the accepted form.
// Rule: secrets come from the environment or a file and are never part of an error, a log line or the printed configuration.

import { readFileSync } from 'node:fs';
import ipaddr from 'ipaddr.js';
import { parseDocument, type Document } from 'yaml';
import { z } from 'zod';

const isAddress = (text: string): boolean => ipaddr.isValid(text);
const isCidr = (text: string): boolean => isAddress(text) || ipaddr.isValidCIDR(text);

/** Text of a form: one sentence for a wrong type and for a wrong content. */
const textOf = (form: string, isRight: (text: string) => boolean) =>
  z.string(`must be ${form}`).refine(isRight, `must be ${form}`);

const address = textOf('an IPv4 or IPv6 address, like 127.0.0.1', isAddress);
const cidr = textOf('an address or a CIDR, like 10.244.1.17 or 10.244.0.0/16', isCidr);
const port = z.number().int().min(0).max(65_535);
const isHttpUrl = (text: string): boolean => /^https?:\/\/[^@]+$/.test(text) && URL.canParse(text);
const httpUrl = textOf('a URL that begins with http:// or https://, without credentials in it', isHttpUrl);
const isDuration = (text: string): boolean => /^\d+(\.\d+)?(ns|us|ms|s|m|h)$/.test(text);
const duration = textOf('a number with a unit, like 50us, 10ms or 60s', isDuration).transform(nanosecondsOf);
const isBitRate = (text: string): boolean => /^\d+(\.\d+)?[MG]$/.test(text);
const bitRate = textOf('a rate in bits per second, like 10G or 400M', isBitRate).transform(
  (text) => (Number(text.slice(0, -1)) * (text.endsWith('G') ? 1e9 : 1e6)) / 8 / 1e9,
);

/** Where a secret lies: exactly one of an environment variable or a file. */
const secret = z
  .strictObject({ env: z.string().optional(), file: z.string().optional() })
  .refine((s) => (s.env === undefined) !== (s.file === undefined), 'must name exactly one of env (a variable) or file (a path)');
type SecretReference = z.output<typeof secret>;

const source = z
  .strictObject({
    addresses: z.array(cidr).min(1),
    timestampUnit: z.enum(['ns', 'us']).default('ns'),
    occupancyUnit: z.enum(['bytes', 'cells', 'packets', 'unknown']).default('unknown'),
    occupancyUnitBytes: z.number().positive().optional(),
    portRate: bitRate.optional(),
    emptyLatency: duration.optional(),
    intDscp: z.number().int().min(0).max(63).default(0x17),
    intUdpPort: port.default(0),
    strict: z.boolean().default(false),
  })
  .refine((s) => s.occupancyUnitBytes !== undefined || (s.occupancyUnit !== 'cells' && s.occupancyUnit !== 'packets'), {
    path: ['occupancyUnitBytes'],
    message: 'must say how many octets one of the cells or packets has, like 80',
  });

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
        })
        .refine((node) => node.id !== undefined || node.address !== undefined, 'must have an id, an address, or both'),
    )
    .refine((nodes) => areDistinct(nodes.flatMap((node) => node.id ?? [])), 'must not list one id twice')
    .refine((nodes) => areDistinct(nodes.flatMap((node) => node.address ?? [])), 'must not list one address twice')
    .refine((nodes) => areDistinct(nodes.map((node) => node.name)), 'must not use one name twice')
    .default([]),
  inventory: z.array(z.strictObject({ address: cidr, namespace: z.string().min(1), workload: z.string().min(1) })).default([]),
  kubernetes: z.strictObject({ kubeconfig: z.string().optional() }).optional(),
  congestion: z
    .strictObject({
      openWait: duration.default(50_000),
      closeWait: duration.default(25_000),
      fabricBudget: duration.default(1e6),
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
        minSeverity: z.number().int().min(1).max(5).default(2),
      }),
    )
    .refine((webhooks) => areDistinct(webhooks.map((webhook) => webhook.name)), 'must not use one name twice')
    .default([]),
  remediation: z
    .strictObject({
      mode: z.enum(['observe', 'webhook']).default('observe'),
      minConfidence: z.number().min(0).max(1).default(0.8),
      minSeverity: z.number().int().min(1).max(5).default(3),
      expiry: duration.default(60e9),
      settle: duration.default(5e9),
    })
    .refine((r) => !(r.expiry < 2 * r.settle), { path: ['expiry'], message: 'must be at least twice settle' })
    .prefault({}),
  store: z.strictObject({ path: z.string().min(1).default('hopscope-data/hopscope.db') }).prefault({}),
  limits: z
    .strictObject({
      sources: z.number().int().min(16).max(65_536).default(1024),
      nodes: z.number().int().min(16).max(65_536).default(1024),
      queues: z.number().int().min(16).max(262_144).default(8192),
      links: z.number().int().min(16).max(262_144).default(4096),
      flows: z.number().int().min(16).max(4_194_304).default(65_536),
      arrivalLogs: z.number().int().min(1).max(4096).default(64),
      arrivalsPerLog: z.number().int().min(64).max(65_536).default(8192),
      incidents: z.number().int().min(1).max(100_000).default(1000),
    })
    .prefault({}),
});

export type Config = Readonly<z.output<typeof schema>>;

/** The configuration cannot be used; `problems` holds one plain sentence each, beginning with its path. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`the configuration has ${problems.length} problem${problems.length === 1 ? '' : 's'}:\n  ${problems.join('\n  ')}`);
    this.problems = problems;
  }
}

/** Parses and checks YAML text (or nothing, for the defaults). Throws ConfigError with every problem. */
export function parseConfig(text: string, origin = 'configuration'): Config {
  const document = parseDocument(text, { prettyErrors: true });
  if (document.errors.length > 0) {
    throw new ConfigError(document.errors.map((error) => `${origin}: ${error.message.split('\n')[0].replace(/:$/, '')}`));
  }
  const raw = withoutEmpty(plainOf(document, origin) ?? {});
  const result = schema.safeParse(raw, { error: formOf });
  const problems = [...(result.error?.issues.flatMap((issue) => problemsOf(issue)) ?? []), ...crossCheck(raw)];
  if (!result.success || problems.length > 0) throw new ConfigError(problems);
  return Object.freeze(result.data);
}

/** A section whose contents are all commented out is as good as one that is not there. */
function withoutEmpty(raw: unknown): unknown {
  if (typeof raw !== 'object' || Array.isArray(raw)) return raw;
  return Object.fromEntries(Object.entries(raw as object).filter(([, value]) => value !== null));
}

/** The document as plain values. Throws ConfigError for what only shows now, like an alias to nothing. */
function plainOf(document: Document.Parsed, origin: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new ConfigError([`${origin}: ${(error as Error).message.split('\n')[0]}`]);
  }
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
  /** In the order of `webhooks`. */
  webhooks: string[];
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
    webhooks: config.webhooks.map((webhook, i) => read(webhook.secret, `webhooks[${i}].secret`, 24)),
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
  const { http, remediation, webhooks } = raw as Record<string, Record<string, unknown> | undefined>;
  const problems: string[] = [];
  const address = http?.address;
  if (typeof address === 'string' && isAddress(address) && !isLoopback(address) && http?.token === undefined) {
    problems.push('http.token: must be set (env or file) when http.address is not a loopback address');
  }
  if (remediation?.mode === 'webhook' && (webhooks === undefined || webhooks.length === 0)) {
    problems.push('webhooks: must have at least one entry when remediation.mode is webhook');
  }
  return problems;
}

function problemsOf(issue: z.core.$ZodIssue): string[] {
  const path = issue.path
    .map((part, i) => (typeof part === 'number' ? `[${part}]` : i === 0 ? String(part) : `.${String(part)}`))
    .join('');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `${path === '' ? key : `${path}.${key}`}: is not a known setting`);
  }
  return [`${path === '' ? 'configuration' : path}: ${issue.message}`];
}

/** The accepted form, for problems that have no sentence of their own. */
function formOf(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'invalid_type') {
    const form = FORM_OF[issue.expected] ?? issue.expected;
    return issue.input === undefined ? `must be given: ${form}` : `must be ${form}`;
  }
  if (issue.code === 'invalid_key') return 'must have a number as its key, like "1"';
  if (issue.code === 'too_big') return `must be at most ${issue.maximum}${SIZE_OF[issue.origin] ?? ''}`;
  if (issue.code === 'invalid_value') return `must be one of ${issue.values.join(', ')}`;
  if (issue.code !== 'too_small') return undefined;
  return `must be ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${SIZE_OF[issue.origin] ?? ''}`;
}

const FORM_OF: Record<string, string> = {
  array: 'a list, like [one, two]',
  object: 'settings with names, like { name: value }',
  record: 'settings with names, like { name: value }',
  number: 'a number',
  int: 'a whole number',
  string: 'text',
  boolean: 'true or false',
};
const SIZE_OF: Record<string, string> = { array: ' in number', string: ' characters long' };

function nanosecondsOf(text: string): number {
  const unit = /[a-z]+$/.exec(text)![0];
  const factor = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 }[unit]!;
  return Number(text.slice(0, -unit.length)) * factor;
}
