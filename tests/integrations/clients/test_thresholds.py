"""Thresholds mean the same to every client: ours, and the published ones that load a student.

The clients are those of two modules in `benchmarks`, which has a benchmark of them. At each
threshold, a client has to return the entities of `StudentNER.predict_entities`, with the same
positions, labels and scores, as far as it reports them. The differences that it may have are these:

- `predict`, columns of data frames and Label Studio have scores of four digits.
- spaCy's spans are whole tokens. Our component expands an entity to the tokens that it touches. Of
  several entities that then share a token, the one with the highest score stays; with the style
  `span`, which has entities inside others (`flat_ner=False`), only copies are left out.
  gliner-spacy leaves an entity out unless it begins and ends with a token.
- `GLiNERLinkExtractor` and `GlinerGraphTransformer` have each text of a label once.
- `GLiNERRecognizer`, gliner-spacy and `GlinerGraphTransformer` read longer texts in pieces, in
  which the student may find other entities; here, they get only texts that are one piece.
- datafog has no setting for the threshold, and always uses 0.5.
"""

from functools import partial
from pathlib import Path

import pytest

from gliner_distill.corpus.reader import CorpusFile, sample_path
from gliner_distill.runtime.ner import StudentNER

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
if not BENCHMARKS.is_dir():
    reason = "the benchmarks are in the repository, not in the package"
    pytest.skip(reason, allow_module_level=True)
with pytest.MonkeyPatch.context() as _patch:
    _patch.syspath_prepend(str(BENCHMARKS))
    from published_clients import GRAPHS, PUBLISHED
    from threshold_clients import OURS, blank_pipeline, load, server

THRESHOLDS = (0.1, 0.3, 0.5, 0.8, 0.9)
LABELS = ["person", "city", "date", "company", "year", "country", "email address", "disease"]
N_TEXTS, N_WORDS = 12, 30
# spaCy makes one token of the two names.
INSIDE_A_TOKEN = "Marie Curie left Berlin(Germany) in 1911 and wrote to marie@curie.example."

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The class .* is in beta"),
    pytest.mark.filterwarnings("ignore:`langchain-.*` is being sunset:DeprecationWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def _settings():
    """Settings for the processes of the command line, too; what is made once goes at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATAFOG_NO_TELEMETRY", "1")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    for made_once in (load, server, blank_pipeline):
        made_once.cache_clear()


@pytest.fixture(scope="module")
def texts():
    """The beginnings of some passages, one whole passage, and names inside of a token."""
    passages = [" ".join(passage.words) for passage in CorpusFile(sample_path("test"))]
    beginnings = [" ".join(text.split()[:N_WORDS]) for text in passages[:N_TEXTS]]
    return [*beginnings, passages[N_TEXTS], INSIDE_A_TOKEN]


@pytest.fixture(scope="module")
def expected(texts):
    """The entities of `StudentNER.predict_entities` in each text, by threshold and `flat_ner`."""
    predict = StudentNER.from_pretrained(num_threads=1).predict_entities
    return {
        (threshold, flat_ner): [predict(text, LABELS, flat_ner, threshold) for text in texts]
        for threshold in THRESHOLDS
        for flat_ner in (False, True)
    }


def expected_of(client, text, entities):
    """Return the entities that a client should return, by the rules in the head of this file."""
    for change in DIFFERENCES.get(client.name, ()):
        entities = change(text, entities)
    return comparable(client, entities)


def with_four_digits(_text, entities):
    return [{**one, "score": round(one["score"], 4)} for one in entities]


def on_tokens(text, entities, mode):
    """Return the entities with the characters of spaCy's tokens, without those that have none."""
    from spacy.lang.en import English

    doc = English()(text)
    spans = [doc.char_span(one["start"], one["end"], alignment_mode=mode) for one in entities]
    return [
        {**one, "start": span.start_char, "end": span.end_char, "text": span.text}
        for span, one in zip(spans, entities, strict=True)
        if span is not None
    ]


def without_overlaps(_text, entities):
    kept = []
    for one in sorted(entities, key=score_of, reverse=True):
        if all(one["end"] <= other["start"] or other["end"] <= one["start"] for other in kept):
            kept.append(one)
    return kept


def without_copies(_text, entities):
    """Return one entity for each label of a span, the one with the highest score."""
    best = {(one["start"], one["end"], one["label"]): one for one in sorted(entities, key=score_of)}
    return list(best.values())


def score_of(entity):
    return entity["score"]


on_touched_tokens = partial(on_tokens, mode="expand")
on_exact_tokens = partial(on_tokens, mode="strict")
DIFFERENCES = {
    **dict.fromkeys(("`predict`", "data frames", "Label Studio"), (with_four_digits,)),
    "spaCy": (on_touched_tokens, without_overlaps),
    "spaCy, style `span`": (on_touched_tokens, without_copies),
    **dict.fromkeys(
        ("gliner-spacy", "gliner-spacy, whole texts", "`GlinerGraphTransformer`"),
        (on_exact_tokens,),
    ),
}


def comparable(client, entities):
    """Return the fields that a client reports, sorted; without positions, each text once."""
    found = [tuple(entity[name] for name in client.fields) for entity in entities]
    return sorted(found if "start" in client.fields else set(found))


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("made", [*OURS, *PUBLISHED], ids=lambda client: client.name)
def test_client_returns_the_students_entities(
    made, threshold, texts, expected, client, needs, request
):
    if made.only_threshold not in (None, threshold):
        pytest.skip(f"{made.name} always uses {made.only_threshold}")
    for package in made.packages:
        needs(package)
    if made.imports:
        client(made.imports[-1], modules=made.imports[:-1])
    if f"{GRAPHS}.gliner" in made.imports:
        request.getfixturevalue("glirel")
    students = expected[threshold, not made.is_nested]
    whole = [
        (text, entities)
        for text, entities in zip(texts, students, strict=True)
        if made.chunk_chars is None or len(text) < made.chunk_chars
    ]
    assert len(whole) >= len(texts) - 1
    found = made.make(LABELS, threshold, None)([text for text, _ in whole])
    for own, (text, entities) in zip(found, whole, strict=True):
        assert comparable(made, own) == expected_of(made, text, entities), text


def test_entities_differ_between_thresholds(expected):
    # Or the test above would hold for clients that ignore their threshold.
    counts = [sum(map(len, expected[threshold, True])) for threshold in THRESHOLDS]
    assert sorted(set(counts), reverse=True) == counts
    assert counts[-1] > 0
    assert {one["text"] for one in expected[0.5, True][-1]} >= {"Berlin", "Germany"}
    assert expected[0.1, False] != expected[0.1, True]
