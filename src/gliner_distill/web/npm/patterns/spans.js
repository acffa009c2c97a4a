// Sets of spans of characters in which overlapping ones are found fast.

const BLOCK_CHARACTERS = 64;

/** Spans with `start` and `end`, by the blocks of characters in which they lie. */
export class SpanSet {
  #blocks = new Map();

  constructor(spans = []) {
    for (const span of spans) this.add(span);
  }

  add(span) {
    for (const block of blocksOf(span)) {
      if (!this.#blocks.has(block)) this.#blocks.set(block, []);
      this.#blocks.get(block).push(span);
    }
  }

  /** Return whether a span that shares a character with this one fulfills a condition. */
  hasOverlapping(span, condition = () => true) {
    for (const block of blocksOf(span)) {
      const isFound = (other) =>
        span.start < other.end && other.start < span.end && condition(other);
      if (this.#blocks.get(block)?.some(isFound)) return true;
    }
    return false;
  }
}

function* blocksOf({ start, end }) {
  const last = Math.floor((end - 1) / BLOCK_CHARACTERS);
  for (let block = Math.floor(start / BLOCK_CHARACTERS); block <= last; block++) yield block;
}
