// Find the structured types among the labels of a call, and merge them with a model's entities.

import { byCleanLabel, cleanLabel } from "../labels.js";
import { clash } from "../decoding.js";
import { findEmails, findUrls } from "./internet.js";
import { findIpAddresses, findIpv4Addresses, findIpv6Addresses, findMacAddresses } from "./hosts.js";
import { structuredLabels } from "./labels.js";
import { findCardNumbers, findIbans } from "./payment.js";
import { SpanSet } from "./spans.js";

const PATTERN_SCORE = 1;

const FINDERS = {
  email: findEmails,
  url: findUrls,
  ip: findIpAddresses,
  ipv4: findIpv4Addresses,
  ipv6: findIpv6Addresses,
  mac: findMacAddresses,
  iban: findIbans,
  card: findCardNumbers,
};

/** Return the entities of a text together with those that patterns find. */
export function addMatches(text, entities, prompts, options) {
  if (!options.patterns) return entities;
  const own = byCleanLabel(options.thresholds);
  const kinds = structuredLabels(prompts).filter(
    ([label]) => Math.fround(own.get(cleanLabel(label)) ?? options.threshold) < PATTERN_SCORE,
  );
  if (!kinds.length) return entities;
  const rules = { isFlat: options.flatNer, isMulti: options.multiLabel };
  const matches = findMatches(text, kinds, rules);
  if (!matches.length) return entities;
  // A match takes the place of each entity that overlaps it and has its label or clashes with it.
  const taken = new SpanSet(matches);
  const yields = (entity) => (match) =>
    match.label === entity.label || clash(entity, match, rules);
  const free = entities.filter((entity) => !taken.hasOverlapping(entity, yields(entity)));
  const described = matches.map(({ start, end, label }) => ({
    start,
    end,
    text: text.slice(start, end),
    label,
    score: PATTERN_SCORE,
    source: "pattern",
  }));
  return [...described, ...free].sort((a, b) => a.start - b.start);
}

/** Return the matches of a text, in order of position; of two that clash, the longer one. */
function findMatches(text, kinds, rules) {
  const found = kinds.flatMap(([label, kind]) =>
    [...FINDERS[kind](text)].map(([start, end]) => ({ start, end, label })),
  );
  found.sort((a, b) => b.end - b.start - (a.end - a.start));
  const taken = new SpanSet();
  const kept = found.filter((match) => {
    const isFree = !taken.hasOverlapping(match, (other) => clash(match, other, rules));
    if (isFree) taken.add(match);
    return isFree;
  });
  return kept.sort(
    (a, b) => a.start - b.start || a.end - b.end || comparePoints(a.label, b.label),
  );
}

/** Compare texts by their characters, as Python does. */
function comparePoints(a, b) {
  const [left, right] = [Array.from(a), Array.from(b)];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = left[i].codePointAt(0) - right[i].codePointAt(0);
    if (difference) return difference;
  }
  return left.length - right.length;
}
