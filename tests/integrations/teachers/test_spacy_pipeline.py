"""The example of a spaCy pipeline as a teacher, opened as the command line opens it."""

from pathlib import Path

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import word_texts
from gliner_distill.teacher.base import knows_label
from gliner_distill.teacher.opening import open_teacher

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "teachers"


def test_spacy_pipeline_finds_what_its_ruler_finds(needs):
    needs("spacy")
    teacher = open_teacher("python:spacy_pipeline:teacher", folder=EXAMPLES)
    labels = ["place", "price", "person"]
    assert [knows_label(teacher, label) for label in labels] == [True, True, False]
    words = word_texts("Ann left London for new York and paid £ 40.")
    [probs] = teacher.score_passages([words], [labels])
    found = {
        (" ".join(words[entity.start_word : entity.end_word]), entity.label)
        for entity in decode_entities(probs, labels)
    }
    assert found == {("London", "place"), ("new York", "place"), ("£ 40", "price")}
