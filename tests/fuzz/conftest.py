"""The unharmed files of the fuzz tests, and how long and from which seed they run."""

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from distillation_world import LABELS, LEXICON, make_gold, make_texts


@pytest.fixture(scope="session")
def fuzz_seconds() -> float:
    """The time to run new cases, from `FUZZ_SECONDS`; ten minutes without it."""
    return float(os.environ.get("FUZZ_SECONDS", 600))


@pytest.fixture(scope="session")
def fuzz_seed() -> str:
    """The seed, from `FUZZ_SEED`; without it, the time."""
    return os.environ.get("FUZZ_SEED", str(int(time.time())))


@pytest.fixture(scope="session")
def fuzz_only() -> tuple[str, int] | None:
    """The kind and the number of the only case to run, from `FUZZ_ONLY=KIND/NUMBER`, or None."""
    kind, _, number = os.environ.get("FUZZ_ONLY", "").rpartition("/")
    return (kind, int(number)) if kind else None


@pytest.fixture(scope="session")
def samples(tmp_path_factory, small_vocabulary, build_comparer, gliner_folder):
    """A folder of unharmed files: small models, a store, and what commands write and read."""
    from fuzz.corpora import write_corpora
    from gliner_distill.runtime.bundle import quantize_weights, write_bundle
    from gliner_distill.runtime.ner import StudentNER
    from gliner_distill.student.bundling import make_bundle
    from gliner_distill.student.files import save_student

    root = tmp_path_factory.mktemp("fuzz")
    folder = root / "samples"
    student = build_comparer()
    save_student(folder / "student", student, small_vocabulary)
    bundle = quantize_weights(make_bundle(student, small_vocabulary))
    write_bundle(folder / "export", bundle)
    StudentNER(bundle, num_threads=1).save_pretrained(folder / "card")
    shutil.copytree(gliner_folder, folder / "gliner")
    write_corpora(folder)
    write_small_files(folder)
    return folder


@pytest.fixture(scope="session")
def trained_samples(samples, small_vocabulary, lexicon_teacher, make_store, five_passages):
    """The same folder with a store, a stopped training run, and a distillation."""
    import numpy as np

    from fuzz.readers import CONFIG, DISTILLATION, SETTINGS
    from gliner_distill.distillation.job import DistillJob
    from gliner_distill.distillation.pipeline import distill_from
    from gliner_distill.store.manifest import write_manifest, write_stored_file
    from gliner_distill.store.subword_vectors import SubwordVectors, subword_vector_files
    from gliner_distill.training.train import train

    manifest = make_store(samples / "store", five_passages, [2, 3])
    vectors = np.random.default_rng(0).standard_normal((len(small_vocabulary), 16))
    pieces = subword_vector_files(SubwordVectors(small_vocabulary, vectors.astype(np.float32)))
    manifest.other_files += [
        write_stored_file(samples / "store", name, content) for name, content in pieces.items()
    ]
    write_manifest(samples / "store", manifest)
    for name in ("training", "stopped"):
        shutil.copytree(samples / "store", samples / name / "store")
    stopped = samples / "stopped"

    def stop(stage: str, done: int, total: int, note: str = "") -> None:
        if 2 * done > total:  # an epoch has ended
            raise StoppedError

    with pytest.raises(StoppedError):
        train(stopped / "store", stopped / "run", SETTINGS, config=CONFIG, progress=stop)
    work = samples / "work"
    shutil.copytree(samples / "student", work / "start")
    (work / "texts.txt").write_text("\n".join(make_texts(40)) + "\n", encoding="utf-8")
    gold = [
        {
            "tokenized_text": p.words,
            "ner": [[e.start_word, e.start_word, e.label] for e in p.entities],
        }
        for p in make_gold(24)
    ]
    (work / "gold.json").write_text(json.dumps(gold), encoding="utf-8")
    job = DistillJob(str(work / "texts.txt"), LABELS, gold=str(work / "gold.json"))
    settings = replace(DISTILLATION, start=work / "start")
    distill_from(job, lexicon_teacher(LEXICON), work / "out", settings=settings)
    return samples


class StoppedError(Exception):
    """The end of a training run that is to be continued."""


def write_small_files(folder: Path) -> None:
    """Write files of labels, of placeholders and of kept answers, and a question to a student."""
    question = {"student": "bundled", "texts": [], "labels": ["city"], "options": {}}
    labels = {"person": "a name of a human being", "city": "", "river, stream": "water"}
    lines = '# labels\nperson: a name of a human being\n\ncity\nriver, lake\n"a, b"\n'
    contents = {
        "lines of labels/labels.txt": lines,
        "JSON of labels/labels.txt": json.dumps(labels),
        "mapping/mapping.json": json.dumps({"[PERSON_1]": "Ada", "[CITY_1]": "[LITERAL_1]"}),
        "questions/question.json": json.dumps(question),
        "kept answers/answers.jsonl": "".join(map(make_kept_line, "abc")),
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(content, encoding="utf-8")


def make_kept_line(key: str) -> str:
    """Return the answers of a language model to a question, as a line of the file of a store."""
    answers = [[["Ada", "person", "", "lives in", 0.75], ["Paris", "city", "in", "", 1.0]], []]
    return json.dumps({"key": key, "answers": answers, "tokens": [200, 30]}) + "\n"
