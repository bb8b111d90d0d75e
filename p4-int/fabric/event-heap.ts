// The future of the simulation: a heap with four children a node, of (time, order, value) in typed arrays. Four, because a node's children then lie in
// one cache line of each array. Equal times leave in the order they came.

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
  get nextPs(): number {
    return this.#size === 0 ? Infinity : this.#time[0];
  }

  push(timePs: number, value: number): void {
    if (this.#size === this.#time.length) this.#grow();
    const time = this.#time;
    const order = this.#order;
    const values = this.#value;
    let i = this.#size++;
    while (i > 0) {
      const parent = (i - 1) >> 2;
      if (time[parent] <= timePs) break;
      time[i] = time[parent];
      order[i] = order[parent];
      values[i] = values[parent];
      i = parent;
    }
    time[i] = timePs;
    order[i] = this.#next++;
    values[i] = value;
  }

  /** Removes the earliest event and returns its value. The heap must not be empty. */
  pop(): number {
    const time = this.#time;
    const order = this.#order;
    const values = this.#value;
    const value = values[0];
    const last = --this.#size;
    const lastTime = time[last];
    const lastOrder = order[last];
    let i = 0;
    for (;;) {
      const first = 4 * i + 1;
      if (first >= last) break;
      let child = first;
      const end = Math.min(first + 4, last);
      for (let c = first + 1; c < end; c++) {
        if (time[c] < time[child] || (time[c] === time[child] && order[c] < order[child])) child = c;
      }
      if (lastTime < time[child] || (lastTime === time[child] && lastOrder < order[child])) break;
      time[i] = time[child];
      order[i] = order[child];
      values[i] = values[child];
      i = child;
    }
    time[i] = lastTime;
    order[i] = lastOrder;
    values[i] = values[last];
    return value;
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
