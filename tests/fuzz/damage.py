"""Ways to harm a file. Each is drawn from a seed, and says in words what was done."""

import json
import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

Harmed = tuple[bytes, str]

# Values to put into JSON, as they are written there. They are also the names of files in stores.
HOSTILE_JSON = (
    *("null", "true", "false", "0", "-1", "1", "2", "0.5", "1e308", "-1e308", "1e400", "NaN"),
    *("Infinity", "-Infinity", "9223372036854775808", "1" * 5000, "1e9", "1000000000", '""'),
    *("[]", "{}", "[[]]", '[{}, "x", 1]', '{"": null}', "[" * 100_000 + "]" * 100_000),
    *('{"a":' * 50_000 + "1" + "}" * 50_000, '"\\ud800"', '"\\u0000"', '"\\u001b[2J"', '"é😀"'),
    *('"../x"', '"/etc/passwd"', '"/dev/zero"', '"data/../manifest.json"', '"."', '"a\\\\b"'),
    *('"' + "a" * 100_000 + '"', '"12"', '"nan"', '"O"', '"B-x"', "[0, 0]", '[[0, 3, "person"]]'),
)
HOSTILE_BYTES = (
    *(
        b"\0",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\r",
        b"\n",
        b"\n\n",
        b"\t",
        b'"',
        b"\\",
        b",",
    ),
    *(b"NaN", b"null", b"-1", b"1e400", b"9" * 5000, b"\\ud800", b"\xed\xa0\x80", b"\x1b[2J", b"["),
    *(b"{", b"]", b"}", b"#", b"B-", b"I-", b"\xe2\x80\xa8", b"\x85", b"\x0c", b"\x1c", b" ", b":"),
    *(struct.pack("<f", float("nan")), struct.pack("<d", float("inf")), b"\xff" * 8),
    *(struct.pack("<Q", 2**62), struct.pack("<i", -1), struct.pack("<i", 2**31 - 1), b"\0" * 64),
)
_HOLE = "the hostile value"


def harm_file(rng: Random, path: Path) -> str:
    """Harm the content of a file, and say how."""
    before = path.read_bytes()
    content, done = before, ""
    while content == before:
        content, done = _harm(rng, before)
    path.write_bytes(content)
    return done


def harm_stored_file(rng: Random, path: Path) -> str:
    """Harm a file as `harm_file` does or, now and then, put something else in its place."""
    return replace_file(rng, path) if rng.random() < 0.05 else harm_file(rng, path)


def replace_file(rng: Random, path: Path) -> str:
    """Put something in the place of a file that is not a file with content."""
    others: dict[str, Callable[[Path], object]] = {
        "nothing": lambda path: None,
        "an empty file": Path.touch,
        "a folder": Path.mkdir,
        "a pipe": lambda path: os.mkfifo(path),
        "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
        "a link to itself": lambda path: path.symlink_to(path),
        "a link to a large file": _link_to_large_file,
    }
    other = rng.choice(sorted(others))
    path.unlink()
    others[other](path)
    return f"replaced by {other}"


def _link_to_large_file(path: Path) -> None:
    large = path.with_name("large")
    with large.open("wb") as stream:
        stream.truncate(8 << 30)  # takes no room on the disk
    path.symlink_to(large)


def _harm(rng: Random, content: bytes) -> Harmed:
    harms: list[Callable[[Random, bytes], Harmed]] = [_harm_bytes]
    if _is_json(content):
        harms += [_harm_json, _harm_json]
    elif _is_json_lines(content):
        harms += [_harm_json_line, _harm_json_line]
    elif _header_of(content) is not None:
        harms += [_harm_header]
    return rng.choice(harms)(rng, content)


def _harm_bytes(rng: Random, content: bytes) -> Harmed:
    change = rng.choice((_flip, _cut, _remove, _repeat, _insert, _overwrite, _swap, _enlarge))
    return change(rng, content)


def _place(rng: Random, content: bytes) -> int:
    """Draw a position; headers at the start and at the end are drawn as often as the rest."""
    size = max(len(content), 1)
    first, last = rng.choice(((0, size), (0, min(size, 300)), (max(0, size - 300), size)))
    return rng.randrange(first, last)


def _block(rng: Random, content: bytes) -> tuple[int, int]:
    start = _place(rng, content)
    return start, start + rng.choice((1, 4, 8, 60, 1000))


def _flip(rng: Random, content: bytes) -> Harmed:
    changed = bytearray(content)
    places = [_place(rng, content) for _ in range(rng.choice((1, 1, 1, 4)))] if content else []
    bits = [rng.randrange(8) for _ in places]
    for place, bit in zip(places, bits, strict=True):
        changed[place] ^= 1 << bit
    return bytes(changed), f"bits {bits} of the bytes at {places} flipped"


def _cut(rng: Random, content: bytes) -> Harmed:
    place = _place(rng, content)
    return content[:place], f"cut off after {place} bytes"


def _remove(rng: Random, content: bytes) -> Harmed:
    start, end = _block(rng, content)
    return content[:start] + content[end:], f"bytes {start} to {end} removed"


def _repeat(rng: Random, content: bytes) -> Harmed:
    start, end = _block(rng, content)
    times = rng.choice((1, 1, 1000))
    return content[:end] + content[start:end] * times + content[end:], (
        f"bytes {start} to {end} repeated {times} times"
    )


def _insert(rng: Random, content: bytes) -> Harmed:
    place, new = _place(rng, content), rng.choice((*HOSTILE_BYTES, rng.randbytes(9)))
    return content[:place] + new + content[place:], f"{new[:12]!r} inserted at {place}"


def _overwrite(rng: Random, content: bytes) -> Harmed:
    place, new = _place(rng, content), rng.choice((*HOSTILE_BYTES, rng.randbytes(4)))
    return content[:place] + new + content[place + len(new) :], f"{new[:12]!r} put at {place}"


def _swap(rng: Random, content: bytes) -> Harmed:
    first, second = sorted((_place(rng, content), _place(rng, content)))
    size = min(rng.choice((1, 4, 60)), second - first)
    parts = (
        content[:first],
        content[second : second + size],
        content[first + size : second],
        content[first : first + size],
        content[second + size :],
    )
    return b"".join(parts), f"{size} bytes at {first} and {second} swapped"


def _enlarge(rng: Random, content: bytes) -> Harmed:
    numbers = list(re.finditer(rb"\d+", content))
    if not numbers:
        return _flip(rng, content)
    number = rng.choice(numbers)
    new = rng.choice((b"0", b"-1", b"999999999", b"9223372036854775808", b"1e400", b"1" * 5000))
    changed = content[: number.start()] + new + content[number.end() :]
    return changed, f"the number at {number.start()} replaced by {new[:20].decode()}"


def _is_json(content: bytes) -> bool:
    with suppress(ValueError):
        return isinstance(json.loads(content), dict | list)
    return False


def _is_json_lines(content: bytes) -> bool:
    return all(map(_is_json, content.splitlines())) and bool(content)


def _harm_json(rng: Random, content: bytes) -> Harmed:
    value = json.loads(content)
    holders = [holder for holder in _holders(value) if holder]
    if not holders:
        return _flip(rng, content)
    # Either every object and list is drawn as often as the others, or every value.
    weights = None if rng.random() < 0.5 else list(map(len, holders))
    [holder] = rng.choices(holders, weights)
    key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    shown, done = f"the value of {key!r}", ""
    kind = rng.choice(("replace", "replace", "replace", "remove", "repeat", "rename", "add"))
    hostile = rng.choice(HOSTILE_JSON)
    if kind == "remove":
        del holder[key]
        done = f"{shown} removed"
    elif kind == "repeat" and isinstance(holder, list):
        holder.insert(key, holder[key])
        done = f"{shown} repeated"
    elif kind in ("rename", "add") and isinstance(holder, dict):
        holder[rng.choice(("", "x", "text", "\ud800", key.upper(), "a" * 1000))] = holder[key]
        if kind == "rename":
            del holder[key]
        done = f"{shown} put under another key"
    else:
        holder[key] = _HOLE
        done = f"{shown} replaced by {hostile[:40]}"
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    text = text.replace(json.dumps(_HOLE), hostile)
    return text.encode("utf-8", "surrogatepass"), done


def _holders(value: Any) -> Iterator[Any]:
    """Yield all objects and lists in a JSON value."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _holders(inner)


def _harm_json_line(rng: Random, content: bytes) -> Harmed:
    lines = content.splitlines(keepends=True)
    number = rng.randrange(len(lines))
    line, done = _harm_json(rng, lines[number])
    lines[number] = line + b"\n"
    return b"".join(lines), f"line {number + 1}: {done}"


def _header_of(content: bytes) -> bytes | None:
    """Return the JSON header of a file of safetensors; None for another file."""
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size] if len(content) >= 8 + size else b""
    return header if header and _is_json(header) else None


def _harm_header(rng: Random, content: bytes) -> Harmed:
    header = _header_of(content) or b""
    changed, done = _harm_json(rng, header)
    rest = content[8 + len(header) :]
    return len(changed).to_bytes(8, "little") + changed + rest, f"header: {done}"
