// The sender and the sink in C: compiled once for a benchmark, where there is a compiler.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Postcards } from '../support/postcards.ts';
import { BUFFER_BYTES } from './collector-process.ts';

/** Octets of the datagrams that are sent: one postcard each. */
export const DATAGRAM_BYTES = 128;

export interface Load {
  address?: string;
  port: number;
  seconds: number;
  /** Datagrams a second; 0: as fast as it can. */
  rate: number;
  segments: number;
  sockets?: number;
  flows: number;
  /** Runs the sender in this network namespace. */
  namespace?: string;
}

export interface Native {
  send(load: Load): Promise<{ sent: number; seconds: number }>;
  /** Starts a sink for so long; `result` comes when it is over. */
  sink(seconds: number): Promise<{ port: number; result: Promise<{ received: number; cpuNs: number }> }>;
  dispose(): void;
}

/** Compiles both; undefined where there is no compiler. */
export function compileNative(): Native | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'hopscope-native-'));
  const [sender, sink] = ['sender', 'sink'].map((name) => join(folder, name));
  try {
    for (const [name, out] of [
      ['sender.c', sender],
      ['sink.c', sink],
    ]) {
      execFileSync('cc', ['-O2', '-o', out, join(import.meta.dirname, 'native', name)], { stdio: 'inherit' });
    }
  } catch {
    rmSync(folder, { recursive: true, force: true });
    return undefined;
  }
  const template = new Postcards(1, DATAGRAM_BYTES).bytes.toString('hex');
  return {
    send: async ({ address = '127.0.0.1', port, seconds, rate, segments, sockets = 1, flows, namespace }) => {
      const command = [sender, address, port, seconds, rate, segments, sockets, flows, template].map(String);
      const inNamespace = namespace === undefined ? command : ['ip', 'netns', 'exec', namespace, ...command];
      return JSON.parse(await outputOf(inNamespace)) as { sent: number; seconds: number };
    },
    sink: (seconds) =>
      new Promise((resolve, reject) => {
        const child = spawn(sink, [String(seconds), String(BUFFER_BYTES)], { stdio: ['ignore', 'pipe', 'inherit'] });
        let out = '';
        const result = new Promise<{ received: number; cpuNs: number }>((resolveResult) =>
          child.once('close', () => resolveResult(JSON.parse(out.split('\n')[1]) as { received: number; cpuNs: number })),
        );
        child.once('error', reject);
        child.stdout.setEncoding('utf8').on('data', (text: string) => {
          const isFirst = !out.includes('\n');
          out += text;
          if (isFirst && out.includes('\n')) resolve({ port: Number(out.split('\n')[0]), result });
        });
      }),
    dispose: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function outputOf([program, ...args]: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    child.once('error', reject);
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.once('close', (code) => (code === 0 ? resolve(out) : reject(new Error(`${program} ended with ${code}`))));
  });
}
