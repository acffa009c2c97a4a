// The subword pieces of words and labels, and the shapes of words.

import { cleanLabel } from "./labels.js";
import { DIGIT, LETTER_OR_DIGIT, LOWER, TITLE, UPPER, pieceWords, propertiesOf } from "./unicode.js";
import { splitWords } from "./words.js";

const MOST_CHARACTERS = 100;
const MOST_WORD_PIECES = 8;
const MOST_LABEL_PIECES = 32;
const MOST_CACHED_WORDS = 50_000;

/** The number of properties in `wordShape`. */
export const N_SHAPES = 8;

/** The vocabulary of a WordPiece tokenizer. */
export class Vocabulary {
  #ids;
  #unknown;
  #prefix;
  #kind;
  #mostCharacters;
  #cache = new Map();

  /**
   * @param {string[]} pieces The pieces in the order of their numbers.
   * @param {{unknown: string, prefix: string, mostCharacters: number, kind: string}} settings The
   *   piece of unknown words, the mark of pieces inside a word, the characters of a word that can be
   *   read, and the kind of `pieceWords`.
   */
  constructor(pieces, settings) {
    this.#ids = new Map(pieces.map((piece, number) => [piece, number]));
    this.#unknown = this.#ids.get(settings.unknown);
    this.#prefix = settings.prefix;
    this.#kind = settings.kind;
    this.#mostCharacters = settings.mostCharacters;
  }

  /** Return the pieces of a word, between 1 and 8. */
  wordPieces(word) {
    const read = firstCharacters(word, MOST_CHARACTERS);
    let pieces = this.#cache.get(read);
    if (pieces === undefined) {
      pieces = pieceWords(read, this.#kind).flatMap((part) => this.#split(part)).slice(0, MOST_WORD_PIECES);
      if (!pieces.length) pieces = [0];
      if (this.#cache.size >= MOST_CACHED_WORDS) this.#cache.clear();
      this.#cache.set(read, pieces);
    }
    return pieces;
  }

  /** Return the pieces of a label, between 1 and 32. */
  labelPieces(label) {
    const pieces = splitWords(cleanLabel(label)).words.flatMap((word) => this.wordPieces(word));
    return pieces.length ? pieces.slice(0, MOST_LABEL_PIECES) : [0];
  }

  /** Return the longest piece that a word begins with, then the longest of the rest, and so on. */
  #split(word) {
    if (countCharacters(word) > this.#mostCharacters) return [this.#unknown];
    const pieces = [];
    for (let start = 0; start < word.length; ) {
      let end = word.length;
      let piece;
      for (; end > start; end--) {
        const part = word.slice(start, end);
        piece = this.#ids.get(start ? this.#prefix + part : part);
        if (piece !== undefined) break;
      }
      if (piece === undefined) return [this.#unknown];
      pieces.push(piece);
      start = end;
    }
    return pieces;
  }
}

/** Return eight properties of a word's spelling, each 0 or 1, as `word_shape` of Python does. */
export function wordShape(word) {
  let all = 0xff;
  let any = 0;
  let n = 0;
  for (const character of word) {
    const properties = propertiesOf(character.codePointAt(0));
    all &= properties;
    any |= properties;
    n++;
  }
  const first = n ? propertiesOf(word.codePointAt(0)) : 0;
  const shape = [
    (first & UPPER) !== 0,
    n > 1 && (any & UPPER) !== 0 && (any & (LOWER | TITLE)) === 0,
    n > 0 && (all & DIGIT) !== 0,
    (any & DIGIT) !== 0,
    (first & LETTER_OR_DIGIT) === 0,
    (any & LOWER) !== 0 && (any & (UPPER | TITLE)) === 0,
    word.includes("-"),
    n === 1,
  ];
  return shape.map(Number);
}

function firstCharacters(text, n) {
  // A character takes one or two units of a string.
  if (text.length <= n) return text;
  return Array.from(text.slice(0, 2 * n)).slice(0, n).join("");
}

function countCharacters(text) {
  let n = 0;
  for (const _ of text) n++;
  return n;
}
