// Which of several sockets on one port a datagram goes to: a program of classic BPF that the kernel runs over the UDP payload.
// The kernel's own choice is a hash of addresses and ports, which would split the sequence numbers and queues of an exporter that sends
// from several ports. This one chooses by node: all reports of one node go to one socket.
// Rule: what names no node goes to the first socket.

/** struct sock_filter: code, jump if true, jump if false, k. */
type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, k: number];

const [LOAD_OCTET, LOAD_WORD, MULTIPLY, AND, SHIFT_RIGHT, REMAINDER] = [0x30, 0x20, 0x24, 0x54, 0x74, 0x94];
const [JUMP, JUMP_IF_EQUAL, RETURN_NUMBER, RETURN_RESULT] = [0x05, 0x15, 0x06, 0x16];
/** Spreads node ids that have a pattern: 2^32 over the golden ratio (Knuth, The Art of Computer Programming 3, section 6.4). */
const SPREAD = 0x9e3779b1;

/** The program for `sockets` sockets, as the kernel wants it. A datagram too short for a load goes to the first socket. */
export function steeringProgram(sockets: number): Uint8Array {
  const program: Instruction[] = [
    [LOAD_OCTET, 0, 0, 0],
    [SHIFT_RIGHT, 0, 0, 4],
    // Report v2.0: the node is the second word. v0.5: the fourth, unless an Ethernet frame follows at once.
    [JUMP_IF_EQUAL, 6, 0, 2],
    [JUMP_IF_EQUAL, 0, 10, 0],
    [LOAD_OCTET, 0, 0, 0],
    [AND, 0, 0, 0x0f],
    [JUMP_IF_EQUAL, 7, 0, 0],
    [LOAD_WORD, 0, 0, 12],
    [JUMP, 0, 0, 1],
    [LOAD_WORD, 0, 0, 4],
    [MULTIPLY, 0, 0, SPREAD],
    [SHIFT_RIGHT, 0, 0, 16],
    [REMAINDER, 0, 0, sockets],
    [RETURN_RESULT, 0, 0, 0],
    [RETURN_NUMBER, 0, 0, 0],
  ];
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  program.forEach(([code, jumpTrue, jumpFalse, k], i) => {
    view.setUint16(i * 8, code, true);
    view.setUint8(i * 8 + 2, jumpTrue);
    view.setUint8(i * 8 + 3, jumpFalse);
    view.setUint32(i * 8 + 4, k, true);
  });
  return bytes;
}
