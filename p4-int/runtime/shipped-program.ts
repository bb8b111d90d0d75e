// The compiled programs that are shipped (../programs), so that nobody needs a compiler.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { P4Info } from './generated/p4info.ts';
import { Program } from './program.ts';

/** postcards: INT-XD in report v2.0 · postcards-v0.5: the same as SD-Fabric reports it · embedded: INT-MD v2.1, and postcards besides. */
export const PROGRAM_NAMES = ['postcards', 'postcards-v0.5', 'embedded'] as const;
export type ProgramName = (typeof PROGRAM_NAMES)[number];

export interface ShippedProgram {
  name: ProgramName;
  program: Program;
  /** What BMv2 loads. */
  deviceConfig: Buffer;
  /** Of these very bytes: by it we know our own program on a switch. */
  cookie: bigint;
}

const FOLDER = join(import.meta.dirname, '..', 'programs');

export function shippedProgram(name: ProgramName): ShippedProgram {
  const deviceConfig = readFileSync(join(FOLDER, `${name}.json`));
  const infoText = readFileSync(join(FOLDER, `${name}.p4info.json`), 'utf8');
  const digest = createHash('sha256').update(deviceConfig).update(infoText).digest();
  const program = new Program(P4Info.fromJSON(JSON.parse(infoText)));
  return { name, program, deviceConfig, cookie: digest.readBigUInt64BE() };
}
