// A small page around `LocalEngine`.

import { LocalEngine } from "./gliner-distill/index.js";

const field = (id) => document.getElementById(id);
const inputs = ["labels", "threshold", "text"].map(field);

let engine;
let nAsked = 0;

async function show() {
  const number = ++nAsked;
  field("shown").value = field("threshold").value;
  const text = field("text").value;
  const labels = field("labels").value.split(",").map((label) => label.trim()).filter(Boolean);
  const options = { threshold: Number(field("threshold").value) };
  try {
    const { entities, words, milliseconds } = await engine.find(text, labels, options);
    if (number !== nAsked) return; // a newer question is on its way
    field("entities").replaceChildren(...marked(text, entities));
    field("status").textContent =
      `${entities.length} entities in ${words} words, ${milliseconds.toFixed(1)} ms`;
  } catch (error) {
    field("status").textContent = error.message;
  }
}

function marked(text, entities) {
  const nodes = [];
  let end = 0;
  for (const entity of entities) {
    nodes.push(text.slice(end, entity.start));
    const mark = document.createElement("mark");
    mark.title = `score ${entity.score.toFixed(3)}`;
    const label = document.createElement("small");
    label.textContent = entity.label;
    mark.append(entity.text, label);
    nodes.push(mark);
    end = entity.end;
  }
  return [...nodes, text.slice(end)];
}

try {
  engine = await LocalEngine.load("./student");
  for (const input of inputs) input.addEventListener("input", show);
  await show();
} catch (error) {
  field("status").textContent = `The student cannot be loaded: ${error.message}`;
}

// Over plain HTTP, apart from localhost, browsers have no service workers.
await navigator.serviceWorker?.register("service_worker.js");
