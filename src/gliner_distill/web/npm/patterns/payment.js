// Find IBANs and card numbers in text: the check digits must be right, and the length must belong to
// the country or the card scheme.

import { SpanSet } from "./spans.js";

const SEPARATORS = " \u00a0\u202f\u2011-";

// Countries with the lengths of their IBANs, as in the register of SWIFT.
const IBANS = `
  AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18
  DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23
  IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27
  MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19
  SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30`;
const IBAN_LENGTHS = new Map(
  IBANS.trim()
    .split(/\s+/)
    .map((entry) => [entry.slice(0, 2), Number(entry.slice(2))]),
);
const IBAN_START = /(?<![A-Za-z0-9])([A-Za-z]{2})[0-9]{2}/g;

// The first digits and the lengths of card schemes.
const SCHEMES = [
  [/^4/, [13, 16, 19]], // Visa
  [/^(?:5[1-5]|22[2-9]|2[3-6]|27[01]|2720)/, [16]], // Mastercard
  [/^220[0-4]/, [16, 17, 18, 19]], // Mir
  [/^3[47]/, [15]], // American Express
  [/^(?:30[0-5]|3095|3[689])/, [14, 16, 17, 18, 19]], // Diners Club
  [/^35(?:2[89]|[3-8])/, [16, 17, 18, 19]], // JCB
  [/^(?:50|5[6-9]|6|8[12])/, [16, 17, 18, 19]], // Maestro, Discover, UnionPay, RuPay
  [/^9792/, [16]], // Troy
];
const MAYBE_CARD = new RegExp(`[0-9]{4}[${SEPARATORS}]?[0-9]{4}`);
const MARK = `(?<mark>[${SEPARATORS}])`;
const CARD_FORMS = [
  "[0-9]{13,19}",
  `[0-9]{4}${MARK}(?:[0-9]{4}\\k<mark>){2}[0-9]{4}`,
  `[0-9]{4}${MARK}[0-9]{6}\\k<mark>[0-9]{4,5}`,
  `[0-9]{4}${MARK}(?:[0-9]{4}\\k<mark>){3}[0-9]{3}`,
].map(
  (form) =>
    new RegExp(
      `(?<![A-Za-z0-9+])(?<![0-9][.,])(?=(?<number>${form})(?![A-Za-z0-9])(?![.,][0-9]))`,
      "g",
    ),
);

/** Yield the positions of the IBANs in a text, in order. */
export function* findIbans(text) {
  let lastEnd = 0;
  for (const match of text.matchAll(IBAN_START)) {
    const length = IBAN_LENGTHS.get(match[1].toUpperCase());
    const end = length === undefined ? null : endOfIban(text, match.index, length);
    if (end !== null && match.index >= lastEnd) {
      yield [match.index, end];
      lastEnd = end;
    }
  }
}

/** Return the positions of the numbers of payment cards in a text, in order. */
export function findCardNumbers(text) {
  if (!MAYBE_CARD.test(text)) return [];
  // The groups of an IBAN may look like those of a card.
  const taken = new SpanSet([...findIbans(text)].map(([start, end]) => ({ start, end })));
  const found = [];
  for (const form of CARD_FORMS) {
    for (const match of text.matchAll(form)) {
      const span = { start: match.index, end: match.index + match.groups.number.length };
      if (!taken.hasOverlapping(span) && isCardNumber(match.groups.number)) {
        taken.add(span);
        found.push([span.start, span.end]);
      }
    }
  }
  return found.sort((a, b) => a[0] - b[0]);
}

/** Return where an IBAN of a length ends that begins at `start`, or null if there is none. */
function endOfIban(text, start, length) {
  let [kept, end] = ["", start];
  for (; kept.length < length; end++) {
    const character = text[end] ?? "";
    if (/^[A-Za-z0-9]$/.test(character)) kept += character;
    else if (!character || !isSeparator(character) || isSeparator(text[end - 1])) return null;
  }
  const isWhole = !/^[A-Za-z0-9]$/.test(text[end] ?? "");
  // Ordinary words after two letters and two digits would pass the check once in 97 times.
  const hasDigits = 2 * kept.replace(/[^0-9]/g, "").length >= length;
  const hasOneCase = kept === kept.toUpperCase() || kept === kept.toLowerCase();
  return isWhole && hasDigits && hasOneCase && passesMod97(kept) ? end : null;
}

function isSeparator(character) {
  return SEPARATORS.includes(character);
}

function isCardNumber(number) {
  const digits = Array.from(number).filter((character) => !isSeparator(character)).join("");
  const hasScheme = SCHEMES.some(
    ([firstDigits, lengths]) => lengths.includes(digits.length) && firstDigits.test(digits),
  );
  return hasScheme && passesLuhn(digits);
}

/** Return whether the check digits of an IBAN are right (ISO 13616, ISO 7064 MOD 97-10). */
function passesMod97(iban) {
  let rest = 0;
  for (const character of iban.slice(4) + iban.slice(0, 4)) {
    // A letter counts as two digits: A is 10, Z is 35.
    for (const digit of String(parseInt(character, 36))) rest = (rest * 10 + Number(digit)) % 97;
  }
  return rest === 1;
}

/** Return whether the last digit of a number is its check digit by Luhn's algorithm. */
function passesLuhn(digits) {
  const values = Array.from(digits, Number).reverse();
  const total = values.reduce((sum, value, place) => {
    const counted = place % 2 ? 2 * value : value;
    return sum + (counted > 9 ? counted - 9 : counted);
  }, 0);
  return total % 10 === 0;
}
