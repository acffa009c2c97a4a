// Tests of the npm package: STUDENT=site/student node --test student.test.mjs

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { InputError, LocalEngine, StudentError, StudentNER } from "gliner-distill";

const FOLDER = process.env.STUDENT;
const TEXT = "Marie Curie was born in Warsaw.";

function found(student) {
  return student.predictEntities(TEXT, ["person", "city"]).map(({ text, label }) => [text, label]);
}

const EXPECTED = [
  ["Marie Curie", "person"],
  ["Warsaw", "city"],
];

test("a student loads from a folder, with or without a slash, and from a file URL", async () => {
  for (const url of [FOLDER, `${FOLDER}/`, pathToFileURL(FOLDER), pathToFileURL(FOLDER).href]) {
    assert.deepEqual(found(await StudentNER.load(url)), EXPECTED);
  }
});

test("a student loads from a server", async () => {
  const server = createServer(async ({ url }, response) => {
    response.end(await readFile(join(FOLDER, url.split("/").at(-1))));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address();
    assert.deepEqual(found(await StudentNER.load(`http://127.0.0.1:${port}/student`)), EXPECTED);
  } finally {
    server.close();
  }
});

test("offsets are those of JavaScript's strings", async () => {
  const student = await StudentNER.load(FOLDER);
  const text = `\u{1f600}\u{1f600} ${TEXT}`;
  for (const entity of student.predictEntities(text, ["person", "city"])) {
    assert.equal(text.slice(entity.start, entity.end), entity.text);
  }
});

async function changedWeights() {
  const content = await readFile(join(FOLDER, "weights.safetensors"));
  content[5_000_000] ^= 1;
  return content;
}

test("a missing or damaged student is refused with a message that names the file", async () => {
  await assert.rejects(StudentNER.load(join(FOLDER, "nowhere")), (error) => {
    return error instanceof StudentError && /student.json/.test(error.message);
  });
  const folder = await mkdtemp(join(tmpdir(), "student-"));
  try {
    for (const name of ["student.json", "vocabulary.txt", "weights.safetensors"]) {
      const content = await readFile(join(FOLDER, name));
      const isCut = name === "weights.safetensors";
      await writeFile(join(folder, name), isCut ? content.subarray(0, 5_000_000) : content);
    }
    await assert.rejects(StudentNER.load(folder), StudentError);
    await writeFile(join(folder, "weights.safetensors"), await changedWeights());
    await assert.rejects(StudentNER.load(folder), /weights.safetensors .*SHA-256/);
    await writeFile(join(folder, "student.json"), '{"format_version": 99}');
    await assert.rejects(StudentNER.load(folder), /format version 99/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("labels keep their spelling, and a text that is null has no entities", async () => {
  const student = await StudentNER.load(FOLDER);
  const [entity] = student.predictEntities(TEXT, ["PERSON"]);
  assert.equal(entity.label, "PERSON");
  assert.deepEqual(student.inference([null, undefined, ""], ["city"]), [[], [], []]);
  assert.throws(() => student.predictEntities(TEXT, ["city", "City"]), InputError);
});

test("many calls with other labels and texts do not use up the memory", async () => {
  const student = await StudentNER.load(FOLDER);
  for (let number = 0; number < 25; number++) {
    const words = Array.from({ length: 300 }, (_, place) => `word${number}x${place}`);
    student.inference([words.join(" ")], [`label ${number}`, "city"]);
  }
  assert.deepEqual(found(student), EXPECTED);
});

test("the package exports an engine for browsers", () => {
  assert.equal(typeof LocalEngine.load, "function");
});
