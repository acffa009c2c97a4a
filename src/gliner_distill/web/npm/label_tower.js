// From labels to the vectors with which words are compared, and to the numbers by which one label
// is compared with another.

import { FLOAT } from "./kernel.js";
import { gelu } from "./numbers.js";
import { readNetwork, roundUp } from "./word_network.js";

const INPUT_STEP = 16;
const MOST_CACHED = 2_000;

/** The label side of a student; each label is computed once. */
export class LabelTower {
  #kernel;
  #vocabulary;
  #pieces;
  #sizes;
  #nVectors; // for start, end and inside; only one for a softmax head
  #width;
  #relationWidth;
  #lstms;
  #layers = [];
  #cache = new Map();

  constructor(kernel, vocabulary, pieces, tensors, { labels, architecture }) {
    this.#kernel = kernel;
    this.#vocabulary = vocabulary;
    this.#pieces = pieces;
    this.#sizes = labels;
    this.#width = architecture.hidden_width * (architecture.bidirectional ? 2 : 1);
    this.#nVectors = architecture.head === "boundary" ? 3 : 1;
    this.#relationWidth = architecture.relation_width;
    const load = (name) => {
      const packed = kernel.pack(FLOAT, tensors.get(`labels.${name}.weight`));
      return kernel.loadProduct(packed, tensors.get(`labels.${name}.bias`).values);
    };
    if (labels.n_states) {
      this.#lstms = {
        inputs: load("inputs"),
        network: readNetwork(kernel, tensors, "labels", labels),
      };
    }
    for (let number = 0; number < labels.n_layers_above; number++) {
      this.#layers.push(load(`layer${number}`));
    }
  }

  /**
   * Return the outputs of a label: its `vectors` for start, end and inside, or only one for a softmax
   * head; and `kind`, the numbers by which labels are compared, or null without them.
   */
  encode(label) {
    let outputs = this.#cache.get(label);
    if (outputs === undefined) {
      outputs = this.#outputs(this.#read(Int32Array.from(this.#vocabulary.labelPieces(label))));
      if (this.#cache.size >= MOST_CACHED) this.#cache.clear();
      this.#cache.set(label, outputs);
    }
    return outputs;
  }

  #outputs(row) {
    const vectors = Array.from({ length: this.#nVectors }, (_, number) =>
      this.#part(row, number * this.#width, this.#width),
    );
    const [first, width] = [this.#nVectors * this.#width, this.#relationWidth];
    const kind = width && {
      narrow: this.#part(row, first, width),
      broad: this.#part(row, first + width, width),
      breadth: row[first + 2 * width],
    };
    return { vectors, kind: kind || null };
  }

  #part(row, first, n) {
    return row.slice(first, first + n);
  }

  #read(pieces) {
    const mean = this.#kernel.meanPieces(this.#pieces, pieces, Int32Array.of(pieces.length));
    let states = this.#lstms ? [...mean, ...this.#lastStates(pieces)] : mean;
    this.#layers.forEach((layer, number) => {
      const inputs = new Float32Array(layer.nIn); // padded with zeros
      inputs.set(number ? states.map(gelu).subarray(0, layer.nIn) : states);
      const rows = this.#kernel.store(inputs);
      const out = this.#kernel.multiply(layer, rows, 1);
      states = this.#kernel.view(Float32Array, out, layer.nOut).slice();
      this.#kernel.free(rows, out);
    });
    return states;
  }

  /** Return the states of both LSTMs after they have read all pieces. */
  #lastStates(pieces) {
    const nColumns = roundUp(this.#pieces.width, INPUT_STEP);
    const { inputs, network } = this.#lstms;
    const vectors = this.#kernel.lookUpPieces(this.#pieces, pieces, nColumns);
    const table = this.#kernel.multiply(inputs, vectors, pieces.length);
    const rows = Int32Array.from(pieces, (_, place) => place);
    const out = this.#kernel.read(network, table, rows, Int32Array.of(pieces.length));
    const states = this.#kernel.view(Float32Array, out, pieces.length * network.nOut);
    const { n_states: nStates, n_units: nUnits } = this.#sizes;
    const last = (pieces.length - 1) * network.nOut;
    const read = [...states.subarray(last, last + nStates)];
    // The second LSTM reads the pieces from the last to the first.
    read.push(...states.subarray(nUnits, nUnits + nStates));
    this.#kernel.free(vectors, table, out);
    return read;
  }
}
