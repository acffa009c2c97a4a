// `LocalEngine`: a student in a Web Worker, so that a page stays responsive while it reads.

/** A student that answers from another thread; see `index.d.ts`. */
export class LocalEngine {
  #worker;
  #waiting = new Map();
  #nAsked = 0;

  constructor(worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#receive(data);
    worker.onerror = (event) => this.#fail(event.message ?? "the worker cannot be started");
  }

  /** Load the student in a folder, as `StudentNER.load` does. */
  static async load(url) {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    const engine = new LocalEngine(worker);
    const student = await engine.#ask({ url: new URL(url, globalThis.location?.href).href });
    return Object.assign(engine, student);
  }

  /** Return the entities of a text with the number of its words and the time that they took. */
  find(text, labels, options = {}) {
    return this.#ask({ text, labels, options });
  }

  /** Stop the worker; questions that it has not answered fail. */
  close() {
    this.#worker.terminate();
    this.#fail("the engine was closed");
  }

  #ask(question) {
    const id = this.#nAsked++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...question });
    });
  }

  #receive({ id, answer, error }) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) reject(Object.assign(new Error(error.message), { name: error.name }));
    else resolve(answer);
  }

  #fail(message) {
    for (const { reject } of this.#waiting.values()) reject(new Error(message));
    this.#waiting.clear();
  }
}
