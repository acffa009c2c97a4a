"""Presidio's own recognizer for GLiNERs, with a student."""

import pytest

pytestmark = pytest.mark.slow

RECOGNIZER = "presidio_analyzer.predefined_recognizers.ner.gliner_recognizer"
TEXT = "Marie Curie was born in Warsaw. Albert Einstein lived in Bern."
MAPPING = {"person": "PERSON", "city": "LOCATION"}


@pytest.fixture(scope="module")
def recognizer_class(client):
    return client(RECOGNIZER).GLiNERRecognizer


@pytest.fixture(scope="module")
def recognizer(recognizer_class):
    return recognizer_class(model_name="urchade/gliner_multi_pii-v1", entity_mapping=MAPPING)


@pytest.fixture(scope="module")
def found(recognizer):
    return recognizer.analyze(TEXT, ["PERSON", "LOCATION"])


def texts_of(text, results):
    return [
        (result.entity_type, text[result.start : result.end])
        for result in sorted(results, key=lambda result: result.start)
    ]


def long_text(n_words):
    return f"{TEXT} {'Nothing happened here. ' * (n_words // 3)}Ada Lovelace lived in London."


def test_recognizer_finds_the_entities_of_its_mapping(found):
    assert texts_of(TEXT, found) == [
        ("PERSON", "Marie Curie"),
        ("LOCATION", "Warsaw"),
        ("PERSON", "Albert Einstein"),
        ("LOCATION", "Bern"),
    ]


def test_recognizer_explains_an_entity_with_its_score(found):
    assert all(0.3 < result.score <= 1 for result in found)
    explanation = found[0].analysis_explanation
    assert explanation.recognizer == "GLiNERRecognizer"
    assert explanation.original_score == found[0].score


def test_recognizer_returns_only_the_entities_that_are_asked(recognizer):
    results = recognizer.analyze(TEXT, ["LOCATION"])
    assert texts_of(TEXT, results) == [("LOCATION", "Warsaw"), ("LOCATION", "Bern")]


def test_recognizer_looks_for_an_entity_beyond_its_mapping(recognizer):
    text = "Marie Curie was born in 1867."
    results = recognizer.analyze(text, ["YEAR"])
    assert texts_of(text, results) == [("YEAR", "1867")]


def test_recognizer_applies_its_threshold(recognizer_class, found):
    scores = sorted(result.score for result in found)
    strict = recognizer_class(entity_mapping=MAPPING, threshold=(scores[1] + scores[2]) / 2)
    results = strict.analyze(TEXT, ["PERSON", "LOCATION"])
    assert sorted(result.score for result in results) == scores[2:]


def test_recognizer_reads_a_long_text_in_chunks_of_characters(recognizer):
    text = long_text(900)
    results = recognizer.analyze(text, ["PERSON"])
    assert [name for _, name in texts_of(text, results)] == [
        "Marie Curie",
        "Albert Einstein",
        "Ada Lovelace",
    ]


def test_recognizer_reads_a_long_text_in_chunks_of_the_students_words(client, recognizer_class):
    chunker = client("presidio_analyzer.chunkers").TokenizerBasedTextChunker()
    recognizer = recognizer_class(entity_mapping=MAPPING, text_chunker=chunker)
    assert not chunker.is_deferred
    text = long_text(900)
    chunks = chunker.chunk(text)
    assert len(chunks) > 1
    assert max(len(chunk.text.split()) for chunk in chunks) <= chunker.max_tokens
    results = recognizer.analyze(text, ["PERSON"])
    assert [name for _, name in texts_of(text, results)] == [
        "Marie Curie",
        "Albert Einstein",
        "Ada Lovelace",
    ]


def test_recognizer_answers_in_an_analyzer_of_a_blank_pipeline(client, recognizer, tmp_path, needs):
    needs("spacy").blank("en").to_disk(tmp_path / "blank")
    analyzer = needs("presidio_analyzer")
    models = [{"lang_code": "en", "model_name": str(tmp_path / "blank")}]
    engine = analyzer.AnalyzerEngine(
        nlp_engine=needs("presidio_analyzer.nlp_engine").SpacyNlpEngine(models),
        registry=analyzer.RecognizerRegistry([recognizer]),
    )
    results = engine.analyze(TEXT, language="en", entities=["PERSON"])
    assert texts_of(TEXT, results) == [("PERSON", "Marie Curie"), ("PERSON", "Albert Einstein")]
