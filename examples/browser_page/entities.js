// Entities of a text in your own page, found by a student in the browser.
//
// Put this folder's files into the folder of a site that `gliner-distill export --format web`
// wrote: they load `gliner-distill/` and `student/` from there.

import { LocalEngine } from "./gliner-distill/index.js";

const PAUSE_MS = 200; // the text is read when the user stops typing
const MOST_LABELS = 50;

/** Return the labels of a line such as "person, city", each of them once. */
export function readLabels(line) {
  const labels = line.split(",").map((label) => label.trim()).filter(Boolean);
  return [...new Set(labels)].slice(0, MOST_LABELS);
}

/** Return nodes for a text: strings, and a <mark> for each entity. Nothing is read as HTML. */
export function markEntities(text, entities) {
  const nodes = [];
  let end = 0;
  for (const entity of entities) {
    nodes.push(text.slice(end, entity.start));
    const mark = document.createElement("mark");
    mark.textContent = text.slice(entity.start, entity.end);
    mark.title = `${entity.label}, score ${entity.score.toFixed(2)}`;
    nodes.push(mark, ` (${entity.label})`);
    end = entity.end;
  }
  return [...nodes, text.slice(end)];
}

/** Show the entities of a text now and after each change; the four are elements of the page. */
export function connect(engine, { text, labels, answer, state }, pauseMs = PAUSE_MS) {
  let timer;
  let nAsked = 0;

  async function show() {
    const number = ++nAsked;
    const asked = text.value;
    try {
      const names = readLabels(labels.value);
      const found = names.length ? await engine.find(asked, names) : { entities: [], words: 0 };
      if (number !== nAsked) return; // the text has changed meanwhile
      answer.replaceChildren(...markEntities(asked, found.entities));
      state.textContent = `${found.entities.length} entities`;
    } catch (error) {
      if (number === nAsked) state.textContent = `Not found: ${error.message}`;
    }
  }

  function showSoon() {
    clearTimeout(timer);
    timer = setTimeout(show, pauseMs);
  }

  text.addEventListener("input", showSoon);
  labels.addEventListener("input", showSoon);
  return show();
}

if (globalThis.document) {
  const parts = ["text", "labels", "answer", "state"];
  const elements = Object.fromEntries(parts.map((id) => [id, document.getElementById(id)]));
  try {
    await connect(await LocalEngine.load("./student"), elements);
  } catch (error) {
    elements.state.textContent = `The student does not load: ${error.message}`;
  }
}
