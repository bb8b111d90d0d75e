// What would have to change for a switch to be as wanted. Rule: entries with another cookie than ours are somebody else's: they are
// counted, never changed, and where one stands in our way nothing is written at all.

import type { Pipeline, SwitchClient } from './client.ts';
import { isSameEntry, keyOf, type Entry } from './entry.ts';
import { P4Info } from './generated/p4info.ts';
import { Update_Type, type CloneSessionEntry, type Entity, type TableEntry } from './generated/p4runtime.ts';
import { bytesOf, numberOf } from './bytes.ts';
import type { Program } from './program.ts';
import { shippedProgram, type ShippedProgram } from './shipped-program.ts';
import type { SwitchSpec } from './spec.ts';
import { REPORT_SESSION, SWITCH_COOKIE, wantedOf, type Wanted } from './wanted.ts';

/** same: ours, these very bytes · none: the switch runs nothing · other: it runs a program that is not this one. */
export type ProgramState = 'same' | 'none' | 'other';

export interface Plan {
  switchName: string;
  program: ShippedProgram;
  programState: ProgramState;
  insert: Entry[];
  modify: { from: Entry; to: Entry }[];
  /** The first to delete comes first. */
  remove: Entry[];
  /** Entries of others with the key of one that is wanted. */
  conflicts: { wanted: Entry; theirs: Entry }[];
  /** Entries that are as wanted, and entries of others that are left alone. */
  unchanged: number;
  foreign: number;
  /** What reports leave by: the interface that the switch has, and the one it should have. */
  reportInterface: { is: number | undefined; wanted: number | undefined };
}

/** Nothing is to be written. */
export function isDone(plan: Plan): boolean {
  const { programState, insert, modify, remove, conflicts, reportInterface } = plan;
  return (
    programState === 'same' &&
    insert.length + modify.length + remove.length + conflicts.length === 0 &&
    (reportInterface.wanted === undefined || reportInterface.is === reportInterface.wanted)
  );
}

/** Reads the switch and compares; writes nothing. Throws SwitchError where it cannot be read, EntryError where the specification does not fit together. */
export async function planFor(spec: SwitchSpec, client: SwitchClient): Promise<Plan> {
  const program = shippedProgram(spec.program);
  const wanted = wantedOf(spec);
  for (const entry of wanted.entries) program.program.encode(entry);
  const programState = stateOf(program, await client.pipeline('info'));
  const base = { switchName: spec.target.name, program, programState };
  if (programState !== 'same') return { ...base, ...difference(wanted, [], undefined) };
  const entries = await readEntries(client, program.program);
  const session = await readReportInterface(client);
  return { ...base, ...difference(wanted, entries, session) };
}

/**
 * The updates of a plan in three steps, each to be written when all of the one before was taken: what others build on, what is changed to
 * build on it, and what nothing builds on any more.
 */
export function stepsOf({ program, insert, modify, remove, reportInterface }: Plan): { type: Update_Type; entity: Entity }[][] {
  const update = (type: Update_Type, entry: Entry) => ({ type, entity: entityOf(program.program.encode(entry)) });
  const { is, wanted } = reportInterface;
  const session =
    wanted === undefined || is === wanted
      ? []
      : [{ type: is === undefined ? Update_Type.INSERT : Update_Type.MODIFY, entity: reportSessionOf(wanted) }];
  return [
    [...session, ...insert.map((entry) => update(Update_Type.INSERT, entry))],
    modify.map(({ to }) => update(Update_Type.MODIFY, to)),
    remove.map((entry) => update(Update_Type.DELETE, entry)),
  ];
}

/** All entries of all tables, in words. Throws SwitchError. */
export async function readEntries(client: SwitchClient, program: Program, tables = program.tableNames): Promise<Entry[]> {
  const asked = tables.map((name) => entityOf({ ...EMPTY_ENTRY, tableId: program.tableId(name) }));
  return (await client.read(asked)).flatMap(({ entity }) => {
    if (entity?.$case !== 'tableEntry' || entity.value.isConst || entity.value.isDefaultAction) return [];
    return [program.decode(entity.value)];
  });
}

async function readReportInterface(client: SwitchClient): Promise<number | undefined> {
  const session: CloneSessionEntry = { sessionId: REPORT_SESSION, replicas: [], classOfService: 0, packetLengthBytes: 0 };
  const [found] = await client.read([cloneSession(session)]).catch((error: Error & { message: string }) => {
    // Some servers answer a session that is not there with an error, others with nothing.
    if (/NOT_FOUND|not exist|not found/i.test(error.message)) return [];
    throw error;
  });
  if (found?.entity?.$case !== 'packetReplicationEngineEntry') return undefined;
  const { type } = found.entity.value;
  if (type?.$case !== 'cloneSessionEntry') return undefined;
  const { replicas, packetLengthBytes } = type.value;
  const [port] = replicas.map(({ portKind }) => portKind);
  // One that does something else than ours is put right: the session is the program's own, whoever wrote it.
  if (port === undefined || replicas.length > 1 || packetLengthBytes > 0) return OTHER_SESSION;
  return port.$case === 'egressPort' ? port.value : Number(numberOf(port.value));
}

function reportSessionOf(interfaceId: number): Entity {
  const port = { $case: 'port', value: bytesOf(BigInt(interfaceId), 32) } as const;
  const replicas = [{ portKind: port, instance: 1 }];
  return cloneSession({ sessionId: REPORT_SESSION, replicas, classOfService: 0, packetLengthBytes: 0 });
}

function cloneSession(value: CloneSessionEntry): Entity {
  const type = { $case: 'cloneSessionEntry', value } as const;
  return { entity: { $case: 'packetReplicationEngineEntry', value: { type } } };
}

/** There is a session, and it is not as we want any. */
const OTHER_SESSION = -1;

const EMPTY_ENTRY: TableEntry = {
  tableId: 0,
  match: [],
  action: undefined,
  priority: 0,
  meterConfig: undefined,
  counterData: undefined,
  meterCounterData: undefined,
  isDefaultAction: false,
  idleTimeoutNs: 0n,
  timeSinceLastHit: undefined,
  metadata: Buffer.alloc(0),
  isConst: false,
};

export function entityOf(value: TableEntry): Entity {
  return { entity: { $case: 'tableEntry', value } };
}

function stateOf({ program, cookie }: ShippedProgram, pipeline: Pipeline | undefined): ProgramState {
  const isEmpty = pipeline?.info === undefined || P4Info.encode(pipeline.info).finish().length === 0;
  if (pipeline === undefined || (isEmpty && pipeline.cookie === undefined)) return 'none';
  if (pipeline.info === undefined) return 'other';
  // A cookie that is the same with another P4Info would be a switch that lies: entries for it would be nonsense.
  const hasOurInfo = Buffer.compare(P4Info.encode(pipeline.info).finish(), P4Info.encode(program.info).finish()) === 0;
  return pipeline.cookie === cookie && hasOurInfo ? 'same' : 'other';
}

function difference({ entries, reportInterface }: Wanted, actual: readonly Entry[], session: number | undefined) {
  const [ours, theirs] = [new Map<string, Entry>(), new Map<string, Entry>()];
  for (const entry of actual) (entry.cookie === SWITCH_COOKIE ? ours : theirs).set(keyOf(entry), entry);
  const insert: Entry[] = [];
  const modify: Plan['modify'] = [];
  const conflicts: Plan['conflicts'] = [];
  let unchanged = 0;
  const wantedKeys = new Set<string>();
  for (const wanted of entries) {
    const key = keyOf(wanted);
    wantedKeys.add(key);
    const [own, other] = [ours.get(key), theirs.get(key)];
    if (other !== undefined) conflicts.push({ wanted, theirs: other });
    else if (own === undefined) insert.push(wanted);
    else if (isSameEntry(own, wanted)) unchanged++;
    else modify.push({ from: own, to: wanted });
  }
  const order = new Map(entries.map(({ table }, i) => [table, i]));
  const remove = [...ours]
    .filter(([key]) => !wantedKeys.has(key))
    .map(([, entry]) => entry)
    .sort(
      (a, b) =>
        TABLE_ORDER.indexOf(b.table) - TABLE_ORDER.indexOf(a.table) || (order.get(b.table) ?? 0) - (order.get(a.table) ?? 0),
    );
  return {
    insert,
    modify,
    remove,
    conflicts,
    unchanged,
    foreign: theirs.size,
    reportInterface: { is: session, wanted: reportInterface },
  };
}

/** What is looked up by what stands later. */
const TABLE_ORDER = ['nexthop', 'ecmp_member', 'route'];
