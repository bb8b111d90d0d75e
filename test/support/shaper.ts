// A receiver of commands that shapes for real: node shaper.ts PORT SECRET PID ADDRESS... ; whoever owns ADDRESS is limited in the namespace of PID.
// It does as docs/remediation.md asks of one: verifies, refuses what is late or older than it knows, undoes when told, and by itself at the end.

import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';

const [port, secret, pid, ...addresses] = process.argv.slice(2);
const verifier = new Webhook(secret, { format: 'raw' });
const seen = new Set<string>();
let generation = 0;
let inForce: { leaseId: string; timer: NodeJS.Timeout } | undefined;

function tc(words: string): void {
  execFileSync('nsenter', ['--target', pid, '--net', 'tc', ...words.split(' ')]);
}

function undo(leaseId: string): void {
  if (inForce?.leaseId !== leaseId) return;
  clearTimeout(inForce.timer);
  inForce = undefined;
  tc('qdisc del dev eth0 root');
  console.log(`undone ${leaseId}`);
}

function apply(message: { expiresAt: string; data: any }): void {
  const { leaseId, generation: its, until, change } = message.data;
  if (Date.parse(message.expiresAt) < Date.now() || its < generation) return;
  generation = its;
  const isOurs = change.targets.every((target: { addresses: string[] }) =>
    target.addresses.every((one) => addresses.includes(one)),
  );
  if (!isOurs) return;
  if (inForce !== undefined) undo(inForce.leaseId);
  tc(`qdisc replace dev eth0 root tbf rate ${change.value * 8}bit burst 10kb limit 20kb`);
  inForce = { leaseId, timer: setTimeout(() => undo(leaseId), Date.parse(until) - Date.now()) };
  console.log(`applied ${leaseId}`);
}

createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(chunks).toString();
    try {
      const message = verifier.verify(body, request.headers as Record<string, string>) as {
        type: string;
        expiresAt: string;
        data: any;
      };
      const id = String(request.headers['webhook-id']);
      if (!seen.has(id)) {
        seen.add(id);
        if (message.type === 'remediation.apply') apply(message);
        if (message.type === 'remediation.undo') undo(message.data.leaseId);
      }
      response.writeHead(204).end();
    } catch (error) {
      console.log(String(error));
      response.writeHead(400).end();
    }
  });
}).listen(Number(port), '127.0.0.1', () => console.log('shaping'));
