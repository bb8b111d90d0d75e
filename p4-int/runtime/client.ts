// One switch over P4Runtime: the stream on which we are, or are not, its primary controller; reads, writes, pipeline and packets.
// Rule: whoever is not primary writes nothing. A lost stream is opened again, with the same election id, until close(). A switch that loses
// its power says nothing, and servers in C++ take keepalives more often than in five minutes for an attack: the next call finds out.

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  credentials,
  Metadata,
  status,
  type CallOptions,
  type ChannelCredentials,
  type ClientDuplexStream,
  type ServiceError,
} from '@grpc/grpc-js';
import type { P4Info } from './generated/p4info.ts';
import {
  GetForwardingPipelineConfigRequest_ResponseType,
  P4RuntimeClient,
  SetForwardingPipelineConfigRequest_Action,
  WriteRequest_Atomicity,
  type DigestList,
  type Entity,
  type MasterArbitrationUpdate,
  type PacketIn,
  type PacketMetadata,
  type StreamMessageRequest,
  type StreamMessageResponse,
  type Update,
} from './generated/p4runtime.ts';
import { failedUpdatesOf, SwitchError, switchErrorOf, WriteError } from './switch-error.ts';

export interface TlsFiles {
  /** The one authority that is trusted for this switch, PEM. */
  ca: string;
  /** Our own certificate and its key, where the switch asks for one, PEM. */
  certificate?: string;
  key?: string;
  /** The name in the switch's certificate, where it is not its address. */
  serverName?: string;
}

export interface SwitchTarget {
  name: string;
  /** host:port of its P4Runtime server. */
  address: string;
  deviceId: bigint;
  /** Of controllers with this role the one with the greatest election id writes. The empty role may do everything. */
  role: string;
  electionId: bigint;
  tls?: TlsFiles;
  timeoutMs: number;
}

export type Standing = 'unknown' | 'primary' | 'backup' | 'disconnected';

export interface Pipeline {
  info: P4Info | undefined;
  deviceConfig: Uint8Array;
  cookie: bigint | undefined;
}

/** A batch is no larger, so that what is told of its single updates fits into gRPC's 8 kB of metadata (specification, section 12.3). */
const MAX_BATCH = 50;
const MAX_MESSAGE_BYTES = 64 * 2 ** 20;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5000;

type Stream = ClientDuplexStream<StreamMessageRequest, StreamMessageResponse>;

export class SwitchClient {
  readonly target: SwitchTarget;
  readonly #client: P4RuntimeClient;
  #stream: Stream | undefined;
  #standing: Standing = 'unknown';
  #leader: bigint | undefined;
  #lastFault: SwitchError | undefined;
  /** Another connection has our election id. */
  #isElectionTaken = false;
  #isClosed = false;
  readonly #standingListeners = new Set<() => void>();
  readonly #packetListeners = new Set<(packet: PacketIn) => void>();
  readonly #digestListeners = new Set<(digest: DigestList) => void>();

  /** Throws SwitchError where the files of its TLS cannot be read. Nothing is sent yet. */
  constructor(target: SwitchTarget) {
    this.target = target;
    this.#client = new P4RuntimeClient(target.address, credentialsOf(target), {
      'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
      'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
      'grpc.initial_reconnect_backoff_ms': FIRST_RETRY_MS,
      'grpc.max_reconnect_backoff_ms': LAST_RETRY_MS,
      'grpc.use_local_subchannel_pool': 1,
      ...(target.tls?.serverName !== undefined && { 'grpc.ssl_target_name_override': target.tls.serverName }),
    });
  }

  get standing(): Standing {
    return this.#standing;
  }

  /** Election id of who leads, as the switch last told it; undefined where nobody does. */
  get leader(): bigint | undefined {
    return this.#leader;
  }

  onStanding(listener: () => void): () => void {
    this.#standingListeners.add(listener);
    return () => this.#standingListeners.delete(listener);
  }

  onPacket(listener: (packet: PacketIn) => void): () => void {
    this.#packetListeners.add(listener);
    return () => this.#packetListeners.delete(listener);
  }

  /** Digests are acknowledged when every listener has returned. */
  onDigest(listener: (digest: DigestList) => void): () => void {
    this.#digestListeners.add(listener);
    return () => this.#digestListeners.delete(listener);
  }

  /** Opens the stream and waits until the switch has said who leads. Throws SwitchError: unreachable, untrusted, refused. */
  async open(): Promise<Standing> {
    if (this.#stream === undefined) this.#openStream(FIRST_RETRY_MS);
    if (this.#standing === 'primary' || this.#standing === 'backup') return this.#standing;
    await new Promise<void>((resolve, reject) => {
      const fault = () => this.#lastFault ?? this.#silence();
      const timer = setTimeout(() => finish(() => reject(fault())), this.target.timeoutMs);
      const stop = this.onStanding(() => {
        // Our last connection may not be forgotten yet: the stream is opened again, for as long as there is time.
        if (this.#standing === 'disconnected' && this.#isElectionTaken) return;
        if (this.#standing === 'disconnected') finish(() => reject(fault()));
        else finish(resolve);
      });
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        stop();
        settle();
      };
    });
    return this.#standing;
  }

  /** As open, and throws SwitchError (not-primary) where another controller has a greater election id. */
  async lead(): Promise<void> {
    if ((await this.open()) !== 'primary') throw this.#notPrimary();
  }

  /** Writes updates in their order. Throws WriteError where the switch did not take all of them, SwitchError where it could not be asked. */
  async write(updates: readonly Update[]): Promise<void> {
    const { name, deviceId, role } = this.target;
    for (let from = 0; from < updates.length; from += MAX_BATCH) {
      if (this.#standing !== 'primary') throw this.#notPrimary();
      const batch = updates.slice(from, from + MAX_BATCH);
      const electionId = this.#electionId();
      // The other ways are optional, and simple_switch_grpc has neither (UNIMPLEMENTED).
      const atomicity = WriteRequest_Atomicity.CONTINUE_ON_ERROR;
      await this.#call<unknown>((metadata, options, done) =>
        this.#client.write({ deviceId, role, electionId, updates: batch, atomicity }, metadata, options, done),
      ).catch((error: ServiceError) => {
        if (error.code !== status.UNKNOWN) throw this.#fault(error);
        const failed = failedUpdatesOf(error, batch.length).map((one) => ({ ...one, index: from + one.index }));
        throw new WriteError(name, failed, from + batch.length, updates.length);
      });
    }
  }

  /** What the switch has of the kinds asked for. Throws SwitchError. */
  async read(entities: Entity[]): Promise<Entity[]> {
    const { deviceId, role, timeoutMs } = this.target;
    const found: Entity[] = [];
    try {
      const stream = this.#client.read({ deviceId, role, entities }, { deadline: Date.now() + timeoutMs });
      for await (const response of stream as AsyncIterable<{ entities: Entity[] }>) found.push(...response.entities);
    } catch (error) {
      throw this.#fault(error as ServiceError);
    }
    return found;
  }

  /** The program that the switch runs; undefined where it runs none. Throws SwitchError. */
  async pipeline(what: 'cookie' | 'info'): Promise<Pipeline | undefined> {
    const { COOKIE_ONLY, P4INFO_AND_COOKIE } = GetForwardingPipelineConfigRequest_ResponseType;
    const responseType = what === 'cookie' ? COOKIE_ONLY : P4INFO_AND_COOKIE;
    const { deviceId } = this.target;
    try {
      const { config } = await this.#call<{ config: PipelineConfig | undefined }>((metadata, options, done) =>
        this.#client.getForwardingPipelineConfig({ deviceId, responseType }, metadata, options, done),
      );
      return config && { info: config.p4info, deviceConfig: config.p4DeviceConfig, cookie: config.cookie?.cookie };
    } catch (error) {
      if ((error as ServiceError).code === status.FAILED_PRECONDITION) return undefined;
      throw this.#fault(error as ServiceError);
    }
  }

  /** Loads a program; the switch forgets all entries. Throws SwitchError. */
  async setPipeline(info: P4Info, deviceConfig: Buffer, cookie: bigint): Promise<void> {
    if (this.#standing !== 'primary') throw this.#notPrimary();
    const { deviceId, role } = this.target;
    const action = SetForwardingPipelineConfigRequest_Action.VERIFY_AND_COMMIT;
    const config = { p4info: info, p4DeviceConfig: deviceConfig, cookie: { cookie } };
    await this.#call<unknown>((metadata, options, done) =>
      this.#client.setForwardingPipelineConfig(
        { deviceId, role, electionId: this.#electionId(), action, config },
        metadata,
        options,
        done,
      ),
    ).catch((error: ServiceError) => {
      throw this.#fault(error);
    });
  }

  /** Sends a packet out of the switch. It is not answered: what the switch does not take, it says on the stream. */
  sendPacket(payload: Buffer, metadata: PacketMetadata[]): void {
    if (this.#standing !== 'primary') throw this.#notPrimary();
    this.#stream!.write({ update: { $case: 'packet', value: { payload, metadata } } });
  }

  close(): void {
    this.#isClosed = true;
    this.#setStanding('disconnected');
    this.#stream?.cancel();
    this.#client.close();
  }

  #openStream(retryMs: number): void {
    const stream = this.#client.streamChannel();
    this.#stream = stream;
    let hasAnswered = false;
    stream.on('data', (message: StreamMessageResponse) => {
      hasAnswered = true;
      this.#take(message);
    });
    stream.on('error', (error: ServiceError) => {
      this.#lastFault = switchErrorOf(this.target.name, this.target.address, error);
      this.#isElectionTaken = error.code === status.INVALID_ARGUMENT;
    });
    // Comes last, and once, however the stream ends.
    stream.on('status', () => {
      if (this.#isClosed) return;
      this.#setStanding('disconnected');
      const waitMs = hasAnswered ? FIRST_RETRY_MS : retryMs;
      void sleep(waitMs, undefined, { ref: false }).then(() => {
        if (!this.#isClosed) this.#openStream(Math.min(2 * waitMs, LAST_RETRY_MS));
      });
    });
    const { deviceId, role } = this.target;
    const asked: MasterArbitrationUpdate = {
      deviceId,
      role: role === '' ? undefined : { name: role, config: undefined },
      electionId: this.#electionId(),
      status: undefined,
    };
    stream.write({ update: { $case: 'arbitration', value: asked } });
  }

  #take({ update }: StreamMessageResponse): void {
    if (update?.$case === 'arbitration') {
      const { status: told, electionId } = update.value;
      this.#lastFault = undefined;
      // Nobody leads where it is not found (specification, section 5.3); then no election id is anybody's.
      this.#leader =
        told?.code === status.NOT_FOUND || electionId === undefined ? undefined : (electionId.high << 64n) | electionId.low;
      this.#setStanding(told?.code === status.OK ? 'primary' : 'backup');
    } else if (update?.$case === 'packet') {
      for (const listener of this.#packetListeners) listener(update.value);
    } else if (update?.$case === 'digest') {
      for (const listener of this.#digestListeners) listener(update.value);
      const { digestId, listId } = update.value;
      this.#stream!.write({ update: { $case: 'digestAck', value: { digestId, listId } } });
    }
  }

  #setStanding(standing: Standing): void {
    this.#standing = standing;
    for (const listener of this.#standingListeners) listener();
  }

  #call<T>(
    start: (metadata: Metadata, options: Partial<CallOptions>, done: (error: ServiceError | null, value: T) => void) => unknown,
  ): Promise<T> {
    const deadline = Date.now() + this.target.timeoutMs;
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, value: T): void => (error === null ? resolve(value) : reject(error));
      start(new Metadata(), { deadline }, done);
    });
  }

  #fault(error: ServiceError): SwitchError {
    return error instanceof SwitchError ? error : switchErrorOf(this.target.name, this.target.address, error);
  }

  #notPrimary(): SwitchError {
    const { name, electionId } = this.target;
    if (this.#standing !== 'backup') return this.#lastFault ?? this.#silence();
    const who =
      this.#leader === undefined
        ? `nobody leads this switch, and it waits for an election id greater than ${electionId}`
        : `another controller leads this switch, with an election id greater than ${electionId}`;
    return new SwitchError('not-primary', name, `${who}: nothing was written`);
  }

  #silence(): SwitchError {
    const { name, address, timeoutMs } = this.target;
    return new SwitchError('unreachable', name, `nobody answers P4Runtime at ${address} within ${timeoutMs / 1000} s`);
  }

  #electionId() {
    const { electionId } = this.target;
    return { high: electionId >> 64n, low: electionId & 0xffff_ffff_ffff_ffffn };
  }
}

interface PipelineConfig {
  p4info: P4Info | undefined;
  p4DeviceConfig: Buffer;
  cookie: { cookie: bigint } | undefined;
}

function credentialsOf({ name, tls }: SwitchTarget): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const read = (path: string | undefined): Buffer | null => {
    try {
      return path === undefined ? null : readFileSync(path);
    } catch (error) {
      throw new SwitchError('untrusted', name, `cannot read ${path}: ${(error as Error).message}`);
    }
  };
  return credentials.createSsl(read(tls.ca), read(tls.key), read(tls.certificate));
}
