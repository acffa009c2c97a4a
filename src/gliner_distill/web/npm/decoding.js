// The choice among candidates that share words.

/**
 * Return the candidates that are kept, in order of position: the one with the best score, then the
 * best of those that do not clash with it, and so on. Among equal scores, the span that starts first
 * wins, then the first label, then the shorter span.
 *
 * @param {{label: number, start: number, end: number, score: number}[]} spans
 * @param {{isFlat: boolean, isMulti: boolean}} rules Whether entities may not overlap, and whether a
 *   span may have several labels.
 */
export function resolveOverlaps(spans, rules) {
  const keptAt = new Map();
  const kept = [...spans].sort(byScore).filter((span) => {
    for (let word = span.start; word < span.end; word++) {
      if (keptAt.get(word)?.some((other) => clash(span, other, rules))) return false;
    }
    for (let word = span.start; word < span.end; word++) {
      if (!keptAt.has(word)) keptAt.set(word, []);
      keptAt.get(word).push(span);
    }
    return true;
  });
  return kept.sort((a, b) => a.start - b.start);
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
