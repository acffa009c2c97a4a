"""One student from one store."""

import dataclasses
import json

import pytest

from gliner_distill.errors import StoreError
from gliner_distill.labeling.jobs import ShardLimits
from gliner_distill.labeling.pipeline import label_corpus
from gliner_distill.labeling.policy import LabelPolicy
from gliner_distill.runtime.config import StudentConfig
from gliner_distill.student.files import load_student
from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.training.run import (
    read_metrics,
)
from gliner_distill.training.train import train
from training_runs import SHORT, KilledError, assert_same_run, stop_after


class TestTrain:
    @pytest.fixture
    def store(self, tmp_path, five_passages, lexicon_teacher):
        teacher = lexicon_teacher({"paris": "city", "mary": "person", "rhine": "river"})
        passages = [item.passage for item in five_passages]
        policy, limits = LabelPolicy(negatives=2), ShardLimits(passages=3)
        label_corpus(passages, teacher, tmp_path / "store", policy=policy, limits=limits)
        return tmp_path / "store"

    def test_train_refuses_files_that_the_store_does_not_list(self, tmp_path, store):
        (store / "tokenizer.json").write_text("{}")
        with pytest.raises(StoreError, match=r"store/tokenizer\.json: .*manifest.*--repair"):
            train(store, tmp_path / "run", SHORT, config=self.NARROW)
        assert not (tmp_path / "run").exists()

    NARROW = StudentConfig(embedding_width=8, hidden_width=8)

    @pytest.mark.slow
    def test_train_resumes_exactly_with_a_vocabulary_of_its_own(self, tmp_path, store):
        def train_on_store(folder, progress=lambda *step: None, **arguments):
            return train(
                store,
                tmp_path / folder,
                SHORT,
                config=self.NARROW,
                dev=store,
                progress=progress,
                **arguments,
            )

        steps = []
        train_on_store("whole", progress=lambda *step: steps.append(step))
        kill = stop_after(8)
        with pytest.raises(KilledError):
            train_on_store("killed", progress=kill)
        train_on_store("killed", resume=True)
        assert_same_run(tmp_path / "killed", tmp_path / "whole")
        stage, done, in_all, text = steps[-1]
        assert (stage, done) == ("training", in_all)
        assert text.startswith("epoch 4/4")

    def test_train_measures_both_splits_and_records_the_teacher(self, tmp_path, store):
        train(
            store,
            tmp_path / "run",
            dataclasses.replace(SHORT, epochs=1),
            config=self.NARROW,
            dev=store,
            progress=lambda *step: None,
        )
        splits = [row["split"] for row in read_metrics(tmp_path / "run")]
        assert splits == ["training", "train", "dev"]
        config = json.loads((tmp_path / "run" / "student" / "student_config.json").read_text())
        assert config["teacher"] == "lexicon"
        assert config["teacher_fingerprint"] == "f" * 64
        assert len(config["corpus_fingerprint"]) == 64

    @pytest.mark.parametrize(("weight", "width"), [(0.5, 32), (0.0, 0)])
    def test_train_fills_in_the_width_of_the_teacher(
        self, tmp_path, store, build_gliner, weight, width
    ):
        student = train(
            store,
            tmp_path / "run",
            dataclasses.replace(SHORT, epochs=1, feature_weight=weight),
            config=self.NARROW,
            teacher=GLiNERTeacher(build_gliner("UniEncoderToken")),
            progress=lambda *step: None,
        )
        assert student.config.feature_width == width
        run = json.loads((tmp_path / "run" / "config.json").read_text())
        assert run["architecture"]["feature_width"] == width
        assert load_student(tmp_path / "run" / "student")[0].config.feature_width == 0
