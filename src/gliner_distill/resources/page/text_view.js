// Texts with their entities marked.

const SHOWN_CHARACTERS = 50_000;

/**
 * Return an element that shows a text with its entities.
 *
 * An entity inside another one is a mark inside a mark. An entity that only overlaps another one is
 * listed under the text, because two such marks cannot be drawn.
 *
 * @param {(label: string) => string} colorOf The class of a label's color.
 */
export function showText(text, entities, colorOf, limit = SHOWN_CHARACTERS) {
  const shown = document.createElement("div");
  shown.className = "shown";
  const end = text.length > limit ? cutBetweenEntities(limit, entities) : text.length;
  const left = addMarks(shown, text, nest(entities), 0, end, colorOf);
  const parts = [shown];
  if (end < text.length) parts.push(makeMore(text, entities, colorOf, end, shown));
  if (left.length) parts.push(listOverlaps(left));
  const box = document.createElement("div");
  box.append(...parts);
  return box;
}

/** Return a place for the cut that is not inside an entity. */
function cutBetweenEntities(limit, entities) {
  let cut = limit;
  for (const { start, end } of entities) if (start < cut && end > cut) cut = start;
  return cut || limit;
}

function makeMore(text, entities, colorOf, end, shown) {
  const more = document.createElement("button");
  more.type = "button";
  more.textContent = `Show the other ${(text.length - end).toLocaleString("en")} characters`;
  more.addEventListener("click", () =>
    shown.parentElement.replaceWith(showText(text, entities, colorOf, Infinity)),
  );
  return more;
}

/** Return the entities as a tree: each has `children`, which lie inside it, and perhaps `crossing`. */
export function nest(entities) {
  const sorted = [...entities].sort((a, b) => a.start - b.start || b.end - a.end || b.score - a.score);
  const root = { end: Infinity, children: [], crossing: [] };
  const open = [root];
  for (const entity of sorted) {
    while (open.at(-1).end <= entity.start) open.pop();
    const node = { ...entity, children: [] };
    if (entity.end > open.at(-1).end) {
      root.crossing.push(entity);
      continue;
    }
    open.at(-1).children.push(node);
    open.push(node);
  }
  return root;
}

function addMarks(parent, text, root, start, end, colorOf) {
  let place = start;
  for (const entity of root.children) {
    if (entity.start >= end) break;
    parent.append(text.slice(place, entity.start), makeMark(text, entity, colorOf));
    place = entity.end;
  }
  parent.append(text.slice(place, Math.max(place, end)));
  return root.crossing ?? [];
}

function makeMark(text, entity, colorOf) {
  const mark = document.createElement("mark");
  mark.className = colorOf(entity.label);
  mark.tabIndex = 0;
  const score = `${entity.label}, score ${entity.score.toFixed(2)}${entity.note ? `, ${entity.note}` : ""}`;
  if (entity.note) mark.classList.add("only");
  mark.setAttribute("aria-label", `${text.slice(entity.start, entity.end)}: ${score}`);
  addMarks(mark, text, entity, entity.start, entity.end, colorOf);
  const label = document.createElement("span");
  label.className = "label";
  label.textContent = entity.label;
  const hover = document.createElement("span");
  hover.className = "score";
  hover.setAttribute("aria-hidden", "true");
  hover.textContent = score;
  mark.append(label, hover);
  return mark;
}

function listOverlaps(entities) {
  const note = document.createElement("p");
  note.className = "quiet";
  const names = entities.map(({ text, label, score }) => `${text} (${label}, ${score.toFixed(2)})`);
  note.textContent = `Overlapping with others: ${names.join("; ")}`;
  return note;
}
