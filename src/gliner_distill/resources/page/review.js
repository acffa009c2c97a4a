// Disagreements of a student and its teacher, which a person judges; the judgments become gold.

import { hasKey, nextReview, sendReview } from "./engine.js";
import { showText } from "./text_view.js";

/**
 * Show the passages on which both disagree, one after the other.
 *
 * @param {HTMLElement} section The section of the page.
 * @param {(error: Error | null) => void} showError
 */
export async function startReview(section, showError) {
  section.hidden = false;
  section.querySelector("#report").hidden = hasKey();
  try {
    const { passage, left, judged, file } = await nextReview();
    const status = section.querySelector("#review-status");
    status.textContent = passage
      ? `${count(left, "passage is", "passages are")} left; ${judged} judged, in ${file}. ` +
        "Give this file to the next `distill --gold`."
      : `No passages are left. The judged ones (${judged}) are in ${file}.`;
    const place = section.querySelector("#review-passage");
    place.replaceChildren(...(passage ? showPassage(passage, section, showError) : []));
  } catch (error) {
    showError(error);
  }
}

function count(number, one, many) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

function showPassage(passage, section, showError) {
  const labels = [...new Set(passage.entities.map(({ label }) => label))];
  const colorOf = (label) => `color${labels.indexOf(label) % 10}`;
  const shown = showText(passage.text, passage.entities.map(addNote), colorOf);
  const verdicts = new Map();
  const save = document.createElement("button");
  save.type = "button";
  save.textContent = "Save and show the next passage";
  save.disabled = true;
  const rows = passage.entities.map((entity, place) =>
    makeRow(entity, (isRight) => {
      verdicts.set(place, isRight);
      save.disabled = verdicts.size < passage.entities.length;
    }),
  );
  save.addEventListener("click", async () => {
    save.disabled = true;
    try {
      await sendReview(passage.id, passage.entities.map((_, place) => verdicts.get(place)));
      showError(null);
      await startReview(section, showError);
    } catch (error) {
      save.disabled = false;
      showError(error);
    }
  });
  const hint = document.createElement("p");
  hint.className = "hint";
  hint.textContent =
    "Judge each entity. If the text has an entity of these labels that neither of the two found, skip the passage.";
  const skip = document.createElement("button");
  skip.type = "button";
  skip.textContent = "Skip this passage";
  skip.addEventListener("click", async () => {
    try {
      await sendReview(passage.id, []);
      await startReview(section, showError);
    } catch (error) {
      showError(error);
    }
  });
  return [shown, hint, ...rows, save, " ", skip];
}

function addNote(entity) {
  return entity.found_by === "both" ? entity : { ...entity, note: `only the ${entity.found_by}` };
}

function makeRow(entity, judge) {
  const row = document.createElement("div");
  row.className = "judge";
  row.setAttribute("role", "group");
  const name = `${entity.text} (${entity.label}, found by ${entity.found_by === "both" ? "both" : `the ${entity.found_by} only`})`;
  row.setAttribute("aria-label", name);
  const says = document.createElement("span");
  says.textContent = name;
  const buttons = [true, false].map((isRight) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = isRight ? "right" : "wrong";
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      judge(isRight);
    });
    return button;
  });
  row.append(says, ...buttons);
  // What both found is mostly right, and one click changes it.
  if (entity.found_by === "both") buttons[0].click();
  return row;
}
