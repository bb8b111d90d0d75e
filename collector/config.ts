// YAML and environment in, one frozen Config out. Every problem is reported at once, each with its path and the accepted form.
// Rule: secrets come from the environment or a file and are never part of an error, a log line or the printed configuration.

import { readFileSync } from 'node:fs';
import ipaddr from 'ipaddr.js';
import { parseDocument } from 'yaml';
import { z } from 'zod';

const isAddress = (text: string): boolean => ipaddr.isValid(text);
const isCidr = (text: string): boolean => isAddress(text) || ipaddr.isValidCIDR(text);

const address = z.string().refine(isAddress, 'must be an IPv4 or IPv6 address, like 127.0.0.1');
const cidr = z.string().refine(isCidr, 'must be an address or a CIDR, like 10.244.1.17 or 10.244.0.0/16');
const port = z.number().int().min(0).max(65_535);
const httpUrl = z
  .string()
  .refine((text) => /^https?:\/\//.test(text) && URL.canParse(text), 'must be a URL that begins with http:// or https://');
const duration = z
  .string()
  .regex(/^\d+(\.\d+)?(ns|us|ms|s|m|h)$/, 'must be a number with a unit, like 50us, 10ms or 60s')
  .transform(nanosecondsOf);
const bitRate = z
  .string()
  .regex(/^\d+(\.\d+)?[MG]$/, 'must be a rate in bits per second, like 10G or 400M')
  .transform((text) => (Number(text.slice(0, -1)) * (text.endsWith('G') ? 1e9 : 1e6)) / 8 / 1e9);

/** Where a secret lies: exactly one of an environment variable or a file. */
const secret = z
  .strictObject({ env: z.string().optional(), file: z.string().optional() })
  .refine((s) => (s.env === undefined) !== (s.file === undefined), 'must name exactly one of env (a variable) or file (a path)');

const source = z.strictObject({
  addresses: z.array(cidr).min(1),
  timestampUnit: z.enum(['ns', 'us']).default('ns'),
  occupancyUnit: z.enum(['bytes', 'cells', 'packets', 'unknown']).default('unknown'),
  occupancyUnitBytes: z.number().positive().optional(),
  portRate: bitRate.optional(),
  intDscp: z.number().int().min(0).max(63).default(0x17),
  intUdpPort: port.default(0),
  strict: z.boolean().default(false),
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
        .default(16 * 1024 * 1024),
      sources: z.array(source).default([]),
    })
    .prefault({}),
  nodes: z
    .array(
      z.strictObject({
        id: z.number().int().min(0).max(0xffff_ffff),
        name: z.string().min(1),
        interfaces: z.record(z.string().regex(/^\d+$/, 'must be an interface number'), z.string()).default({}),
      }),
    )
    .default([]),
  inventory: z.array(z.strictObject({ address: cidr, namespace: z.string().min(1), workload: z.string().min(1) })).default([]),
  kubernetes: z.strictObject({ kubeconfig: z.string().optional() }).optional(),
  congestion: z
    .strictObject({
      openWait: duration.default(50_000),
      closeWait: duration.default(25_000),
      fabricBudget: duration.default(1e6),
      silentAfter: duration.default(2e9),
      timeoutAfter: duration.default(60e9),
      incidentQuiet: duration.default(60e9),
    })
    .refine((c) => c.closeWait < c.openWait, 'closeWait must be smaller than openWait')
    .prefault({}),
  http: z
    .strictObject({ address: address.default('127.0.0.1'), port: port.default(9733), token: secret.optional() })
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
    .default([]),
  remediation: z
    .strictObject({
      mode: z.enum(['observe', 'webhook']).default('observe'),
      minConfidence: z.number().min(0).max(1).default(0.8),
      minSeverity: z.number().int().min(1).max(5).default(3),
      expiry: duration.default(60e9),
      settle: duration.default(5e9),
    })
    .prefault({}),
  store: z.strictObject({ path: z.string().min(1).default('hopscope-data/hopscope.db') }).prefault({}),
  limits: z
    .strictObject({
      sources: z.number().int().min(16).max(65_536).default(1024),
      nodes: z.number().int().min(16).max(65_536).default(1024),
      queues: z.number().int().min(16).max(262_144).default(8192),
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
    throw new ConfigError(document.errors.map((error) => `${origin}: ${error.message.split('\n')[0]}`));
  }
  const result = schema.safeParse(document.toJS() ?? {});
  if (!result.success) {
    throw new ConfigError(result.error.issues.flatMap((issue) => problemsOf(issue)));
  }
  const problems = crossCheck(result.data);
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze(result.data);
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

/** The secret behind a reference. Throws ConfigError, naming only where it should have been. */
export function readSecret(reference: { env?: string; file?: string }, path: string): string {
  if (reference.env !== undefined) {
    const value = process.env[reference.env];
    if (value === undefined || value === '') throw new ConfigError([`${path}.env: variable ${reference.env} is not set`]);
    return value;
  }
  try {
    return readFileSync(reference.file!, 'utf8').trim();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new ConfigError([`${path}.file: ${reference.file} cannot be read (${code})`]);
  }
}

/** True for addresses that only this machine reaches. */
export function isLoopback(text: string): boolean {
  return ipaddr.parse(text).range() === 'loopback';
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

function crossCheck(config: Config): string[] {
  const problems: string[] = [];
  if (!isLoopback(config.http.address) && config.http.token === undefined) {
    problems.push('http.token: must be set (env or file) when http.address is not a loopback address');
  }
  config.ingest.sources.forEach((entry, i) => {
    const needsBytes = entry.occupancyUnit === 'cells' || entry.occupancyUnit === 'packets';
    if (needsBytes && entry.occupancyUnitBytes === undefined) {
      problems.push(
        `ingest.sources[${i}].occupancyUnitBytes: must say how many octets one of ${entry.occupancyUnit} has, like 80`,
      );
    }
  });
  if (config.remediation.mode === 'webhook' && config.webhooks.length === 0) {
    problems.push('webhooks: at least one is needed when remediation.mode is webhook');
  }
  return problems;
}

function nanosecondsOf(text: string): number {
  const unit = /[a-z]+$/.exec(text)![0];
  const factor = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 }[unit]!;
  return Number(text.slice(0, -unit.length)) * factor;
}
