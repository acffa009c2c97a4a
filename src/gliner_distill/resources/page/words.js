// Words and offsets.

/** Return about the number of words that the model reads: runs of letters and digits, and signs. */
export function countWords(text) {
  let count = 0;
  for (const _ of text.matchAll(/[\p{L}\p{N}\p{M}_]+(?:[-_][\p{L}\p{N}\p{M}_]+)*|\S/gu)) count += 1;
  return count;
}

/**
 * Return entities with offsets in JavaScript's units of text.
 *
 * The server counts characters as Python does, and JavaScript counts an emoji as two.
 */
export function withLocalOffsets(text, entities) {
  if (!/[\u{10000}-\u{10FFFF}]/u.test(text)) return entities;
  const places = [0];
  for (const character of text) places.push(places.at(-1) + character.length);
  return entities.map((entity) => ({
    ...entity,
    start: places[entity.start],
    end: places[entity.end],
  }));
}
