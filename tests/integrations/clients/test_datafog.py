"""The engine of datafog that uses GLiNERs, with a student."""

import pytest

pytestmark = pytest.mark.slow

ANNOTATOR = "datafog.processing.text_processing.gliner_annotator"
TEXT = "Marie Curie was born in Warsaw."


@pytest.fixture(scope="module", autouse=True)
def _without_telemetry():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATAFOG_NO_TELEMETRY", "1")
        patch.setenv("DO_NOT_TRACK", "1")
        yield


@pytest.fixture(scope="module")
def annotator(client):
    return client(ANNOTATOR).GLiNERAnnotator.create(entity_types=["person", "city"])


def test_annotator_groups_the_entities_by_type(annotator):
    assert annotator.annotate(TEXT) == {"PERSON": ["Marie Curie"], "CITY": ["Warsaw"]}


def test_annotator_of_an_empty_text_has_no_entities(annotator):
    assert annotator.annotate("") == {"PERSON": [], "CITY": []}


def test_annotator_names_the_model_that_was_asked_for(annotator):
    assert annotator.get_model_info()["model_name"] == "urchade/gliner_multi_pii-v1"


def test_text_service_annotates_with_the_engine_gliner(client):
    service = client("datafog.services.text_service", modules=(ANNOTATOR,))
    found = service.TextService(engine="gliner").annotate_text_sync(TEXT)
    assert found["PERSON"] == ["Marie Curie"]


def test_text_service_reads_long_texts_in_chunks(client):
    service = client("datafog.services.text_service", modules=(ANNOTATOR,))
    text = f"{TEXT} {'Nothing happened here. ' * 60}Ada Lovelace lived in London."
    found = service.TextService(engine="gliner").annotate_text_sync(text)
    assert found["PERSON"] == ["Marie Curie", "Ada Lovelace"]


def test_scan_with_the_engine_gliner_has_offsets(client):
    engine = client("datafog.engine", modules=(ANNOTATOR,))
    found = engine.scan(TEXT, engine="gliner", entity_types=["PERSON"]).entities
    assert [(entity.text, entity.start, entity.end) for entity in found] == [("Marie Curie", 0, 11)]


def test_redact_with_the_engine_gliner_replaces_persons(client):
    engine = client("datafog.engine", modules=(ANNOTATOR,))
    result = engine.scan_and_redact(TEXT, engine="gliner", entity_types=["PERSON"])
    assert "Marie Curie" not in result.redacted_text
