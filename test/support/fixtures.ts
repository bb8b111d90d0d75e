// Where the fixtures lie, and the vectors by name.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = join(import.meta.dirname, '..', 'fixtures');

/** All captures, by name. */
export const CAPTURES = [
  'int-xd_report-v0.5_fabric-tna',
  'int-md-v1.0_report-v1.0_onos',
  'int-md-v1.0_report-v1.0_onos_tcp',
  'int-md-v2.1_report-v2.0_laofan13_congested',
  'int-mx_report-v2.0_asis',
  'sflow-v5_open-vswitch',
] as const;

export function capturePath(name: string): string {
  return join(FOLDER, 'captures', `${name}.pcap`);
}

export function captureExpectation(name: string): any[] {
  return JSON.parse(readFileSync(join(FOLDER, 'captures', `${name}.json`), 'utf8'));
}

/** A NetFlow v5 header: a format that is recognised and not decoded. */
export const NETFLOW = Buffer.from('00050001000000010a000001000000000000000100000000', 'hex');

export interface Vector {
  name: string;
  hex: string;
  expected: any;
}

export const VECTORS: Vector[] = JSON.parse(readFileSync(join(FOLDER, 'vectors.json'), 'utf8'));

export function vectorBytes(name: string): Uint8Array {
  const vector = VECTORS.find((candidate) => candidate.name === name);
  if (vector === undefined) throw new Error(`no vector is called ${name}`);
  return Uint8Array.from(Buffer.from(vector.hex, 'hex'));
}

/** What the fuzzer and the round trips once found: the bytes, and what was at stake. */
export const FUZZ_FINDS: { bytes: Uint8Array; about: string }[] = readFileSync(join(FOLDER, 'fuzz-finds.txt'), 'utf8')
  .split('\n')
  .map((line) => line.split('#').map((part) => part.trim()))
  .filter(([hex]) => hex !== '')
  .map(([hex, about]) => ({ bytes: Uint8Array.from(Buffer.from(hex, 'hex')), about }));
