// The forms that settings take, and the sentences for those that do not: shared by the configuration and by profiles.
// Rule: every problem names its path and the accepted form; all are told at once.

import ipaddr from 'ipaddr.js';
import { parseDocument } from 'yaml';
import { z } from 'zod';

export const isAddress = (text: string): boolean => ipaddr.isValid(text);
const isCidr = (text: string): boolean => isAddress(text) || ipaddr.isValidCIDR(text);

/** Text of a form: one sentence for a wrong type and for a wrong content. */
export const textOf = (form: string, isRight: (text: string) => boolean) =>
  z.string(`must be ${form}`).refine(isRight, `must be ${form}`);

export const address = textOf('an IPv4 or IPv6 address, like 127.0.0.1', isAddress);
export const cidr = textOf('an address or a CIDR, like 10.244.1.17 or 10.244.0.0/16', isCidr);
export const port = z.number().int().min(0).max(65_535);
const isHttpUrl = (text: string): boolean => /^https?:\/\/[^@]+$/.test(text) && URL.canParse(text);
export const httpUrl = textOf('a URL that begins with http:// or https://, without credentials in it', isHttpUrl);
const isDuration = (text: string): boolean => /^\d+(\.\d+)?(ns|us|ms|s|m|h)$/.test(text);
export const duration = textOf('a number with a unit, like 50us, 10ms or 60s', isDuration).transform(nanosecondsOf);
const isBitRate = (text: string): boolean => /^\d+(\.\d+)?[MG]$/.test(text);
export const bitRate = textOf('a rate in bits per second, like 10G or 400M', isBitRate).transform(
  (text) => (Number(text.slice(0, -1)) * (text.endsWith('G') ? 1e9 : 1e6)) / 8 / 1e9,
);

/** The configuration cannot be used; `problems` holds one plain sentence each, beginning with its path. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`the configuration has ${problems.length} problem${problems.length === 1 ? '' : 's'}:\n  ${problems.join('\n  ')}`);
    this.problems = problems;
  }
}

/** YAML text as plain values. Throws ConfigError, each problem beginning with `origin`. */
export function plainOf(text: string, origin: string): unknown {
  const document = parseDocument(text, { prettyErrors: true });
  if (document.errors.length > 0) {
    throw new ConfigError(document.errors.map((error) => `${origin}: ${error.message.split('\n')[0].replace(/:$/, '')}`));
  }
  try {
    return document.toJS();
  } catch (error) {
    // Some faults only show now, like an alias to nothing.
    throw new ConfigError([`${origin}: ${(error as Error).message.split('\n')[0]}`]);
  }
}

export function problemsOf(issue: z.core.$ZodIssue): string[] {
  const path = issue.path
    .map((part, i) => (typeof part === 'number' ? `[${part}]` : i === 0 ? String(part) : `.${String(part)}`))
    .join('');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `${path === '' ? key : `${path}.${key}`}: is not a known setting`);
  }
  return [`${path === '' ? 'configuration' : path}: ${issue.message}`];
}

/** The accepted form, for problems that have no sentence of their own. */
export function formOf(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'invalid_type') {
    const form = FORM_OF[issue.expected] ?? issue.expected;
    return issue.input === undefined ? `must be given: ${form}` : `must be ${form}`;
  }
  if (issue.code === 'invalid_key') {
    const [inner] = issue.issues;
    return inner?.code === 'custom' ? inner.message : 'must have a number as its key, like "1"';
  }
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
