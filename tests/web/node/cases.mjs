// The answers of the JavaScript modules to cases that the tests in Python compare with Python's.

/** Return the answers to `splits` (texts), `labels` and `calls` (texts, labels, options). */
export async function answerAll(modules, student, { splits = [], labels = [], calls = [] }) {
  const load = (name) => import(new URL(name, modules).href);
  const { StudentNER } = await load("student.js");
  const { splitWords } = await load("words.js");
  const { Vocabulary, wordShape } = await load("vocabulary.js");
  const { cleanLabel } = await load("labels.js");
  const vocabulary = await readVocabulary(student, Vocabulary);
  const loaded = calls.length ? await StudentNER.load(student) : null;
  return {
    splits: splits.map((text) => {
      const { words, starts, ends } = splitWords(text);
      const pieces = words.map((word) => vocabulary.wordPieces(word));
      const shapes = words.map((word) => wordShape(word).join(""));
      return { starts, ends, pieces, shapes };
    }),
    labels: labels.map((label) => [cleanLabel(label), vocabulary.labelPieces(label)]),
    calls: calls.map(({ texts, labels: asked, options }) => attempt(loaded, texts, asked, options)),
  };
}

function attempt(student, texts, labels, options) {
  try {
    return student.inference(texts, labels, options);
  } catch (error) {
    return { error: error.name };
  }
}

async function readVocabulary(student, Vocabulary) {
  const [settings, pieces] = await Promise.all(
    ["student.json", "vocabulary.txt"].map((name) => readText(student, name)),
  );
  return new Vocabulary(pieces.split("\n"), JSON.parse(settings).vocabulary);
}

async function readText(folder, name) {
  if (globalThis.process === undefined) return (await fetch(`${folder}/${name}`)).text();
  const { readFile } = await import("node:fs/promises");
  return readFile(`${folder}/${name}`, "utf8");
}
