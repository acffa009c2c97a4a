"""The component for Haystack, in pipelines of Haystack."""

from pathlib import Path

import pytest

from gliner_distill.errors import InputError, StudentError
from gliner_distill.runtime.ner import StudentNER

pytestmark = pytest.mark.slow
TEXT = "Ada Lovelace lived in London."
LABELS = ["person", "city"]


@pytest.fixture
def haystack(needs):
    return needs("haystack")


@pytest.fixture
def extractor(haystack, needs):
    return needs("gliner_distill.integrations.haystack").GLiNERDistillExtractor


def test_extractor_adds_entities_in_a_pipeline(haystack, extractor):
    pipeline = haystack.Pipeline()
    pipeline.add_component("entities", extractor(LABELS))
    documents = [
        haystack.Document(content=TEXT, meta={"source": "a.txt"}),
        haystack.Document(content=None, meta={"kind": "image"}),
    ]
    answers = pipeline.run({"entities": {"documents": documents}})["entities"]["documents"]
    expected = StudentNER.from_pretrained().predict_entities(TEXT, LABELS)
    assert [answer.meta for answer in answers] == [
        {"source": "a.txt", "entities": expected},
        {"kind": "image", "entities": []},
    ]
    assert [answer.id for answer in answers] == [document.id for document in documents]
    assert documents[0].meta == {"source": "a.txt"}


def test_extractor_is_saved_with_its_pipeline(haystack, extractor):
    settings = {"labels": {"city": "a large town"}, "threshold": 0.3, "meta_key": "found"}
    pipeline = haystack.Pipeline()
    pipeline.add_component("entities", extractor(**settings, thresholds={"city": 0.9}))
    loaded = haystack.Pipeline.loads(
        pipeline.dumps(), allowed_modules=["gliner_distill.integrations.haystack"]
    )
    component = loaded.get_component("entities")
    assert component.to_dict() == pipeline.get_component("entities").to_dict()
    assert component.labels == {"city": "a large town"}
    assert component.thresholds == {"city": 0.9}


def test_extractor_with_a_path_is_saved_with_its_pipeline(haystack, extractor):
    pipeline = haystack.Pipeline()
    pipeline.add_component("entities", extractor(LABELS, model=Path("students/mine")))
    loaded = haystack.Pipeline.loads(
        pipeline.dumps(), allowed_modules=["gliner_distill.integrations.haystack"]
    )
    assert loaded.get_component("entities").model == str(Path("students/mine"))


def test_extractor_takes_a_generator(haystack, extractor):
    component = extractor(LABELS)
    documents = [haystack.Document(content=TEXT), haystack.Document(content=None)]
    answers = component.run(document for document in documents)
    assert answers == component.run(documents)


def test_extractor_loads_the_student_at_warm_up(extractor, tmp_path):
    missing = extractor(LABELS, model=str(tmp_path / "missing"))
    with pytest.raises(StudentError):
        missing.warm_up()


@pytest.mark.parametrize("settings", [{"labels": []}, {"labels": LABELS, "threshold": -1}])
def test_extractor_refuses_wrong_settings_when_it_is_made(extractor, settings):
    with pytest.raises(InputError):
        extractor(**settings)
