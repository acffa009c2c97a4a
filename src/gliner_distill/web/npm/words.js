// Words of texts, by the rule of `split_words` in Python: letters, digits and underscores, with the
// marks that belong to letters, joined by hyphens; any other character is a word of its own.

import { LETTER_OR_DIGIT, MARK, SCRIPT_WITH_MARKS, SPACE, propertiesOf } from "./unicode.js";

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
  const inside = LETTER_OR_DIGIT | (hasMarks(text) ? MARK : 0);
  for (let place = 0; place < text.length; ) {
    const code = text.codePointAt(place);
    let end = place + sizeOf(code);
    if (startsWord(code)) end = endOfWord(text, end, inside);
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

function endOfWord(text, end, inside) {
  while (end < text.length) {
    const code = text.codePointAt(end);
    if (isInWord(code, inside)) end += sizeOf(code);
    // A hyphen joins two parts of a word.
    else if (code !== HYPHEN || end + 1 === text.length) break;
    else if (isInWord(text.codePointAt(end + 1), inside)) end++;
    else break;
  }
  return end;
}

function startsWord(code) {
  return code === UNDERSCORE || (propertiesOf(code) & LETTER_OR_DIGIT) !== 0;
}

function isInWord(code, inside) {
  return code === UNDERSCORE || (propertiesOf(code) & inside) !== 0;
}

/** Return whether a text has a character of those scripts whose marks stay in their words. */
function hasMarks(text) {
  if (!/[^\x00-\x7f]/.test(text)) return false;
  for (const character of text) {
    if (propertiesOf(character.codePointAt(0)) & SCRIPT_WITH_MARKS) return true;
  }
  return false;
}

function sizeOf(code) {
  return code > 0xffff ? 2 : 1;
}
