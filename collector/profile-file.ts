// Profiles: what a kind of exporter means by its numbers, as YAML files that are shipped (profiles/) or the user's own; and from their settings to
// the SourceProfile that decoders read.
//
//   shipped defaults ◀─ extends ─ profile ◀─ own settings of an entry in ingest.sources
//
// Rule: a profile is data. What it does not say is as without a profile: raw values, and what is certain from the bytes.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { bitRate, ConfigError, duration, formOf, plainOf, port, problemsOf, textOf } from './config-form.ts';
import { elementKeyOf, FieldRole } from './decode/ipfix-template.ts';
import { IDENTITY_PROFILE, type SourceProfile } from './decode/profile.ts';
import { DIALECTS } from './hop.ts';

const SHIPPED = join(import.meta.dirname, '..', 'profiles');
/** Profiles may build on one another so many times over. */
const MAX_EXTENDS = 8;

const octet = z.number().int().min(0).max(255);
const word = z.number().int().min(0).max(0xffff);
const byNumber = <T extends z.ZodType>(value: T) => z.record(z.string().regex(/^\d+$/, 'must be a number, like "260"'), value);
const element = textOf('an element id, like 1234, or enterprise/id, like 9/1234', (text) => /^(\d+\/)?\d+$/.test(text));
/** Roles that a profile can give to an element. */
const ELEMENT_ROLES = {
  frame: FieldRole.frame,
  ipPacket: FieldRole.ipPacket,
  ioamPreallocatedTrace: FieldRole.ioamPreallocatedTrace,
  ioamIncrementalTrace: FieldRole.ioamIncrementalTrace,
  reportFlags: FieldRole.reportFlags,
} as const;
const FRACTIONS_PER_SECOND = { ptp: 1e9, posix: 1e6, ntp: 2 ** 32 } as const;
const REPORT_VERSIONS = ['0.5', '1.0', '2.0'] as const;

/** Settings of a profile, all of them optional; docs/profiles.md tells what they mean. */
export const profileShape = {
  dialects: z.array(z.enum(DIALECTS)).min(1).optional(),
  reportVersion: z.enum(REPORT_VERSIONS).optional(),
  strict: z.boolean().optional(),
  timestampUnit: z.enum(['ns', 'us']).optional(),
  latencyUnit: z.enum(['ns', 'us']).optional(),
  latency: z.enum(['hop', 'queue']).optional(),
  emptyLatency: duration.optional(),
  occupancyUnit: z.enum(['bytes', 'cells', 'packets', 'unknown']).optional(),
  occupancyUnitBytes: z.number().positive().optional(),
  occupancyScope: z.enum(['queue', 'port']).optional(),
  samplingRate: z.number().int().min(1).max(1_000_000).optional(),
  changeFilter: z.boolean().optional(),
  portRate: bitRate.optional(),
  intDscp: z.number().int().min(0).max(63).optional(),
  intUdpPort: port.optional(),
  intGreProtocol: word.optional(),
  intGeneveClass: word.optional(),
  intSourceOnlyBytes: byNumber(octet).optional(),
  intMxStack: z.boolean().optional(),
  ifaProtocol: octet.optional(),
  ioamTimestamp: z.enum(['ptp', 'posix', 'ntp']).optional(),
  ipfixElements: z.partialRecord(z.enum(Object.keys(ELEMENT_ROLES) as (keyof typeof ELEMENT_ROLES)[]), element).optional(),
  dropReasons: byNumber(z.string().min(1)).optional(),
  interfaces: byNumber(z.number().int().min(0).max(0xffff_ffff)).optional(),
};
const fileSchema = z.strictObject({ description: z.string().min(1), extends: z.string().min(1).optional(), ...profileShape });
type ProfileFile = z.output<typeof fileSchema>;
export type ProfileSettings = Omit<ProfileFile, 'description' | 'extends'>;

/** The profiles that can be named. */
export class ProfileBook {
  readonly #files = new Map<string, ProfileFile>();

  /** Reads the shipped profiles, and those in `folder`, which may have the name of a shipped one. Throws ConfigError with every problem. */
  static load(folder?: string): ProfileBook {
    const book = new ProfileBook();
    const problems = [...book.#read(SHIPPED), ...(folder === undefined ? [] : book.#read(folder))];
    for (const name of book.#files.keys()) problems.push(...book.#chainProblems(name));
    if (problems.length > 0) throw new ConfigError(problems);
    return book;
  }

  get names(): string[] {
    return [...this.#files.keys()].sort();
  }

  describe(name: string): string {
    return this.#files.get(name)!.description;
  }

  /** Settings of a profile with those that it builds on; undefined when none has this name. */
  settings(name: string): ProfileSettings | undefined {
    const file = this.#files.get(name);
    if (file === undefined) return undefined;
    const { description: _description, extends: base, ...own } = file;
    return base === undefined ? own : { ...this.settings(base), ...own };
  }

  #read(folder: string): string[] {
    if (!existsSync(folder)) return [`${folder}: is no folder with profiles`];
    const problems: string[] = [];
    for (const entry of readdirSync(folder).sort()) {
      if (!entry.endsWith('.yaml')) continue;
      const path = join(folder, entry);
      try {
        const result = fileSchema.safeParse(plainOf(readFileSync(path, 'utf8'), path), { error: formOf });
        if (result.success) this.#files.set(entry.slice(0, -'.yaml'.length), result.data);
        else problems.push(...result.error.issues.flatMap(problemsOf).map((problem) => `${path}: ${problem}`));
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        problems.push(...error.problems);
      }
    }
    return problems;
  }

  /** What is wrong with the profiles that one builds on: one that is not there, or a circle. */
  #chainProblems(name: string): string[] {
    let at: string | undefined = name;
    for (let steps = 0; at !== undefined; steps++) {
      const file: ProfileFile | undefined = this.#files.get(at);
      if (file === undefined) return [`profile ${name}: extends ${at}, which is not there`];
      if (steps > MAX_EXTENDS) return [`profile ${name}: extends more than ${MAX_EXTENDS} others, or itself`];
      at = file.extends;
    }
    return [];
  }
}

/** What is wrong with settings that belong together, by the setting at fault. */
export function settingsProblems(settings: ProfileSettings): { setting: string; problem: string }[] {
  const needsSize = settings.occupancyUnit === 'cells' || settings.occupancyUnit === 'packets';
  if (!needsSize || settings.occupancyUnitBytes !== undefined) return [];
  return [{ setting: 'occupancyUnitBytes', problem: 'must say how many octets one of the cells or packets has, like 80' }];
}

/** What decoders need of the settings. */
export function sourceProfileOf(settings: ProfileSettings): SourceProfile {
  const timestampUnitNs = settings.timestampUnit === 'us' ? 1000 : 1;
  // A depth of the whole port says nothing about one queue.
  const isDepthKnown = settings.occupancyScope !== 'port';
  const unit = settings.occupancyUnit ?? 'unknown';
  const unitBytes = unit === 'unknown' ? 0 : unit === 'bytes' ? 1 : settings.occupancyUnitBytes!;
  return {
    dialects: (settings.dialects ?? []).reduce((bits, dialect) => bits | (1 << DIALECTS.indexOf(dialect)), 0),
    reportVersion: settings.reportVersion === undefined ? -1 : REPORT_VERSIONS.indexOf(settings.reportVersion),
    timestampUnitNs,
    latencyUnitNs: settings.latencyUnit === undefined ? timestampUnitNs : settings.latencyUnit === 'us' ? 1000 : 1,
    occupancyUnitBytes: isDepthKnown ? unitBytes : 0,
    samplingRate: settings.samplingRate ?? 1,
    changeFilter: settings.changeFilter ?? false,
    portBytesPerNs: settings.portRate ?? 0,
    // Where the latency is the wait in the queue alone, that of an empty queue is nothing.
    emptyLatencyNs: settings.emptyLatency ?? (settings.latency === 'queue' ? 0 : Infinity),
    intDscp: settings.intDscp ?? IDENTITY_PROFILE.intDscp,
    intUdpPort: settings.intUdpPort ?? 0,
    intGreProtocol: settings.intGreProtocol ?? 0,
    intGeneveClass: settings.intGeneveClass ?? IDENTITY_PROFILE.intGeneveClass,
    intSourceOnlyBytes: numberMap(settings.intSourceOnlyBytes),
    intMxStack: settings.intMxStack ?? false,
    ifaProtocol: settings.ifaProtocol ?? 0,
    ioamFractionsPerSecond: FRACTIONS_PER_SECOND[settings.ioamTimestamp ?? 'ptp'],
    ipfixElements: new Map(
      Object.entries(settings.ipfixElements ?? {}).map(([role, text]) => [
        elementKey(text),
        ELEMENT_ROLES[role as keyof typeof ELEMENT_ROLES],
      ]),
    ),
    interfaces: numberMap(settings.interfaces),
    strict: settings.strict ?? false,
  };
}

/** Names of drop reasons by number. */
export function dropReasonsOf(settings: ProfileSettings): ReadonlyMap<number, string> {
  return numberMap(settings.dropReasons);
}

function numberMap<T>(record: Record<string, T> = {}): Map<number, T> {
  return new Map(Object.entries(record).map(([key, value]) => [Number(key), value]));
}

function elementKey(text: string): number {
  const [id, enterprise = '0'] = text.split('/').reverse();
  return elementKeyOf(Number(enterprise), Number(id));
}
