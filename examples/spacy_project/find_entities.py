"""Find entities with a saved pipeline: `python find_entities.py PIPELINE TEXTS OUT`."""

import json
import sys
from collections import Counter
from pathlib import Path

import spacy


def main(pipeline: str, source: str, out: str) -> None:
    """Write one JSON object per line of the source, and print how often each label was found."""
    nlp, counts = spacy.load(pipeline), Counter[str]()
    texts = Path(source).read_text(encoding="utf-8").splitlines()
    with Path(out).open("w", encoding="utf-8") as file:
        for doc in nlp.pipe(texts):
            entities = [
                {"start": ent.start_char, "end": ent.end_char, "label": ent.label_}
                for ent in doc.ents
            ]
            counts.update(ent.label_ for ent in doc.ents)
            file.write(json.dumps({"text": doc.text, "entities": entities}) + "\n")
    for label, n_entities in sorted(counts.items()):
        print(label, n_entities)


if __name__ == "__main__":
    main(*sys.argv[1:])
