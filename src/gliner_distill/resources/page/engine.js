// The models of the server: what the page knows about them, and the way to ask them.
//
// `export --format web` writes another file of this name, whose student runs in the browser. It has
// `connect` and `find` alone.

import { countWords, withLocalOffsets } from "./words.js";

/** An error whose message can be shown; `needsKey` says that the server asks for a key. */
export class EngineError extends Error {
  constructor(message, needsKey = false) {
    super(message);
    this.needsKey = needsKey;
  }
}

let key = "";

/**
 * Return what there is to ask: `models`, each with its `name` and whether it `isTeacher`, whether
 * the page `hasReview` of a distillation, and perhaps a `note` to show.
 *
 * @param {string} given The API key for this and all later requests; empty for none.
 */
export async function connect(given) {
  key = given;
  const { models, review } = await request("v1/models");
  return {
    models: models.map(({ name, kind }) => ({ name, isTeacher: kind === "teacher" })),
    hasReview: Boolean(review),
  };
}

/** Whether requests send a key, which links cannot do. */
export function hasKey() {
  return key !== "";
}

/**
 * Find entities.
 *
 * @param {string} text
 * @param {{label: string, description: string}[]} labels The descriptions may be empty.
 * @param {{model: string, threshold: number, nested: boolean, several: boolean}} options
 * @param {AbortSignal} [signal]
 * @returns {Promise<{entities: object[], words: number, milliseconds: number}>} The entities have
 *   `start`, `end`, `text`, `label` and `score`.
 */
export async function find(text, labels, options, signal) {
  const began = performance.now();
  const asked = Object.fromEntries(
    labels.map(({ label, description }) => [label, description || label]),
  );
  const body = { text, labels: asked, model: options.model, threshold: options.threshold };
  body.nested = options.nested;
  body.multi_label = options.several;
  const { entities, tookMs } = await request("v1/entities", body, signal);
  const milliseconds = tookMs ?? performance.now() - began;
  return { entities: withLocalOffsets(text, entities), words: countWords(text), milliseconds };
}

/** Return the next passage to judge, or null, and how many are left. */
export async function nextReview() {
  const next = await request("v1/review");
  const { passage } = next;
  if (passage) passage.entities = withLocalOffsets(passage.text, passage.entities);
  return next;
}

/** Keep the judgments of a passage as gold: for each entity, whether it is right. */
export async function sendReview(id, verdicts) {
  return request("v1/review", { id, verdicts });
}

async function request(path, body, signal) {
  let answer;
  try {
    answer = await fetch(path, {
      method: body ? "POST" : "GET",
      headers: {
        ...(body && { "Content-Type": "application/json" }),
        ...(key && { Authorization: `Bearer ${key}` }),
      },
      body: body && JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new EngineError("The server does not answer. Is it still running?");
  }
  if (answer.status === 401) throw new EngineError("The server needs an API key.", true);
  let content;
  try {
    content = await answer.json();
  } catch {
    throw new EngineError(`The server's answer cannot be read (status ${answer.status}).`);
  }
  if (!answer.ok) throw new EngineError(describe(content, answer.status));
  return { ...content, tookMs: serverTime(answer) };
}

/** Return the milliseconds that the server says it took, without those of the network. */
function serverTime(answer) {
  const found = /dur=([\d.]+)/.exec(answer.headers.get("Server-Timing") ?? "");
  return found ? Number(found[1]) : undefined;
}

function describe(problem, status) {
  const what = problem.detail || problem.title || `status ${status}`;
  return `The server refuses this: ${what}`;
}
