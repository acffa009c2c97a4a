// The labels for which a pattern exists, in the wordings that people use.

import { cleanLabel } from "../labels.js";
import { LETTER_OR_DIGIT, propertiesOf } from "../unicode.js";

const WORDINGS = {
  email: "email, email address, electronic mail address, mail address, email id, email contact",
  url:
    "url, uri, link, hyperlink, web link, weblink, website, web site, website address, website url, " +
    "website link, web address, web url, internet address, url address",
  ip: "ip, ip address, ip number, internet protocol address, ip addr",
  ipv4: "ipv4, ipv4 address, ip v4 address, ip version 4 address",
  ipv6: "ipv6, ipv6 address, ip v6 address, ip version 6 address",
  mac:
    "mac address, mac addr, hardware address, ethernet address, media access control address",
  iban:
    "iban, iban number, iban code, international bank account number, bank account, bank account " +
    "number",
  card:
    "card number, credit card, credit card number, debit card, debit card number, payment card " +
    "number, bank card number, credit or debit card number, credit debit card, credit card no, " +
    "card no, cc number, full card number",
};

/** Return pairs of a label for which there is a pattern and the kind of the pattern. */
export function structuredLabels(prompts) {
  return prompts
    .map(([label, prompt]) => [label, patternFor(label) ?? patternFor(prompt)])
    .filter(([, kind]) => kind !== undefined);
}

function patternFor(label) {
  return KIND_OF.get(normalForm(label));
}

function normalForm(label) {
  const plain = cleanLabel(label).replaceAll("e-mail", "email").replaceAll("e mail", "email");
  const characters = Array.from(plain, (character) =>
    propertiesOf(character.codePointAt(0)) & LETTER_OR_DIGIT ? character : " ",
  );
  const words = characters.join("").split(" ").filter(Boolean);
  const last = words.pop() ?? "";
  if (last.endsWith("sses")) words.push(last.slice(0, -2));
  else if (last.endsWith("s") && !last.endsWith("ss")) words.push(last.slice(0, -1));
  else words.push(last);
  return words.filter(Boolean).join(" ");
}

const KIND_OF = new Map(
  Object.entries(WORDINGS).flatMap(([kind, wordings]) =>
    wordings.split(", ").map((wording) => [normalForm(wording), kind]),
  ),
);
