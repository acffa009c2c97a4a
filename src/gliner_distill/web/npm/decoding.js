// The choice among candidates that share words.

const MOST_WORDS = 2 ** 26; // of a text, so that two places fit into one number

/**
 * Return the candidates that are kept, in order of position: the one with the best score, then the
 * best of those that do not clash with it, and so on. Among equal scores, the span that starts first
 * wins, then the first label, then the shorter span.
 *
 * @param {{label: number, start: number, end: number, score: number}[]} spans
 * @param {{isFlat: boolean, isMulti: boolean}} rules Whether entities may not overlap, and whether a
 *   span may have several labels.
 */
export function resolveOverlaps(spans, { isFlat, isMulti }) {
  const taken = new TakenWords(isFlat);
  // A span that clashes with what is kept does so ever after, whatever its label.
  const isFree = new Map();
  const kept = [...spans].sort(byScore).filter(({ start, end }) => {
    const span = start * MOST_WORDS + end;
    const isFirst = !isFree.has(span);
    if (isFirst) isFree.set(span, taken.take(start, end));
    // Two labels of the same span clash even if nesting is allowed.
    return isFree.get(span) && (isFirst || isMulti);
  });
  return kept.sort((a, b) => a.start - b.start);
}

/** The words of spans that are kept, as far as they say which other spans clash with them. */
class TakenWords {
  #isFlat;
  #words = new Set();
  // Two spans cross if one starts inside the other and ends behind it.
  #lastEnd = new Map();
  #firstStart = new Map();

  constructor(isFlat) {
    this.#isFlat = isFlat;
  }

  /** Take the words of a span, and return whether no other one clashes with it. */
  take(start, end) {
    if (this.#isFlat) {
      for (let word = start; word < end; word++) if (this.#words.has(word)) return false;
      for (let word = start; word < end; word++) this.#words.add(word);
      return true;
    }
    for (let place = start + 1; place < end; place++) {
      if ((this.#lastEnd.get(place) ?? end) > end) return false;
      if ((this.#firstStart.get(place) ?? start) < start) return false;
    }
    this.#lastEnd.set(start, Math.max(end, this.#lastEnd.get(start) ?? end));
    this.#firstStart.set(end, Math.min(start, this.#firstStart.get(end) ?? start));
    return true;
  }
}

/** Return whether two spans that share a word or a character exclude one another. */
export function clash(a, b, { isFlat, isMulti }) {
  if (a.start === b.start && a.end === b.end) return !isMulti;
  if (isFlat) return true;
  const aHolds = a.start <= b.start && b.end <= a.end;
  const bHolds = b.start <= a.start && a.end <= b.end;
  return !(aHolds || bHolds);
}

function byScore(a, b) {
  return b.score - a.score || a.start - b.start || a.label - b.label || a.end - b.end;
}
