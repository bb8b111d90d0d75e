// Others at the same switch, over the wire: a controller that takes off what it does not know, and one that comes to lead. The loop puts a change back
// once, and then leaves the switch to them.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { P4RuntimeDevice } from '../../alerts/remediation/actions/p4runtime.ts';
import { SwitchClient } from '../../p4-int/runtime/client.ts';
import { shippedProgram } from '../../p4-int/runtime/shipped-program.ts';
import { remediationTarget, startStrictServer, type StrictServer } from '../support/p4runtime-server.ts';
import { VirtualLoop } from '../support/virtual-loop.ts';

let server: StrictServer;
let fabric: VirtualLoop;
const clients: SwitchClient[] = [];
const COOKIE = 'hopscope:lease:';

function clientOf(electionId: bigint): SwitchClient {
  const client = new SwitchClient(remediationTarget(server.address, electionId));
  clients.push(client);
  return client;
}

beforeEach(async () => {
  server = await startStrictServer();
  const shipped = shippedProgram('postcards');
  const client = clientOf(1_000_002n);
  await client.lead();
  await client.setPipeline(shipped.program.info, shipped.deviceConfig, shipped.cookie);
  fabric = new VirtualLoop();
  fabric.useExecutor(new P4RuntimeDevice(client, shipped));
  fabric.restart();
  await fabric.run(30);
  expect(fabric.loop.leases).toMatchObject([{ state: 'active' }]);
  expect(server.entries()).toHaveLength(2);
});
afterEach(() => {
  fabric.close();
  for (const client of clients.splice(0)) client.close();
  server.stop();
});

describe('a controller that', () => {
  it('takes off every entry that it does not know, each five seconds: one is put back, then the switch is its own', async () => {
    const isStrange = ({ metadata }: { metadata: Buffer | Uint8Array }): boolean =>
      Buffer.from(metadata).toString().startsWith(COOKIE);
    let seen = 0;
    for (let round = 0; round < 12; round++) {
      if (server.entries().length > 0) seen++;
      server.takeOff(isStrange);
      await fabric.run(5);
    }
    expect(seen).toBe(2);
    expect(server.entries()).toEqual([]);
    expect(fabric.loop.leases).toEqual([]);
    expect(fabric.notices.join()).toContain('another controller owns leaf-1');
  });

  it('takes off half of a change: the whole is put back, in place of what was left', async () => {
    let isFirst = true;
    server.takeOff(() => {
      const isTaken = isFirst;
      isFirst = false;
      return isTaken;
    });
    expect(server.entries()).toHaveLength(1);
    await fabric.run(6);
    expect(server.entries()).toHaveLength(2);
    expect(fabric.loop.leases).toMatchObject([{ reapplied: 1, state: 'active' }]);
  });

  it('comes to lead: nothing more is written, and the lease ends on the switch, and with us when we may again', async () => {
    const foe = clientOf(9_000_000n);
    await foe.lead();
    const writes = server.writes;
    await fabric.run(120);
    expect(server.writes).toBe(writes);
    expect(fabric.loop.leases).toMatchObject([{ state: 'ending' }]);
    // A successor of ours that is let lead again takes it off.
    foe.close();
    fabric.useExecutor(new P4RuntimeDevice(clientOf(9_000_001n), shippedProgram('postcards')));
    fabric.restart();
    await fabric.run(2);
    expect(server.entries()).toEqual([]);
    expect(fabric.loop.leases).toEqual([]);
  });
});
