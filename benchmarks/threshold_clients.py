"""Ways to ask a student behind one interface: texts and a threshold in, entities out.

A client is a way that a person can choose: a method of `StudentNER`, a command, a route of the
server, or one of our integrations, all of which are here, or a published class that was written for
GLiNER (`published_clients.py`). Each is used with its own defaults, but for the student, the labels
and the threshold. An entity is a dictionary with those of the fields `start`, `end`, `text`,
`label` and `score` that the client reports.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from gliner_distill.runtime.ner import StudentNER

Found = dict[str, Any]
Ask = Callable[[Sequence[str]], list[list[Found]]]
"""A function that returns the entities of each text."""

ALL_FIELDS = ("start", "end", "text", "label", "score")
SPAN_FIELDS = ("start", "end", "label", "score")


@dataclass(frozen=True)
class Client:
    """A client, and what it reports of an entity.

    Attributes:
        name: The name in tables.
        make: Returns a function that asks the client, for labels, a threshold, and the folder of a
            student or None.
        fields: The fields of an entity that the client reports.
        packages: The modules of other people that it needs.
        imports: The modules that import gliner, which a test has to import again.
        is_nested: Whether an entity may lie inside another.
        only_threshold: The threshold that the client always uses; None if it can be chosen.
        chunk_chars: The length from which on a text is read in pieces; None for no such length.
    """

    name: str
    make: Callable[[Sequence[str], float, str | None], Ask]
    fields: tuple[str, ...] = ALL_FIELDS
    packages: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    is_nested: bool = False
    only_threshold: float | None = None
    chunk_chars: int | None = None

    def missing(self) -> str | None:
        """Return the first of its packages that is not installed, or None."""
        return next((name for name in self.packages if find_spec(name) is None), None)


@cache
def load(student: str | None) -> StudentNER:
    """Return a student, which is loaded once."""
    return StudentNER.from_pretrained(student)


def student_ner(
    labels: Sequence[str], threshold: float, student: str | None, *, flat_ner: bool = True
) -> Ask:
    predict = load(student).predict_entities
    return lambda texts: [predict(text, labels, flat_ner, threshold) for text in texts]


def command_line(labels: Sequence[str], threshold: float, student: str | None) -> Ask:
    def ask(texts: Sequence[str]) -> list[list[Found]]:
        with tempfile.TemporaryDirectory() as folder:
            listed = Path(folder, "labels.json")
            listed.write_text(json.dumps(list(labels)), encoding="utf-8")
            options = ("--labels", listed, "--threshold", str(threshold), "--input", "jsonl")
            model = () if student is None else ("--model", student)
            done = subprocess.run(
                [sys.executable, "-m", "gliner_distill", "predict", *options, *model],
                input="".join(json.dumps({"text": text}) + "\n" for text in texts),
                stdout=subprocess.PIPE,
                encoding="utf-8",
                check=True,
            )
        return [json.loads(line)["entities"] for line in done.stdout.splitlines()]

    return ask


def entity_column(labels: Sequence[str], threshold: float, student: str | None) -> Ask:
    column = import_module("gliner_distill.integrations.arrow").entity_column
    return lambda texts: column(texts, labels, model=student, threshold=threshold).to_pylist()


def make_client(app: Any) -> Any:
    return import_module("starlette.testclient").TestClient(app, base_url="http://127.0.0.1")


@cache
def server(student: str | None) -> Any:
    """Return a client of a server with this student, which is started once."""
    create_app = import_module("gliner_distill.serve.app").create_app
    return make_client(create_app({"student": load(student)}))


def ask_server(
    labels: Sequence[str], threshold: float, student: str | None, *, route: str, **more: Any
) -> Ask:
    body = {"labels": list(labels), "threshold": threshold, **more}

    def ask(texts: Sequence[str]) -> list[list[Found]]:
        answers = []
        for text in texts:
            asked = body | {"text": text}
            sent = {"data": asked} if route == "/pooling" else asked
            answers.append(server(student).post(route, json=sent).raise_for_status().json())
        if route == "/pooling":
            return [flatten(answer["data"]["entities"]) for answer in answers]
        return [answer["entities"] for answer in answers]

    return ask


def flatten(by_label: dict[str, list[Found]]) -> list[Found]:
    """Return the entities of all labels; their scores are called confidence."""
    return [
        {"label": label, "score": one["confidence"]}
        | {key: one[key] for key in ("start", "end", "text")}
        for label, entities in by_label.items()
        for one in entities
    ]


def label_studio(labels: Sequence[str], threshold: float, student: str | None) -> Ask:
    app = import_module("gliner_distill.integrations.label_studio.app")
    predictor = import_module("gliner_distill.integrations.label_studio.predictions").Predictor
    client = make_client(app.create_app(predictor(load(student), version="1", threshold=threshold)))
    listed = "".join(f"<Label value={quoteattr(label)}/>" for label in labels)
    config = (
        '<View><Labels name="label" toName="text">'
        f'{listed}</Labels><Text name="text" value="$text"/></View>'
    )

    def ask(texts: Sequence[str]) -> list[list[Found]]:
        tasks = [{"id": number, "data": {"text": text}} for number, text in enumerate(texts)]
        sent = {"tasks": tasks, "label_config": config}
        answer = client.post("/predict", json=sent).raise_for_status().json()
        return [
            [region["value"] | {"label": region["value"]["labels"][0]} for region in each["result"]]
            for each in answer["results"]
        ]

    return ask


def spacy_component(
    labels: Sequence[str], threshold: float, student: str | None, *, style: str
) -> Ask:
    config = {"labels": list(labels), "model": student, "threshold": threshold, "style": style}
    return ask_pipeline(make_pipeline("gliner_distill", config))


def make_pipeline(component: str, config: dict[str, Any]) -> Any:
    """Return the blank English pipeline with one component, which replaces an earlier one."""
    nlp = blank_pipeline()
    for name in nlp.pipe_names:
        nlp.remove_pipe(name)
    nlp.add_pipe(component, config=config)
    return nlp


@cache
def blank_pipeline() -> Any:
    """Return a blank English pipeline of spaCy, which is made once, because that takes long."""
    return import_module("spacy").blank("en")


def ask_pipeline(nlp: Any) -> Ask:
    def ask(texts: Sequence[str]) -> list[list[Found]]:
        return [list(map(describe, *spans_of(doc))) for doc in nlp.pipe(texts)]

    return ask


def spans_of(doc: Any) -> tuple[Sequence[Any], Sequence[float]]:
    """Return the spans of a document and their scores, whatever the style."""
    if "sc" in doc.spans:  # spans of the same tokens share `span._.score`
        return doc.spans["sc"], doc.spans["sc"].attrs["scores"].tolist()
    return doc.ents, [span._.score for span in doc.ents]


def describe(span: Any, score: float) -> Found:
    place = {"start": span.start_char, "end": span.end_char, "text": span.text}
    return place | {"label": span.label_, "score": score}


def ask_presidio(recognizer: Any, labels: Sequence[str]) -> Ask:
    """Return a function that asks an analyzer of Presidio with one recognizer alone."""
    analyzer = import_module("presidio_analyzer")
    engine = analyzer.AnalyzerEngine(
        nlp_engine=blank_engine(), registry=analyzer.RecognizerRegistry([recognizer])
    )

    def ask(texts: Sequence[str]) -> list[list[Found]]:
        found = [engine.analyze(text, language="en", entities=list(labels)) for text in texts]
        return [
            [
                {"start": one.start, "end": one.end, "label": one.entity_type, "score": one.score}
                for one in results
            ]
            for results in found
        ]

    return ask


@cache
def blank_engine() -> Any:
    """Return an engine of Presidio with a blank pipeline of spaCy, which is made once."""
    with tempfile.TemporaryDirectory() as folder:
        import_module("spacy").blank("en").to_disk(folder)
        engine = import_module("presidio_analyzer.nlp_engine").SpacyNlpEngine(
            models=[{"lang_code": "en", "model_name": folder}]
        )
        engine.load()
    return engine


def presidio(labels: Sequence[str], threshold: float, student: str | None) -> Ask:
    module = import_module("gliner_distill.integrations.presidio")
    # Without `thresholds`, labels that have a checked pattern get a threshold of 0.9.
    recognizer = module.GLiNERDistillRecognizer(
        entity_mapping={label: label for label in labels},
        model=student,
        threshold=threshold,
        thresholds={},
    )
    return ask_presidio(recognizer, labels)


def langchain(labels: Sequence[str], threshold: float, student: str | None) -> Ask:
    module = import_module("gliner_distill.integrations.langchain")
    transformer = module.GLiNERDistillTransformer(
        labels=list(labels), model=student, threshold=threshold
    )

    def ask(texts: Sequence[str]) -> list[list[Found]]:
        documents = transformer.transform_documents([module.Document(text) for text in texts])
        return [document.metadata["entities"] for document in documents]

    return ask


def haystack(labels: Sequence[str], threshold: float, student: str | None) -> Ask:
    module = import_module("gliner_distill.integrations.haystack")
    extractor = module.GLiNERDistillExtractor(list(labels), student, threshold)

    def ask(texts: Sequence[str]) -> list[list[Found]]:
        documents = [module.Document(content=text) for text in texts]
        return [each.meta["entities"] for each in extractor.run(documents)["documents"]]

    return ask


def llama_index(labels: Sequence[str], threshold: float, student: str | None) -> Ask:
    node = import_module("llama_index.core.schema").TextNode
    extractor = import_module("gliner_distill.integrations.llama_index").GLiNERDistillExtractor(
        labels=list(labels),
        model=student,
        threshold=threshold,
        metadata_key="entities",
        show_progress=False,
    )

    def ask(texts: Sequence[str]) -> list[list[Found]]:
        extracted = extractor.extract([node(text=text) for text in texts])
        return [metadata["entities"] for metadata in extracted]

    return ask


STUDENT = Client("StudentNER", student_ner)
SPACY, PRESIDIO = ("spacy",), ("spacy", "presidio_analyzer")
WEB = ("fastapi", "uvicorn", "prometheus_client", "httpx2")

OURS = (
    Client("`predict`", command_line),
    Client("`serve`", partial(ask_server, route="/v1/entities"), packages=WEB),
    Client("`serve`, `/gliner`", partial(ask_server, route="/gliner"), packages=WEB),
    Client(
        "`serve`, `/pooling`",
        partial(ask_server, route="/pooling", include_confidence=True, include_spans=True),
        packages=WEB,
    ),
    Client("data frames", entity_column, packages=("pyarrow",)),
    Client("spaCy", partial(spacy_component, style="ent"), packages=SPACY),
    Client(
        "spaCy, style `span`",
        partial(spacy_component, style="span"),
        packages=SPACY,
        is_nested=True,
    ),
    Client("Presidio", presidio, SPAN_FIELDS, PRESIDIO),
    Client("LangChain", langchain, packages=("langchain_core",)),
    Client("Haystack", haystack, packages=("haystack",)),
    Client("LlamaIndex", llama_index, packages=("llama_index", "llama_index.core")),
    Client("Label Studio", label_studio, packages=("fastapi", "httpx2", "filelock")),
)
"""The clients of this package."""
