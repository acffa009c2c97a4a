// The student of this site, which runs in the browser. It has the functions of the engine of
// `gliner-distill serve` that the page needs here.

import { LocalEngine } from "./gliner-distill/index.js";

let engine = null;

/** Load the student; see the engine of `serve` for the answer. */
export async function connect() {
  keepFiles();
  engine ??= await LocalEngine.load("./student");
  return {
    models: [{ name: engine.name, isTeacher: false }],
    hasReview: false,
    note: "Your text stays in this browser: the student runs here, and also without a network.",
  };
}

/** Find entities; see the engine of `serve`. */
export async function find(text, labels, options) {
  const asked = Object.fromEntries(
    labels.map(({ label, description }) => [label, description || label]),
  );
  return engine.find(text, asked, {
    threshold: options.threshold,
    flatNer: !options.nested,
    multiLabel: options.several,
  });
}

/** Keep all files for visits without a network, which browsers allow over HTTPS and on localhost. */
function keepFiles() {
  navigator.serviceWorker?.register("service_worker.js").catch(() => {});
}
