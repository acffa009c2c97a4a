// The page: what is asked, who is asked, and how the answers are shown.

import { Answers, noteDifferences } from "./answers.js";
import { connect, find } from "./engine.js";
import { EXAMPLES } from "./examples.js";
import { LabelEditor } from "./labels.js";
import { showJson, showTable, toCsv, toJson } from "./table_view.js";
import { showText } from "./text_view.js";

const MAX_FILE_BYTES = 8_000_000;
const TYPING_MS = 300;

const $ = (id) => document.getElementById(id);
const editor = new LabelEditor($("labels"), () => askSoon());

const state = {
  models: [],
  view: "text",
  columns: [], // for each model that is shown: its name, its answers, and its first answer's time
  text: "",
  run: null, // the AbortController of the question that is being answered
};

let timer = 0;

function askSoon(delay = TYPING_MS) {
  clearTimeout(timer);
  timer = setTimeout(ask, delay);
}

/** Ask all models that are shown, and show their answers as they come. */
async function ask() {
  clearTimeout(timer);
  state.run?.abort();
  const run = (state.run = new AbortController());
  const [text, labels] = [$("text").value, editor.labels];
  state.text = text;
  document.body.dataset.state = "reading";
  if (!text.trim() || !labels.length) {
    state.columns = [];
    say(text.trim() ? "Add at least one label." : "Choose an example, or write a text and some labels.");
    draw();
    return;
  }
  const columns = shownModels().map((model) => makeColumn(model, text, labels, run.signal));
  state.columns = columns;
  say("Reading.");
  try {
    await Promise.all(columns.map((column) => answer(column, run)));
    for (const { answers } of columns) await answers.askAll(threshold());
    if (run.signal.aborted) return;
    draw();
    document.body.dataset.state = "ready";
  } catch (error) {
    if (run.signal.aborted) return;
    draw(); // what is shown would otherwise be the answer for another text
    showError(error);
  }
}

function makeColumn(model, text, labels, signal) {
  const options = { model: model.name, nested: $("nested").checked, several: $("several").checked };
  const ask = (threshold) => {
    signal.throwIfAborted();
    return find(text, labels, { ...options, threshold }, signal);
  };
  const answers = new Answers(ask, { isTeacher: model.isTeacher, nCharacters: text.length });
  return { name: model.name, answers, words: 0, milliseconds: 0 };
}

async function answer(column, run) {
  const { words, milliseconds } = await column.answers.ask(threshold());
  if (run.signal.aborted) return;
  Object.assign(column, { words, milliseconds, isThere: true });
  showError(null);
  draw();
}

/** Return the chosen student and, if the server has one, the teacher. */
function shownModels() {
  const chosen = state.models.find(({ name }) => name === $("models").value) ?? state.models[0];
  const teacher = state.models.find((model) => model.isTeacher && model !== chosen);
  return [chosen, teacher].filter(Boolean);
}

function threshold() {
  return Math.round(20 * Number($("threshold").value)) / 20;
}

/** Return the columns that have answers, with the entities above the threshold. */
function currentColumns() {
  const there = state.columns.filter(({ isThere }) => isThere);
  const all = there.map((column) => ({ ...column, entities: column.answers.at(threshold()) }));
  if (all.length < 2) return all;
  const [first, second] = all;
  return [
    { ...first, entities: noteDifferences(first.entities, second.entities, second.name) },
    { ...second, entities: noteDifferences(second.entities, first.entities, first.name) },
  ];
}

function draw() {
  const columns = currentColumns();
  $("columns").replaceChildren(...columns.map((column) => drawColumn(column, columns.length > 1)));
  for (const id of ["copy", "download", "download-csv"]) $(id).disabled = !columns.length;
  if (columns.length) say(columns.map(describe).join(" "));
}

function drawColumn({ name, entities }, hasTitle) {
  const box = document.createElement("div");
  box.className = "column";
  if (hasTitle) {
    const title = document.createElement("h3");
    title.textContent = name;
    box.append(title);
  }
  const views = {
    text: () => showText(state.text, entities, editor.colorOf),
    table: () => showTable(entities, editor.colorOf),
    json: () => showJson(entities),
  };
  box.append(views[state.view]());
  return box;
}

function describe({ name, entities, words, milliseconds }, _place, all) {
  const rate = Math.round((1000 * words) / Math.max(milliseconds, 0.01));
  const count = entities.length === 1 ? "1 entity" : `${entities.length.toLocaleString("en")} entities`;
  const who = all.length > 1 ? `${name}: ` : "";
  const time = `${words.toLocaleString("en")} words in ${milliseconds.toFixed(1)} ms`;
  return `${who}${count}; ${time}, which is ${rate.toLocaleString("en")} words per second.`;
}

function say(message) {
  if ($("status").textContent !== message) $("status").textContent = message;
}

function showError(error) {
  $("error").hidden = !error;
  $("error").textContent = error?.message ?? "";
  if (!error) return;
  say("");
  if (error.needsKey) {
    $("key-form").hidden = false;
    $("key").focus();
  }
}

async function readFile(file) {
  if (!file) return;
  if (file.size > MAX_FILE_BYTES) {
    showError(new Error(`${file.name} has more than 8 MB; use the command line for it.`));
    return;
  }
  $("text").value = await file.text();
  ask();
}

function moveThreshold() {
  $("threshold-value").textContent = threshold().toFixed(2);
  draw();
  // Long texts have no answer in advance; the exact one comes when the slider rests.
  if (state.columns.some(({ answers }) => !answers.isExact(threshold()))) askRest();
}

let rest = 0;

function askRest() {
  clearTimeout(rest);
  rest = setTimeout(async () => {
    try {
      for (const { answers } of state.columns) if (!answers.isShort) await answers.ask(threshold());
      draw();
    } catch (error) {
      if (error.name !== "AbortError") showError(error);
    }
  }, TYPING_MS);
}

function save(name, kind, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: kind }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

function currentEntities() {
  return currentColumns()[0]?.entities ?? [];
}

async function copy() {
  try {
    await navigator.clipboard.writeText(toJson(currentEntities()));
    say("Copied.");
  } catch {
    showError(new Error("The browser does not let this page copy; use Download instead."));
  }
}

function chooseExample() {
  const example = EXAMPLES[$("examples").value];
  if (!example) return;
  $("text").value = example.text;
  editor.labels = asLabels(example);
  ask();
}

function asLabels(example) {
  return example.labels.map((label) => ({ label, description: "" }));
}

function addListeners() {
  $("examples").append(...EXAMPLES.map(({ name }, place) => new Option(name, place)));
  $("examples").addEventListener("change", chooseExample);
  $("models").addEventListener("change", ask);
  $("text").addEventListener("input", () => askSoon());
  $("find").addEventListener("click", ask);
  $("threshold").addEventListener("input", moveThreshold);
  for (const id of ["nested", "several"]) $(id).addEventListener("change", ask);
  $("file").addEventListener("change", (event) => readFile(event.target.files[0]));
  $("add").addEventListener("submit", (event) => {
    event.preventDefault();
    editor.add($("new-label").value);
    $("new-label").value = "";
  });
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    $("key-form").hidden = true;
    start();
  });
  $("copy").addEventListener("click", copy);
  $("download").addEventListener("click", () =>
    save("entities.json", "application/json", toJson(currentEntities())),
  );
  $("download-csv").addEventListener("click", () =>
    save("entities.csv", "text/csv", toCsv(currentEntities())),
  );
  for (const button of $("views").children) button.addEventListener("click", () => chooseView(button));
  addDropping(document.body);
}

function chooseView(button) {
  state.view = button.dataset.view;
  for (const other of $("views").children) other.setAttribute("aria-pressed", String(other === button));
  draw();
}

function addDropping(target) {
  const hasFile = (event) => event.dataTransfer.types.includes("Files");
  target.addEventListener("dragover", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    $("text").classList.add("dropping");
  });
  target.addEventListener("dragleave", () => $("text").classList.remove("dropping"));
  target.addEventListener("drop", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    $("text").classList.remove("dropping");
    readFile(event.dataTransfer.files[0]);
  });
}

/** Learn what there is to ask, then show the first example. */
async function start() {
  try {
    say("Loading the student.");
    const { models, hasReview, note = "" } = await connect($("key").value);
    $("note").textContent = note;
    state.models = models;
    const students = models.filter(({ isTeacher }) => !isTeacher);
    const listed = students.length ? students : models;
    $("models").replaceChildren(...listed.map(({ name }) => new Option(name, name)));
    $("models").parentElement.hidden = listed.length < 2;
    showError(null);
    if (hasReview) (await import("./review.js")).startReview($("review"), showError);
    if (!$("text").value) $("examples").value = "0";
    if (!editor.labels.length) editor.labels = asLabels(EXAMPLES[0]);
    if (!$("text").value) chooseExample();
    else ask();
  } catch (error) {
    showError(error);
  }
}

addListeners();
draw();
start();
