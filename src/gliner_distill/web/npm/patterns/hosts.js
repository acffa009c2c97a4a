// Find IP addresses and MAC addresses in text.

const IPV4 =
  /(?<![A-Za-z0-9])(?<![A-Za-z0-9][.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![A-Za-z0-9_])(?!\.[0-9])/g;
const IPV6 = new RegExp(
  "(?<![A-Za-z0-9:.])(?=[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{2,39}" +
    "(?:(?<=:)[0-9]{1,3}(?:\\.[0-9]{1,3}){3})?(?![A-Za-z0-9_])(?!\\.[0-9])",
  "g",
);
const MAC = new RegExp(
  "(?<![A-Za-z0-9])(?<![0-9A-Fa-f][:.-])" +
    "(?:[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\\1){4}[0-9A-Fa-f]{2}(?!\\1[0-9A-Fa-f])" +
    "|[0-9A-Fa-f]{4}\\.[0-9A-Fa-f]{4}\\.[0-9A-Fa-f]{4}(?!\\.[0-9A-Fa-f]))(?![A-Za-z0-9_])",
  "g",
);

/** Yield the positions of the IPv4 addresses in a text, without port and prefix length. */
export function* findIpv4Addresses(text) {
  for (const match of text.matchAll(IPV4)) {
    if (isIpv4(match[0])) yield [match.index, match.index + match[0].length];
  }
}

/** Yield the positions of the IPv6 addresses in a text, without zone and prefix length. */
export function* findIpv6Addresses(text) {
  for (const match of text.matchAll(IPV6)) {
    // A colon may close a clause, as in "::1: refused".
    const isOpen = match[0].endsWith(":") && !match[0].endsWith("::");
    const address = isOpen ? match[0].slice(0, -1) : match[0];
    if (isIpv6(address) && /[0-9]/.test(address)) {
      yield [match.index, match.index + address.length];
    }
  }
}

/** Return the positions of the IPv4 and IPv6 addresses in a text, in order. */
export function findIpAddresses(text) {
  const ipv6 = [...findIpv6Addresses(text)];
  // An IPv6 address may end with an IPv4 address.
  const ends = new Set(ipv6.map(([, end]) => end));
  const ipv4 = [...findIpv4Addresses(text)].filter(([, end]) => !ends.has(end));
  return [...ipv6, ...ipv4].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
}

/** Yield the positions of the MAC addresses in a text, in order. */
export function* findMacAddresses(text) {
  for (const match of text.matchAll(MAC)) yield [match.index, match.index + match[0].length];
}

function isIpv4(address) {
  const parts = address.split(".");
  return parts.length === 4 && parts.every((part) => /^(?:0|[1-9][0-9]{0,2})$/.test(part) && part < 256);
}

/** Return whether Python's `ipaddress` reads an address without a zone. */
function isIpv6(address) {
  let parts = address.split(":");
  if (parts.length < 3) return false;
  if (parts.at(-1).includes(".")) {
    if (!isIpv4(parts.at(-1))) return false;
    parts = [...parts.slice(0, -1), "0", "0"]; // it stands for two groups
  }
  if (parts.length > 9) return false;
  const gaps = parts.slice(1, -1).filter((part) => part === "").length;
  if (gaps > 1) return false;
  let groups = parts;
  if (gaps) {
    // A gap at the edge leaves an empty part there, too.
    const [isFirst, isLast] = [parts[0] === "", parts.at(-1) === ""];
    const place = parts.indexOf("", 1);
    if ((isFirst && place !== 1) || (isLast && place !== parts.length - 2)) return false;
    groups = parts.filter((part) => part !== "");
    if (groups.length > 7) return false;
  } else if (parts.length !== 8) return false;
  return groups.every((part) => /^[0-9A-Fa-f]{1,4}$/.test(part));
}
