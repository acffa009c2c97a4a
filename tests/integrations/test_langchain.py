"""The document transformer for LangChain, in LangChain."""

import asyncio
import json
from pathlib import Path

import pytest

from gliner_distill.runtime.ner import StudentNER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The function `loads` is in beta"),
]
TEXT = "Ada Lovelace lived in London."
LABELS = ["person", "city"]


@pytest.fixture
def langchain(needs):
    needs("langchain_core")
    return needs("gliner_distill.integrations.langchain")


@pytest.fixture
def documents(langchain):
    return [
        langchain.Document(TEXT, id="1", metadata={"source": "a.txt"}),
        langchain.Document(""),
    ]


def test_transform_documents_adds_the_students_entities(langchain, documents):
    transformer = langchain.GLiNERDistillTransformer(labels=LABELS)
    first, second = transformer.transform_documents(documents)
    assert first.metadata == {
        "source": "a.txt",
        "entities": StudentNER.from_pretrained().predict_entities(TEXT, LABELS),
    }
    assert (first.page_content, first.id) == (TEXT, "1")
    assert second.metadata == {"entities": []}
    assert documents[0].metadata == {"source": "a.txt"}


def test_transform_documents_takes_a_generator(langchain, documents):
    transformer = langchain.GLiNERDistillTransformer(labels=LABELS)
    found = transformer.transform_documents(document for document in documents)
    assert found == transformer.transform_documents(documents)


def test_transform_documents_uses_every_setting(langchain, documents, tmp_path):
    StudentNER.from_pretrained().save_pretrained(tmp_path / "student")
    transformer = langchain.GLiNERDistillTransformer(
        labels={"person": "person", "city": "city"},
        model=str(tmp_path / "student"),
        threshold=0.1,
        thresholds={"city": 1.0},
        metadata_key="found",
    )
    found = transformer.transform_documents(documents)[0].metadata["found"]
    assert [entity["label"] for entity in found] == ["person"]


def test_atransform_documents_gives_the_same_answers(langchain, documents):
    transformer = langchain.GLiNERDistillTransformer(labels=LABELS)
    answers = asyncio.run(transformer.atransform_documents(documents))
    assert answers == transformer.transform_documents(documents)


def test_transformer_is_saved_and_loaded_by_langchain(langchain, needs):
    load = needs("langchain_core.load")
    transformer = langchain.GLiNERDistillTransformer(labels=LABELS, threshold=0.3)
    assert transformer.student is transformer.student
    loaded = load.loads(
        load.dumps(transformer),
        allowed_objects=[langchain.GLiNERDistillTransformer],
        valid_namespaces=["gliner_distill"],
    )
    assert loaded.model_dump() == transformer.model_dump()


def test_transformer_keeps_a_path_as_text(langchain, needs):
    made = langchain.GLiNERDistillTransformer(labels=LABELS, model=Path("students/mine"))
    assert made.model == str(Path("students/mine"))
    saved = json.loads(needs("langchain_core.load").dumps(made))
    assert saved["kwargs"]["model"] == made.model


@pytest.mark.parametrize(
    "settings", [{"labels": []}, {"labels": LABELS, "threshold": 2}, {"labels": LABELS, "cut": 1}]
)
def test_transformer_refuses_wrong_settings_when_it_is_made(langchain, settings):
    with pytest.raises(ValueError, match=r"labels|threshold|cut"):
        langchain.GLiNERDistillTransformer(**settings)
