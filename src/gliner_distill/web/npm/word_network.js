// From words to the vectors that are compared with labels: pieces, shapes, LSTM and tower.

import { SHORT } from "./kernel.js";
import { N_SHAPES, wordShape } from "./vocabulary.js";

const INPUT_STEP = 16;
const FIRST_ROWS = 512;
const MOST_ROWS = 8_192; // must hold the words of a batch

/** The word side of a student, with a table of what the network gets from each distinct word. */
export class WordNetwork {
  #kernel;
  #vocabulary;
  #pieces;
  #inputs;
  #nInputs;
  #network;
  #rowOf = new Map();
  #table;
  #nPlaces = FIRST_ROWS;

  constructor(kernel, vocabulary, tensors, { words }) {
    this.#kernel = kernel;
    this.#vocabulary = vocabulary;
    const [codes, scales] = [tensors.get("pieces.weight"), tensors.get("pieces.scale")];
    const shapes = tensors.get("shapes.weight");
    this.#pieces = kernel.loadPieces({ codes, scales, shapes, ...words });
    const scale = tensors.get("words.inputs.scale").values;
    const packed = kernel.pack(SHORT, tensors.get("words.inputs.weight"), scale);
    this.#inputs = kernel.loadProduct(packed, tensors.get("words.inputs.bias").values);
    this.#nInputs = roundUp(codes.shape[1], INPUT_STEP);
    this.#network = readNetwork(kernel, tensors, "words", words);
    this.#table = kernel.allocate(this.#rowBytes * FIRST_ROWS);
  }

  /** The vectors of pieces, for the label tower. */
  get pieces() {
    return this.#pieces;
  }

  /** The width of the word vectors, padded with zeros. */
  get width() {
    return this.#network.nOut;
  }

  /**
   * Return the pointer to the vectors of all words, one window after the other. Free it.
   *
   * @param {string[][]} windows The words of at most 96 windows, the longest first.
   */
  read(windows) {
    const words = windows.flat();
    this.#add(new Set(words));
    const rows = Int32Array.from(words, (word) => this.#rowOf.get(word));
    const lengths = Int32Array.from(windows, (window) => window.length);
    return this.#kernel.read(this.#network, this.#table, rows, lengths);
  }

  get #rowBytes() {
    return 4 * this.#network.nColumns;
  }

  #add(words) {
    let missing = [...words].filter((word) => !this.#rowOf.has(word));
    if (!missing.length) return;
    if (this.#rowOf.size + missing.length > MOST_ROWS) {
      this.#rowOf.clear();
      missing = [...words];
    }
    const nOld = this.#rowOf.size;
    const nNew = nOld + missing.length;
    if (nNew > this.#nPlaces) {
      const [nBytes, nPlaces] = [this.#rowBytes * this.#nPlaces, Math.max(nNew, 2 * this.#nPlaces)];
      this.#table = this.#kernel.enlarge(this.#table, nBytes, this.#rowBytes * nPlaces);
      this.#nPlaces = nPlaces;
    }
    const rows = this.#compute(missing);
    const from = this.#kernel.view(Uint8Array, rows, missing.length * this.#rowBytes);
    const place = this.#table + nOld * this.#rowBytes;
    this.#kernel.view(Uint8Array, place, from.length).set(from);
    this.#kernel.free(rows);
    missing.forEach((word, number) => this.#rowOf.set(word, nOld + number));
  }

  #compute(words) {
    const pieces = words.map((word) => this.#vocabulary.wordPieces(word));
    const lengths = Int32Array.from(pieces, (own) => own.length);
    const shapes = new Uint8Array(words.length * N_SHAPES);
    words.forEach((word, number) => shapes.set(wordShape(word), number * N_SHAPES));
    const all = Int32Array.from(pieces.flat());
    const codes = this.#kernel.embedWords(this.#pieces, all, lengths, shapes, this.#nInputs);
    const rows = this.#kernel.multiply(this.#inputs, codes, words.length);
    this.#kernel.free(codes);
    return rows;
  }
}

/** Return the network of one side of a student, packed for the kernel. */
export function readNetwork(kernel, tensors, side, sizes) {
  const { kind, n_layers: nLayers, n_directions: nDirections } = sizes;
  const pack = (name) =>
    tensors.has(`${name}.weight`)
      ? kernel.pack(kind, tensors.get(`${name}.weight`), tensors.get(`${name}.scale`)?.values)
      : undefined;
  const directions = [];
  for (let layer = 0; layer < nLayers; layer++) {
    for (let direction = 0; direction < nDirections; direction++) {
      const place = `${side}.${layer}.${direction}`;
      const bias = tensors.get(`${place}.bias`).values;
      directions.push({ input: pack(`${place}.input`), state: pack(`${place}.state`), bias });
    }
  }
  const { n_units: nUnits, n_columns: nColumns } = sizes;
  const tower = pack(`${side}.tower`);
  return kernel.loadNetwork({ kind, nLayers, nDirections, nUnits, nColumns, directions, tower });
}

/** Return the next multiple of a step. */
export function roundUp(size, step) {
  return Math.ceil(size / step) * step;
}
