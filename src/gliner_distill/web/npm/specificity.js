// Which of two overlapping candidates yields, because the label of the other is more specific.

import { roundToEven } from "./numbers.js";

const STEP = 2 ** -16;
const MOST_STEPS = 2 ** 22;

/**
 * Return the numbers by which a label is compared as whole numbers, multiples of small steps. Sums
 * of their products are exact, so every machine compares labels in the same way.
 */
export function inSteps({ narrow, broad, breadth }) {
  const steps = (values) => Array.from(values, (value) => wholeNumber(value / STEP, MOST_STEPS));
  return {
    narrow: steps(narrow),
    broad: steps(broad),
    breadth: wholeNumber(breadth / STEP ** 2, MOST_STEPS ** 2),
  };
}

/** Return whether label `a` is more specific than label `b`, by their numbers in steps. */
export function isMoreSpecific(a, b) {
  return isBroader(b, a) && !isBroader(a, b);
}

/**
 * Return the candidates without those that yield to more specific ones.
 *
 * A candidate yields to every candidate that shares a word with it and whose label is more
 * specific. One that yields only to candidates that yield themselves comes back.
 *
 * @param {{start: number, end: number, label: number}[]} spans Candidates of one text.
 * @param {(label: number, other: number) => boolean} beats
 */
export function keepSpecific(spans, beats) {
  const isKept = new Set();
  let open = spans;
  while (open.length) {
    let yielding = new Set(findYielding(open, beats));
    // If all yield, their labels form circles, and the scores have to decide.
    if (yielding.size === open.length) yielding = new Set();
    const staying = open.filter((span) => !yielding.has(span));
    for (const span of staying) isKept.add(span);
    const covered = countWords(staying);
    open = [...yielding].filter(({ start, end }) => covered(start, end) === 0);
  }
  return spans.filter((span) => isKept.has(span));
}

function isBroader({ broad, breadth }, { narrow }) {
  return broad.reduce((sum, value, place) => sum + value * narrow[place], breadth) > 0;
}

function wholeNumber(value, most) {
  return Math.max(-most, Math.min(most, roundToEven(value)));
}

/** Return the candidates with a word at which another candidate has a more specific label. */
function findYielding(spans, beats) {
  const byLabel = groupBy(spans, ({ label }) => label);
  const labelsAt = new Map();
  for (const [label, own] of byLabel) {
    for (const word of wordsOf(own)) {
      if (!labelsAt.has(word)) labelsAt.set(word, []);
      labelsAt.get(word).push(label);
    }
  }
  const beatenAt = new Map([...byLabel.keys()].map((label) => [label, []]));
  for (const [word, labels] of labelsAt) {
    for (const label of labels) {
      if (labels.some((other) => other !== label && beats(other, label))) {
        beatenAt.get(label).push({ start: word, end: word + 1 });
      }
    }
  }
  return [...byLabel].flatMap(([label, own]) => {
    const covered = countWords(beatenAt.get(label));
    return own.filter(({ start, end }) => covered(start, end) > 0);
  });
}

/** Return a function that returns how many words of a range are covered by spans. */
function countWords(spans) {
  const words = [...wordsOf(spans)].sort((a, b) => a - b);
  return (start, end) => firstFrom(words, end) - firstFrom(words, start);
}

function wordsOf(spans) {
  const words = new Set();
  let reach = 0;
  for (const { start, end } of [...spans].sort((a, b) => a.start - b.start)) {
    for (let word = Math.max(start, reach); word < end; word++) words.add(word);
    reach = Math.max(reach, end);
  }
  return words;
}

function firstFrom(numbers, least) {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

function groupBy(items, keyOf) {
  const groups = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(item);
  }
  return groups;
}
