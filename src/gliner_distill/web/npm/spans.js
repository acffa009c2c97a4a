// Candidate spans from the probabilities of words, and a bound on their number.
//
// Candidates that share words, directly or through others, form a stretch. A stretch with more than
// 100,000 of them is cut into pieces of 128 words, and of each piece the strongest are kept. Only
// repetitive texts and very low thresholds come to that.

const MOST_SPANS = 100_000;
const PIECE_WORDS = 128;
const SPANS_AT_ONCE = 500_000;

/**
 * Yield candidates in groups; spans of different groups share no word.
 *
 * @param {{label: number, word: number, start: number, end: number, inside: number}[]} scores The
 *   probabilities of one text that reach their label's threshold, by label and then by word.
 * @param {Float32Array} thresholds By label.
 */
export function* listSpans(scores, thresholds) {
  const starts = findStarts(scores, thresholds);
  if (countSpans(starts) <= MOST_SPANS) {
    yield starts.flatMap((start) => writeOut(scores, start));
    return;
  }
  for (const stretch of groupStretches(scores, starts)) {
    if (countSpans(stretch) <= MOST_SPANS) yield stretch.flatMap((start) => writeOut(scores, start));
    else for (const piece of cutStretch(scores, stretch)) yield strongest(scores, piece);
  }
}

/** Return the last word that no label continues from the word before it; `end` without one. */
export function lastGap(scores, first, end) {
  const isContinued = new Uint8Array(end - first);
  scores.forEach(({ label, word }, row) => {
    if (continues(scores[row - 1], label, word)) isContinued[word - first] = 1;
  });
  const gap = isContinued.lastIndexOf(0);
  return gap > 0 ? first + gap : end;
}

/** Return scores by which neighboring words of one label are one entity, as in a softmax head. */
export function joinWords(scores) {
  return scores.map((score, row) => {
    const isFirst = !continues(scores[row - 1], score.label, score.word);
    const next = scores[row + 1];
    const isLast = next === undefined || !continues(score, next.label, next.word);
    return { ...score, start: isFirst ? score.start : 0, end: isLast ? score.end : 0 };
  });
}

/**
 * Return the rows at which a span may start. The rows at which it may end are `ends[i]` for i from
 * `from` to before `to`; starts share these arrays.
 */
function findStarts(scores, thresholds) {
  const starts = [];
  for (let first = 0; first < scores.length; ) {
    const { label } = scores[first];
    const ends = [];
    let last = first;
    do {
      if (scores[last].end > thresholds[label]) ends.push(last);
      last++;
    } while (last < scores.length && continues(scores[last - 1], scores[last].label, scores[last].word));
    for (let row = first, from = 0; row < last; row++) {
      while (ends[from] < row) from++;
      if (from === ends.length) break;
      if (scores[row].start > thresholds[label]) starts.push({ row, ends, from, to: ends.length });
    }
    first = last;
  }
  return starts;
}

function countSpans(starts) {
  return starts.reduce((sum, { from, to }) => sum + to - from, 0);
}

function continues(before, label, word) {
  return before !== undefined && before.label === label && before.word + 1 === word;
}

/** Return the spans that begin at a row; their score is the smallest of their probabilities. */
function writeOut(scores, { row, ends, from, to }) {
  const { label, word, start } = scores[row];
  const spans = [];
  let least = start;
  for (let place = from, next = row; place < to; place++) {
    const end = ends[place];
    for (; next <= end; next++) least = Math.min(least, scores[next].inside);
    const score = Math.min(least, scores[end].end);
    spans.push({ label, start: word, end: scores[end].word + 1, score });
  }
  return spans;
}

function groupStretches(scores, starts) {
  const sorted = [...starts].sort((a, b) => scores[a.row].word - scores[b.row].word);
  const stretches = [];
  let reach = -1;
  for (const start of sorted) {
    if (scores[start.row].word >= reach) stretches.push([]);
    stretches.at(-1).push(start);
    reach = Math.max(reach, scores[start.ends[start.to - 1]].word + 1);
  }
  // Within a stretch, the starts keep their order by label and word.
  return stretches.map((stretch) => stretch.sort((a, b) => a.row - b.row));
}

/** Return the starts of each piece of a stretch, without the spans that cross a cut. */
function cutStretch(scores, stretch) {
  const firstWord = stretch.reduce((least, { row }) => Math.min(least, scores[row].word), Infinity);
  const pieces = new Map();
  for (const { row, ends, from, to: last } of stretch) {
    const piece = Math.floor((scores[row].word - firstWord) / PIECE_WORDS);
    const cut = firstWord + (piece + 1) * PIECE_WORDS;
    let to = from;
    while (to < last && scores[ends[to]].word < cut) to++;
    if (!pieces.has(piece)) pieces.set(piece, []);
    if (to > from) pieces.get(piece).push({ row, ends, from, to });
  }
  return [...pieces].sort(([a], [b]) => a - b).map(([, starts]) => starts);
}

function strongest(scores, starts) {
  let spans = [];
  for (const start of starts) {
    for (const span of writeOut(scores, start)) spans.push(span);
    if (spans.length > SPANS_AT_ONCE) spans = spans.sort(byStrength).slice(0, MOST_SPANS);
  }
  if (spans.length <= MOST_SPANS) return spans;
  return spans.sort(byStrength).slice(0, MOST_SPANS);
}

function byStrength(a, b) {
  const [longA, longB] = [a.end - a.start, b.end - b.start];
  return b.score - a.score || longA - longB || a.start - b.start || a.label - b.label;
}
