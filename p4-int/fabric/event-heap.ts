// The future of the simulation: a binary heap of (time, order, value) in typed arrays. Equal times leave in the order they came.

export class EventHeap {
  #time = new Float64Array(1024);
  #order = new Float64Array(1024);
  #value = new Int32Array(1024);
  #size = 0;
  #next = 0;

  get size(): number {
    return this.#size;
  }

  /** Time of the earliest event; Infinity when there is none. */
  get nextNs(): number {
    return this.#size === 0 ? Infinity : this.#time[0];
  }

  push(timeNs: number, value: number): void {
    if (this.#size === this.#time.length) this.#grow();
    let i = this.#size++;
    const order = this.#next++;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (this.#time[parent] <= timeNs) break;
      this.#move(parent, i);
      i = parent;
    }
    this.#time[i] = timeNs;
    this.#order[i] = order;
    this.#value[i] = value;
  }

  /** Removes the earliest event and returns its value. The heap must not be empty. */
  pop(): number {
    const value = this.#value[0];
    const last = --this.#size;
    const time = this.#time[last];
    const order = this.#order[last];
    const moved = this.#value[last];
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= last) break;
      if (child + 1 < last && this.#before(child + 1, child)) child++;
      if (time < this.#time[child] || (time === this.#time[child] && order < this.#order[child])) break;
      this.#move(child, i);
      i = child;
    }
    this.#time[i] = time;
    this.#order[i] = order;
    this.#value[i] = moved;
    return value;
  }

  #before(a: number, b: number): boolean {
    return this.#time[a] < this.#time[b] || (this.#time[a] === this.#time[b] && this.#order[a] < this.#order[b]);
  }

  #move(from: number, to: number): void {
    this.#time[to] = this.#time[from];
    this.#order[to] = this.#order[from];
    this.#value[to] = this.#value[from];
  }

  #grow(): void {
    const larger = this.#time.length * 2;
    const [time, order, value] = [this.#time, this.#order, this.#value];
    this.#time = new Float64Array(larger);
    this.#order = new Float64Array(larger);
    this.#value = new Int32Array(larger);
    this.#time.set(time);
    this.#order.set(order);
    this.#value.set(value);
  }
}
