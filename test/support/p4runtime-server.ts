// A P4Runtime server for tests, as strict as the specification (1.5) lets one be: arbitration by role with the highest election id ever
// seen, CONTINUE_ON_ERROR alone, an error for each update, canonical octets. It forwards nothing, and tells the time when asked.

import { Metadata, Server, ServerCredentials, status, type ServerDuplexStream, type ServiceError } from '@grpc/grpc-js';
import type { Any } from '../../p4-int/runtime/generated/google/protobuf/any.ts';
import {
  Error as P4Error,
  GetForwardingPipelineConfigRequest_ResponseType as ResponseType,
  P4RuntimeService,
  SetForwardingPipelineConfigRequest_Action,
  Update_Type,
  WriteRequest_Atomicity,
  type CloneSessionEntry,
  type Entity,
  type ForwardingPipelineConfig,
  type MasterArbitrationUpdate,
  type P4RuntimeServer,
  type PacketOut,
  type StreamMessageRequest,
  type StreamMessageResponse,
  type TableEntry,
  type Uint128,
  type Update,
} from '../../p4-int/runtime/generated/p4runtime.ts';
import { Status } from '../../p4-int/runtime/generated/status.ts';
import type { SwitchTarget } from '../../p4-int/runtime/client.ts';
import { checkEntry, Refusal } from './p4runtime-rules.ts';

interface Connection {
  stream: ServerDuplexStream<StreamMessageRequest, StreamMessageResponse>;
  role: string;
  electionId: bigint;
}

export interface StrictServerOptions {
  deviceId?: bigint;
  /** PEM; without it, plain text. With `ca`, clients must have a certificate of it. */
  tls?: { key: Buffer; certificate: Buffer; ca?: Buffer };
  /** Is asked about each update; a code refuses it. */
  refuse?: (update: Update) => status | undefined;
}

export interface StrictServer {
  /** host:port. */
  address: string;
  /** Updates that were applied. */
  writes: number;
  entries(): TableEntry[];
  /** Another controller takes these off, as one does that knows of no entries but its own. */
  takeOff(isTaken: (entry: TableEntry) => boolean): void;
  /** Sends a list of digests to who leads. */
  sendDigest(digestId: number, listId: bigint): void;
  /** Lists that were acknowledged. */
  acknowledged(): bigint[];
  /** Ends it and begins anew on the same port: program, entries and election ids are forgotten. */
  restart(): Promise<void>;
  stop(): void;
}

/** How remediation reaches leaf-1 at this address. */
export function remediationTarget(address: string, electionId: bigint): SwitchTarget {
  return { name: 'leaf-1', address, deviceId: 1n, role: 'hopscope-remediation', electionId, timeoutMs: 3000 };
}

export async function startStrictServer(options: StrictServerOptions = {}): Promise<StrictServer> {
  let running = await new Life(options).listen('127.0.0.1:0');
  const { address } = running;
  return {
    address,
    get writes() {
      return running.writes;
    },
    entries: () => [...running.entries.values()],
    takeOff: (isTaken) => {
      for (const [key, entry] of running.entries) if (isTaken(entry)) running.entries.delete(key);
    },
    sendDigest: (digestId, listId) => running.sendDigest(digestId, listId),
    acknowledged: () => running.acknowledged,
    restart: async () => {
      running.stop();
      running = await new Life(options).listen(address);
    },
    stop: () => running.stop(),
  };
}

/** A server from its start to its end. */
class Life {
  readonly entries = new Map<string, TableEntry>();
  readonly acknowledged: bigint[] = [];
  writes = 0;
  address = '';
  readonly #options: StrictServerOptions;
  readonly #deviceId: bigint;
  readonly #server = new Server({ 'grpc.max_receive_message_length': 64 * 2 ** 20 });
  readonly #connections = new Set<Connection>();
  /** By role. */
  readonly #highest = new Map<string, bigint>();
  readonly #sessions = new Map<number, CloneSessionEntry>();
  readonly #startedMs = performance.now();
  #config: ForwardingPipelineConfig | undefined;

  constructor(options: StrictServerOptions) {
    this.#options = options;
    this.#deviceId = options.deviceId ?? 1n;
    this.#server.addService(P4RuntimeService, this.#service());
  }

  async listen(address: string): Promise<this> {
    const { tls } = this.#options;
    const credentials =
      tls === undefined
        ? ServerCredentials.createInsecure()
        : ServerCredentials.createSsl(
            tls.ca ?? null,
            [{ private_key: tls.key, cert_chain: tls.certificate }],
            tls.ca !== undefined,
          );
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(address, credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
    });
    this.address = `127.0.0.1:${port}`;
    return this;
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  sendDigest(digestId: number, listId: bigint): void {
    const value = { digestId, listId, data: [{ data: { $case: 'bitstring', value: Buffer.from([7]) } as const }], timestamp: 0n };
    this.#primary('')?.stream.write({ update: { $case: 'digest', value } });
  }

  #service(): P4RuntimeServer {
    return {
      streamChannel: (stream) => this.#stream(stream),
      write: (call, done) => {
        answer(done, {}, () => {
          const { role, electionId, updates, atomicity, deviceId } = call.request;
          this.#requirePrimary(deviceId, role, electionId);
          if (atomicity !== WriteRequest_Atomicity.CONTINUE_ON_ERROR) throw new Refusal(status.UNIMPLEMENTED, 'atomicity');
          if (this.#config === undefined) throw new Refusal(status.FAILED_PRECONDITION, 'no forwarding pipeline');
          const errors = updates.map((update) => this.#attempt(update));
          if (errors.some(({ canonicalCode }) => canonicalCode !== Number(status.OK))) throw new BatchRefusal(errors);
        });
      },
      read: (call) => {
        try {
          this.#requireDevice(call.request.deviceId);
          if (this.#config === undefined) throw new Refusal(status.FAILED_PRECONDITION, 'no forwarding pipeline');
          call.write({ entities: call.request.entities.flatMap((asked) => this.#matching(asked)) });
          call.end();
        } catch (error) {
          call.emit('error', serviceError(error));
        }
      },
      setForwardingPipelineConfig: (call, done) => {
        answer(done, {}, () => {
          const { role, electionId, deviceId, action, config } = call.request;
          this.#requirePrimary(deviceId, role, electionId);
          if (action !== SetForwardingPipelineConfigRequest_Action.VERIFY_AND_COMMIT) {
            throw new Refusal(status.UNIMPLEMENTED, 'action');
          }
          if (config?.p4info === undefined || config.p4DeviceConfig.length === 0) {
            throw new Refusal(status.INVALID_ARGUMENT, 'half a configuration');
          }
          this.#config = config;
          this.entries.clear();
          this.#sessions.clear();
        });
      },
      getForwardingPipelineConfig: (call, done) => {
        const { deviceId, responseType } = call.request;
        const config = this.#config;
        try {
          this.#requireDevice(deviceId);
          if (config === undefined) throw new Refusal(status.FAILED_PRECONDITION, 'no forwarding pipeline');
          const hasInfo = responseType === ResponseType.ALL || responseType === ResponseType.P4INFO_AND_COOKIE;
          const hasProgram = responseType === ResponseType.ALL || responseType === ResponseType.DEVICE_CONFIG_AND_COOKIE;
          const p4info = hasInfo ? config.p4info : undefined;
          const p4DeviceConfig = hasProgram ? config.p4DeviceConfig : Buffer.alloc(0);
          done(null, { config: { ...config, p4info, p4DeviceConfig } });
        } catch (error) {
          done(serviceError(error));
        }
      },
      capabilities: (_call, done) => done(null, { p4runtimeApiVersion: '1.5.0' }),
    };
  }

  #stream(stream: Connection['stream']): void {
    let connection: Connection | undefined;
    const leave = (): void => {
      if (connection === undefined) return;
      this.#connections.delete(connection);
      const { role } = connection;
      connection = undefined;
      this.#announce(role);
    };
    stream.on('data', ({ update }: StreamMessageRequest) => {
      try {
        if (update?.$case === 'arbitration') connection = this.#arbitrate(stream, connection, update.value);
        else if (connection === undefined) throw new Refusal(status.FAILED_PRECONDITION, 'no arbitration yet');
        else if (update?.$case === 'packet') this.#packetOut(connection, update.value);
        else if (update?.$case === 'digestAck') this.acknowledged.push(update.value.listId);
      } catch (error) {
        stream.emit('error', serviceError(error));
      }
    });
    stream.on('end', () => {
      leave();
      stream.end();
    });
    stream.on('cancelled', leave);
    stream.on('error', leave);
  }

  #arbitrate(stream: Connection['stream'], known: Connection | undefined, asked: MasterArbitrationUpdate): Connection {
    this.#requireDevice(asked.deviceId);
    const role = asked.role?.name ?? '';
    const electionId = bigOf(asked.electionId);
    const others = [...this.#connections].filter((one) => one !== known && one.role === role);
    if (electionId > 0n && others.some((one) => one.electionId === electionId)) {
      throw new Refusal(status.INVALID_ARGUMENT, 'another connection has this election id');
    }
    const connection = known ?? { stream, role, electionId };
    connection.electionId = electionId;
    this.#connections.add(connection);
    if (electionId > (this.#highest.get(role) ?? 0n)) this.#highest.set(role, electionId);
    this.#announce(role);
    return connection;
  }

  /** Of the role's connections the one with the highest election id that was ever seen. */
  #primary(role: string): Connection | undefined {
    return [...this.#connections].find(
      (one) => one.role === role && one.electionId > 0n && one.electionId === this.#highest.get(role),
    );
  }

  #announce(role: string): void {
    const primary = this.#primary(role);
    const highest = this.#highest.get(role) ?? 0n;
    const electionId = { high: highest >> 64n, low: highest & 0xffff_ffff_ffff_ffffn };
    for (const one of this.#connections) {
      if (one.role !== role) continue;
      const code = one === primary ? status.OK : primary === undefined ? status.NOT_FOUND : status.ALREADY_EXISTS;
      const value: MasterArbitrationUpdate = {
        deviceId: this.#deviceId,
        role: role === '' ? undefined : { name: role, config: undefined },
        electionId: highest === 0n ? undefined : electionId,
        status: { code, message: '', details: [] },
      };
      one.stream.write({ update: { $case: 'arbitration', value } });
    }
  }

  #requireDevice(deviceId: bigint): void {
    if (deviceId !== this.#deviceId) throw new Refusal(status.NOT_FOUND, `no device ${deviceId}`);
  }

  #requirePrimary(deviceId: bigint, role: string, electionId: Uint128 | undefined): void {
    this.#requireDevice(deviceId);
    const primary = this.#primary(role);
    if (primary === undefined || primary.electionId !== bigOf(electionId)) {
      throw new Refusal(status.PERMISSION_DENIED, 'not the primary controller');
    }
  }

  #attempt(update: Update): P4Error {
    try {
      const refused = this.#options.refuse?.(update);
      if (refused !== undefined) throw new Refusal(refused, 'refused by the test');
      this.#apply(update);
      this.writes++;
      return { canonicalCode: status.OK, message: '', space: '', code: 0 };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { canonicalCode: error.code, message: error.message, space: 'strict', code: 0 };
    }
  }

  #apply({ type, entity }: Update): void {
    if (type === Update_Type.UNSPECIFIED) throw new Refusal(status.INVALID_ARGUMENT, 'no type of update');
    const one = entity?.entity;
    if (one?.$case === 'tableEntry') {
      checkEntry(this.#config!.p4info!, one.value, type !== Update_Type.DELETE);
      change(this.entries, type, entryKey(one.value), one.value);
    } else if (one?.$case === 'packetReplicationEngineEntry' && one.value.type?.$case === 'cloneSessionEntry') {
      const session = one.value.type.value;
      if (session.sessionId === 0) throw new Refusal(status.INVALID_ARGUMENT, 'session 0');
      change(this.#sessions, type, session.sessionId, session);
    } else {
      throw new Refusal(status.UNIMPLEMENTED, one?.$case ?? 'nothing');
    }
  }

  #matching({ entity: asked }: Entity): Entity[] {
    if (asked?.$case === 'tableEntry') {
      const { tableId, match, priority, metadata } = asked.value;
      const key = entryKey(asked.value);
      return [...this.entries]
        .filter(([, one]) => tableId === 0 || one.tableId === tableId)
        .filter(([itsKey]) => match.length + priority === 0 || itsKey === key)
        .filter(([, one]) => metadata.length === 0 || Buffer.compare(one.metadata, metadata) === 0)
        .map(([, value]) => ({ entity: { $case: 'tableEntry', value } }));
    }
    if (asked?.$case === 'packetReplicationEngineEntry' && asked.value.type?.$case === 'cloneSessionEntry') {
      const { sessionId } = asked.value.type.value;
      return [...this.#sessions.values()]
        .filter((one) => sessionId === 0 || one.sessionId === sessionId)
        .map((value) => ({
          entity: { $case: 'packetReplicationEngineEntry', value: { type: { $case: 'cloneSessionEntry', value } } },
        }));
    }
    throw new Refusal(status.UNIMPLEMENTED, asked?.$case ?? 'nothing');
  }

  /** Our programs' question for the time (p4src/leaf-spine.p4). */
  #packetOut(connection: Connection, { metadata }: PacketOut): void {
    if (connection !== this.#primary(connection.role)) return;
    if (metadata[0]?.value[0] !== 1) return;
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(Math.round((performance.now() - this.#startedMs) * 1000)));
    const firstUsed = bytes.findIndex((byte) => byte !== 0);
    const value = {
      payload: Buffer.alloc(0),
      metadata: [
        { metadataId: 1, value: Buffer.from([1]) },
        { metadataId: 2, value: bytes.subarray(firstUsed === -1 ? 7 : firstUsed) },
      ],
    };
    connection.stream.write({ update: { $case: 'packet', value } });
  }
}

/** Errors for each update of a batch, as their details (section 12.3). */
class BatchRefusal extends Refusal {
  readonly errors: readonly P4Error[];

  constructor(errors: readonly P4Error[]) {
    super(status.UNKNOWN, 'not all updates were applied');
    this.errors = errors;
  }
}

function answer<T>(done: (error: Partial<ServiceError> | null, value?: T) => void, value: T, work: () => void): void {
  try {
    work();
    done(null, value);
  } catch (error) {
    done(serviceError(error));
  }
}

function serviceError(error: unknown): ServiceError {
  if (!(error instanceof Refusal)) throw error;
  const metadata = new Metadata();
  if (error instanceof BatchRefusal) {
    const details = error.errors.map((one): Any => ({
      typeUrl: 'type.googleapis.com/p4.v1.Error',
      value: Buffer.from(P4Error.encode(one).finish()),
    }));
    const bytes = Status.encode({ code: error.code, message: error.message, details }).finish();
    metadata.set('grpc-status-details-bin', Buffer.from(bytes));
  }
  return Object.assign(new Error(error.message), { code: error.code, details: error.message, metadata });
}

function change<K, V>(held: Map<K, V>, type: Update_Type, key: K, value: V): void {
  if (type === Update_Type.INSERT && held.has(key)) throw new Refusal(status.ALREADY_EXISTS, 'it is there');
  if (type !== Update_Type.INSERT && !held.has(key)) throw new Refusal(status.NOT_FOUND, 'it is not there');
  if (type === Update_Type.DELETE) held.delete(key);
  else held.set(key, value);
}

function entryKey({ tableId, match, priority }: TableEntry): string {
  const fields = [...match].sort((a, b) => a.fieldId - b.fieldId);
  return JSON.stringify([tableId, priority, fields]);
}

function bigOf(id: Uint128 | undefined): bigint {
  return id === undefined ? 0n : (id.high << 64n) | id.low;
}
