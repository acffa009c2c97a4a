// Long texts in overlapping windows, and windows in batches.

/** The most words that a student reads in one pass. */
export const WINDOW_WORDS = 384;

const OVERLAP_WORDS = 32;
const BATCH_WORDS = 4_096;
const BATCH_WINDOWS = 64;

/**
 * Return the windows of some words: `words`, the place `first` of the first one, and the words
 * `keepStart` to `keepEnd` that count in this window, because another window shows less around them.
 */
export function cutWindows(words) {
  const bounds = [];
  for (let start = 0, end = 0; end < words.length; ) {
    end = Math.min(start + WINDOW_WORDS, words.length);
    bounds.push([start, end]);
    start = end - Math.min(OVERLAP_WORDS, (end - start) >> 2);
  }
  // Each overlap is cut in the middle.
  const cuts = bounds.slice(1).map(([start], place) => (bounds[place][1] + start) >> 1);
  return bounds.map(([start, end], place) => ({
    words: words.slice(start, end),
    first: start,
    keepStart: (place ? cuts[place - 1] : 0) - start,
    keepEnd: (cuts[place] ?? words.length) - start,
  }));
}

/** Yield windows of similar length in batches, each with its longest window first. */
export function* batchWindows(windows) {
  let batch = [];
  const sorted = [...windows].sort((a, b) => a.words.length - b.words.length);
  for (const window of sorted) {
    const isFull = (batch.length + 1) * window.words.length > BATCH_WORDS;
    if (batch.length && (isFull || batch.length === BATCH_WINDOWS)) {
      yield batch.reverse();
      batch = [];
    }
    batch.push(window);
  }
  if (batch.length) yield batch.reverse();
}
