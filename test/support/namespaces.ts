// Network namespaces for tests: programs that each have one of their own, or share one, and traffic between them. A namespace lasts as
// long as its process, and processes last no longer than the one that started them, even if that is killed: nothing is left behind.

import { execFile, execFileSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { promisify } from 'node:util';
import { start, until, type Running } from './processes.ts';

/** A program in a network namespace of its own, and how others are run in it. */
export interface Apart {
  running: Running;
  pid: number;
  /** Runs a program in it to its end; gives its output. */
  run(words: string[]): Promise<string>;
  ip(words: string): Promise<string>;
  /** Starts a program in it that lasts until it is stopped. */
  start(words: string[]): Running;
}

/** Why namespaces cannot be made here; undefined where they can. */
export function namespacesMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  try {
    // In a namespace that is gone at once.
    const probe = ['--pdeathsig', 'KILL', 'unshare', '--net', 'ip', 'link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'two'];
    execFileSync('setpriv', probe, { stdio: 'pipe' });
    execFileSync('nsenter', ['--version'], { stdio: 'pipe' });
    return undefined;
  } catch {
    return 'needs network namespaces and pairs of virtual Ethernet ports, ip, and the tools of util-linux';
  }
}

/** Starts a program that ends with this process. */
export function startBound(command: string[], env: NodeJS.ProcessEnv): Running {
  return start('setpriv', ['--pdeathsig', 'KILL', ...command], { env });
}

/** Starts a program in a network namespace of its own. */
export async function startApart(command: string[], env: NodeJS.ProcessEnv): Promise<Apart> {
  const running = startBound(['unshare', '--net', ...command], env);
  const pid = running.child.pid ?? 0;
  await ready(running, () => networkOf(pid) !== networkOf('self'));
  const entering = (words: string[]): string[] => ['nsenter', '--target', String(pid), '--net', ...words];
  const run = (words: string[]): Promise<string> => output(entering(words)[0], entering(words).slice(1), env);
  return {
    running,
    pid,
    run,
    ip: (words) => run(['ip', ...words.split(' ')]),
    start: (words) => startBound(entering(words), env),
  };
}

/** Waits until `probe` holds; says what the program wrote where it does not. */
export async function ready(running: Running, probe: () => boolean | Promise<boolean>): Promise<void> {
  const program = running.child.spawnargs.join(' ');
  await until(program, probe, 10_000).catch((cause: unknown) => {
    throw new Error(`${program}: ${running.output()}`, { cause });
  });
}

export async function output(program: string, args: string[], env: NodeJS.ProcessEnv): Promise<string> {
  return (await promisify(execFile)(program, args, { env })).stdout;
}

function networkOf(pid: number | 'self'): string {
  return readlinkSync(`/proc/${pid}/ns/net`);
}

export interface Sending {
  protocol: 'tcp' | 'udp';
  destination: string;
  destinationPort: number;
  sourcePort?: number;
  /** Datagrams, or writes into the one connection; each begins with its number, in four octets. */
  count: number;
  payloadBytes: number;
  /** Between two of them; 2 where none is given. */
  intervalMs?: number;
  /** Of UDP over IPv4. */
  ttl?: number;
}

/** A program that takes TCP and UDP of both families at these ports, answers neither, and writes "listening". */
export function receiverCommand(tcpPort: number, udpPort: number): string[] {
  return [process.execPath, '--eval', RECEIVER, String(tcpPort), String(udpPort)];
}

/** A program that sends, and ends when all is sent and, with TCP, acknowledged. */
export function senderCommand(sending: Sending): string[] {
  return [process.execPath, '--eval', SENDER, JSON.stringify(sending)];
}

const RECEIVER = `
const [tcpPort, udpPort] = process.argv.slice(1).map(Number);
const server = require('node:net').createServer((socket) => socket.on('error', () => {}).resume());
const socket = require('node:dgram').createSocket('udp6');
server.listen(tcpPort, '::', () => socket.bind(udpPort, '::', () => console.log('listening')));
`;

const SENDER = `
const { protocol, destination, destinationPort, sourcePort, count, payloadBytes, intervalMs = 2, ttl } = JSON.parse(process.argv[1]);
const payload = Buffer.alloc(payloadBytes, 'hopscope ');
async function send(write) {
  const begin = performance.now();
  for (let n = 0; n < count; n++) {
    if (payloadBytes >= 4) payload.writeUInt32BE(n);
    await new Promise((resolve, reject) => write(payload, (error) => (error ? reject(error) : resolve())));
    const waitMs = begin + (n + 1) * intervalMs - performance.now();
    if (waitMs >= 1) await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}
async function main() {
  if (protocol === 'tcp') {
    const socket = require('node:net').connect({ host: destination, port: destinationPort, localPort: sourcePort, noDelay: true });
    await send((data, done) => socket.write(data, done));
    await new Promise((resolve) => socket.end().resume().once('close', resolve));
  } else {
    const socket = require('node:dgram').createSocket(destination.includes(':') ? 'udp6' : 'udp4');
    await new Promise((resolve) => socket.bind(sourcePort, resolve));
    if (ttl !== undefined) socket.setTTL(ttl);
    await send((data, done) => socket.send(data, destinationPort, destination, done));
    socket.close();
  }
}
main();
`;
