// Runs tshark on Ethernet frames and gives back what it read in them. Found on the machine, or unpacked from Debian's packages.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { environmentOf, unpacked } from './debian.ts';
import { pcapFile } from '../../p4-int/wire/pcap.ts';

const PACKAGES = [
  'tshark',
  'wireshark-common',
  ...['libwireshark16', 'libwireshark-data', 'libwiretap13', 'libwsutil14', 'libpcap0.8', 'libglib2.0-0', 'libpcre2-8-0'],
  ...['libc-ares2', 'liblua5.2-0', 'libmaxminddb0', 'libnl-3-200', 'libnl-genl-3-200', 'libsmi2ldbl', 'libsnappy1v5'],
  ...['libbcg729-0', 'libsbc1', 'libspandsp2', 'libspeexdsp1', 'libssh-gcrypt-4'],
];

/** Path of tshark, or `undefined`, which is an error under CI=true. */
export const TSHARK = found();

function found(): string | undefined {
  const installed = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'tshark'));
  const path = installed.find((candidate) => existsSync(candidate)) ?? unpackedPath();
  if (path === undefined && process.env.CI === 'true')
    throw new Error("tshark is not found and not unpacked from Debian's packages");
  return path;
}

function unpackedPath(): string | undefined {
  const root = unpacked(PACKAGES);
  return root === undefined ? undefined : join(root, 'usr/bin/tshark');
}

/** The values of these fields per frame, all occurrences joined by commas. Checksums are verified; fields as in `tshark -G fields`. */
export function fieldsOf(frames: readonly Buffer[], fields: readonly string[]): Record<string, string>[] {
  const directory = mkdtempSync(join(tmpdir(), 'wire-'));
  try {
    const file = join(directory, 'frames.pcap');
    writeFileSync(file, pcapFile(frames.map((octets, index) => ({ unixSeconds: index, nanoseconds: 0, octets }))));
    const output = execFileSync(TSHARK!, ['-n', '-r', file, ...PREFERENCES, ...fields.flatMap((f) => ['-e', f])], {
      env: environmentFor(TSHARK!),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return output
      .split('\n')
      .slice(0, frames.length)
      .map((line) => Object.fromEntries(line.split('\t').map((value, index) => [fields[index], value])));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const PREFERENCES = [
  ...['-T', 'fields', '-E', 'separator=/t', '-E', 'occurrence=a', '-E', 'aggregator=,'],
  ...['ip', 'tcp', 'udp'].flatMap((protocol) => ['-o', `${protocol}.check_checksum:TRUE`]),
  ...['-o', 'sctp.checksum:CRC 32c'],
];

function environmentFor(tshark: string): NodeJS.ProcessEnv {
  const usr = dirname(dirname(tshark));
  return usr === '/usr' ? process.env : { ...environmentOf(dirname(usr)), WIRESHARK_DATA_DIR: join(usr, 'share/wireshark') };
}
