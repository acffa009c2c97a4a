// `StudentNER`: a student with GLiNER's methods, in browsers and in Node.

import { InputError, StudentError, shorten } from "./errors.js";
import { EntityFinder } from "./finder.js";
import { Kernel } from "./kernel.js";
import { cleanLabel, readLabels } from "./labels.js";
import { LabelTower } from "./label_tower.js";
import { addMatches } from "./patterns/matching.js";
import { readSafetensors } from "./safetensors.js";
import { Vocabulary } from "./vocabulary.js";
import { WINDOW_WORDS } from "./windows.js";
import { WordNetwork } from "./word_network.js";
import { splitWords } from "./words.js";

const FORMAT_VERSION = 1;
const CHUNK_WORDS = 100_000;

const DEFAULTS = {
  threshold: 0.5,
  thresholds: {},
  flatNer: true,
  multiLabel: false,
  onLong: "window",
  patterns: true,
};

/** A student that finds entities of any label. See `index.d.ts` for what its methods take. */
export class StudentNER {
  #finder;

  constructor(finder, settings) {
    this.#finder = finder;
    this.name = settings.name;
    this.nParameters = settings.n_parameters;
  }

  /**
   * Load a student.
   *
   * @param {string | URL} url The folder of a student, as `export --format web` writes it: a URL, or
   *   in Node also the path of a folder.
   */
  static async load(url) {
    const names = ["student.json", "vocabulary.txt", "weights.safetensors"];
    const files = [
      ...names.map((name) => readFile(url, name)),
      readFile(new URL("./", import.meta.url), "kernel.wasm"),
    ];
    const contents = [];
    for (const file of files) file.catch(() => {}); // each is awaited below
    // Of several files that cannot be read, the error names the first in this order.
    for (const file of files) contents.push(await file);
    const [settings, vocabulary, weights, kernel] = contents;
    return StudentNER.fromFiles({ settings, vocabulary, weights, kernel });
  }

  /** Make a student from the content of its files and of `kernel.wasm`. */
  static async fromFiles({ settings: json, vocabulary: pieces, weights, kernel: wasm }) {
    const settings = readSettings(json);
    // Another thread computes the digests meanwhile.
    const checked = checkContents(settings, {
      "vocabulary.txt": pieces,
      "weights.safetensors": weights,
    });
    checked.catch(() => {}); // it is awaited below
    const list = new TextDecoder("utf-8", { ignoreBOM: true }).decode(pieces).split("\n");
    const [tensors, kernel] = [readSafetensors(weights), await Kernel.load(wasm)];
    const vocabulary = new Vocabulary(list, settings.vocabulary);
    const network = new WordNetwork(kernel, vocabulary, tensors, settings);
    await checked;
    const tower = new LabelTower(kernel, vocabulary, network.pieces, tensors, settings);
    return new StudentNER(new EntityFinder(kernel, network, tower, tensors, settings), settings);
  }

  /** Return the entities of one text, in order of position. */
  predictEntities(text, labels, options = {}) {
    return this.inference([text], labels, options)[0];
  }

  /** Return the entities of several texts. */
  inference(texts, labels, options = {}) {
    const settings = checkOptions(options);
    if (typeof texts === "string") texts = [texts];
    if (!Array.isArray(texts)) {
      throw new InputError(`texts is ${shorten(texts)}; expected an array of strings`);
    }
    if (isPerText(labels)) {
      if (labels.length !== texts.length) {
        throw new InputError(`labels holds ${labels.length} lists for ${texts.length} texts`);
      }
      return texts.map((text, place) => this.inference([text], labels[place], options)[0]);
    }
    const prompts = readLabels(labels);
    const answers = [];
    let [chunk, nWords] = [[], 0];
    texts.forEach((text, number) => {
      chunk.push({ text: text ?? "", ...readWords(text, number, settings.onLong) });
      nWords += chunk.at(-1).words.length;
      if (nWords >= CHUNK_WORDS || number === texts.length - 1) {
        for (const found of this.#answer(chunk, prompts, settings)) answers.push(found);
        [chunk, nWords] = [[], 0];
      }
    });
    return answers;
  }

  #answer(chunk, prompts, settings) {
    const passages = chunk.map(({ words }) => words);
    const found = this.#finder.find(passages, prompts, settings);
    return chunk.map(({ text, starts, ends }, number) => {
      const entities = found[number].map(({ start, end, label, score }) => {
        const [from, to] = [starts[start], ends[end - 1]];
        return { start: from, end: to, text: text.slice(from, to), label, score };
      });
      const read = settings.onLong === "truncate" ? text.slice(0, ends.at(-1) ?? 0) : text;
      return addMatches(read, entities, prompts, settings);
    });
  }
}

async function readFile(folder, name) {
  const isAddress = folder instanceof URL || /^[a-z][a-z0-9+.-]+:/i.test(folder);
  const place = String(folder).replace(/\/?$/, "/") + name;
  const isFile = !isAddress || place.startsWith("file:");
  if (isFile && globalThis.process?.versions?.node) {
    const { readFile: read } = await import("node:fs/promises");
    try {
      const content = await read(isAddress ? new URL(place) : place);
      return content.buffer.slice(content.byteOffset, content.byteOffset + content.byteLength);
    } catch (error) {
      throw new StudentError(`${place} cannot be read: ${error.message}`);
    }
  }
  const response = await fetch(place);
  if (!response.ok) throw new StudentError(`${place} cannot be loaded: ${response.status}`);
  return response.arrayBuffer();
}

function readSettings(json) {
  let settings;
  try {
    settings = JSON.parse(new TextDecoder().decode(json));
  } catch {
    throw new StudentError("student.json is not JSON; export the student again");
  }
  if (settings?.format_version !== FORMAT_VERSION) {
    throw new StudentError(
      `student.json has the format version ${shorten(settings?.format_version)}; expected ` +
        `${FORMAT_VERSION}; write it with \`gliner-distill export STUDENT --format web\``,
    );
  }
  return settings;
}

/** Compare files with their SHA-256, where the page may compute it: over HTTPS and on localhost. */
async function checkContents({ sha256 }, files) {
  const { subtle } = globalThis.crypto ?? {};
  if (subtle === undefined) return;
  const digests = Object.values(files).map((content) => subtle.digest("SHA-256", content));
  for (const [place, name] of Object.keys(files).entries()) {
    const digest = new Uint8Array(await digests[place]);
    const shown = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (shown !== sha256?.[name]) {
      throw new StudentError(
        `${name} is not the file that the student was written with (its SHA-256 is not the one in ` +
          "student.json); copy or export the student again",
      );
    }
  }
}

function readWords(text, number, onLong) {
  if (text === null || text === undefined) return { words: [], starts: [], ends: [] };
  if (typeof text !== "string") {
    throw new InputError(`texts[${number}] is ${shorten(text)}; expected a string`);
  }
  const { words, starts, ends } = splitWords(text);
  if (words.length <= WINDOW_WORDS || onLong === "window") return { words, starts, ends };
  if (onLong === "error") {
    throw new InputError(
      `texts[${number}] has ${words.length} words, more than ${WINDOW_WORDS}; shorten it, or use ` +
        'onLong: "window"',
    );
  }
  return {
    words: words.slice(0, WINDOW_WORDS),
    starts: starts.slice(0, WINDOW_WORDS),
    ends: ends.slice(0, WINDOW_WORDS),
  };
}

function isPerText(labels) {
  return Array.isArray(labels) && labels.some((item) => typeof item === "object" && item !== null);
}

function checkOptions(options) {
  for (const name of Object.keys(options)) {
    if (!(name in DEFAULTS)) {
      const known = Object.keys(DEFAULTS).join(", ");
      throw new InputError(`there is no option ${shorten(name)}; expected only ${known}`);
    }
  }
  const settings = { ...DEFAULTS };
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) settings[name] = value;
  }
  for (const name of ["flatNer", "multiLabel", "patterns"]) {
    if (typeof settings[name] !== "boolean") {
      throw new InputError(`${name} is ${shorten(settings[name])}; expected true or false`);
    }
  }
  checkProbability("threshold", settings.threshold);
  checkThresholds(settings.thresholds);
  if (!["window", "truncate", "error"].includes(settings.onLong)) {
    const shown = shorten(settings.onLong);
    throw new InputError(`onLong is ${shown}; expected "window", "truncate" or "error"`);
  }
  return settings;
}

function checkThresholds(thresholds) {
  if (typeof thresholds !== "object" || thresholds === null || Array.isArray(thresholds)) {
    throw new InputError(`thresholds is ${shorten(thresholds)}; expected {label: probability}`);
  }
  const spellings = new Map();
  for (const [label, value] of Object.entries(thresholds)) {
    checkProbability(`thresholds[${shorten(label)}]`, value);
    const clean = cleanLabel(label);
    if (spellings.has(clean)) {
      throw new InputError(
        `thresholds: ${shorten(spellings.get(clean))} and ${shorten(label)} are the same label; ` +
          "leave one of them out",
      );
    }
    spellings.set(clean, label);
  }
}

function checkProbability(name, value) {
  if (typeof value !== "number" || !(value >= 0 && value <= 1)) {
    throw new InputError(`${name} is ${shorten(value)}; expected a number from 0 to 1`);
  }
}
