// Read the weights of a student from a safetensors file.

import { StudentError } from "./errors.js";

const MOST_HEADER_BYTES = 1_000_000;
const ARRAYS = { I8: Int8Array, F16: Uint16Array, F32: Float32Array };

/**
 * Return the tensors of a file by name, each with its shape and its values; half precision becomes
 * single precision.
 *
 * @param {ArrayBuffer} file
 * @returns {Map<string, {shape: number[], values: Int8Array | Float32Array}>}
 */
export function readSafetensors(file) {
  const view = new DataView(file);
  const nHeader = file.byteLength < 8 ? Infinity : Number(view.getBigUint64(0, true));
  if (nHeader > Math.min(MOST_HEADER_BYTES, file.byteLength - 8)) {
    throw new StudentError("weights.safetensors is cut off or not a safetensors file");
  }
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, nHeader)));
  const tensors = new Map();
  for (const [name, { dtype, shape, data_offsets: bounds }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const ArrayType = ARRAYS[dtype];
    if (ArrayType === undefined) throw new StudentError(`${name} has the type ${dtype}`);
    const nValues = shape.reduce((product, size) => product * size, 1);
    const nBytes = nValues * ArrayType.BYTES_PER_ELEMENT;
    if (bounds[1] - bounds[0] !== nBytes || 8 + nHeader + bounds[1] > file.byteLength) {
      throw new StudentError(`${name} does not have the bytes of its shape; copy the file again`);
    }
    // A copy, because the place in the file need not be aligned.
    const bytes = file.slice(8 + nHeader + bounds[0], 8 + nHeader + bounds[1]);
    const values = new ArrayType(bytes);
    tensors.set(name, { shape, values: dtype === "F16" ? widen(values) : values });
  }
  return tensors;
}

/** Return numbers of half precision, given by their bits, in single precision. */
function widen(halves) {
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) {
    const sign = halves[i] >> 15 ? -1 : 1;
    const exponent = (halves[i] >> 10) & 31;
    const fraction = halves[i] & 1023;
    values[i] =
      exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * POWERS[exponent];
  }
  return values;
}

const POWERS = Array.from({ length: 32 }, (_, exponent) => 2 ** (exponent - 25));
