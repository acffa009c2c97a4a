"""Pipelines that are saved, packed into bytes, and loaded elsewhere."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

from gliner_distill import StudentNER
from gliner_distill.errors import StudentError
from gliner_distill.integrations.spacy.student_bytes import pack_student, unpack_student
from gliner_distill.runtime.locate import bundled_student_path

TEXT = "Ada Lovelace lived in London."
FOUND = [("Ada Lovelace", "person"), ("London", "city")]
LOAD = """
import json, sys
import spacy
nlp = spacy.load(sys.argv[1])
doc = nlp("Ada Lovelace lived in London.")
print(json.dumps([(ent.text, ent.label_, ent._.score) for ent in doc.ents]))
"""

pytestmark = pytest.mark.slow


def ents_of(doc):
    return [(ent.text, ent.label_) for ent in doc.ents]


def test_saved_pipeline_loads_in_a_fresh_process_without_the_original(make_nlp, tmp_path):
    original = tmp_path / "student"
    shutil.copytree(bundled_student_path(), original)
    nlp = make_nlp(model=str(original))
    expected = [[*found, ent._.score] for found, ent in zip(FOUND, nlp(TEXT).ents, strict=True)]
    nlp.to_disk(tmp_path / "pipeline")
    shutil.rmtree(original)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, tmp_path / "pipeline"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected


def test_saved_pipeline_holds_a_student_in_safe_formats(make_nlp, tmp_path):
    make_nlp().to_disk(tmp_path / "pipeline")
    folder = tmp_path / "pipeline" / "gliner_distill"
    assert {path.name for path in folder.iterdir()} == {
        *(
            "student_config.json",
            "tokenizer.json",
            "weights.safetensors",
            "README.md",
            "config.json",
        ),
    }
    student = StudentNER.from_pretrained(folder)
    assert student.predict_entities(TEXT, ["person"])[0]["text"] == "Ada Lovelace"


def test_saved_pipeline_takes_other_settings_when_it_is_loaded(spacy, make_nlp, tmp_path):
    make_nlp().to_disk(tmp_path / "pipeline")
    overrides = {"components": {"gliner_distill": {"labels": ["city"]}}}
    assert ents_of(spacy.load(tmp_path / "pipeline", config=overrides)(TEXT)) == FOUND[1:]


def test_tuned_thresholds_are_saved(spacy, make_nlp, tmp_path):
    nlp = make_nlp()
    student = nlp.get_pipe("gliner_distill").student
    student.tune_thresholds([TEXT], [student.predict_entities(TEXT, ["person", "city"])])
    nlp.to_disk(tmp_path / "pipeline")
    loaded = spacy.load(tmp_path / "pipeline")
    scores = [[ent._.score for ent in pipeline(TEXT).ents] for pipeline in (nlp, loaded)]
    assert scores[0] == scores[1]


def test_pipeline_can_be_saved_over_an_earlier_one(spacy, make_nlp, tmp_path):
    for labels in (["person"], ["city"]):
        make_nlp(labels=labels).to_disk(tmp_path / "pipeline")
    assert ents_of(spacy.load(tmp_path / "pipeline")(TEXT)) == FOUND[1:]


def test_excluded_component_is_neither_saved_nor_loaded(spacy, make_nlp, tmp_path):
    make_nlp().to_disk(tmp_path / "pipeline", exclude=["gliner_distill"])
    assert not (tmp_path / "pipeline" / "gliner_distill").exists()
    assert spacy.load(tmp_path / "pipeline", exclude=["gliner_distill"]).pipe_names == []


def test_saved_pipeline_without_the_folder_of_the_student_is_refused(spacy, make_nlp, tmp_path):
    make_nlp().to_disk(tmp_path / "pipeline")
    shutil.rmtree(tmp_path / "pipeline" / "gliner_distill")
    with pytest.raises(StudentError, match="gliner_distill"):
        spacy.load(tmp_path / "pipeline")


def test_pipeline_survives_as_bytes(make_nlp):
    data = make_nlp().to_bytes()
    copy = make_nlp(model="nowhere/at-all").from_bytes(data)
    assert ents_of(copy(TEXT)) == FOUND


def test_bytes_without_the_component_keep_the_student_of_the_config(make_nlp):
    data = make_nlp().to_bytes(exclude=["gliner_distill"])
    assert ents_of(make_nlp().from_bytes(data)(TEXT)) == FOUND


def test_unpack_student_refuses_other_bytes():
    with pytest.raises(StudentError, match="bytes"):
        unpack_student(b"not a student", num_threads=1)


def test_unpack_student_writes_no_file_outside():
    files = safetensors.numpy.load(pack_student(StudentNER.from_pretrained(num_threads=1)))
    files["../evil"] = np.zeros(1, np.uint8)
    with pytest.raises(StudentError, match="evil"):
        unpack_student(safetensors.numpy.save(files), num_threads=1)
