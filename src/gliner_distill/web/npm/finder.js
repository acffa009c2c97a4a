// Find entities in words: the student's probabilities with its thresholds, and the choice of spans.

import { byCleanLabel, cleanLabel } from "./labels.js";
import { resolveOverlaps } from "./decoding.js";
import { ScoreMap, logit } from "./numbers.js";
import { joinWords, lastGap, listSpans } from "./spans.js";
import { inSteps, isMoreSpecific, keepSpecific } from "./specificity.js";
import { WINDOW_WORDS, batchWindows, cutWindows } from "./windows.js";

const MOST_LABEL_SETS = 8;
const SECTION_WINDOWS = 40; // texts with more are decoded in sections
const [START, END, INSIDE] = [0, 1, 2];

/** A student that finds entities in words. */
export class EntityFinder {
  #kernel;
  #network;
  #tower;
  #none; // the pointer to the vector of "none" of a softmax head; 0 for a boundary head
  #bias;
  #threshold;
  #labelThresholds;
  #scoreMap;
  #columns = new Map();

  constructor(kernel, network, tower, tensors, settings) {
    const none = tensors.get("none.weight");
    this.#none = none ? kernel.store(none.values) : 0;
    this.#kernel = kernel;
    this.#network = network;
    this.#tower = tower;
    this.#bias = Float32Array.from(settings.bias);
    this.#threshold = settings.threshold;
    this.#labelThresholds = byCleanLabel(settings.label_thresholds);
    this.#scoreMap = settings.score_map ? new ScoreMap(settings.score_map) : null;
  }

  /**
   * Return the entities of each passage: `start` and `end` in words, `label` and `score`.
   *
   * @param {string[][]} passages The words of each passage.
   * @param {[string, string][]} prompts Labels with the texts that are read for them.
   * @param {object} options The thresholds and the rules, see `student.js`.
   */
  find(passages, prompts, options) {
    const found = passages.map(() => []);
    if (!prompts.length) return found;
    const columns = this.#columnsOf(prompts);
    const rules = this.#rulesOf(columns, options);
    const short = passages.flatMap((words, passage) =>
      words.length && words.length <= WINDOW_WORDS
        ? [{ passage, words, first: 0, keepStart: 0, keepEnd: words.length }]
        : [],
    );
    const search = this.#kernel.loadSearch(columns, rules);
    for (const batch of batchWindows(short)) {
      const spans = this.#findInBatch(batch, columns, rules, search);
      batch.forEach((window, place) => (found[window.passage] = spans[place]));
    }
    this.#kernel.freeSearch(search);
    passages.forEach((words, passage) => {
      if (words.length > WINDOW_WORDS) found[passage] = this.#findInLong(words, columns, rules);
    });
    return found.map((spans) => spans.map((span) => this.#describe(span, columns)));
  }

  #describe({ start, end, label, score }, { names }) {
    const reported = this.#scoreMap ? this.#scoreMap.report(score) : score;
    return { start, end, label: names[label], score: reported };
  }

  /** Return the spans of windows that are whole passages. */
  #findInBatch(batch, columns, rules, search) {
    const lengths = Int32Array.from(batch, ({ words }) => words.length);
    const vectors = this.#network.read(batch.map(({ words }) => words));
    const found = this.#kernel.find(search, vectors, lengths);
    const spans = batch.map(() => []);
    if (found) {
      for (const [window, start, end, label, score] of found) {
        spans[window].push({ start, end, label, score });
      }
    } else {
      let place = vectors;
      batch.forEach((window, number) => {
        const scores = this.#score(window, place, columns, rules);
        scores.sort(byLabelAndWord);
        spans[number] = this.#decode(scores, columns, rules);
        place += 4 * columns.width * window.words.length;
      });
    }
    this.#kernel.free(vectors);
    return spans;
  }

  /** Return the spans of a passage of several windows. */
  #findInLong(words, columns, rules) {
    const windows = cutWindows(words);
    const spans = [];
    let waiting = [];
    let firstWord = 0;
    // A passage of few windows is one section.
    const most = SECTION_WINDOWS * (WINDOW_WORDS - 32);
    const nWindows = words.length > most ? SECTION_WINDOWS : windows.length;
    for (let first = 0; first < windows.length; first += nWindows) {
      const section = windows.slice(first, first + nWindows);
      for (const batch of batchWindows(section)) {
        waiting = waiting.concat(this.#scoreBatch(batch, columns, rules));
      }
      waiting.sort(byLabelAndWord);
      const end = section.at(-1).first + section.at(-1).keepEnd;
      const isLast = first + nWindows >= windows.length;
      // What follows the last gap waits, so that an entity at the border stays whole.
      const cut = isLast ? end : lastGap(waiting, firstWord, end);
      const before = waiting.filter(({ word }) => word < cut);
      for (const span of this.#decode(before, columns, rules)) spans.push(span);
      waiting = waiting.filter(({ word }) => word >= cut);
      firstWord = cut;
    }
    return spans;
  }

  #scoreBatch(batch, columns, rules) {
    const vectors = this.#network.read(batch.map(({ words }) => words));
    let place = vectors;
    const scores = batch.flatMap((window) => {
      const own = this.#score(window, place, columns, rules);
      place += 4 * columns.width * window.words.length;
      return own;
    });
    this.#kernel.free(vectors);
    return scores;
  }

  /** Return the probabilities of a window's words that reach their label's threshold. */
  #score(window, vectors, columns, rules) {
    const score = this.#none ? this.#scoreLikeliest : this.#scoreBoundaries;
    return score.call(this, window, vectors, columns, rules);
  }

  /** Return the likeliest label of each word, where that is likely enough against "none". */
  #scoreLikeliest({ words, first, keepStart, keepEnd }, vectors, columns, { shifts, thresholds }) {
    const { names, inside, none, width } = columns;
    const n = words.length;
    const products = this.#kernel.compare(vectors, n, inside, names.length, width);
    const against = this.#kernel.compare(vectors, n, none, 1, width);
    const best = against.map((_, word) => {
      let likeliest = 0;
      for (let label = 1; label < names.length; label++) {
        if (products[label * n + word] > products[likeliest * n + word]) likeliest = label;
      }
      return likeliest;
    });
    const margins = against.map((product, word) => {
      const margin = Math.fround(products[best[word] * n + word] - product);
      return Math.fround(Math.fround(margin - this.#bias[0]) - shifts[best[word]]);
    });
    const found = [];
    this.#kernel.logistic(margins).forEach((prob, word) => {
      const label = best[word];
      if (word < keepStart || word >= keepEnd || !(prob > thresholds[label])) return;
      found.push({ label, word: first + word, start: prob, end: prob, inside: prob });
    });
    return found;
  }

  #scoreBoundaries({ words, first, keepStart, keepEnd }, vectors, columns, rules) {
    const { names, inside, edges, width } = columns;
    const { cuts, shifts, thresholds } = rules;
    const n = words.length;
    const products = this.#kernel.compare(vectors, n, inside, names.length, width);
    const pairs = { label: [], word: [], product: [] };
    for (let label = 0; label < names.length; label++) {
      for (let word = keepStart; word < keepEnd; word++) {
        const product = products[label * n + word];
        if (!(product >= cuts[label])) continue;
        pairs.label.push(label);
        pairs.word.push(word);
        pairs.product.push(product);
      }
    }
    const columnsOf = (offset) => pairs.label.map((label) => 2 * label + offset);
    const edge = (offset) =>
      this.#kernel.comparePairs(vectors, edges, pairs.word, columnsOf(offset), width);
    const start = this.#probabilities(edge(START), pairs.label, shifts, START);
    const end = this.#probabilities(edge(END), pairs.label, shifts, END);
    const within = this.#probabilities(pairs.product, pairs.label, shifts, INSIDE);
    return pairs.label.flatMap((label, i) =>
      within[i] >= thresholds[label]
        ? [{ label, word: first + pairs.word[i], start: start[i], end: end[i], inside: within[i] }]
        : [],
    );
  }

  #probabilities(products, labels, shifts, place) {
    const logits = Float32Array.from(products, (product, i) =>
      Math.fround(Math.fround(product + this.#bias[place]) - shifts[labels[i]]),
    );
    return this.#kernel.logistic(logits);
  }

  #decode(scores, columns, rules) {
    const found = [];
    const tags = this.#none ? joinWords(scores) : scores;
    for (const group of listSpans(tags, rules.thresholds)) {
      const spans = rules.beats ? keepSpecific(group, rules.beats) : group;
      for (const span of resolveOverlaps(spans, rules)) found.push(span);
    }
    return found;
  }

  /** Return the labels of a call in the form that the kernel needs. */
  #columnsOf(prompts) {
    const key = JSON.stringify(prompts);
    let columns = this.#columns.get(key);
    if (columns === undefined) {
      columns = this.#encode(prompts);
      this.#columns.set(key, columns);
      const [[oldest, { inside, edges }]] = this.#columns;
      if (this.#columns.size > MOST_LABEL_SETS) {
        this.#columns.delete(oldest);
        this.#kernel.free(inside, edges);
      }
    }
    return columns;
  }

  #encode(prompts) {
    const names = prompts.map(([name]) => name);
    const outputs = prompts.map(([, text]) => this.#tower.encode(text));
    const { width } = this.#network;
    const inside = new Float32Array(names.length * width); // padded with zeros
    const edges = new Float32Array(2 * names.length * width);
    outputs.forEach(({ vectors }, label) => {
      inside.set(vectors.at(-1), label * width);
      if (this.#none) return;
      edges.set(vectors[START], 2 * label * width);
      edges.set(vectors[END], (2 * label + 1) * width);
    });
    const own = names.map((name) => this.#labelThresholds.get(cleanLabel(name)) ?? this.#threshold);
    return {
      names,
      width,
      shifts: Float32Array.from(own, logit),
      kinds: outputs[0].kind ? outputs.map(({ kind }) => inSteps(kind)) : null,
      inside: this.#kernel.store(inside),
      edges: this.#none ? 0 : this.#kernel.store(edges),
      none: this.#none,
    };
  }

  #rulesOf({ names, shifts, kinds }, { threshold, thresholds, flatNer, multiLabel }) {
    const own = byCleanLabel(thresholds);
    const asked = Float32Array.from(names, (name) => own.get(cleanLabel(name)) ?? threshold);
    const restored = this.#scoreMap ? asked.map((value) => this.#scoreMap.restore(value)) : asked;
    const cuts = restored.map((value, label) => {
      const shifted = Math.fround(Math.fround(logit(value)) + shifts[label]);
      const unbiased = Math.fround(shifted - this.#bias[INSIDE]);
      // Products are compared with a slightly lower value, and the probabilities decide.
      return Math.fround(unbiased - Math.fround(1e-3));
    });
    const compared = flatNer && !multiLabel ? kinds : null;
    return {
      cuts,
      shifts,
      thresholds: restored,
      bias: this.#bias,
      isFlat: flatNer,
      isMulti: multiLabel,
      kinds: compared,
      beats: compared && ((a, b) => isMoreSpecific(compared[a], compared[b])),
    };
  }
}

function byLabelAndWord(a, b) {
  return a.label - b.label || a.word - b.word;
}
