"""The examples, run as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gliner_distill import read_mapping, restore

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

pytestmark = pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason="the examples are in the repository, not in the package"
)

LABELED = """\
Ada Lovelace lived in London .
  Ada Lovelace: person 0.98
From York she wrote to New York and Washington .
  York: city 0.90
  New York: city 0.97
  Washington: city 0.60
The St . Lawrence River is long .
  St . Lawrence River: river 0.99
"""


@pytest.mark.slow
def test_label_with_a_dictionary_prints_the_entities_of_its_store(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "label_with_a_dictionary.py", tmp_path / "store"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == (LABELED, "")


WITHOUT_TORCH = """
import runpy, sys
sys.modules |= dict.fromkeys(["torch", "gliner", "transformers"])
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_label_with_a_dictionary_needs_no_torch(tmp_path):
    example = EXAMPLES / "label_with_a_dictionary.py"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, example, tmp_path / "store"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.stderr) == (LABELED, "")


def run_example(*args, folder):
    """Run an example in a folder with one thread, and return what it prints."""
    done = subprocess.run(
        [sys.executable, *map(str, args)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["label_with_a_dictionary.py", "redact_folder.py"])
def test_example_without_arguments_says_how_to_call_it(name, tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"usage: python {name} ")


@pytest.mark.slow
def test_redact_folder_writes_files_that_can_be_restored(tmp_path):
    texts = {
        "a.txt": "Ada Lovelace wrote to ada@example.com.\n",
        "deep/b.txt": "Call Ada Lovelace.\n\nCall Maria Lopez.\n",
    }
    for name, text in texts.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(text, encoding="utf-8")
    (tmp_path / "in" / "c.csv").write_text("Ada Lovelace", encoding="utf-8")
    args = (EXAMPLES / "redact_folder.py", "in", "out", "values.json")
    assert run_example(*args, folder=tmp_path).splitlines() == [
        "a.txt: 2 replaced",
        "deep/b.txt: 2 replaced",
    ]
    mapping = read_mapping(tmp_path / "values.json")
    written = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_text(encoding="utf-8")
        for path in (tmp_path / "out").rglob("*.txt")
    }
    assert written["a.txt"] == "[PERSON_1] wrote to [EMAIL_ADDRESS_1].\n"
    assert {name: restore(text, mapping) for name, text in written.items()} == texts
    run_example(*args, folder=tmp_path)  # again: the same placeholders
    assert read_mapping(tmp_path / "values.json") == mapping


@pytest.mark.ray
def test_ray_job_counts_the_entities_of_all_lines(tmp_path):
    pytest.importorskip("ray", reason="ray is not installed")
    lines = ["Mary left Paris.", "Nothing happened.", "John saw London."]
    (tmp_path / "texts.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    printed = run_example(EXAMPLES / "ray_job.py", "texts.txt", "out", folder=tmp_path)
    # On a busy machine, Ray's own warnings are among the lines.
    own = [line for line in printed.splitlines() if "(raylet)" not in line]
    assert sorted(filter(None, own)) == ["city 2", "person 2"]
    assert list((tmp_path / "out").glob("*.parquet"))
    # Ray would add its files to those of the first run, so that every entity counts twice.
    with pytest.raises(AssertionError, match="out: it exists"):
        run_example(EXAMPLES / "ray_job.py", "texts.txt", "out", folder=tmp_path)
