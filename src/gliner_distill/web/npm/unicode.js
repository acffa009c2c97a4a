// Properties of characters, from tables that are the same in every browser.

import {
  accentedPieceText as accentedTable,
  casedPieceText as casedTable,
  lowerCase as lowerCaseTable,
  markClasses as markClassTable,
  pieceText as pieceTextTable,
  properties as propertyTable,
  sigmaContexts as sigmaTable,
} from "./unicode_tables.js";

const N_CHARACTERS = 0x110000;
const DROPPED = 99;
const HANGUL_FIRST = 0xac00;
const HANGUL_LAST = 0xd7a3;

/** The bits of `propertiesOf`. */
export const LETTER_OR_DIGIT = 1;
export const SPACE = 2;
export const UPPER = 4;
export const LOWER = 8;
export const TITLE = 16;
export const DIGIT = 32;
export const MARK = 64;
export const SCRIPT_WITH_MARKS = 128;

const properties = spreadRuns(propertyTable);
const sigmaContexts = spreadRuns(sigmaTable);
const markClasses = spreadRuns(markClassTable);
const lowerCases = readMappings(lowerCaseTable);
// By the settings of a tokenizer: without accents in lower case, with accents, with upper case.
const pieceTexts = {
  plain: readMappings(pieceTextTable),
  accented: readMappings(accentedTable),
  cased: readMappings(casedTable),
};

/** Return the properties of a character, as bits. */
export function propertiesOf(code) {
  return properties[code];
}

/** Return a text in lower case, as Python's `str.lower`. */
export function lowerCase(text) {
  let result = "";
  for (let place = 0; place < text.length; ) {
    const code = text.codePointAt(place);
    const character = String.fromCodePoint(code);
    const isSigma = code === 0x3a3;
    result += isSigma ? lowerSigma(text, place) : (textInPlace(lowerCases, code) ?? character);
    place += character.length;
  }
  return result;
}

/**
 * Return the words into which the tokenizer splits a text, with each mark of punctuation apart.
 *
 * @param {string} text
 * @param {"plain" | "accented" | "cased"} kind Whether accents are dropped and letters become lower
 *   case, only the latter, or neither.
 */
export function pieceWords(text, kind) {
  if (kind === "plain") return plainWords(text);
  let written = "";
  for (const character of text) {
    const code = character.codePointAt(0);
    const isHalf = code >= 0xd800 && code <= 0xdfff;
    written += isHalf ? " ? " : (textInPlace(pieceTexts[kind], code) ?? character);
  }
  return written.split(" ").filter((word) => word !== "");
}

/** Return the words of a text without accents; what is left of them is sorted as in NFD. */
function plainWords(text) {
  const characters = [];
  const classes = [];
  let first = 0; // marks are sorted behind this place
  for (let place = 0; place < text.length; ) {
    const code = text.codePointAt(place);
    place += code > 0xffff ? 2 : 1;
    // Half of a surrogate pair is read as a question mark.
    const written = code >= 0xd800 && code <= 0xdfff ? " ? " : pieceText(code);
    if (written === "" && markClasses[code] === 0) first = characters.length;
    for (const character of written) {
      const markClass = markClasses[character.codePointAt(0)];
      let end = characters.length;
      if (markClass === 0 || markClass === DROPPED) first = end;
      else while (end > first && classes[end - 1] > markClass) end--;
      characters.splice(end, 0, character);
      classes.splice(end, 0, markClass);
    }
  }
  return characters.join("").split(" ").filter((word) => word !== "");
}

function pieceText(code) {
  if (code >= HANGUL_FIRST && code <= HANGUL_LAST) {
    const place = code - HANGUL_FIRST;
    const last = place % 28;
    const letters = [0x1100 + Math.floor(place / 588), 0x1161 + Math.floor((place % 588) / 28)];
    return String.fromCharCode(...letters, ...(last ? [0x11a7 + last] : []));
  }
  return textInPlace(pieceTexts.plain, code) ?? String.fromCodePoint(code);
}

/** Return the lower case of a capital sigma, which differs at the end of a word. */
function lowerSigma(text, place) {
  const isLetterBefore = firstContext(Array.from(text.slice(0, place)).reverse()) === 1;
  const isLetterBehind = firstContext(text.slice(place + 1)) === 1;
  return isLetterBefore && !isLetterBehind ? "ς" : "σ";
}

function firstContext(characters) {
  for (const character of characters) {
    const context = sigmaContexts[character.codePointAt(0)];
    if (context !== 2) return context;
  }
  return 0;
}

function spreadRuns(table) {
  const values = new Uint8Array(N_CHARACTERS);
  const numbers = table.split(" ").map((number) => parseInt(number, 36));
  for (let i = 0, first = 0; i < numbers.length; i += 2) {
    values.fill(numbers[i + 1], first, first + numbers[i]);
    first += numbers[i];
  }
  return values;
}

/** Read the texts that take the place of characters; the format is that of `_mappings`. */
function readMappings(table) {
  const runs = [];
  let code = 0;
  for (const entry of table.split(" ")) {
    const [fields, times = "1"] = entry.split("*");
    const [step, ...parts] = fields.split(",");
    const [distance, n] = [parseInt(step, 36), parseInt(times, 36)];
    runs.push({ first: code + distance, last: code + distance * n, distance, parts });
    code += distance * n;
  }
  return runs;
}

/** Return the text in place of a character, or undefined if it stays. */
function textInPlace(runs, code) {
  let [low, high] = [0, runs.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (runs[middle].last < code) low = middle + 1;
    else high = middle;
  }
  const { first, last, distance, parts } = runs[low];
  if (code < first || code > last || (distance && (code - first) % distance)) return undefined;
  return parts.map((part) => writtenAs(part, code)).join("");
}

function writtenAs(part, code) {
  const own = part.startsWith("=") ? parseInt(part.slice(1), 36) : code + parseInt(part, 36);
  return String.fromCodePoint(own);
}
