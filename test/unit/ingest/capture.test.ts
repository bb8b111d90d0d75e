// Capture files: both pcap resolutions and byte orders, pcapng, link layers, and files that break off.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { decodeCapture } from '../../../collector/decode-command.ts';
import { CaptureError, readCapture } from '../../../collector/ingest/capture.ts';
import { datagramOf } from '../../../collector/ingest/frame.ts';
import { capturePath } from '../../support/fixtures.ts';

const folder = mkdtempSync(join(tmpdir(), 'hopscope-capture-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** Ethernet, IPv4, UDP from 10.0.0.9 to port 32766, then the payload. */
function frameOf(payload: Buffer): Buffer {
  const head = Buffer.from('00000000000200000000000108004500000000000000401100000a0000090a000001000a7ffe00000000', 'hex');
  head.writeUInt16BE(28 + payload.length, 16);
  head.writeUInt16BE(8 + payload.length, 38);
  return Buffer.concat([head, payload]);
}

const frames = [frameOf(Buffer.from('aabbcc')), frameOf(Buffer.from('dd', 'hex'))];

function pcap(littleEndian: boolean, nanoseconds: boolean): Buffer {
  const u32 = (v: number): Buffer => {
    const b = Buffer.alloc(4);
    if (littleEndian) b.writeUInt32LE(v);
    else b.writeUInt32BE(v);
    return b;
  };
  const parts = [
    u32(nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4),
    u32(littleEndian ? 0x00040002 : 0x00020004),
    u32(0),
    u32(0),
    u32(65535),
    u32(1),
  ];
  frames.forEach((frame, i) =>
    parts.push(u32(1000 + i), u32(nanoseconds ? 123_456_789 : 123_456), u32(frame.length), u32(frame.length), frame),
  );
  return Buffer.concat(parts);
}

function pcapng(): Buffer {
  const block = (type: number, body: Buffer): Buffer => {
    const padded = Buffer.concat([body, Buffer.alloc((4 - (body.length % 4)) % 4)]);
    const out = Buffer.alloc(padded.length + 12);
    out.writeUInt32LE(type, 0);
    out.writeUInt32LE(out.length, 4);
    padded.copy(out, 8);
    out.writeUInt32LE(out.length, out.length - 4);
    return out;
  };
  const section = Buffer.from('4d3c2b1a01000000ffffffffffffffff', 'hex');
  const port = Buffer.from('01000000ffff0000' + '0900010009000000' + '00000000', 'hex');
  const packets = frames.map((frame, i) => {
    const head = Buffer.alloc(20);
    const ns = BigInt(1000 + i) * 1_000_000_000n + 123_456_789n;
    head.writeUInt32LE(Number(ns >> 32n), 4);
    head.writeUInt32LE(Number(ns & 0xffffffffn), 8);
    head.writeUInt32LE(frame.length, 12);
    head.writeUInt32LE(frame.length, 16);
    return block(6, Buffer.concat([head, frame]));
  });
  return Buffer.concat([block(0x0a0d0d0a, section), block(1, port), block(5, Buffer.alloc(12)), ...packets]);
}

describe.each([
  ['pcap, little endian, µs', pcap(true, false), 123_456_000],
  ['pcap, big endian, µs', pcap(false, false), 123_456_000],
  ['pcap, little endian, ns', pcap(true, true), 123_456_789],
  ['pcap, big endian, ns', pcap(false, true), 123_456_789],
  ['pcapng, ns', pcapng(), 123_456_789],
])('%s', (name, bytes, nanoseconds) => {
  it('gives every frame with its time', () => {
    const path = file(name.replaceAll(/\W/g, ''), bytes);
    const read = [...readCapture(path)].map((f) => [f.index, f.seconds, f.nanoseconds, Buffer.from(f.data).toString('hex')]);
    expect(read).toEqual(frames.map((frame, i) => [i, 1000 + i, nanoseconds, frame.toString('hex')]));
  });

  it('gives the whole frames of a file cut at any octet, then says where it ends', () => {
    for (let cut = 24; cut < bytes.length; cut += 7) {
      const path = file('cut', bytes.subarray(0, cut));
      let whole = 0;
      let error: unknown;
      try {
        for (const _ of readCapture(path)) whole++;
      } catch (caught) {
        error = caught;
      }
      expect(whole).toBeLessThan(frames.length);
      if (error !== undefined) {
        expect(error).toBeInstanceOf(CaptureError);
        expect((error as Error).message).toContain(path);
      }
    }
  });
});

it('a file that is no capture is refused with its magic number', () => {
  expect(() => [...readCapture(file('text', Buffer.from('hello, world, this is text')))]).toThrow(/not a pcap or pcapng file/);
  expect(() => [...readCapture(file('empty', Buffer.alloc(0)))]).toThrow(/too short/);
});

it('a claimed length of gigabytes is refused, not allocated', () => {
  const bytes = pcap(true, false);
  bytes.writeUInt32LE(0x7fffffff, 24 + 8);
  expect(() => [...readCapture(file('huge', bytes))]).toThrow(/claims 2147483647 octets/);
});

it('a link type with flags in its upper half is read, an interface block that is too short is refused', () => {
  const flagged = pcap(true, false);
  flagged.writeUInt32LE(0x24000001, 20);
  expect([...readCapture(file('fcs', flagged))].map((f) => f.linkType)).toEqual([1, 1]);
  const section = pcapng().subarray(0, 28);
  const short = Buffer.concat([section, Buffer.from('01000000' + '0c000000' + '0c000000', 'hex')]);
  expect(() => [...readCapture(file('short', short))]).toThrow(/interface block is too short/);
});

it('decode processes what is whole and reports the rest', () => {
  const bytes = readFileSync(capturePath('int-xd_report-v0.5_fabric-tna'));
  const lines: string[] = [];
  const notes: string[] = [];
  const code = decodeCapture(
    file('half.pcap', bytes.subarray(0, bytes.length - 30)),
    {},
    (l) => lines.push(l),
    (n) => notes.push(n),
  );
  expect(code).toBe(1);
  expect(lines).toHaveLength(20);
  expect(notes.join()).toContain('The 20 whole frames before it were processed');
});

it('--port narrows, and frames keep their numbers', () => {
  const lines: any[] = [];
  const path = file('two', pcap(true, false));
  decodeCapture(
    path,
    { port: 1 },
    (l) => lines.push(l),
    () => undefined,
  );
  expect(lines).toEqual([]);
  decodeCapture(
    path,
    { port: 32_766 },
    (l) => lines.push(JSON.parse(l)),
    () => undefined,
  );
  expect(lines.map((l) => l.frame)).toEqual([0, 1]);
});

describe('the datagram in a frame', () => {
  const frame = frames[0];
  const payload = Buffer.from('aabbcc').toString('hex');
  const hex = (found: ReturnType<typeof datagramOf>): string => Buffer.from(found!.payload).toString('hex');

  it.each([
    ['Ethernet', 1, frame],
    ['Ethernet with a VLAN tag', 1, Buffer.concat([frame.subarray(0, 12), Buffer.from('81000064', 'hex'), frame.subarray(12)])],
    ['raw IP', 101, frame.subarray(14)],
    ['Linux cooked', 113, Buffer.concat([Buffer.alloc(14), Buffer.from('0800', 'hex'), frame.subarray(14)])],
    ['Linux cooked v2', 276, Buffer.concat([Buffer.from('0800', 'hex'), Buffer.alloc(18), frame.subarray(14)])],
    ['BSD loopback', 0, Buffer.concat([Buffer.from('02000000', 'hex'), frame.subarray(14)])],
  ])('is found behind %s', (_name, linkType, data) => {
    const found = datagramOf(data, linkType);
    expect(found).toMatchObject({ sourceAddress: '10.0.0.9', destinationPort: 32_766 });
    expect(hex(found)).toBe(payload);
  });

  it('is found behind IPv6, its extension headers included, with the address in its short form', () => {
    const head = '00000000000200000000000186dd' + '60000000' + '001b';
    const addresses = 'fd000010024400010000000000000011' + 'fd000000000000000000000000000001';
    const udp = '000a7ffe000e0000' + payload;
    for (const [next, extensions] of [
      ['11', ''],
      ['00', '3c00000000000000' + '1100000000000000'],
      ['2c', '1100000000000001'],
    ]) {
      const length = (extensions.length / 2 + 14).toString(16).padStart(4, '0');
      const bytes = Buffer.from(`${head.slice(0, -4)}${length}${next}40${addresses}${extensions}${udp}`, 'hex');
      expect(datagramOf(bytes, 1)).toMatchObject({ sourceAddress: 'fd00:10:244:1::11', destinationPort: 32_766 });
      expect(hex(datagramOf(bytes, 1))).toBe(payload);
    }
  });

  it('is whole where the card was to fill in the length', () => {
    const offloaded = Buffer.from(frame);
    offloaded.writeUInt16BE(0, 16);
    expect(hex(datagramOf(offloaded, 1))).toBe(payload);
  });

  it('does not contain the padding of a short frame', () => {
    expect(hex(datagramOf(Buffer.concat([frame, Buffer.alloc(20)]), 1))).toBe(payload);
  });

  it('is undefined for other protocols and cut headers', () => {
    const tcp = Buffer.from(frame);
    tcp[23] = 6;
    expect(datagramOf(tcp, 1)).toBeUndefined();
    for (let cut = 0; cut < 42; cut++) expect(datagramOf(frame.subarray(0, cut), 1)).toBeUndefined();
  });
});
