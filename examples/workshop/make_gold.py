"""Make `gold.jsonl` from `gold_source.txt`: `python examples/workshop/make_gold.py`.

Each line of the source is a document, with its entities as `[text|label]`. The entities were marked
by these rules:

- Spans neither nest nor overlap. Articles, prepositions and plain adjectives stay outside.
- person: with the title.
- bicycle maker: also where the name means the bicycle.
- bicycle part: any part or accessory, with its position.
- fault: anything that is wrong. An attribute includes its noun ([bent rim]); a predicate is marked
  apart from the part (the [chain] is [dry]).
- date: days, months and years, also relative ones, but not times of day.
- price: the number and the currency.
- place: named places, down to streets.
"""

import json
import re
from pathlib import Path

from gliner_distill.entities import split_words

HERE = Path(__file__).resolve().parent
_MARK = re.compile(r"\[([^\[\]|]+)\|([^\[\]|]+)\]")


def make_record(line: str) -> dict[str, object]:
    """Return a line of the source as a record in GLiNER's training form.

    Raises:
        ValueError: An entity does not begin and end where words do.
    """
    text, spans, last = "", [], 0
    for mark in _MARK.finditer(line):
        text += line[last : mark.start()]
        spans.append((len(text), len(text) + len(mark[1]), mark[2]))
        text += mark[1]
        last = mark.end()
    words = split_words(text + line[last:])
    first = {word.start_char: place for place, word in enumerate(words)}
    final = {word.end_char: place for place, word in enumerate(words)}
    try:
        ner = [[first[start], final[end], label] for start, end, label in spans]
    except KeyError as error:
        raise ValueError(f"no word begins or ends at character {error} of: {line}") from None
    return {"tokenized_text": [word.text for word in words], "ner": ner}


def main() -> None:
    """Write `gold.jsonl`."""
    lines = (HERE / "gold_source.txt").read_text(encoding="utf-8").splitlines()
    records = [json.dumps(make_record(line), ensure_ascii=False) for line in lines if line]
    (HERE / "gold.jsonl").write_text("\n".join(records) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
