// The worker of `LocalEngine`: it loads one student and answers one text after the other.

import { StudentNER } from "./student.js";
import { splitWords } from "./words.js";

let student;

async function answer({ url, text, labels, options }) {
  if (url !== undefined) {
    student = await StudentNER.load(url);
    return { name: student.name, nParameters: student.nParameters };
  }
  const start = performance.now();
  const entities = student.predictEntities(text, labels, options);
  const milliseconds = performance.now() - start;
  return { entities, words: splitWords(text).words.length, milliseconds };
}

globalThis.onmessage = async ({ data: { id, ...question } }) => {
  try {
    globalThis.postMessage({ id, answer: await answer(question) });
  } catch ({ name, message }) {
    globalThis.postMessage({ id, error: { name, message } });
  }
};
