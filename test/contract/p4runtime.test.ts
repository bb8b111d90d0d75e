// P4Runtime as the client meets it: the same behaviours of the strict server of the tests and, where it is on the path, of BMv2, the
// specification's reference. Where the two differ, the difference is written down and holds.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runSwitchCommand, type SwitchOptions, type SwitchVerb } from '../../collector/switch-command.ts';
import { SwitchClient, type SwitchTarget } from '../../p4-int/runtime/client.ts';
import type { Entry } from '../../p4-int/runtime/entry.ts';
import {
  P4RuntimeClient,
  Update_Type,
  WriteRequest_Atomicity,
  type TableEntry,
  type Update,
} from '../../p4-int/runtime/generated/p4runtime.ts';
import { entityOf, readEntries } from '../../p4-int/runtime/plan.ts';
import { shippedProgram } from '../../p4-int/runtime/shipped-program.ts';
import { WriteError } from '../../p4-int/runtime/switch-error.ts';
import { askTime } from '../../p4-int/runtime/switch-clock.ts';
import { bmv2Missing } from '../support/bmv2.ts';
import { startStrictServer } from '../support/p4runtime-server.ts';
import { freePorts, start, until } from '../support/processes.ts';

interface Served {
  address: string;
  restart(): Promise<void>;
  stop(): Promise<void>;
}
interface TlsPaths {
  ca: string;
  certificate: string;
  key: string;
}
interface Server {
  name: string;
  missing: string | undefined;
  start(tls?: TlsPaths): Promise<Served>;
  /** What it does where the specification leaves it open, or where it departs from it. */
  differs: { canonicalOctetsOnly: boolean; leaderGone: string; otherRole: string };
}

const SERVERS: Server[] = [
  {
    name: 'the strict server',
    missing: undefined,
    start: async (tls) => {
      const read = tls && { key: readFileSync(tls.key), certificate: readFileSync(tls.certificate), ca: readFileSync(tls.ca) };
      const server = await startStrictServer({ tls: read });
      return { address: server.address, restart: () => server.restart(), stop: () => Promise.resolve(server.stop()) };
    },
    differs: {
      canonicalOctetsOnly: true,
      // The highest election id ever seen counts (section 5.3).
      leaderGone: 'backup',
      otherRole: 'primary',
    },
  },
  {
    name: 'BMv2',
    missing: bmv2Missing(),
    start: async (tls) => {
      const [port] = await freePorts(1);
      const address = `127.0.0.1:${port}`;
      const own = ['--grpc-server-addr', address, '--cpu-port', '510', '--priority-queues', '8'];
      const secure =
        tls === undefined
          ? []
          : [
              '--grpc-server-ssl',
              '--grpc-server-cacert',
              tls.ca,
              '--grpc-server-cert',
              tls.certificate,
              '--grpc-server-key',
              tls.key,
            ];
      const clients = tls === undefined ? [] : ['--grpc-server-with-client-auth'];
      const launch = () =>
        start('setpriv', [
          '--pdeathsig',
          'KILL',
          'simple_switch_grpc',
          '--no-p4',
          '--device-id',
          '1',
          '-L',
          'off',
          '--',
          ...own,
          ...secure,
          ...clients,
        ]);
      let running = launch();
      const isUp = () => until('simple_switch_grpc', () => answers(port));
      await isUp();
      const restart = async (): Promise<void> => {
        await running.stop('SIGKILL');
        running = launch();
        await isUp();
      };
      return { address, restart, stop: async () => void (await running.stop('SIGKILL')) };
    },
    differs: {
      // PI takes octets with leading zeros, and gives back the shortest.
      canonicalOctetsOnly: false,
      // PI takes the highest that is connected.
      leaderGone: 'primary',
      // It knows no roles: whoever has the highest election id leads in all of them.
      otherRole: 'backup',
    },
  },
];

const folder = mkdtempSync(join(tmpdir(), 'p4runtime-'));
const { program } = shippedProgram('postcards');

afterAll(() => rmSync(folder, { recursive: true, force: true }));

for (const server of SERVERS) {
  describe.skipIf(server.missing !== undefined)(
    `P4Runtime of ${server.name}${server.missing === undefined ? '' : ` (${server.missing})`}`,
    () => {
      let served: Served;
      const clients: SwitchClient[] = [];

      beforeEach(async () => {
        served = await server.start();
      });
      afterEach(async () => {
        for (const client of clients.splice(0)) client.close();
        await served.stop();
      });

      const targetOf = (more: Partial<SwitchTarget> = {}): SwitchTarget => ({
        name: 'leaf-1',
        address: served.address,
        deviceId: 1n,
        role: '',
        electionId: 1n,
        timeoutMs: 3000,
        ...more,
      });
      const clientOf = (more: Partial<SwitchTarget> = {}): SwitchClient => {
        const client = new SwitchClient(targetOf(more));
        clients.push(client);
        return client;
      };

      async function run(verb: SwitchVerb, more: object = {}, options: SwitchOptions = {}): Promise<any> {
        const lines: string[] = [];
        const path = switchFile({ address: served.address, ...more });
        await runSwitchCommand(verb, path, { json: true, ...options }, (text) => lines.push(text));
        expect(lines).toHaveLength(1);
        return JSON.parse(lines[0]);
      }

      it('is brought from nothing to what the file says, and needs nothing the second time', async () => {
        const planned = await run('plan');
        expect(planned).toMatchObject({ program: { state: 'none' }, isDone: false, unchanged: 0 });
        expect(await run('apply')).toMatchObject({ isDone: true, writes: planned.insert.length + 1 });
        expect(await run('apply')).toMatchObject({ isDone: true, writes: 0, unchanged: planned.insert.length, foreign: 0 });
        const stands = await run('status');
        expect(stands).toMatchObject({ leader: null, program: { name: 'postcards', state: 'same' }, isDone: true });
      });

      it('gets what the file changes, and nothing else is touched', async () => {
        await run('apply');
        const more = { routes: { '10.0.1.0/24': 'host', '10.0.2.0/24': { spine: 3, other: 1 } }, queues: {} };
        const planned = await run('plan', more);
        expect(planned.insert).toEqual([expect.stringContaining('ecmp_member'), expect.stringContaining('ecmp_member')]);
        expect(planned.modify).toEqual([expect.stringContaining('route: destination 10.0.2.0/24')]);
        expect(planned.remove.at(-1)).toContain('dscp_queue');
        expect(planned.remove).toHaveLength(3);
        expect(await run('apply', more)).toMatchObject({ writes: 6, isDone: true });
        expect(await run('apply', more)).toMatchObject({ writes: 0 });
      });

      it('has forgotten everything after a restart, and is brought back', async () => {
        const first = await run('apply');
        await served.restart();
        expect(await run('plan')).toMatchObject({ program: { state: 'none' } });
        expect(await run('apply')).toMatchObject({ isDone: true, writes: first.writes });
      });

      it('keeps entries of others; one in our way stops everything before a write', async () => {
        await run('apply');
        const client = clientOf();
        await client.lead();
        await client.write([insert(acl(1n, 'somebody else'))]);
        client.close();
        const more = { deny: [{ protocol: 17, destinationPort: 99 }], queues: {} };
        expect(await run('apply', more)).toMatchObject({ isDone: true, foreign: 1 });
        // Ours would stand in its very place.
        const { fault } = await run('apply', { deny: [{ protocol: 1 }], queues: { '8': 3 } });
        expect(fault).toEqual({
          kind: 'mismatch',
          message: expect.stringMatching(
            /^leaf-1: 1 wanted entry has the place of one that is not ours.*"somebody else".*nothing was written$/,
          ),
        });
        const reader = clientOf({ electionId: 2n });
        const held = await readEntries(reader, program);
        expect(held.filter(({ cookie }) => cookie === 'somebody else')).toHaveLength(1);
        expect(held.filter(({ table }) => table === 'dscp_queue')).toHaveLength(0);
        // Without ours, theirs is left where it is.
        expect(await run('apply', { deny: [] })).toMatchObject({ isDone: true, foreign: 1 });
      });
      it('is not written to while another controller has a greater election id', async () => {
        await run('apply');
        const other = clientOf({ electionId: 9n });
        await other.lead();
        expect((await run('apply', { queues: {} })).fault).toEqual({
          kind: 'not-primary',
          message: 'leaf-1: another controller leads this switch, with an election id greater than 1: nothing was written',
        });
        expect(await run('status')).toMatchObject({ leader: '9', isDone: true });
        // To look is not to lead.
        expect(other.standing).toBe('primary');
        // Whoever was first and comes second finds out before it writes again.
        const first = clientOf({ electionId: 20n });
        await first.lead();
        const second = clientOf({ electionId: 21n });
        await second.lead();
        await until('to be told', () => first.standing === 'backup');
        await expect(first.write([insert(acl(5n, 'late'))])).rejects.toThrow('nothing was written');
        second.close();
        await new Promise((resolve) => setTimeout(resolve, 300));
        expect(first.standing).toBe(server.differs.leaderGone);
      });

      it('refuses a second connection with the same election id', async () => {
        await clientOf({ electionId: 3n }).lead();
        const outcome = await clientOf({ electionId: 3n })
          .open()
          .then(String, () => 'refused');
        expect(outcome).toBe('refused');
      });

      it('is led by role', async () => {
        await clientOf({ electionId: 5n }).lead();
        expect(await clientOf({ electionId: 3n, role: 'hopscope' }).open()).toBe(server.differs.otherRole);
      });

      it('takes batches that go on after an error, and no others', async () => {
        await run('apply');
        await clientOf({ electionId: 2n }).lead();
        const raw = new P4RuntimeClient(served.address, credentials.createInsecure());
        const write = (atomicity: WriteRequest_Atomicity): Promise<string> =>
          new Promise((resolve) => {
            const request = {
              deviceId: 1n,
              role: '',
              electionId: { high: 0n, low: 2n },
              updates: [insert(acl(4n, 'batch'))],
              atomicity,
            };
            raw.write(request, (error) => resolve(error === null ? 'OK' : status[error.code]));
          });
        expect(await write(WriteRequest_Atomicity.ROLLBACK_ON_ERROR)).toBe('UNIMPLEMENTED');
        expect(await write(WriteRequest_Atomicity.DATAPLANE_ATOMIC)).toBe('UNIMPLEMENTED');
        expect(await write(WriteRequest_Atomicity.CONTINUE_ON_ERROR)).toBe('OK');
        raw.close();
      });

      it('says of each update of a batch what became of it; the others are done', async () => {
        await run('apply');
        const client = clientOf();
        await client.lead();
        const again = insert(acl(1n, 'twice'));
        const error = await client
          .write([insert(acl(1n, 'twice')), again, insert(acl(2n, 'twice'))])
          .then(undefined, (one: unknown) => one);
        expect(error).toBeInstanceOf(WriteError);
        expect(error).toMatchObject({ kind: 'refused', failed: [{ index: 1, code: 'ALREADY_EXISTS' }] });
        expect((error as Error).message).toMatch(
          /^leaf-1: the switch took 2 of 3 updates; the first that it did not, number 2: ALREADY_EXISTS/,
        );
        const held = await readEntries(client, program);
        expect(held.filter(({ cookie }) => cookie === 'twice')).toHaveLength(2);
        const gone = await client
          .write([
            { ...again, type: Update_Type.DELETE },
            { ...again, type: Update_Type.DELETE },
          ])
          .then(undefined, (one: unknown) => one);
        expect(gone).toMatchObject({ failed: [{ index: 1, code: 'NOT_FOUND' }] });
      });

      it('refuses entries that the program cannot have', async () => {
        await run('apply');
        const client = clientOf();
        await client.lead();
        const good = program.encode(acl(1n, 'probe'));
        const codeOf = async (changes: Partial<TableEntry>): Promise<string> => {
          const update: Update = { type: Update_Type.INSERT, entity: entityOf({ ...good, ...changes }) };
          const outcome = await client.write([update]).then(
            () => 'OK',
            (error: WriteError) => error.failed[0].code,
          );
          if (outcome === 'OK') await client.write([{ ...update, type: Update_Type.DELETE }]);
          return outcome;
        };
        const ternary = (fieldId: number, value: number[], mask: number[]): TableEntry['match'] => [
          { fieldId, fieldMatchType: { $case: 'ternary', value: { value: Buffer.from(value), mask: Buffer.from(mask) } } },
        ];
        expect(await codeOf({})).toBe('OK');
        expect(await codeOf({ priority: 0 })).toBe('INVALID_ARGUMENT');
        expect(await codeOf({ match: ternary(77, [1], [255]) })).toBe('INVALID_ARGUMENT');
        expect(await codeOf({ match: ternary(3, [7], [3]) })).toBe('INVALID_ARGUMENT');
        expect(await codeOf({ match: ternary(3, [0], [0]) })).toBe('INVALID_ARGUMENT');
        expect(await codeOf({ match: ternary(3, [0, 17], [0, 255]) })).toBe(
          server.differs.canonicalOctetsOnly ? 'INVALID_ARGUMENT' : 'OK',
        );
        expect(await codeOf({ match: ternary(3, [1, 17], [1, 255]) })).toMatch(/OUT_OF_RANGE|INVALID_ARGUMENT/);
        const action = program.encode({ ...acl(1n, 'probe'), table: 'dscp_queue', action: 'take_queue', ...QUEUE_ENTRY }).action;
        expect(await codeOf({ action })).toBe('INVALID_ARGUMENT');
        expect(await codeOf({ tableId: 0x02000001 })).toMatch(/NOT_FOUND|INVALID_ARGUMENT/);
        const lacking = program.encode({ ...acl(1n, 'probe'), ...QUEUE_ENTRY, table: 'dscp_queue', action: 'take_queue' });
        expect(await codeOf({ ...lacking, match: [] })).toBe('INVALID_ARGUMENT');
      });

      it('keeps the cookie and the meter of an entry, and tells its time', async () => {
        await run('apply');
        const client = clientOf();
        await client.lead();
        const [first, second] = [await askTime(client, program.info), await askTime(client, program.info)];
        expect(second.switchTimeUs).toBeGreaterThanOrEqual(first.switchTimeUs);
        const entry: Entry = {
          ...acl(1n, 'hopscope:lease:1'),
          table: 'rate_limit',
          action: 'limit_rate',
          params: { expires_us: second.switchTimeUs + 10_000_000n },
          meter: { committedRate: 125_000n, committedBurst: 10_000n, peakRate: 250_000n, peakBurst: 20_000n },
        };
        await client.write([insert(entry)]);
        const held = (await readEntries(client, program)).filter(({ table }) => table === 'rate_limit');
        expect(held.map(({ cookie, params }) => ({ cookie, params }))).toEqual([{ cookie: entry.cookie, params: entry.params }]);
      });

      it('runs another program: nothing is written until that is wanted', async () => {
        await run('apply', { program: 'embedded' });
        const { fault } = await run('apply');
        expect(fault).toEqual({
          kind: 'mismatch',
          message: expect.stringContaining('it runs another program than postcards: nothing was written'),
        });
        expect(await run('plan', { program: 'embedded' })).toMatchObject({ isDone: true });
        expect(await run('apply', {}, { replaceProgram: true })).toMatchObject({ isDone: true });
      });

      it('runs a program without tables, under a cookie: that is another program', async () => {
        const client = clientOf();
        await client.lead();
        const { deviceConfig, program: ours } = shippedProgram('postcards');
        await client
          .setPipeline({ ...ours.info, tables: [], actions: [], directMeters: [] }, deviceConfig, 77n)
          .catch(() => undefined);
        client.close();
        if ((await run('plan')).program.state !== 'none') expect((await run('apply')).fault).toMatchObject({ kind: 'mismatch' });
      });

      it('is not done while somebody else stands in our way', async () => {
        await run('apply', { deny: [] });
        const client = clientOf();
        await client.lead();
        await client.write([insert({ ...acl(1n, 'somebody else'), action: 'permit' })]);
        client.close();
        expect(await run('plan', { deny: [{ protocol: 1 }] })).toMatchObject({
          isDone: false,
          conflicts: [expect.stringContaining('permit')],
        });
      });

      it('runs our program by its name, with a P4Info that is not ours', async () => {
        const client = clientOf();
        await client.lead();
        const other = shippedProgram('postcards');
        const info = { ...other.program.info, tables: other.program.info.tables.map((table) => ({ ...table, size: 4n })) };
        await client.setPipeline(info, other.deviceConfig, other.cookie);
        client.close();
        expect((await run('apply')).fault).toMatchObject({ kind: 'mismatch' });
      });

      it('is dead: said in a sentence, soon; and led again when it is back', async () => {
        const client = clientOf({ electionId: 5n });
        await client.lead();
        await served.stop();
        await until('the loss', () => client.standing === 'disconnected');
        await expect(client.write([insert(acl(1n, 'none'))])).rejects.toMatchObject({ kind: 'unreachable' });
        const begin = performance.now();
        expect((await run('apply')).fault).toEqual({
          kind: 'unreachable',
          message: expect.stringMatching(/^leaf-1: nobody answers P4Runtime at 127\.0\.0\.1:\d+/),
        });
        expect(performance.now() - begin).toBeLessThan(8000);
        await served.restart();
        await until('to lead again', () => client.standing === 'primary', 15_000);
      });
    },
  );

  describe.skipIf(server.missing !== undefined)(`TLS of ${server.name}`, () => {
    let served: Served;
    let own: TlsPaths;
    let strange: TlsPaths;

    beforeAll(async () => {
      own = certificates('own');
      strange = certificates('strange');
      served = await server.start(own);
    });
    afterAll(() => served.stop());

    const apply = async (tls: object | undefined): Promise<any> => {
      const lines: string[] = [];
      const path = switchFile({ address: served.address.replace('127.0.0.1', 'localhost'), tls, timeout: '3s' });
      await runSwitchCommand('apply', path, { json: true }, (text) => lines.push(text));
      return JSON.parse(lines[0]);
    };

    it('trusts one authority, and shows a certificate of its own', async () => {
      expect(await apply(own)).toMatchObject({ isDone: true });
    });

    it.each([
      ['an authority that did not sign its certificate', () => ({ ...own, ca: strange.ca })],
      ['a certificate that its authority did not sign', () => ({ ...strange, ca: own.ca })],
      ['no certificate of ours', () => ({ ca: own.ca })],
      ['a name that is not in its certificate', () => ({ ...own, serverName: 'elsewhere' })],
    ])('%s: nothing is written', async (_, tls) => {
      const { fault } = await apply(tls());
      expect(fault.kind).toMatch(/untrusted|unreachable/);
      expect(fault.message).toMatch(/^leaf-1: (the connection to localhost:\d+ is not trusted|nobody answers P4Runtime)/);
    });

    it('a file that is not there is named', async () => {
      expect((await apply({ ca: 'nowhere.pem' })).fault).toEqual({
        kind: 'untrusted',
        message: expect.stringContaining('nowhere.pem'),
      });
    });
  });
}

it('digests are heard and acknowledged', async () => {
  const server = await startStrictServer();
  const target = { name: 'leaf-1', address: server.address, deviceId: 1n, role: '', electionId: 1n, timeoutMs: 3000 };
  const client = new SwitchClient(target);
  const heard: bigint[] = [];
  const stop = client.onDigest(({ listId, data }) => heard.push(listId, BigInt(data.length)));
  await client.lead();
  server.sendDigest(5, 77n);
  await until('the acknowledgment', () => server.acknowledged().length > 0);
  expect({ heard, acknowledged: server.acknowledged() }).toEqual({ heard: [77n, 1n], acknowledged: [77n] });
  stop();
  server.sendDigest(5, 78n);
  await until('the second', () => server.acknowledged().length > 1);
  expect(heard).toHaveLength(2);
  client.close();
  server.stop();
});

const QUEUE_ENTRY = { match: { dscp: { kind: 'exact', value: 9n } }, priority: 0, params: { queue_id: 1n } } as const;

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.once('error', () => resolve(false)).once('connect', () => socket.destroy());
  });
}

/** An entry of the access list for an IP protocol. */
function acl(protocol: bigint, cookie: string): Entry {
  return {
    table: 'acl',
    match: { protocol: { kind: 'ternary', value: protocol, mask: 255n } },
    priority: 1,
    action: 'deny',
    params: {},
    cookie,
  };
}

function insert(entry: Entry): Update {
  return { type: Update_Type.INSERT, entity: entityOf(program.encode(entry)) };
}

function switchFile(more: object): string {
  const path = join(folder, 'switch.yaml');
  const one = {
    nodeId: 101,
    mac: '02:00:00:00:01:01',
    nexthops: {
      host: { interface: 1, mac: '02:00:00:00:00:01' },
      spine: { interface: 3, mac: '02:00:00:00:02:01' },
      other: { interface: 4, mac: '02:00:00:00:02:02' },
    },
    routes: { '10.0.1.0/24': 'host', '10.0.2.0/24': ['spine', 'other'] },
    queues: { '46': 7 },
    watch: [{ flows: {} }],
    report: { interface: 9, collector: '10.99.0.1', mac: '02:00:00:00:00:99', from: '10.99.0.11' },
    ...more,
  };
  writeFileSync(path, JSON.stringify({ switches: { 'leaf-1': one } }));
  return path;
}

/** An authority, and a certificate of it for localhost that serves both ends. */
function certificates(name: string): TlsPaths {
  const path = (what: string): string => join(folder, `${name}-${what}.pem`);
  const openssl = (words: string): void => void execFileSync('openssl', words.split(' '), { stdio: 'pipe' });
  const key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';
  openssl(`req -x509 ${key} -days 2 -subj /CN=${name} -keyout ${path('ca-key')} -out ${path('ca')}`);
  openssl(`req ${key} -subj /CN=localhost -keyout ${path('key')} -out ${path('request')}`);
  writeFileSync(path('extensions'), 'subjectAltName=DNS:localhost\n');
  openssl(
    `x509 -req -in ${path('request')} -CA ${path('ca')} -CAkey ${path('ca-key')} -CAcreateserial -days 2 -extfile ${path('extensions')} -out ${path('certificate')}`,
  );
  return { ca: path('ca'), certificate: path('certificate'), key: path('key') };
}
