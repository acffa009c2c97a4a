"""Distilling from texts to a report: steps that continue, exports, and the function in Python.

The teacher looks words up; the student that training starts from is 8 wide.
"""

import errno
import json
import os
import shutil
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from distillation_world import (
    LABELS,
    LEXICON,
    assert_same_weights,
    count_splits,
    files_of,
    make_gold,
    make_texts,
    weights_of,
    write_texts,
)
from gliner_distill import __version__
from gliner_distill.callbacks import no_progress
from gliner_distill.corpus.reader import write_passages
from gliner_distill.decoding import decode_entities
from gliner_distill.distillation import pipeline as pipeline_module
from gliner_distill.distillation import train as train_module
from gliner_distill.distillation.job import DistillJob
from gliner_distill.distillation.pipeline import distill, distill_from
from gliner_distill.distillation.train import mix_gold_targets
from gliner_distill.entities import Entity, Passage
from gliner_distill.errors import DistillError, ExportError, InputError, SettingsError
from gliner_distill.evaluation.other_labels import measure_other_labels
from gliner_distill.runtime.bundle import read_bundle
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.score_map import ScoreMap
from gliner_distill.store.store import SoftLabelStore
from gliner_distill.student import export as export_module
from gliner_distill.student.files import load_student, save_student
from gliner_distill.student.predictor import StudentPredictor
from gliner_distill.training.run import read_metrics

STUDENT_FILES = {
    *("weights.safetensors", "student_config.json", "tokenizer.json"),
}
CARD_FILES = {"README.md", "config.json"}
FOLDER_FILES = STUDENT_FILES | CARD_FILES | {"report.html", "results.json", "fp32", "work"}

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_folder")]


@pytest.fixture
def half(settings):
    """Settings with which a tuned student counts half, whatever it is worth."""
    return replace(
        settings, ensemble_shares=(0.0, 0.5), ensemble_thresholds=(0.5,), min_f1_share=0.0
    )


@pytest.fixture
def run(texts, lexicon_teacher, settings):
    """A function that distills `texts.txt` with a new lexicon teacher."""

    def run(
        out="out", *, texts="texts.txt", labels=LABELS, teacher=None, settings=settings, **options
    ):
        job = DistillJob(texts, labels, **options)
        teacher = teacher or lexicon_teacher(LEXICON)
        return distill_from(job, teacher, Path(out), settings=settings)

    return run


def mean_with_tuned(made, split):
    """Return a split of the text with the mean of the teacher's and the tuned student's answers."""
    answers = SoftLabelStore(made.run / "gold" / f"labels-{split}")
    return [
        replace(passage, probs=(0.5 * passage.probs + 0.5 * answer.probs).astype(np.float32))
        for passage, answer in zip(made.labeled.text[split], answers, strict=True)
    ]


def spans_of(entities):
    return {(entity.start_word, entity.label) for entity in entities}


class TestTrain:
    def test_train_makes_a_student_of_all_passages(self, make_trained, texts):
        made, _ = make_trained()
        assert count_splits(made.labeled.text) == {"train": 32, "dev": 4, "test": 4}
        rows = [row for row in read_metrics(made.run) if row["split"] == "dev"]
        assert [row["epoch"] for row in rows] == [1, 2]
        assert made.student == Path("out/work/run-0/student")
        load_student(made.student)
        assert made.warnings == ()
        assert set(made.seconds) == {"labeling", "training"}

    def test_train_does_nothing_again(self, make_trained, trained):
        before = files_of("out")
        again, teacher = make_trained()
        assert teacher.asked == []
        assert again.student == Path("out/work/run-0/student")
        changed = {name for name, content in files_of("out").items() if before.get(name) != content}
        assert all("tensorboard" in name for name in changed)

    def test_train_starts_from_the_start_student_and_later_from_the_run_before(
        self, make_trained, trained
    ):
        first, _ = make_trained()
        write_texts(make_texts(60))
        second, _ = make_trained()
        assert second.student == Path("out/work/run-1/student")
        starts = [
            json.loads((made.student / "student_config.json").read_text())["started_from"]
            for made in (first, second)
        ]
        assert starts == ["tiny_start", "run-0"]

    def test_train_takes_the_whole_start_student_but_its_map_of_scores(
        self, make_trained, texts, settings, build_comparer, small_vocabulary, monkeypatch
    ):
        start = build_comparer()
        score_map = ScoreMap((-2.0, 0.0, 1.0), (-1.0, 0.0, 3.0))
        save_student(Path("start"), start, small_vocabulary, score_map=score_map)
        taken, train_student = [], train_module.train_student

        def look(student, *args, **options):
            weights = {name: value.clone() for name, value in student.state_dict().items()}
            taken.append((weights, options["keep_relations"]))
            return train_student(student, *args, **options)

        monkeypatch.setattr(train_module, "train_student", look)
        made, _ = make_trained(settings=replace(settings, start=Path("start")))
        [(weights, keep_relations)] = taken
        assert keep_relations
        for name, value in start.state_dict().items():
            assert torch.equal(weights[name], value)
        student, _ = load_student(made.student)
        assert student.config == start.config
        assert not torch.equal(student.label_tower[0].weight, start.label_tower[0].weight)
        assert read_bundle(made.student).score_map is None

    def test_train_learns_refined_text_and_mixed_gold(self, make_trained, texts, monkeypatch, half):
        write_passages("gold.json", make_gold(20))
        taken, train_student = [], train_module.train_student

        def look(student, vocabulary, passages, *args, **options):
            taken.extend(passages)
            return train_student(student, vocabulary, passages, *args, **options)

        monkeypatch.setattr(train_module, "train_student", look)
        made, _ = make_trained(gold="gold.json", settings=half)
        learned = mean_with_tuned(made, "train")
        assert any(
            np.abs(passage.probs - labeled.probs).max() > 0.1
            for passage, labeled in zip(learned, made.labeled.text["train"], strict=True)
        )
        expected = learned + [mix_gold_targets(p, 0.85) for p in made.labeled.gold["train"]]
        assert [passage.passage for passage in taken] == [passage.passage for passage in expected]
        for passage, other in zip(taken, expected, strict=True):
            np.testing.assert_allclose(passage.probs, other.probs, rtol=0, atol=1e-6)

    def test_train_chooses_the_epoch_on_refined_text_and_mixed_gold(
        self, make_trained, texts, monkeypatch, half
    ):
        write_passages("gold.json", make_gold(20))
        taken, train_student = [], train_module.train_student

        def look(*args, splits, **options):
            taken.extend(splits)
            return train_student(*args, splits=splits, **options)

        monkeypatch.setattr(train_module, "train_student", look)
        made, _ = make_trained(gold="gold.json", settings=half)
        for passage, other in zip(made.dev, mean_with_tuned(made, "dev"), strict=True):
            np.testing.assert_allclose(passage.probs, other.probs, rtol=0, atol=1e-6)
        [dev] = taken
        gold = made.labeled.gold["dev"]
        expected = [*made.dev, *(mix_gold_targets(passage, 0.85) for passage in gold)]
        assert list(dev.teacher_entities) == [
            decode_entities(passage.probs, passage.labels) for passage in expected
        ]
        # The reference of annotated passages is the annotation.
        assert [spans_of(entities) for entities in dev.teacher_entities][-2:] == [
            spans_of(passage.passage.entities) for passage in gold
        ]

    def test_train_can_continue_where_the_precision_would_be_another(
        self, make_trained, texts, settings
    ):
        import torch

        write_passages("gold.json", make_gold(20))
        first, _ = make_trained(gold="gold.json")
        trained = weights_of(first.student)
        again, _ = make_trained(gold="gold.json", settings=replace(settings, precision="bf16"))
        for name, value in weights_of(again.student).items():
            torch.testing.assert_close(value, trained[name], rtol=0, atol=0)


class TestRefine:
    def test_refine_tells_the_weight(self, make_trained, texts, half):
        write_passages("gold.json", make_gold(20, label=str))
        made, _ = make_trained(gold="gold.json", settings=half)
        assert "50% of the weight" in made.warnings[-1]
        assert make_trained(gold="gold.json", settings=half)[0].warnings == made.warnings

    def test_refine_with_few_passages_leaves_text_to_the_teacher(self, make_trained, texts):
        write_passages("gold.json", make_gold(10, label=str))
        made, _ = make_trained(gold="gold.json")
        assert len(made.labeled.gold["train"]) == 8
        assert not any("weight" in warning for warning in made.warnings)
        assert list(made.dev) == list(made.labeled.text["dev"])
        assert not (made.run / "gold").exists()

    def test_refine_tunes_from_the_start_student_in_later_runs_too(self, make_trained, texts, half):
        write_passages("gold.json", make_gold(20))
        first, _ = make_trained(gold="gold.json", settings=half)
        write_texts(make_texts(60))
        second, _ = make_trained(gold="gold.json", settings=half)
        assert first.run.name != second.run.name
        assert_same_weights(*(made.run / "gold/tuned/student" for made in (first, second)))


class TestStops:
    @pytest.fixture
    def whole(self, trained_once, texts):
        """The student of a run that nothing stopped."""
        return trained_once / "out/work/run-0/student"

    @pytest.mark.parametrize("fail_at_passage", [0, 19, 33])
    def test_labeling_that_the_teacher_stops_keeps_what_is_finished(
        self, make_trained, whole, fail_at_passage
    ):
        with pytest.raises(RuntimeError, match="went away"):
            make_trained(fail_at_passage=fail_at_passage)
        made, teacher = make_trained()
        # Shards of 8 passages are kept; the one that was in work is asked again.
        assert 40 - fail_at_passage <= len(teacher.asked) <= 40 - fail_at_passage + 8
        assert_same_weights(made.student, whole)

    def test_labeling_that_ctrl_c_stops_keeps_what_is_finished(
        self, make_trained, whole, lexicon_teacher, monkeypatch
    ):
        score, calls = lexicon_teacher.score_passages, count()

        def stop(self, passages, labels):
            if next(calls) == 2:
                raise KeyboardInterrupt
            return score(self, passages, labels)

        with monkeypatch.context() as patch:
            patch.setattr(lexicon_teacher, "score_passages", stop)
            with pytest.raises(KeyboardInterrupt):
                make_trained()
        made, teacher = make_trained()
        assert 0 < len(teacher.asked) < 40
        assert_same_weights(made.student, whole)

    def test_training_that_ctrl_c_stops_continues_from_the_epoch(self, make_trained, whole):
        def stop_in_the_second_epoch(stage, done, total, note=""):
            if stage == "training" and note.startswith("epoch 2/"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make_trained(progress=stop_in_the_second_epoch)
        made, teacher = make_trained()
        assert teacher.asked == []
        assert [row["epoch"] for row in read_metrics(made.run) if row["split"] == "dev"] == [1, 2]
        assert_same_weights(made.student, whole)

    @pytest.mark.parametrize(
        "name",
        [
            *("job.json", "train.json", "documents.json", "manifest.json"),
            *("checkpoint.safetensors", "student.safetensors", "config.json", "finished"),
        ],
    )
    def test_a_full_disk_is_one_error_after_which_the_run_continues(
        self, make_trained, whole, monkeypatch, name
    ):
        sync, failed = os.fsync, []

        def fail(descriptor):
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if path.name.startswith(name):
                failed.append(path)
                raise OSError(errno.ENOSPC, "No space left on device")
            sync(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(DistillError, match="cannot be written: No space left on device"):
                make_trained()
        assert len(failed) == 1
        assert_same_weights(make_trained()[0].student, whole)

    @pytest.mark.parametrize(
        "name", ["job.json", "text-0/documents.json", "run-0/checkpoint.safetensors"]
    )
    def test_a_broken_file_is_named(self, make_trained, trained, name):
        Path("out/work", name).write_text("{")
        with pytest.raises(DistillError, match=rf"{name}: cannot be read.* another --out"):
            make_trained()


class TestExport:
    def test_export_writes_the_trained_student_in_both_precisions(self, run, trained):
        run()
        assert {path.name for path in Path("out").iterdir()} == FOLDER_FILES
        trained = StudentPredictor(*load_student("out/work/run-0/student"))
        words, labels = [text.split() for text in make_texts(40)], list(LABELS)
        expected = trained.logits(words, [labels] * 40)
        for folder, precision, off in (("out", "int8", 0.5), ("out/fp32", "fp32", 1e-4)):
            student = StudentNER.from_pretrained(folder, num_threads=1)
            assert student.precision == precision
            for logits, exact in zip(student.word_logits(words, labels), expected, strict=True):
                np.testing.assert_allclose(logits, exact, atol=off)
            config = json.loads(Path(folder, "student_config.json").read_text())
            assert config["labels"] == labels

    def test_export_fits_thresholds_where_that_gains(self, run, trained, settings, monkeypatch):
        fits = []

        def fit(bundle, passages, *, min_gain):
            fits.append(([passage.labels for passage in passages], min_gain))
            return replace(bundle, label_thresholds={"person": 0.25, "city": 0.5})

        monkeypatch.setattr(export_module, "fit_bundle_thresholds", fit)
        run(settings=replace(settings, min_threshold_gain=0.03))
        assert fits == [([tuple(LABELS)] * 4, 0.03)] * 2
        for folder in ("out", "out/fp32"):
            config = json.loads(Path(folder, "student_config.json").read_text())
            assert config["runtime"]["label_thresholds"]["person"] == 0.25

    def test_export_fits_thresholds_on_what_was_to_be_learned(self, run, monkeypatch):
        """The reference is the refined targets of text, and the annotation as it is."""
        fits = []
        monkeypatch.setattr(
            export_module,
            "fit_bundle_thresholds",
            lambda bundle, passages, *, min_gain: fits.append(passages) or bundle,
        )

        def refine(folder, text, gold, *args, progress):
            whole = [replace(passage, probs=np.ones_like(passage.probs)) for passage in text["dev"]]
            return {"train": text["train"], "dev": whole}, None

        monkeypatch.setattr(pipeline_module, "refine_soft_labels", refine)
        write_passages("gold.json", make_gold(20))
        run(gold="gold.json")
        assert len(fits) == 2
        for passages in fits:
            text, gold = passages[:4], passages[4:]
            assert [{entity.label for entity in passage.entities} for passage in text] == [
                {"person"}  # the whole passage
            ] * 4
            assert [passage.entities[0].label in LABELS for passage in gold] == [True, True]

    def test_export_is_in_single_precision_where_eight_bits_lose_too_much(
        self, run, trained, monkeypatch
    ):
        export = export_module.export_student

        def refuse(*args, precision, **options):
            if precision == "int8":
                raise ExportError("too much is lost")
            return export(*args, precision=precision, **options)

        monkeypatch.setattr(export_module, "export_student", refuse)
        assert any("single precision" in warning for warning in run().warnings)
        assert StudentNER.from_pretrained("out", num_threads=1).precision == "fp32"


class TestDistillFrom:
    def test_distill_from_returns_what_it_writes(self, run):
        distilled = run()
        assert (distilled.student, distilled.report) == (Path("out"), Path("out/report.html"))
        assert distilled.plan.max_words is None
        measured = distilled.measurements
        results = json.loads(Path("out/results.json").read_text())
        assert results == json.loads(json.dumps(measured.as_json()))
        assert set(results["speed"]) == set(results["size_bytes"])
        assert (results["teacher"], results["version"]) == ("lexicon", __version__)
        n_bytes = sum(Path("out", name).stat().st_size for name in STUDENT_FILES)
        assert results["size_bytes"]["student"] == n_bytes
        assert measured.verdict[0] in Path("out/report.html").read_text()
        assert f"# out: a student for 3 labels\n\n- {measured.verdict[0]}\n" in (
            Path("out/README.md").read_text()
        )

    def test_distill_from_measures_against_gold(self, run):
        passages = []
        for text in make_texts(20, first=1000):
            words = tuple(text.split())
            found = [
                Entity(place, place + 1, LEXICON[words[place]])
                for place in (0, 2)
                if LEXICON[words[place]] in LABELS
            ]
            passages.append(Passage(words, (found[0], Entity(1, 2, "person"))))
        write_passages("gold.json", passages)
        measured = run(gold="gold.json").measurements
        assert measured.gold_passages == {"train": 16, "dev": 2, "test": 2}
        assert measured.passages == {"train": 32, "dev": 4, "test": 4}
        # The teacher finds both names, of which gold has the first, and the verb beside it.
        scores = measured.gold.teacher
        assert (scores.n_reference, scores.n_found, scores.f1) == (4, 4, 0.5)
        assert "in 2 test passages" in Path("out/README.md").read_text()
        assert "<h2>Against gold</h2>" in Path("out/report.html").read_text()

    def test_distill_from_shows_text_as_text(self, run):
        nasty = '<script>alert("x")</script> mary'
        write_texts([f"{nasty} {text}" for text in make_texts(40)])
        run(labels={"person": "", "a|b<i>": "", "city": ""})
        page = Path("out/report.html").read_text()
        assert "http" not in page
        assert "<script" not in page
        assert "&lt; / script &gt; mary" in page
        assert "a|b&lt;i&gt;" in page
        assert "a\\|b\\<i\\>" in Path("out/README.md").read_text()

    def test_distill_from_finishes_where_the_teacher_finds_nothing(self, run):
        write_texts([f"nothing to see {number}" for number in range(40)])
        distilled = run()
        assert "not measured" in distilled.measurements.verdict[0]
        assert len(distilled.warnings) == 3

    def test_distill_from_writes_again_without_training(self, run, trained):
        first = run().measurements.as_json()
        for name in FOLDER_FILES - {"work", "fp32"}:
            Path("out", name).unlink()
        shutil.rmtree("out/fp32")
        again = run().measurements.as_json()
        assert {path.name for path in Path("out").iterdir()} == FOLDER_FILES
        for key in ("agreement", "disagreements", "curve", "passages", "size_bytes", "notes"):
            assert again[key] == first[key]

    @pytest.mark.parametrize(
        "name", ["weights.safetensors", "results.json", "report.html", "README.md"]
    )
    def test_distill_from_on_a_full_disk_is_one_error_and_continues(
        self, run, trained, monkeypatch, name
    ):
        sync = os.fsync

        def fail(descriptor):
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if path.name.startswith(name) and "work" not in path.parts:
                raise OSError(errno.ENOSPC, "No space left on device")
            sync(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(DistillError, match="cannot be written: No space left"):
                run()
        assert run().measurements.agreement.n_reference > 0

    def test_distill_from_measures_a_student_of_60_labels(self, run):
        labels = {"person": "", "city": "", "river": ""} | {f"thing {n}": "" for n in range(57)}
        write_texts([" ".join(make_texts(9, first=9 * number)) for number in range(40)])
        assert len(run(labels=labels).measurements.labels) == 60


class TestOtherLabels:
    def test_distill_from_measures_other_labels_beside_the_start(self, run, start_folder):
        measured = run().measurements
        others = measured.other_labels
        expected = measure_other_labels(
            StudentNER.from_pretrained("out"), StudentNER.from_pretrained(start_folder), LABELS
        )
        assert others == expected
        assert others.n_entities > 1_000
        assert json.loads(Path("out/results.json").read_text())["other_labels"] == json.loads(
            json.dumps(asdict(others))
        )
        assert others.sentence in Path("out/README.md").read_text().replace("\\", "")

    def test_distill_from_measures_the_same_after_a_stop(self, run, lexicon_teacher, settings):
        whole = run().measurements.other_labels

        def stop(stage, done, total, note=""):
            if stage == "measuring":
                raise KeyboardInterrupt

        job = DistillJob("texts.txt", LABELS)
        with pytest.raises(KeyboardInterrupt):
            distill_from(
                job, lexicon_teacher(LEXICON), Path("again"), settings=settings, progress=stop
            )
        assert not Path("again/results.json").exists()
        assert run(out="again").measurements.other_labels == whole
        assert run(out="again").measurements.other_labels == whole

    def test_distill_from_keeps_the_first_start_when_texts_are_added(self, run, start_folder):
        first = run().measurements.other_labels
        write_texts(make_texts(60))
        assert run().measurements.other_labels.start_f1 == first.start_f1

    def test_distill_from_says_that_its_start_is_gone(self, run, settings, start_folder):
        start = shutil.copytree(start_folder, "gone")
        settings = replace(settings, start=Path(start))
        assert run(settings=settings).measurements.other_labels.start_f1 is not None
        shutil.rmtree("gone")
        write_texts(make_texts(60))
        others = run(settings=settings).measurements.other_labels
        assert others.start_f1 is None
        assert "cannot be loaded" in others.sentence


class TestDistill:
    def test_distill_returns_a_student_that_knows_its_report(self, lexicon_teacher, settings):
        student = distill(
            make_texts(40),
            ["Person", "city"],
            lexicon_teacher(LEXICON),
            "out",
            settings=settings,
            progress=False,
        )
        assert isinstance(student, StudentNER)
        assert student.report == Path("out/report.html")
        assert student.report.is_file()
        assert isinstance(student.predict_entities("mary saw london", ["person", "city"]), list)

    def test_distill_resumes_with_a_list_or_a_fresh_generator(self, lexicon_teacher, settings):
        def run(texts, out, fail_at_passage=None, **options):
            teacher = lexicon_teacher(LEXICON, fail_at_passage=fail_at_passage)
            options = {"settings": settings, "progress": False} | options
            distill(texts, LABELS, teacher, out, **options)
            return teacher

        run(make_texts(40), "whole")
        with pytest.raises(RuntimeError, match="went away"):
            run((text for text in make_texts(40)), "out", fail_at_passage=35)

        def stop(stage, done, total, note=""):
            if stage == "exporting":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run((text for text in make_texts(40)), "out", progress=stop)
        stages = []
        run(make_texts(40), "out", progress=lambda stage, *step: stages.append(stage))
        assert not any(stage.startswith("labeling") for stage in stages)
        assert_same_weights("whole/work/run-0/student", "out/work/run-0/student")

    def test_distill_consumes_a_generator_once(self, lexicon_teacher, settings):
        texts = iter(make_texts(40))
        distill(
            texts, LABELS, lexicon_teacher(LEXICON), "out", settings=settings, progress=no_progress
        )
        assert next(texts, None) is None
        with pytest.raises(InputError, match="texts"):
            distill(texts, LABELS, lexicon_teacher(LEXICON), "out", settings=settings)
        assert Path("out/report.html").is_file()

    def test_distill_takes_paths_and_gold_of_a_list(self, lexicon_teacher, settings, texts):
        gold = [
            {
                "text": text,
                "entities": [{"start": 0, "end": len(text.split()[0]), "label": "Person"}],
            }
            for text in make_texts(20, first=1000)
        ]
        student = distill(
            Path("texts.txt"),
            {"person": "a human"},
            lexicon_teacher(LEXICON),
            Path("out"),
            gold=gold,
            settings=settings,
            progress=False,
        )
        results = json.loads(student.report.with_name("results.json").read_text())
        assert results["gold_passages"] == {"train": 16, "dev": 2, "test": 2}

    def test_distill_refuses_another_teacher(self, lexicon_teacher, settings, texts):
        distill("texts.txt", LABELS, lexicon_teacher(LEXICON), "out", settings=settings)
        other = lexicon_teacher(LEXICON, fingerprint="a" * 64)
        with pytest.raises(SettingsError, match="another teacher"):
            distill("texts.txt", LABELS, other, "out", settings=settings)
        same = lexicon_teacher(LEXICON, name="elsewhere")
        assert distill("texts.txt", LABELS, same, "out", settings=settings).report.is_file()

    def test_distill_logs_warnings_and_writes_nothing_to_standard_output(
        self, lexicon_teacher, settings, texts, caplog, capsys
    ):
        labels = ["person", "company", "firm"]
        distill("texts.txt", labels, lexicon_teacher(LEXICON), "out", settings=settings)
        messages = [record.getMessage() for record in caplog.records]
        assert any("'company' and 'firm'" in message for message in messages)
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize(
        ("labels", "part"), [("person", "'person'"), (["a", "A"], "item 2"), ([""], "item 1")]
    )
    def test_distill_refuses_wrong_labels_before_anything_is_written(
        self, lexicon_teacher, texts, labels, part
    ):
        with pytest.raises(InputError, match=part):
            distill("texts.txt", labels, lexicon_teacher(LEXICON), "out")
        assert not Path("out").exists()

    def test_distill_tells_a_function_its_progress(self, lexicon_teacher, settings, texts):
        steps = []
        distill(
            "texts.txt",
            LABELS,
            lexicon_teacher(LEXICON),
            "out",
            settings=settings,
            progress=lambda *step: steps.append(step),
        )
        stages = list(dict.fromkeys(step[0] for step in steps))
        assert stages[-3:] == ["training", "exporting", "measuring"]
        assert stages[:-3] == [f"labeling text-0 {split}" for split in ("train", "dev", "test")]
        for stage in stages:
            _, done, total, *_ = [step for step in steps if step[0] == stage][-1]
            assert done == total


@pytest.mark.slow
def test_distill_from_shows_which_teacher_was_believed(run, lexicon_teacher):
    cities = {word: label for word, label in LEXICON.items() if label == "city"}
    people = {word: label for word, label in LEXICON.items() if label == "person"}
    teachers = [
        lexicon_teacher(cities, name="A<b>", fingerprint="a" * 64),
        lexicon_teacher(people, name="B", fingerprint="b" * 64),
    ]
    distilled = run(teacher=teachers, labels={"Person": "", "CITY": ""}, gold=make_gold(40))
    weights = distilled.measurements.teacher_weights
    shares = {row.label: tuple(row.shares) for row in weights.labels}
    assert set(shares) == {"Person", "CITY"}
    assert shares["CITY"][0] > shares["CITY"][1]
    page = distilled.report.read_text(encoding="utf-8")
    assert "Which teacher was believed" in page
    assert "<th>A&lt;b&gt;<th>B<th>" in page
    results = json.loads((distilled.student / "results.json").read_text(encoding="utf-8"))
    assert results["teacher_weights"]["teachers"] == ["A<b>", "B"]
    assert results["teacher"] == "A<b> + B"
    # The same call finds everything done, and says the same.
    again = run(teacher=teachers, labels={"Person": "", "CITY": ""}, gold=make_gold(40))
    assert again.measurements.teacher_weights == weights
