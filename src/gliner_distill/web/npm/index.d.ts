/** An entity of a text. */
export interface Entity {
  /** The first character, in the units of JavaScript's strings: `text.slice(start, end)`. */
  start: number;
  /** The character after the last one. */
  end: number;
  text: string;
  label: string;
  /** The probability, which exceeds the threshold; 1 for a pattern. */
  score: number;
  /** Present if a checked pattern has found the entity. */
  source?: "pattern";
}

/** Labels, or an object (or a `Map`) from each label to a description that is read in its place. */
export type LabelSet = string | readonly string[] | Record<string, string> | Map<string, string>;

export interface Options {
  /** The score that an entity must exceed; 0.5 by default. */
  threshold?: number;
  /** Other thresholds for some labels. */
  thresholds?: Record<string, number>;
  /** Whether entities may not overlap (the default); otherwise one may lie inside another. */
  flatNer?: boolean;
  /** Whether a span may have several labels; false by default. */
  multiLabel?: boolean;
  /** A text of more than 384 words is read in windows (the default), cut off, or refused. */
  onLong?: "window" | "truncate" | "error";
  /** Whether checked patterns find e-mail addresses, URLs, numbers of cards and the like, too. */
  patterns?: boolean;
}

/** A student with GLiNER's methods. Its methods compute at once, in the thread that calls them. */
export class StudentNER {
  readonly name: string;
  readonly nParameters: number;
  /**
   * Load a student from the folder that `gliner-distill export --format web` writes as `student`.
   * @param url A URL; in Node also the path of a folder.
   */
  static load(url: string | URL): Promise<StudentNER>;
  /** Make a student from the content of its files and of `kernel.wasm`. */
  static fromFiles(files: {
    settings: ArrayBuffer;
    vocabulary: ArrayBuffer;
    weights: ArrayBuffer;
    kernel: ArrayBuffer;
  }): Promise<StudentNER>;
  /** Return the entities of one text, in order of position. */
  predictEntities(text: string, labels: LabelSet, options?: Options): Entity[];
  /**
   * Return the entities of several texts; a text that is null has none.
   * @param labels The labels of all texts, or an array with the labels of each text.
   */
  inference(
    texts: string | readonly (string | null | undefined)[],
    labels: LabelSet | readonly (readonly string[] | Record<string, string>)[],
    options?: Options,
  ): Entity[][];
}

/** The answer of an engine. */
export interface Answer {
  entities: Entity[];
  /** The number of words that were read. */
  words: number;
  milliseconds: number;
}

/** A student in a Web Worker; only for browsers. */
export class LocalEngine {
  readonly name: string;
  readonly nParameters: number;
  static load(url: string | URL): Promise<LocalEngine>;
  find(text: string, labels: LabelSet, options?: Options): Promise<Answer>;
  close(): void;
}

/** An argument has a wrong type or value. */
export class InputError extends Error {}

/** A student's files are missing or broken. */
export class StudentError extends Error {}
