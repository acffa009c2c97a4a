// The labels of a call and their spelling: upper case, underscores and white space do not matter.

import { InputError, shorten } from "./errors.js";
import { SPACE, lowerCase, propertiesOf } from "./unicode.js";

const MOST_LABELS = 10_000;

/** Return the form that all spellings of a label share, as `clean_label` of Python does. */
export function cleanLabel(label) {
  return splitAtSpaces(lowerCase(stripLabel(label).replaceAll("_", " "))).join(" ");
}

/**
 * Return the labels of a call, each once, as pairs of a label and the text that is read for it.
 *
 * @param {string | string[] | Record<string, string>} labels
 * @returns {[string, string][]}
 */
export function readLabels(labels) {
  if (typeof labels === "string") labels = [labels];
  if (labels === null || typeof labels !== "object") {
    throw new InputError(`labels is ${shorten(labels)}; expected an array of strings`);
  }
  const isList = typeof labels[Symbol.iterator] === "function";
  const isMap = labels instanceof Map;
  const pairs = isMap ? [...labels] : isList ? [...labels].map((l) => [l, l]) : Object.entries(labels);
  const prompts = new Map();
  const spellings = new Map();
  for (const [name, prompt] of pairs) {
    checkLabel(name);
    checkLabel(prompt);
    if (!prompts.has(name)) prompts.set(name, prompt);
    const clean = cleanLabel(name);
    if (!spellings.has(clean)) spellings.set(clean, name);
    else if (spellings.get(clean) !== name) {
      throw new InputError(
        `labels: ${shorten(spellings.get(clean))} and ${shorten(name)} are the same label, because ` +
          "upper case, underscores and white space make no difference; leave one of them out",
      );
    }
    if (prompts.size > MOST_LABELS) {
      throw new InputError(`labels holds more than ${MOST_LABELS} labels; ask for fewer at once`);
    }
  }
  return [...prompts];
}

/** Return values that are given by label by the clean form of each label. */
export function byCleanLabel(values) {
  const pairs = values instanceof Map ? [...values] : Object.entries(values ?? {});
  return new Map(pairs.map(([label, value]) => [cleanLabel(label), value]));
}

/** Return a text without the white space around it, as Python's `str.strip`. */
export function strip(text) {
  let start = 0;
  let end = text.length;
  // All white space lies in the first plane, where a character is one unit.
  while (start < end && isSpace(text, start)) start++;
  while (end > start && isSpace(text, end - 1)) end--;
  return text.slice(start, end);
}

/** Return the parts of a text between white space, as Python's `str.split`. */
export function splitAtSpaces(text) {
  const parts = [];
  let part = "";
  for (const character of text) {
    if (!(propertiesOf(character.codePointAt(0)) & SPACE)) part += character;
    else if (part) {
      parts.push(part);
      part = "";
    }
  }
  return part ? [...parts, part] : parts;
}

function stripLabel(raw) {
  let label = strip(raw.replaceAll('\\"', '"'));
  while (label.length > 1 && label.startsWith('"') && label.endsWith('"')) {
    label = strip(label.slice(1, -1));
  }
  return label;
}

function isSpace(text, place) {
  return (propertiesOf(text.charCodeAt(place)) & SPACE) !== 0;
}

function checkLabel(label) {
  if (typeof label !== "string") {
    throw new InputError(`labels holds ${shorten(label)}; expected only strings`);
  }
  if (!cleanLabel(label)) {
    throw new InputError("labels holds a blank label; a label must name what to find");
  }
}
