// Words of texts: the regular expression `\w+(?:[-_]\w+)*|\S` of Python, by characters.

import { LETTER_OR_DIGIT, SPACE, propertiesOf } from "./unicode.js";

const HYPHEN = 0x2d;
const UNDERSCORE = 0x5f;

/**
 * Return the words of a text and their positions, which count the units of JavaScript's strings:
 * `text.slice(starts[i], ends[i])` is word `i`.
 */
export function splitWords(text) {
  const starts = [];
  const ends = [];
  const words = [];
  for (let place = 0; place < text.length; ) {
    const code = text.codePointAt(place);
    let end = place + sizeOf(code);
    if (isInWord(code)) end = endOfWord(text, end);
    else if (propertiesOf(code) & SPACE) {
      place = end;
      continue;
    }
    starts.push(place);
    ends.push(end);
    words.push(text.slice(place, end));
    place = end;
  }
  return { words, starts, ends };
}

function endOfWord(text, end) {
  while (end < text.length) {
    const code = text.codePointAt(end);
    if (isInWord(code)) end += sizeOf(code);
    // A hyphen joins two parts of a word.
    else if (code === HYPHEN && end + 1 < text.length && isInWord(text.codePointAt(end + 1))) end++;
    else break;
  }
  return end;
}

function isInWord(code) {
  return code === UNDERSCORE || (propertiesOf(code) & LETTER_OR_DIGIT) !== 0;
}

function sizeOf(code) {
  return code > 0xffff ? 2 : 1;
}
