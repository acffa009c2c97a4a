// Functions of numbers that give the same bits in every browser: additions, multiplications and
// divisions only. The functions of JavaScript's Math differ between browsers in the last bit.

const ROUND = 6755399441055744; // adding and subtracting 1.5 * 2^52 rounds to a whole number
const LOG2_HIGH = 0.6931471803691238;
const LOG2_LOW = 1.9082149292705877e-10;

const view = new DataView(new ArrayBuffer(8));

/** Return e to the power of x. */
export function exponential(x) {
  if (x > 709) return Infinity;
  if (x < -700) return 0;
  const k = x * 1.4426950408889634 + ROUND - ROUND;
  const y = x - k * LOG2_HIGH - k * LOG2_LOW;
  let power = 1;
  for (let n = 13; n; n--) power = (power * y) / n + 1;
  return power * powerOfTwo(k);
}

/** Return the natural logarithm of a number that is not negative. */
export function logarithm(x) {
  if (x === 0) return -Infinity;
  if (x === Infinity) return Infinity;
  if (x < 2 ** -1000) return logarithm(x * 2 ** 64) - 64 * (LOG2_HIGH + LOG2_LOW);
  view.setFloat64(0, x);
  const high = view.getUint32(0);
  let k = (high >>> 20) - 1023;
  view.setUint32(0, (high & 0xfffff) | (1023 << 20));
  let fraction = view.getFloat64(0); // from 1 to 2
  if (fraction > 1.4142135623730951) {
    fraction /= 2;
    k++;
  }
  const f = fraction - 1;
  // log(1 + f) is 2 s (1 + s^2 / 3 + s^4 / 5 + ...), which is written as f less a small number.
  const s = f / (2 + f);
  const z = s * s;
  let rest = 0;
  for (let n = 25; n > 1; n -= 2) rest = (rest + 2 / n) * z;
  const half = 0.5 * f * f;
  return k * LOG2_HIGH - (half - (s * (half + rest) + k * LOG2_LOW) - f);
}

/** Return the logit of a probability in single precision; 0 and 1 give infinities. */
export function logit(probability) {
  return Math.fround(logarithm(probability / (1 - probability)));
}

/** Return `x * (1 + erf(x / sqrt 2)) / 2` in single precision, as `gelu` of Python does. */
export function gelu(x) {
  const z = Math.abs(x) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * z);
  const series =
    t *
    (0.254829592 +
      t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const size = 1 - series * exponential(-Math.min(z * z, 700));
  const isNegative = x < 0 || Object.is(x, -0);
  return Math.fround((x * (1 + (isNegative ? -size : size))) / 2);
}

/** A map from a student's scores to those that are reported: straight lines between logits. */
export class ScoreMap {
  #logits;
  #reported;

  constructor({ logits, reported }) {
    this.#logits = logits;
    this.#reported = reported;
  }

  /** Return the probability that is reported in place of the student's own. */
  report(probability) {
    return mapProbability(probability, this.#logits, this.#reported);
  }

  /** Return the probability of the student that is reported as this one, such as a threshold. */
  restore(probability) {
    return mapProbability(probability, this.#reported, this.#logits);
  }
}

function mapProbability(probability, source, target) {
  if (probability === 0.5) return 0.5;
  const own = logarithm(probability) - logarithm(1 - probability);
  return Math.fround(1 / (1 + exponential(-follow(own, source, target))));
}

/** Return the value of the function that joins some points by straight lines. */
function follow(value, source, target) {
  const last = source.length - 1;
  const slope = (i) => (target[i + 1] - target[i]) / (source[i + 1] - source[i]);
  if (value < source[0]) return target[0] + (value - source[0]) * slope(0);
  if (value > source[last]) return target[last] + (value - source[last]) * slope(last - 1);
  if (value === source[last]) return target[last];
  let i = 0;
  while (source[i + 1] <= value) i++;
  return slope(i) * (value - source[i]) + target[i];
}

function powerOfTwo(k) {
  view.setUint32(0, (k + 1023) << 20);
  view.setUint32(4, 0);
  return view.getFloat64(0);
}
