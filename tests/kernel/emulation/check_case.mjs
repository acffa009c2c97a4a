// Compare the kernel in WebAssembly with what numpy has computed.
//
// Arguments: the module that `kernel/build.py` compiles, and a case of `test_emulation.py`. The structures
// are those of `kernel.c`, in which pointers have 32 bits. The exit status is 0 if the kernel gives
// the bytes of numpy on both of its paths.

import { readFileSync } from "node:fs";

const [FLOAT, PORTABLE, WASM] = [0, 0, 4];
const module = new WebAssembly.Module(readFileSync(process.argv[2]));
const kernel = new WebAssembly.Instance(module, {}).exports; // it imports nothing
kernel._initialize();

const memory = () => new Uint8Array(kernel.memory.buffer); // it moves when the memory grows

/** Copy bytes into the memory of the module; return their address. */
function put(bytes) {
  const address = kernel.malloc(bytes.length + 1);
  memory().set(bytes, address);
  return address;
}

const putInts = (...values) => put(new Uint8Array(new Int32Array(values).buffer));
const get = (address, length) => memory().slice(address, address + length);
const isSame = (bytes, others) => Buffer.compare(bytes, others) === 0;

/** Return whether a path of the kernel gives what the case expects. */
function checkPath(path, content) {
  let position = 0;
  const take = (length) => content.subarray(position, (position += length));
  const sizes = new Int32Array(take(48).slice().buffer);
  const [kind, nLayers, nDirections, nUnits, nOut, nRows, nWindows, nWords] = sizes;
  const [nLabels, nKinds, nKnots, nExpected] = sizes.slice(8);
  const [nStates, nGates] = [nDirections * nUnits, 4 * nUnits];
  const nColumns = 4 * nStates + nOut;

  function product(nIn, nOutputs) {
    const weights = put(take(nIn * nOutputs * (kind === FLOAT ? 4 : 1)));
    const scales = put(take(4 * nOutputs));
    const packed = kernel.malloc(Number(kernel.gd_packed_bytes(path, kind, nIn, nOutputs)));
    const starts = kernel.malloc(4 * nOutputs);
    kernel.gd_pack(path, kind, weights, nIn, nOutputs, packed, starts);
    kernel.free(weights);
    return [packed, scales, starts, nIn, nOutputs];
  }

  const directions = [];
  for (let i = 0; i < nLayers * nDirections; i++) {
    const input = i < nDirections ? [0, 0, 0, 0, 0] : product(nStates, nGates);
    directions.push(...input, ...product(nUnits, nGates), put(take(4 * nGates)));
  }
  const head = [path, kind, nLayers, nDirections, nUnits, nColumns, putInts(...directions)];
  const network = putInts(...head, ...product(nStates, nOut));
  const table = put(take(4 * nRows * nColumns));
  const rows = put(take(4 * nWords));
  const lengths = put(take(4 * nWindows));
  const inside = put(take(4 * nLabels * nOut));
  const edges = put(take(8 * nLabels * nOut));
  const [cuts, shifts, thresholds] = [0, 0, 0].map(() => put(take(4 * nLabels)));
  const [narrow, broad] = [0, 0].map(() => put(take(4 * nLabels * nKinds)));
  const breadths = put(take(8 * nLabels));
  const bias = new Int32Array(take(12).slice().buffer); // the bits of three floats
  const lines = [0, 0, 0].map((_, i) => put(take(8 * (nKnots - (i === 2)))));
  const pointers = [inside, edges, 0, cuts, shifts, thresholds, narrow, broad, breadths, ...lines];
  const search = putInts(...pointers, ...bias, path, nLabels, nOut, nKinds, nKnots, 1, 0);

  const out = kernel.malloc(4 * nWords * nOut);
  if (kernel.gd_read(network, table, rows, lengths, nWindows, out)) return false;
  if (!isSame(get(out, 4 * nWords * nOut), take(4 * nWords * nOut))) return false;
  const found = kernel.malloc(20 * 1024);
  const nFound = Number(kernel.gd_find(search, out, lengths, nWindows, 0, 0, found, 1024n));
  return nFound === nExpected && isSame(get(found, 20 * nFound), take(20 * nExpected));
}

const content = new Uint8Array(readFileSync(process.argv[3]));
for (const path of [PORTABLE, WASM]) {
  const isEqual = kernel.gd_has_path(path) && checkPath(path, content);
  console.log(path, isEqual ? "equal" : "different");
  if (!isEqual) process.exitCode = 1;
}
