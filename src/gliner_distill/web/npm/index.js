// The public names of the package.

export { InputError, StudentError } from "./errors.js";
export { StudentNER } from "./student.js";
export { LocalEngine } from "./engine.js";
