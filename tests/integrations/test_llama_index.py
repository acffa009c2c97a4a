"""The extractor for LlamaIndex, in its ingestion pipeline."""

import asyncio
from pathlib import Path

import pytest

from gliner_distill.errors import StudentError
from gliner_distill.runtime.ner import StudentNER

pytestmark = pytest.mark.slow
TEXT = "Ada Lovelace lived in London. Ada Lovelace wrote there."
LABELS = ["person", "city"]


@pytest.fixture
def extractor(needs):
    needs("llama_index.core")
    return needs("gliner_distill.integrations.llama_index").GLiNERDistillExtractor


@pytest.fixture
def nodes(needs):
    node = needs("llama_index.core.schema").TextNode
    return [node(text=TEXT, metadata={"file": "Paris.txt"}), node(text="")]


def test_extractor_writes_the_texts_of_each_label_in_a_pipeline(extractor, nodes, needs):
    pipeline = needs("llama_index.core.ingestion").IngestionPipeline(
        transformations=[extractor(labels=LABELS, show_progress=False)]
    )
    first, second = pipeline.run(nodes=nodes)
    assert first.metadata == {
        "file": "Paris.txt",
        "person": ["Ada Lovelace"],
        "city": ["London"],
    }
    assert second.metadata == {}


def test_extractor_writes_positions_into_one_field(extractor, nodes):
    found = extractor(labels=LABELS, metadata_key="entities").extract(nodes)
    expected = StudentNER.from_pretrained().predict_entities(TEXT, LABELS)
    assert found == [{"entities": expected}, {"entities": []}]


def test_extractor_lets_the_event_loop_go_on(extractor, nodes):
    async def read_twice():
        extracted = extractor(labels=LABELS)
        return await asyncio.gather(extracted.aextract(nodes), extracted.aextract(nodes))

    first, second = asyncio.run(read_twice())
    assert first == second


def test_extractor_is_saved_and_loaded(extractor):
    made = extractor(
        labels=LABELS, model=Path("students/mine"), threshold=0.3, thresholds={"city": 0.9}
    )
    assert made.model == str(Path("students/mine"))
    loaded = extractor.from_json(made.to_json())
    assert loaded.to_dict() == made.to_dict()
    assert loaded.class_name() == "GLiNERDistillExtractor"


def test_extractor_names_a_student_that_is_missing(extractor, nodes, tmp_path):
    missing = extractor(labels=LABELS, model=str(tmp_path / "missing"))
    with pytest.raises(StudentError, match="missing"):
        missing.extract(nodes)


@pytest.mark.parametrize(
    "settings",
    [{"labels": []}, {"labels": LABELS, "threshold": 2}, {"labels": LABELS, "treshold": 0.3}],
)
def test_extractor_refuses_wrong_settings_when_it_is_made(extractor, settings):
    with pytest.raises(ValueError, match=r"labels|threshold|treshold"):
        extractor(**settings)
