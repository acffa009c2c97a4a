// Entities as a table, as JSON and as CSV.

const COLUMNS = ["text", "label", "score", "start", "end"];
const NUMBERS = new Set(["score", "start", "end"]);

export function showTable(entities, colorOf) {
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const name of COLUMNS) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const entity of entities) {
    const row = body.insertRow();
    for (const name of COLUMNS) {
      const cell = row.insertCell();
      if (NUMBERS.has(name)) cell.className = "number";
      if (name === "label") cell.append(makeSwatch(entity, colorOf));
      else cell.textContent = name === "score" ? entity.score.toFixed(3) : entity[name];
    }
  }
  return table;
}

function makeSwatch(entity, colorOf) {
  const swatch = document.createElement("span");
  swatch.className = `swatch ${colorOf(entity.label)}`;
  swatch.textContent = entity.label + (entity.note ? ` (${entity.note})` : "");
  return swatch;
}

export function showJson(entities) {
  const shown = document.createElement("pre");
  shown.className = "shown";
  shown.tabIndex = 0;
  shown.textContent = toJson(entities);
  return shown;
}

export function toJson(entities) {
  const rows = entities.map(({ start, end, text, label, score }) => ({ start, end, text, label, score }));
  return JSON.stringify(rows, null, 2);
}

/** Return entities as CSV. A cell that a spreadsheet would run as a formula begins with a quote. */
export function toCsv(entities) {
  const rows = entities.map((entity) => COLUMNS.map((name) => toCell(entity[name])));
  return [COLUMNS, ...rows].map((row) => row.join(",")).join("\r\n") + "\r\n";
}

function toCell(value) {
  const text = String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
