// The kernel in WebAssembly: its memory, and its functions for arrays of JavaScript.

import { StudentError } from "./errors.js";

/** The kinds of products: in single precision, 8 bits with 8 bits, 8 bits with 16 bits. */
export const FLOAT = 0;
export const BYTE = 1;
export const SHORT = 2;

const PATH = 4; // of WebAssembly with SIMD, as in `kernel.c`
const PRODUCT_BYTES = 20;
const DIRECTION_BYTES = 2 * PRODUCT_BYTES + 4;
const NETWORK_BYTES = 28 + PRODUCT_BYTES;
const SEARCH_BYTES = 88;
const SPAN_BYTES = 20;
const TABLE_BYTES = 28;
const MOST_SPANS = 256; // candidates of a window that `find` compares

/** The most windows that a network reads at once. */
export const MOST_WINDOWS = 96;

/** An instance of the kernel with its memory; pointers are numbers of bytes. */
export class Kernel {
  #exports;

  constructor(instance) {
    this.#exports = instance.exports;
    this.#exports._initialize();
  }

  /** @param {BufferSource} bytes The content of `kernel.wasm`. */
  static async load(bytes) {
    try {
      return new Kernel((await WebAssembly.instantiate(bytes, {})).instance);
    } catch (error) {
      throw new StudentError(
        `kernel.wasm cannot be loaded: ${error.message}; it needs a browser with WebAssembly SIMD`,
      );
    }
  }

  /** Return the pointer to new memory. */
  allocate(nBytes) {
    const pointer = this.#exports.malloc(Math.max(nBytes, 16)) >>> 0;
    if (!pointer) throw new RangeError("the kernel has no memory left; ask for less text at once");
    return pointer;
  }

  /** Give memory back. */
  free(...pointers) {
    for (const pointer of pointers) this.#exports.free(pointer);
  }

  /** Return a view of memory, which is valid until more memory is allocated. */
  view(ArrayType, pointer, n) {
    return new ArrayType(this.#exports.memory.buffer, pointer, n);
  }

  /** Copy an array into new memory; return its pointer. */
  store(array) {
    const pointer = this.allocate(array.byteLength);
    this.view(array.constructor, pointer, array.length).set(array);
    return pointer;
  }

  /** Move memory to a larger place; return the new pointer. */
  enlarge(pointer, nBytes, nNew) {
    const larger = this.allocate(nNew);
    this.view(Uint8Array, larger, nNew).set(this.view(Uint8Array, pointer, nBytes));
    this.free(pointer);
    return larger;
  }

  /**
   * Pack the weights of a product; return the fields of its structure.
   *
   * @param {number} kind
   * @param {{shape: number[], values: Int8Array | Float32Array}} weights Shape (outputs, inputs).
   * @param {Float32Array} [scales] By output; none in single precision.
   */
  pack(kind, { shape: [nOut, nIn], values }, scales = new Float32Array(nOut)) {
    const raw = this.store(values);
    const packed = this.allocate(Number(this.#exports.gd_packed_bytes(PATH, kind, nIn, nOut)));
    const starts = this.allocate(4 * nOut);
    this.#exports.gd_pack(PATH, kind, raw, nIn, nOut, packed, starts);
    this.free(raw);
    return { fields: [packed, this.store(scales), starts, nIn, nOut], kind, nIn, nOut };
  }

  /** Return a product with its bias, ready for `multiply`. */
  loadProduct(packed, bias) {
    return { ...packed, structure: this.#structure(packed.fields), bias: this.store(bias) };
  }

  /** Compute `rows @ weights.T * scales + bias`; return the pointer to rows of floats. */
  multiply(product, rows, nRows) {
    const out = this.allocate(4 * nRows * product.nOut);
    const { kind, structure, bias } = product;
    this.#check(this.#exports.gd_dense(PATH, kind, structure, bias, rows, BigInt(nRows), out));
    return out;
  }

  /**
   * Return a network that is ready to read.
   *
   * @param {object} network Its `kind`, `nLayers`, `nDirections`, `nUnits` and `nColumns`; the
   *   `directions` of layer 0, then those of layer 1, and so on, each with packed `input` (if not of
   *   layer 0) and `state` and with a `bias`; and the packed `tower`, if it has one.
   */
  loadNetwork({ kind, nLayers, nDirections, nUnits, nColumns, directions, tower }) {
    const none = { fields: [0, 0, 0, 0, 0] };
    const fields = directions.flatMap(({ input = none, state, bias }) => [
      ...input.fields,
      ...state.fields,
      this.store(bias),
    ]);
    const all = this.#structure(fields, directions.length * DIRECTION_BYTES);
    const own = [PATH, kind, nLayers, nDirections, nUnits, nColumns, all];
    const structure = this.#structure([...own, ...(tower ?? none).fields], NETWORK_BYTES);
    return { structure, nOut: tower ? tower.nOut : nDirections * nUnits, nColumns };
  }

  /**
   * Read windows; return the pointer to a row of floats per word.
   *
   * @param {object} network
   * @param {number} table What each distinct word gives to the network.
   * @param {Int32Array} rows The row of each word in the table, one window after the other.
   * @param {Int32Array} lengths The words of each window, the longest first.
   */
  read(network, table, rows, lengths) {
    const out = this.allocate(4 * rows.length * network.nOut);
    const [rowsAt, lengthsAt] = [this.store(rows), this.store(lengths)];
    const { structure } = network;
    this.#check(this.#exports.gd_read(structure, table, rowsAt, lengthsAt, lengths.length, out));
    this.free(rowsAt, lengthsAt);
    return out;
  }

  /** Return the table of pieces, as the functions below take it. */
  loadPieces({ codes, scales, shapes, scale, most }) {
    const [nShapes, width] = shapes.shape;
    const pointers = [codes.values, scales.values, shapes.values].map((array) => this.store(array));
    const structure = this.#structure([...pointers, width, nShapes, 0, most], TABLE_BYTES);
    this.view(Float32Array, structure + 20, 1)[0] = scale;
    return { structure, width };
  }

  /** Return the pointer to the rounded vectors of words, `nColumns` numbers of 16 bits each. */
  embedWords(table, pieces, lengths, shapes, nColumns) {
    const inputs = [pieces, lengths, shapes].map((array) => this.store(array));
    const out = this.allocate(2 * lengths.length * nColumns);
    this.#exports.gd_embed_words(table.structure, ...inputs, lengths.length, nColumns, out);
    this.free(...inputs);
    return out;
  }

  /** Return the mean vectors of runs of pieces. */
  meanPieces(table, pieces, lengths) {
    const inputs = [pieces, lengths].map((array) => this.store(array));
    const out = this.allocate(4 * lengths.length * table.width);
    this.#exports.gd_mean_pieces(table.structure, ...inputs, lengths.length, out);
    const means = this.view(Float32Array, out, lengths.length * table.width).slice();
    this.free(...inputs, out);
    return means;
  }

  /** Return the pointer to the vectors of pieces, `nColumns` floats each. */
  lookUpPieces(table, pieces, nColumns) {
    const input = this.store(pieces);
    const out = this.allocate(4 * pieces.length * nColumns);
    this.#exports.gd_look_up_pieces(table.structure, input, pieces.length, nColumns, out);
    this.free(input);
    return out;
  }

  /** Return the products of words with labels, those of label 0 first. */
  compare(words, nWords, labels, nLabels, width) {
    const out = this.allocate(4 * nWords * nLabels);
    this.#exports.gd_compare(PATH, words, BigInt(nWords), labels, BigInt(nLabels), width, out);
    const products = this.view(Float32Array, out, nWords * nLabels).slice();
    this.free(out);
    return products;
  }

  /** Return the products of single pairs of a word and a label. */
  comparePairs(words, labels, wordOf, labelOf, width) {
    const inputs = [wordOf, labelOf].map((row) => this.store(BigInt64Array.from(row, BigInt)));
    const n = wordOf.length;
    const out = this.allocate(4 * n);
    this.#exports.gd_compare_pairs(PATH, words, labels, ...inputs, BigInt(n), width, out);
    const products = this.view(Float32Array, out, n).slice();
    this.free(...inputs, out);
    return products;
  }

  /** Return the probabilities of logits. */
  logistic(logits) {
    const [input, out] = [this.store(logits), this.allocate(logits.byteLength)];
    this.#exports.gd_logistic(input, BigInt(logits.length), out);
    const probabilities = this.view(Float32Array, out, logits.length).slice();
    this.free(input, out);
    return probabilities;
  }

  /**
   * Return a search for spans. Give it back with `freeSearch`.
   *
   * @param {object} columns The pointers to `inside` and `edges` vectors and their `width`; for a
   *   softmax head, `edges` is 0 and `none` points to the vector of "none".
   * @param {object} rules Arrays of floats `cuts`, `shifts` and `thresholds`; the `bias` for start,
   *   end and inside; `kinds`, the numbers by which labels are compared in steps, or null; and
   *   whether the search `isFlat` and `isMulti`.
   */
  loadSearch({ inside, edges, none, width }, { cuts, shifts, thresholds, bias, kinds, isFlat, isMulti }) {
    const compared = (kinds ?? []).map(({ narrow, broad }) => [narrow, broad]);
    const [narrow, broad] = [0, 1].map((part) =>
      Int32Array.from(compared.flatMap((pair) => pair[part])),
    );
    const breadths = BigInt64Array.from((kinds ?? []).map(({ breadth }) => BigInt(breadth)));
    const stored = [cuts, shifts, thresholds, narrow, broad, breadths].map((a) => this.store(a));
    const kindsAt = kinds ? stored.slice(3) : [0, 0, 0];
    const pointers = [inside, edges, none, ...stored.slice(0, 3), ...kindsAt, 0, 0, 0];
    const sizes = [thresholds.length, width, kinds ? kinds[0].narrow.length : 0, 0];
    const fields = [...pointers, 0, 0, 0, PATH, ...sizes, Number(isFlat), Number(isMulti)];
    const structure = this.#structure(fields, SEARCH_BYTES);
    this.view(Float32Array, structure + 4 * pointers.length, 3).set(bias);
    return { structure, stored };
  }

  /** Give the memory of a search back. */
  freeSearch({ structure, stored }) {
    this.free(structure, ...stored);
  }

  /**
   * Return the spans of windows that are whole passages, as [window, start, end, label, score];
   * null where a window has more candidates than the search compares.
   */
  find(search, vectors, lengths) {
    const nPlaces = lengths.reduce((sum, length) => sum + length, 0) + MOST_SPANS;
    const [lengthsAt, out] = [this.store(lengths), this.allocate(SPAN_BYTES * nPlaces)];
    const { structure } = search;
    const { gd_find: find } = this.#exports;
    const sizes = [lengthsAt, lengths.length, 0, 0]; // each window is asked all labels
    const n = Number(find(structure, vectors, ...sizes, out, BigInt(nPlaces)));
    this.#check(n === -2);
    const spans = [];
    for (let i = 0; i < n; i++) {
      const [window, start, end, label] = this.view(Int32Array, out + i * SPAN_BYTES, 4);
      const [score] = this.view(Float32Array, out + i * SPAN_BYTES + 16, 1);
      spans.push([window, start, end, label, score]);
    }
    this.free(lengthsAt, out);
    return n < 0 ? null : spans;
  }

  #structure(fields, nBytes = 4 * fields.length) {
    const pointer = this.allocate(nBytes);
    this.view(Int32Array, pointer, fields.length).set(fields);
    return pointer;
  }

  #check(failed) {
    if (failed) throw new RangeError("the kernel has no memory left; ask for less text at once");
  }
}
