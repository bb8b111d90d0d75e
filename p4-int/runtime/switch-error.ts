// What can go wrong between us and a switch, as sentences with the switch's name. Nothing else leaves this folder as an error.

import { status, type ServiceError } from '@grpc/grpc-js';
import { Error as P4Error } from './generated/p4runtime.ts';
import { Status } from './generated/status.ts';

/** unreachable: nobody answers · untrusted: TLS fails · not-primary: another controller leads · refused: the switch says no · mismatch: it is not what we think. */
export type SwitchErrorKind = 'unreachable' | 'untrusted' | 'not-primary' | 'refused' | 'mismatch';

export class SwitchError extends Error {
  readonly kind: SwitchErrorKind;

  constructor(kind: SwitchErrorKind, switchName: string, sentence: string) {
    super(`${switchName}: ${sentence}`);
    this.kind = kind;
  }
}

/** One update of a batch that the switch did not take. */
export interface FailedUpdate {
  /** Its place in the batch. */
  index: number;
  code: keyof typeof status;
  message: string;
}

/** A batch of which a part, or all, was not taken. The other updates are done (CONTINUE_ON_ERROR). */
export class WriteError extends SwitchError {
  readonly failed: readonly FailedUpdate[];

  /** Of `total` updates, the first `asked` were sent. */
  constructor(switchName: string, failed: readonly FailedUpdate[], asked: number, total: number) {
    const [first] = failed;
    super(
      first.code === 'PERMISSION_DENIED' ? 'not-primary' : 'refused',
      switchName,
      `the switch took ${asked - failed.length} of ${total} updates; the first that it did not, number ${first.index + 1}: ${first.code}${first.message && `, ${first.message}`}`,
    );
    this.failed = failed;
  }
}

const TLS_FAULT = /certificate|self.signed|SSL|TLS|altname|EPROTO|ERR_TLS|handshake/i;

/** Nobody there, too late, or gone in the middle: we cancel nothing ourselves. */
const UNANSWERED: ReadonlySet<number> = new Set([status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.CANCELLED]);

/** A failed call as a sentence. */
export function switchErrorOf(switchName: string, address: string, error: ServiceError): SwitchError {
  const details = (error.details || error.message).replace(/\s*Resolution note:\s*$/, '');
  if (UNANSWERED.has(error.code)) {
    if (TLS_FAULT.test(details)) {
      return new SwitchError('untrusted', switchName, `the connection to ${address} is not trusted: ${details}`);
    }
    return new SwitchError('unreachable', switchName, `nobody answers P4Runtime at ${address}: ${details}`);
  }
  if (error.code === status.PERMISSION_DENIED) {
    return new SwitchError('not-primary', switchName, `another controller leads this switch: ${details}`);
  }
  const code = status[error.code] ?? String(error.code);
  return new SwitchError('refused', switchName, `the switch refuses: ${code}${details && `, ${details}`}`);
}

/** What became of a batch of updates that was not taken: at least one. Without details of single updates that can be read, all count as failed. */
export function failedUpdatesOf(error: ServiceError, updates: number): FailedUpdate[] {
  const code = status[error.code] as keyof typeof status;
  const all = Array.from({ length: updates }, (_, index) => ({ index, code, message: error.details }));
  const [bytes] = error.metadata?.get('grpc-status-details-bin') ?? [];
  if (!Buffer.isBuffer(bytes)) return all;
  try {
    const { details } = Status.decode(bytes);
    const failed = details.flatMap((detail, index) => {
      const { canonicalCode, message } = P4Error.decode(detail.value);
      return canonicalCode === Number(status.OK) ? [] : [{ index, code: status[canonicalCode] as keyof typeof status, message }];
    });
    return details.length === updates && failed.length > 0 ? failed : all;
  } catch {
    return all;
  }
}
