// Every decision of remediation, one line of JSON each, chained by hashes: what was decided cannot be changed, taken out, put elsewhere or cut
// off without `hopscope audit verify` finding it. Rule: a line is on disk (fsync) before what it tells of is done.

import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** What the file ends with, kept elsewhere: without it nobody could tell that lines are missing at the end. */
export interface AuditHead {
  lines: number;
  hash: string;
}

interface AuditLine {
  line: number;
  at: string;
  record: Record<string, unknown>;
  /** SHA-256 over the hash before, the line's number, its time and its record. */
  hash: string;
}

const NOTHING: AuditHead = { lines: 0, hash: '0'.repeat(64) };

export class AuditLog {
  /** Undefined when closed: the number may be another file's by then. */
  #file: number | undefined;
  readonly #keepHead: (head: AuditHead) => void;
  #head: AuditHead;

  /**
   * Opens or begins the file at `path`; `keepHead` is told each new end of it, after the line is on disk. Half a line at its end, of a process
   * that died in the middle of one, is taken off: what it would have told of was never done. Throws a plain sentence where it cannot be written.
   */
  constructor(path: string, keepHead: (head: AuditHead) => void) {
    this.#keepHead = keepHead;
    try {
      mkdirSync(dirname(path), { recursive: true });
      const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
      const whole = text.slice(0, text.lastIndexOf('\n') + 1);
      this.#file = openSync(path, 'a', 0o600);
      if (whole.length < text.length) ftruncateSync(this.#file, Buffer.byteLength(whole));
      const last = whole.trimEnd().split('\n').at(-1);
      const line = last === '' || last === undefined ? undefined : (JSON.parse(last) as AuditLine);
      this.#head = line === undefined ? NOTHING : { lines: line.line, hash: line.hash };
    } catch (error) {
      throw new Error(`the audit file ${path} cannot be used (${(error as Error).message})`, { cause: error });
    }
  }

  /** Writes a line and waits until it is on disk. Throws where it is not. */
  append(at: string, record: Record<string, unknown>): void {
    const line = this.#head.lines + 1;
    const hash = hashOf(this.#head.hash, line, at, record);
    this.#write(Buffer.from(`${JSON.stringify({ line, at, record, hash } satisfies AuditLine)}\n`));
    this.#head = { lines: line, hash };
    this.#keepHead(this.#head);
  }

  /** All of it or nothing: on a full disk a part may fit, and what came after it would be no line any more. */
  #write(text: Buffer): void {
    const file = this.#file;
    if (file === undefined) throw new Error('the audit file is closed');
    const before = fstatSync(file).size;
    try {
      if (writeSync(file, text) < text.length) throw new Error('the disk took a part of the line only');
      fsyncSync(file);
    } catch (error) {
      ftruncateSync(file, before);
      throw error;
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

/** What is wrong with an audit file, in a sentence; undefined where nothing is. `head` is what it should end with, where that is known. */
export function auditFault(text: string, head: AuditHead | undefined): string | undefined {
  let previous = NOTHING.hash;
  let lines = 0;
  for (const one of text.split('\n').slice(0, -1)) {
    lines++;
    let parsed: AuditLine;
    try {
      parsed = JSON.parse(one) as AuditLine;
    } catch {
      return `line ${lines} is no JSON`;
    }
    if (parsed.line !== lines) return `line ${lines} says that it is line ${parsed.line}: a line was taken out, put in, or moved`;
    if (parsed.hash !== hashOf(previous, parsed.line, parsed.at, parsed.record)) return `line ${lines} is not what was written`;
    // The hash is of the record's meaning; the octets must be those that we write, too.
    const { line, at, record, hash } = parsed;
    if (JSON.stringify({ line, at, record, hash }) !== one) return `line ${lines} is not what was written`;
    previous = parsed.hash;
  }
  if (!text.endsWith('\n') && text !== '') return 'the last line is cut off';
  if (head !== undefined && lines < head.lines) return `it ends with line ${lines}, and line ${head.lines} was written`;
  if (head !== undefined && lines === head.lines && previous !== head.hash) return 'it ends with another line than was written';
  return undefined;
}

function hashOf(previous: string, line: number, at: string, record: Record<string, unknown>): string {
  return createHash('sha256')
    .update(JSON.stringify([previous, line, at, record]))
    .digest('hex');
}
