// The answers of one model to one question at all thresholds of the slider.

export const STEPS = Array.from({ length: 19 }, (_, place) => (place + 1) / 20);

// A longer text is asked again when the slider rests, instead of at every step in advance.
const ADVANCE_CHARACTERS = 20_000;

/**
 * The slider must answer at once, but a lower threshold may find other entities, not only more of
 * them: a more specific label then takes the place of another one. So all steps of a short text are
 * asked in advance. Until the answer for a step is there, the next lower one is filtered.
 */
export class Answers {
  #find;
  #found = new Map();

  /** @param {(threshold: number) => Promise<object>} find */
  constructor(find, { isTeacher, nCharacters }) {
    this.#find = find;
    this.isTeacher = isTeacher;
    this.isShort = nCharacters <= ADVANCE_CHARACTERS;
  }

  /** Ask for a threshold; return the words and milliseconds of the answer. */
  async ask(threshold) {
    // GLiNER has no rule for specific labels, so one answer serves all thresholds of a teacher.
    const asked = this.isTeacher ? STEPS[0] : threshold;
    if (!this.#found.has(asked)) this.#found.set(asked, await this.#find(asked));
    return this.#found.get(asked);
  }

  /** Ask for all steps, the nearest ones to a threshold first. */
  async askAll(threshold) {
    if (this.isTeacher || !this.isShort) return;
    const distance = (step) => Math.abs(step - threshold);
    for (const step of [...STEPS].sort((a, b) => distance(a) - distance(b))) await this.ask(step);
  }

  /** Whether the answer for a threshold is exact. */
  isExact(threshold) {
    return this.isTeacher || this.#found.has(threshold);
  }

  /** Return the entities above a threshold, as far as they are known. */
  at(threshold) {
    const lower = [...this.#found.keys()].filter((asked) => asked <= threshold);
    const nearest = lower.length ? Math.max(...lower) : Math.min(...this.#found.keys());
    const { entities } = this.#found.get(nearest) ?? { entities: [] };
    return nearest === threshold ? entities : entities.filter(({ score }) => score > threshold);
  }
}

/** Return the entities of two models, each with a `note` where the other one differs. */
export function noteDifferences(ours, theirs, otherName) {
  const key = ({ start, end, label }) => `${start} ${end} ${label}`;
  const other = new Set(theirs.map(key));
  return ours.map((entity) =>
    other.has(key(entity)) ? entity : { ...entity, note: `not found by ${otherName}` },
  );
}
