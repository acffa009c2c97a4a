// Errors that the caller can fix.

/** A student's files are missing or broken, or it is of a kind that is not supported here. */
export class StudentError extends Error {
  name = "StudentError";
}

/** An argument has a wrong type or value. */
export class InputError extends Error {
  name = "InputError";
}

/** Return a value for a message, in few characters. */
export function shorten(value) {
  const shown = typeof value === "string" ? JSON.stringify(value) : String(value);
  return shown.length > 60 ? `${shown.slice(0, 57)}...` : shown;
}
