// Answer the cases in a file: node answer.mjs MODULES STUDENT CASES ANSWERS.
// `browser_page.html` of the browser's tests does the same.

import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [modules, student, cases, answers] = process.argv.slice(2);
const { answerAll } = await import("./cases.mjs");
const asked = JSON.parse(await readFile(cases, "utf8"));
await writeFile(answers, JSON.stringify(await answerAll(pathToFileURL(`${modules}/`), student, asked)));
