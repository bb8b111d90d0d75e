// The heap of the simulation: time order, and equal times in the order they came.

import { expect, it } from 'vitest';
import { EventHeap } from '../../../p4-int/fabric/event-heap.ts';
import { randomStream } from '../../../p4-int/fabric/random.ts';

it('leaves in time order, equal times in the order they came', () => {
  const heap = new EventHeap();
  const random = randomStream(1, 'heap');
  const pushed = Array.from({ length: 5000 }, (_, i) => ({ time: Math.floor(random() * 500), i }));
  for (const { time, i } of pushed) heap.push(time, i);
  const expected = pushed.toSorted((a, b) => a.time - b.time || a.i - b.i).map((event) => event.i);
  expect(Array.from({ length: 5000 }, () => heap.pop())).toEqual(expected);
  expect(heap.nextPs).toBe(Infinity);
});

it('stays in order while events come and go', () => {
  const heap = new EventHeap();
  const random = randomStream(2, 'heap');
  const waiting: { time: number; i: number }[] = [];
  for (let i = 0; i < 20_000; i++) {
    if (waiting.length > 0 && random() < 0.45) {
      waiting.sort((a, b) => a.time - b.time || a.i - b.i);
      expect(heap.nextPs).toBe(waiting[0].time);
      expect(heap.pop()).toBe(waiting.shift()!.i);
    } else {
      const time = Math.floor(random() * 50);
      heap.push(time, i);
      waiting.push({ time, i });
    }
    if (waiting.length > 60) waiting.splice(0).forEach(() => heap.pop());
  }
  expect(heap.size).toBe(waiting.length);
});
