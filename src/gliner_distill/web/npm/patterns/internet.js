// Find e-mail addresses and URLs in text.

import { LETTER_OR_DIGIT, LOWER, TITLE, UPPER, lowerCase, propertiesOf } from "../unicode.js";
import { AMBIGUOUS_DOMAINS, TOP_LEVEL_DOMAINS } from "./domains.js";

// Letters of names in addresses and hosts: Latin, Greek and Cyrillic.
const LETTERS = "A-Za-z\\u00c0-\\u00d6\\u00d8-\\u00f6\\u00f8-\\u024f\\u0370-\\u03ff\\u0400-\\u052f";
const NAME = `[${LETTERS}0-9]`;
const HOST_LABEL = `${NAME}(?:[${LETTERS}0-9_-]{0,61}${NAME})?`;
// The white space of Python, which is not quite that of JavaScript.
const SPACES =
  "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const URL_REST = `[^${SPACES}<>"“”«»\`{}|\\\\^]`;

// A lookahead and a reference to it match as much as possible and never less.
const EMAIL = new RegExp(
  `(?<!${NAME})(?:${NAME}|_)(?=((?:[${LETTERS}0-9_%+'-]|\\.(?!\\.)){0,63}))\\1@` +
    `(?:${HOST_LABEL}\\.){1,8}(?:xn--[A-Za-z0-9-]{2,59}|[${LETTERS}]{2,24})(?!${NAME})`,
  "g",
);
const WITH_SCHEME = new RegExp(
  `(?<![A-Za-z0-9+-])[A-Za-z](?=([A-Za-z0-9+-]{1,15}))\\1://(?<rest>${URL_REST}+)`,
  "g",
);
const WITHOUT_SCHEME = new RegExp(
  `(?<![${LETTERS}0-9_@.-])(?=(${NAME}[${LETTERS}0-9_-]*(?:\\.[${LETTERS}0-9_-]+)+))\\1` +
    `(?!@)(?::[0-9]{1,5}(?![0-9]))?(?<rest>[/?#]${URL_REST}*)?`,
  "g",
);
const WHOLE_LABEL = new RegExp(`^(?:${HOST_LABEL})$`);
const CLOSING = { ")": "(", "]": "[" };
const TRAILING = new Set("-.,;:!?'’‘*_~…、。，；：！？）】」』");

/** Yield the positions of the e-mail addresses in a text, in order. */
export function* findEmails(text) {
  if (!text.includes("@")) return;
  for (const match of text.matchAll(EMAIL)) {
    yield [match.index, match.index + withoutNextSentence(match[0]).length];
  }
}

/** Yield the positions of the URLs in a text, in order. */
export function* findUrls(text) {
  let takenUntil = 0;
  const found = [...findWithScheme(text), ...findWithoutScheme(text)];
  for (const [start, end] of found.sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
    const trimmed = trimUrl(text, start, end);
    if (start >= takenUntil && trimmed > start) {
      yield [start, trimmed];
      takenUntil = end;
    }
  }
}

function* findWithScheme(text) {
  if (!text.includes("://")) return;
  WITH_SCHEME.lastIndex = 0;
  for (let match = WITH_SCHEME.exec(text); match; match = WITH_SCHEME.exec(text)) {
    const { rest } = match.groups;
    if (rest[0] === "[" || propertiesOf(rest.codePointAt(0)) & LETTER_OR_DIGIT) {
      yield [match.index, WITH_SCHEME.lastIndex];
    } else WITH_SCHEME.lastIndex = match.index + 1;
  }
}

function* findWithoutScheme(text) {
  for (const match of text.matchAll(WITHOUT_SCHEME)) {
    if (isUrl(match[1], match.groups.rest)) yield [match.index, match.index + match[0].length];
  }
}

/** Return an e-mail address without a word behind a full stop, as in `.Please`. */
function withoutNextSentence(address) {
  const place = address.lastIndexOf(".");
  const [rest, last] = [address.slice(0, place), address.slice(place + 1)];
  const domain = rest.slice(rest.lastIndexOf("@") + 1);
  return isTitle(last) && isLower(domain) && domain.includes(".") ? rest : address;
}

/** Return whether a host without a scheme is one, and not a file or two sentences. */
function isUrl(written, rest) {
  const host = written.replace(/[_-]+$/, "");
  const labels = host.split(".");
  const domain = labels.pop();
  if (!labels.length || !isAlphabetic(domain)) return false;
  if (!labels.every((label) => WHOLE_LABEL.test(label))) return false;
  // "Home.It" is the end of a sentence and the start of the next one.
  if (!isLower(domain) && !isUpper(host)) return false;
  const own = lowerCase(domain);
  if (lowerCase(labels[0]) === "www") return labels.length > 1 && own.length > 1;
  if (AMBIGUOUS_DOMAINS.has(own)) return rest?.startsWith("/") ?? false;
  return TOP_LEVEL_DOMAINS.has(own);
}

/** Return where a URL ends without the punctuation of the sentence around it. */
function trimUrl(text, start, end) {
  const counts = new Map();
  for (const character of text.slice(start, end)) {
    counts.set(character, (counts.get(character) ?? 0) + 1);
  }
  const count = (character) => counts.get(character) ?? 0;
  while (end > start) {
    const last = text[end - 1];
    const isUnopened = last in CLOSING && count(last) > count(CLOSING[last]);
    if (!TRAILING.has(last) && !isUnopened) break;
    if (isUnopened) counts.set(last, count(last) - 1);
    end--;
  }
  return end;
}

function bitsOf(text) {
  return Array.from(text, (character) => propertiesOf(character.codePointAt(0)));
}

function isLower(text) {
  const bits = bitsOf(text);
  return bits.some((b) => b & LOWER) && !bits.some((b) => b & (UPPER | TITLE));
}

function isUpper(text) {
  const bits = bitsOf(text);
  return bits.some((b) => b & UPPER) && !bits.some((b) => b & (LOWER | TITLE));
}

function isTitle(text) {
  let [isCased, wasCased] = [false, false];
  for (const bits of bitsOf(text)) {
    if (bits & (UPPER | TITLE) && wasCased) return false;
    if (bits & LOWER && !wasCased) return false;
    wasCased = (bits & (UPPER | TITLE | LOWER)) !== 0;
    isCased ||= wasCased;
  }
  return isCased;
}

/** Return whether a text of the letters above consists of letters alone. */
function isAlphabetic(text) {
  return text !== "" && !/[0-9]/.test(text) && bitsOf(text).every((b) => b & LETTER_OR_DIGIT);
}
