"""Published classes that were written for GLiNER, as clients of a student.

They load whatever student `gliner_distill.compat.install` was given, so call that first; the
argument `student` has no effect here. LangChain's `GlinerGraphTransformer` also needs GLiREL, which
finds relations and is not installed with it. Unless there is a component of this name, one that
finds no relations takes its place.
"""

import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

from threshold_clients import (
    PRESIDIO,
    SPAN_FIELDS,
    Ask,
    Client,
    Found,
    ask_pipeline,
    ask_presidio,
    make_pipeline,
)

LINKS = "langchain_community.graph_vectorstores.extractors"
GRAPHS = "langchain_experimental.graph_transformers"
WHOLE_TEXTS = 1_000_000
"""A size of chunks, in characters, in which each text is one chunk."""


def gliner_recognizer(
    labels: Sequence[str], threshold: float, _student: str | None, **settings: Any
) -> Ask:
    module = import_module("presidio_analyzer.predefined_recognizers.ner.gliner_recognizer")
    mapping = {label: label for label in labels}
    recognizer = module.GLiNERRecognizer(entity_mapping=mapping, threshold=threshold, **settings)
    return ask_presidio(recognizer, labels)


def gliner_spacy(
    labels: Sequence[str], threshold: float, _student: str | None, **settings: Any
) -> Ask:
    import_module("gliner_spacy.pipeline")
    config = {"labels": list(labels), "threshold": threshold, **settings}
    return ask_pipeline(make_pipeline("gliner_spacy", config))


def link_extractor(labels: Sequence[str], threshold: float, _student: str | None) -> Ask:
    extractor = import_module(f"{LINKS}.gliner_link_extractor").GLiNERLinkExtractor(
        list(labels), extract_kwargs={"threshold": threshold}
    )

    def ask(texts: Sequence[str]) -> list[list[Found]]:
        return [
            [{"label": link.kind.removeprefix("entity:"), "text": link.tag} for link in links]
            for links in extractor.extract_many(texts)
        ]

    return ask


def graph_transformer(labels: Sequence[str], threshold: float, _student: str | None) -> Ask:
    import_module("gliner_spacy.pipeline")
    find_no_relations()
    transformer = import_module(f"{GRAPHS}.gliner").GlinerGraphTransformer(
        list(labels), ["related to"], entity_confidence_threshold=threshold
    )
    document = import_module("langchain_core.documents").Document

    def ask(texts: Sequence[str]) -> list[list[Found]]:
        graphs = [transformer.process_document(document(page_content=text)) for text in texts]
        return [[{"label": node.type, "text": node.id} for node in one.nodes] for one in graphs]

    return ask


def find_no_relations() -> None:
    """Let a component `glirel` exist that finds no relations, unless there is one already."""
    sys.modules.setdefault("glirel", ModuleType("glirel"))
    language, doc = import_module("spacy.language").Language, import_module("spacy.tokens").Doc
    if not doc.has_extension("relations"):
        doc.set_extension("relations", default=[])
    if not language.has_factory("glirel"):
        language.factory(
            "glirel",
            default_config={"model": "", "device": ""},
            func=lambda nlp, name, model, device: lambda doc: doc,
        )


def datafog(labels: Sequence[str], _threshold: float, _student: str | None) -> Ask:
    module = import_module("datafog.processing.text_processing.gliner_annotator")
    annotator = module.GLiNERAnnotator.create(entity_types=list(labels))
    names = {label.upper().replace(" ", "_"): label for label in labels}

    def ask(texts: Sequence[str]) -> list[list[Found]]:
        return [
            [
                {"label": names[name], "text": text}
                for name, found in annotator.annotate(text).items()
                for text in found
            ]
            for text in texts
        ]

    return ask


GLINER_SPACY = ("spacy", "gliner_spacy")
GLINER_SPACY_IMPORTS = ("gliner_spacy", "gliner_spacy.pipeline")
RECOGNIZER = ("presidio_analyzer.predefined_recognizers.ner.gliner_recognizer",)

CHUNK_CHARS = 250
"""The size of chunks in `GLiNERRecognizer`, gliner-spacy and `GlinerGraphTransformer`."""

_recognizer = partial(Client, fields=SPAN_FIELDS, packages=PRESIDIO, imports=RECOGNIZER)
_gliner_spacy = partial(Client, packages=GLINER_SPACY, imports=GLINER_SPACY_IMPORTS)
_texts_only = partial(Client, fields=("text", "label"))

PUBLISHED = (
    _recognizer("`GLiNERRecognizer`", gliner_recognizer, chunk_chars=CHUNK_CHARS),
    _recognizer(
        "`GLiNERRecognizer`, whole texts", partial(gliner_recognizer, chunk_size=WHOLE_TEXTS)
    ),
    _gliner_spacy("gliner-spacy", gliner_spacy, chunk_chars=CHUNK_CHARS),
    _gliner_spacy("gliner-spacy, whole texts", partial(gliner_spacy, chunk_size=WHOLE_TEXTS)),
    _texts_only(
        "`GlinerGraphTransformer`",
        graph_transformer,
        packages=(*GLINER_SPACY, "langchain_experimental"),
        imports=(*GLINER_SPACY_IMPORTS, f"{GRAPHS}.gliner", GRAPHS),
        chunk_chars=CHUNK_CHARS,
    ),
    _texts_only(
        "`GLiNERLinkExtractor`",
        link_extractor,
        packages=("langchain_community",),
        imports=(f"{LINKS}.gliner_link_extractor", LINKS),
    ),
    _texts_only(
        "datafog",
        datafog,
        packages=("datafog",),
        imports=("datafog.processing.text_processing.gliner_annotator",),
        only_threshold=0.5,
    ),
)
"""The published classes that were written for GLiNER."""
