// The labels as chips, which can be added, moved, described and removed.

export const N_COLORS = 10;

export class LabelEditor {
  #list;
  #changed;
  #labels = [];
  #open = null; // the label whose description is being written

  /**
   * @param {HTMLUListElement} list The element for the chips.
   * @param {() => void} changed A function that is called after each change.
   */
  constructor(list, changed) {
    this.#list = list;
    this.#changed = changed;
  }

  /** The labels in their order, each with its description, which may be empty. */
  get labels() {
    return this.#labels.map((label) => ({ ...label }));
  }

  set labels(labels) {
    this.#labels = labels.map((label) => ({ ...label }));
    this.#open = null;
    this.#draw();
  }

  /** Add what a person typed: labels separated by commas, or one with a description. */
  add(typed) {
    const given = typed.includes(":")
      ? [typed.split(/:(.*)/su, 2)]
      : typed.split(",").map((label) => [label, ""]);
    for (const [name, description] of given) {
      const label = name.trim();
      const same = this.#labels.find((own) => clean(own.label) === clean(label));
      if (same) same.description = (description ?? "").trim() || same.description;
      else if (label) this.#labels.push({ label, description: (description ?? "").trim() });
    }
    this.#draw();
    this.#changed();
  }

  /** Return the class of a label's color. */
  colorOf = (label) => {
    const place = this.#labels.findIndex((own) => own.label === label);
    return `color${(place < 0 ? 8 : place) % N_COLORS}`;
  };

  #move(from, to) {
    if (to < 0 || to >= this.#labels.length) return;
    const [label] = this.#labels.splice(from, 1);
    this.#labels.splice(to, 0, label);
    this.#draw();
    this.#list.children[to].querySelector("[data-do=left]").focus();
    this.#changed();
  }

  #draw() {
    this.#list.replaceChildren(...this.#labels.map((label, place) => this.#makeChip(label, place)));
  }

  #makeChip(label, place) {
    const chip = document.createElement("li");
    chip.className = `color${place % N_COLORS}`;
    chip.draggable = true;
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = label.description ? `${label.label}: ${label.description}` : label.label;
    chip.append(name, ...this.#makeButtons(label, place));
    if (this.#open === label) chip.append(this.#makeDescription(label, place));
    chip.addEventListener("dragstart", (event) => {
      event.dataTransfer.setData("text/x-label", String(place));
      chip.classList.add("dragged");
    });
    chip.addEventListener("dragend", () => chip.classList.remove("dragged"));
    chip.addEventListener("dragover", (event) => {
      if (event.dataTransfer.types.includes("text/x-label")) event.preventDefault();
    });
    chip.addEventListener("drop", (event) => {
      const from = event.dataTransfer.getData("text/x-label");
      if (from === "") return;
      event.preventDefault();
      event.stopPropagation();
      this.#move(Number(from), place);
    });
    return chip;
  }

  #makeButtons(label, place) {
    const button = (action, sign, says, run, disabled = false) => {
      const made = document.createElement("button");
      made.type = "button";
      made.dataset.do = action;
      made.textContent = sign;
      made.title = says;
      made.setAttribute("aria-label", `${says}: ${label.label}`);
      made.disabled = disabled;
      made.addEventListener("click", run);
      return made;
    };
    const last = this.#labels.length - 1;
    return [
      button("left", "\u2039", "Move to the left", () => this.#move(place, place - 1), place === 0),
      button("right", "\u203a", "Move to the right", () => this.#move(place, place + 1), place === last),
      button("describe", "\u270e", "Describe", () => {
        this.#open = this.#open === label ? null : label;
        this.#draw();
        this.#list.children[place].querySelector("input")?.focus();
      }),
      button("remove", "\u00d7", "Remove", () => {
        this.#labels.splice(place, 1);
        this.#draw();
        this.#changed();
      }),
    ];
  }

  #makeDescription(label, place) {
    const input = document.createElement("input");
    input.value = label.description;
    input.placeholder = "description";
    input.setAttribute("aria-label", `Description of ${label.label}`);
    const close = () => {
      if (this.#open !== label) return;
      this.#open = null;
      const isNew = label.description !== input.value.trim();
      label.description = input.value.trim();
      this.#draw();
      if (isNew) this.#changed();
    };
    input.addEventListener("blur", close);
    input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") input.value = label.description;
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      close();
      this.#list.children[place].querySelector("[data-do=describe]").focus();
    });
    return input;
  }
}

/** Return the form in which labels are compared, as the models read them. */
function clean(label) {
  return label.replace(/[\s_]+/gu, " ").trim().toLowerCase();
}
