"""Packages that send a student to other processes: joblib, dask, Ray, Spark and datasets."""

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from gliner_distill import StudentNER

ROOT = Path(__file__).resolve().parents[3]
LABELS = ["person", "city"]
LISTS_OF_TEXTS = [
    ["Ada Lovelace lived in London.", "Nothing here."],
    ["Bo left Rome.", "Marie Curie was born in Warsaw."],
]
# Prints the fingerprint of a function that uses a student, as `Dataset.map` computes it.
PRINT_FINGERPRINT = """
from datasets.fingerprint import Hasher
from gliner_distill import StudentNER

student = StudentNER.from_pretrained()
print(Hasher.hash(lambda row: student.predict_entities(row["text"], ["person"])))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def student():
    return StudentNER.from_pretrained(num_threads=1)


@pytest.fixture(scope="module")
def find(student):
    """A function that answers a list of texts with a student that it holds."""
    return partial(student.inference, labels=LABELS)


@pytest.fixture(scope="module")
def expected(find):
    answers = [find(texts) for texts in LISTS_OF_TEXTS]
    assert [entity["text"] for entity in answers[1][1]] == ["Marie Curie", "Warsaw"]
    return answers


def run_python(script, **environment):
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_example_of_the_docs_sends_a_student_to_a_process_pool(tmp_path):
    section = (ROOT / "docs" / "runtime.md").read_text(encoding="utf-8").split("## Processes")[1]
    script = tmp_path / "example.py"
    script.write_text(re.search(r"```python\n(.*?)```", section, re.DOTALL)[1], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", script],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert [word in done.stdout for word in ("Ada", "London", "Bo", "Rome")] == [True] * 4


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_joblib_workers_use_a_student(needs, find, expected, backend):
    joblib = needs("joblib")
    with joblib.parallel_config(backend, n_jobs=2):
        answers = joblib.Parallel()(joblib.delayed(find)(texts) for texts in LISTS_OF_TEXTS)
    assert answers == expected


def test_joblib_dumps_and_loads_a_student(needs, student, expected, tmp_path):
    joblib = needs("joblib")
    joblib.dump(student, tmp_path / "student.joblib")
    restored = joblib.load(tmp_path / "student.joblib")
    assert [restored.inference(texts, LABELS) for texts in LISTS_OF_TEXTS] == expected


@pytest.mark.parametrize("scheduler", ["processes", "threads"])
def test_dask_workers_use_a_student(needs, find, expected, scheduler):
    bag = needs("dask.bag")
    answers = bag.from_sequence(LISTS_OF_TEXTS, npartitions=2).map(find)
    assert answers.compute(scheduler=scheduler, num_workers=2) == expected


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
def test_ray_closures_hold_a_student(needs, student, expected, monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = needs("ray")
    ray.init(num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)
    try:
        task = ray.remote(lambda texts: student.inference(texts, LABELS))
        assert ray.get([task.remote(texts) for texts in LISTS_OF_TEXTS]) == expected
        put = ray.put(student)
        shared = ray.remote(lambda shared, texts: shared.inference(texts, LABELS))
        assert ray.get(shared.remote(put, LISTS_OF_TEXTS[0])) == expected[0]
    finally:
        ray.shutdown()


def test_spark_closures_hold_a_student(needs, student, expected, monkeypatch):
    sql = needs("pyspark.sql")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java, which is not installed")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    builder = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.driver.host", "127.0.0.1").getOrCreate()
    try:
        rows = spark.sparkContext.parallelize(LISTS_OF_TEXTS, 2)
        assert rows.map(lambda texts: student.inference(texts, LABELS)).collect() == expected
    finally:
        spark.stop()


def test_datasets_gives_equal_students_equal_fingerprints(needs, student):
    hasher = needs("datasets.fingerprint").Hasher
    first = hasher.hash(student)
    student.inference(LISTS_OF_TEXTS[0], LABELS)
    assert hasher.hash(student) == first
    assert hasher.hash(StudentNER.from_pretrained(num_threads=1)) == first


def test_datasets_gives_equal_functions_equal_fingerprints_in_all_processes(needs):
    needs("datasets.fingerprint")
    found = [run_python(PRINT_FINGERPRINT, PYTHONHASHSEED=seed) for seed in ("1", "2")]
    assert found[0].strip()
    assert found[0] == found[1]


def test_datasets_gives_other_thresholds_and_other_files_another_fingerprint(
    needs, student, tmp_path
):
    hasher = needs("datasets.fingerprint").Hasher
    tuned = StudentNER.from_pretrained(num_threads=1)
    texts = [text for texts in LISTS_OF_TEXTS for text in texts]
    gold = tuned.inference(texts, LABELS)
    tuned.tune_thresholds(texts, gold)
    tuned.save_pretrained(tmp_path / "tuned")
    loaded = StudentNER.from_pretrained(tmp_path / "tuned", num_threads=1)
    fingerprints = {hasher.hash(one) for one in (student, tuned, loaded)}
    assert len(fingerprints) == 3


@pytest.mark.parametrize("n_processes", [None, 2])
def test_datasets_map_finds_entities_and_caches_them(
    needs, student, expected, tmp_path, monkeypatch, n_processes
):
    datasets = needs("datasets")
    # With processes, `map` replaces `os.environ` by a copy, which other packages would not see.
    monkeypatch.setattr(os, "environ", os.environ)
    path = tmp_path / "texts.jsonl"
    texts = [text for texts in LISTS_OF_TEXTS for text in texts]
    path.write_text("".join(f'{{"text": "{text}"}}\n' for text in texts), encoding="utf-8")
    read = datasets.load_dataset(
        "json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )

    def add_entities(rows):
        found = student.inference(rows["text"], LABELS)
        return {"found": [[entity["text"] for entity in entities] for entities in found]}

    first = read.map(add_entities, batched=True, num_proc=n_processes)
    again = read.map(add_entities, batched=True, num_proc=n_processes)
    assert first["found"] == [
        [entity["text"] for entity in entities] for answers in expected for entities in answers
    ]
    files = [{file["filename"] for file in table.cache_files} for table in (first, again)]
    assert files[0] == files[1]
