// Functions of numbers that give the same bits in every browser: additions, multiplications and
// divisions only. The functions of JavaScript's Math differ between browsers in the last bit.

const ROUND = 6755399441055744; // adding and subtracting 1.5 * 2^52 rounds to a whole number
const LOG2_HIGH = 0.6931471803691238;
const LOG2_LOW = 1.9082149292705877e-10;
const MOST_MAPPED = 700; // the probability of a larger logit is 1

const view = new DataView(new ArrayBuffer(8));

/** Return e to the power of x, between -700 and 700. */
export function exponential(x) {
  const k = roundToEven(x * 1.4426950408889634);
  const y = x - k * LOG2_HIGH - k * LOG2_LOW;
  let power = 1;
  for (let n = 13; n; n--) power = (power * y) / n + 1;
  return power * powerOfTwo(k);
}

/** Return the natural logarithm of a number from 0 to 1; that of 0 is minus infinity. */
export function logarithm(x) {
  if (!(x > 0)) return -Infinity;
  view.setFloat64(0, x);
  const high = view.getUint32(0);
  let k = (high >>> 20) - 1022;
  view.setUint32(0, (high & 0xfffff) | (1022 << 20));
  let part = view.getFloat64(0); // from 0.5 to 1
  if (part < 0.7071067811865476) {
    part *= 2;
    k--;
  }
  // log(part) is twice the series y + y^3 / 3 + y^5 / 5 + ...
  const y = (part - 1) / (part + 1);
  const square = y * y;
  let series = 0;
  for (let n = 23; n > 0; n -= 2) series = series * square + 1 / n;
  return k * LOG2_HIGH + (k * LOG2_LOW + 2 * y * series);
}

/** Return the logit of a probability; 0 and 1 give minus and plus infinity. */
export function logit(probability) {
  return logarithm(probability) - logarithm(1 - probability);
}

/** Return the nearest whole number, among two the even one. */
export function roundToEven(x) {
  return x + ROUND - ROUND;
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
  const mapped = follow(logit(probability), source, target);
  const clipped = Math.max(-MOST_MAPPED, Math.min(MOST_MAPPED, mapped));
  return Math.fround(1 / (1 + exponential(-clipped)));
}

/** Return the value of the function that joins some points by straight lines. */
function follow(value, source, target) {
  let place = 0;
  while (place < source.length - 2 && source[place + 1] <= value) place++;
  const slope = (target[place + 1] - target[place]) / (source[place + 1] - source[place]);
  return target[place] + (value - source[place]) * slope;
}

function powerOfTwo(k) {
  view.setUint32(0, (k + 1023) << 20);
  view.setUint32(4, 0);
  return view.getFloat64(0);
}
