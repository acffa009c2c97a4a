"""The working folder: refusals, the lock, and which folders count."""

import json
import os
from pathlib import Path

import pytest

from distillation_world import LABELS, files_of, make_texts, write_texts
from gliner_distill.callbacks import no_progress
from gliner_distill.corpus.documents import SplitCorpus
from gliner_distill.distillation import workspace as workspace_module
from gliner_distill.distillation.job import DistillJob, DistillSettings
from gliner_distill.distillation.teachers import TeacherSource
from gliner_distill.distillation.workspace import open_workspace
from gliner_distill.entities import Passage
from gliner_distill.errors import CorpusError, DistillError, SettingsError

pytestmark = pytest.mark.usefixtures("in_folder")


@pytest.fixture
def open_work(lexicon_teacher):
    """A function that opens the folder `out` for a job."""

    def open_work(out="out", *, labels=LABELS, teacher=None, start=None):
        source = TeacherSource(lexicon_teacher({}) if teacher is None else teacher)
        job = DistillJob("texts.txt", labels)
        settings = DistillSettings(start=start)
        return open_workspace(Path(out), job, source, settings, no_progress)

    return open_work


def corpus_of(*texts):
    passages = [Passage(tuple(text.split())) for text in texts]
    return SplitCorpus({"train": passages, "dev": [], "test": passages[:1]}, documents=list(texts))


def write_manifest_stub():
    """Leave what a teacher leaves that has begun to label."""
    store = Path("out/work/text-0/labels-train")
    store.mkdir(parents=True)
    (store / "manifest.json").write_text("{}")


class TestJob:
    def test_open_workspace_takes_another_teacher_while_nothing_is_labeled(self, open_work):
        with open_work(teacher="mistyped") as work:
            work.save_job()
        with open_work(teacher="right"):
            assert json.loads(Path("out/work/job.json").read_text())["teacher"] == "right"
            write_manifest_stub()
        with pytest.raises(SettingsError, match="teacher right"):
            open_work(teacher="mistyped").__enter__()

    @pytest.mark.parametrize(
        "options",
        [
            {"labels": {"person": ""}},
            {"labels": LABELS | {"city": "a town"}},
            {"teacher": "another"},
        ],
    )
    def test_open_workspace_refuses_another_job_and_leaves_the_folder_as_it_is(
        self, open_work, options
    ):
        with open_work() as work:
            work.save_job()
            write_manifest_stub()
        before = files_of("out")
        with pytest.raises(SettingsError, match=r"^out: .*teacher lexicon\); choose another --out"):
            open_work(**options).__enter__()
        assert files_of("out") == before

    def test_open_workspace_knows_a_teacher_by_its_fingerprint(self, open_work, lexicon_teacher):
        with open_work(teacher=lexicon_teacher({}, name="before")) as work:
            work.save_job()
            write_manifest_stub()
        with open_work(teacher=lexicon_teacher({}, name="moved")):
            pass
        with pytest.raises(SettingsError, match="another teacher"):
            open_work(teacher=lexicon_teacher({}, name="before", fingerprint="a" * 64)).__enter__()

    def test_open_workspace_knows_a_teacher_that_is_not_loaded_by_its_name(
        self, open_work, lexicon_teacher
    ):
        with open_work(teacher="a/model") as work:
            work.save_job()
            write_manifest_stub()
        with open_work(teacher="a/model"):
            pass
        with open_work(teacher=lexicon_teacher({}, name="a/model")):
            pass
        with pytest.raises(SettingsError, match="a/model"):
            open_work(teacher="another/model").__enter__()

    def test_open_workspace_keeps_the_labels_in_the_order_of_the_first_run(self, open_work):
        with open_work(labels={"person": "", "city": ""}) as work:
            work.save_job()
        with open_work(labels={"city": "", "person": ""}) as work:
            assert list(work.job.labels) == ["person", "city"]
        with open_work(labels={"CITY": "", "Person": ""}) as work:
            assert list(work.job.labels) == ["Person", "CITY"]
            assert work.job.policy.fixed == ("person", "city")

    @pytest.mark.parametrize("content", ["{", "[]", "{}", '{"labels": {}}', "\udcff"])
    def test_open_workspace_names_a_broken_job_file(self, open_work, content):
        path = Path("out/work/job.json")
        path.parent.mkdir(parents=True)
        path.write_bytes(content.encode(errors="surrogateescape"))
        with pytest.raises(SettingsError, match=r"^out/work/job\.json: .*--out"):
            open_work().__enter__()


class TestOtherFolders:
    @pytest.mark.parametrize(
        "name", ["thesis.txt", "uv.lock", "my-job.json", "job.json", ".lock", "work/my-job.json"]
    )
    def test_open_workspace_refuses_a_folder_that_holds_something_else(self, open_work, name):
        path = Path("out", name)
        path.parent.mkdir(parents=True)
        path.write_text("do not touch")
        with pytest.raises(SettingsError, match=rf"^out: holds something else \({name}\); choose"):
            open_work().__enter__()
        assert files_of("out") == {name: b"do not touch"}

    def test_open_workspace_refuses_a_file(self, open_work):
        Path("out").write_text("do not touch")
        with pytest.raises(SettingsError, match=r"^out: this is a file"):
            open_work().__enter__()
        assert Path("out").read_text() == "do not touch"

    def test_open_workspace_refuses_a_folder_below_a_file(self, open_work):
        Path("file").touch()
        with pytest.raises(DistillError, match="file/out/work: cannot be written: Not a directory"):
            open_work("file/out").__enter__()

    def test_open_workspace_takes_an_empty_folder_and_empty_folders_in_it(self, open_work):
        Path("out/mine").mkdir(parents=True)
        with open_work() as work:
            work.save_job()

    @pytest.mark.parametrize(
        "name", [".lock", "job.json.0a1b2c3d.part", "texts.jsonl", "gold.json.0a1b2c3d.part"]
    )
    def test_open_workspace_takes_what_a_killed_run_left(self, open_work, name):
        Path("out/work").mkdir(parents=True)
        Path("out/work", name).touch()
        with open_work() as work:
            work.save_job()
        assert set(files_of("out")) <= {"work/job.json", "work/.lock", f"work/{name}"}


class TestLock:
    def test_open_workspace_keeps_a_second_process_out(self, open_work):
        with open_work():
            with pytest.raises(DistillError, match=r"^out: another process distills into it"):
                open_work().__enter__()
            assert Path("out/work").is_dir()
        assert not Path("out").exists()
        with open_work() as work:
            work.save_job()

    def test_open_workspace_removes_its_folders_if_nothing_was_made(self, open_work):
        Path("out").mkdir()
        with open_work() as work:
            (work.folder / "texts.jsonl").touch()
        assert not Path("out").exists()


class TestPassageFolders:
    def test_add_passages_makes_the_next_folder_which_comes_back_as_it_is(self, open_work):
        with open_work() as work:
            work.add_passages("text", corpus_of("a b", "c d"))
            work.add_passages("text", corpus_of("e f"))
            work.add_passages("gold", corpus_of("g h"))
        with open_work() as work:
            text, gold = work.passage_folders("text"), work.passage_folders("gold")
        assert [folder.path.name for folder in (*text, *gold)] == ["text-0", "text-1", "gold-0"]
        assert text[0].documents == ("a b", "c d")
        assert text[0].n_passages == {"train": 2, "dev": 0, "test": 1}
        assert text[0].splits == ["train", "test"]
        assert text[0].passages_file("train") == Path("out/work/text-0/train.json")
        assert text[0].store("train") == Path("out/work/text-0/labels-train")

    def test_add_passages_that_is_stopped_leaves_no_folder_that_counts(
        self, open_work, monkeypatch
    ):
        def fail(path, passages):
            raise CorpusError(f"{path}: the file cannot be written: No space left on device")

        with open_work() as work:
            with monkeypatch.context() as patch:
                patch.setattr(workspace_module, "write_passages", fail)
                with pytest.raises(CorpusError, match="No space left"):
                    work.add_passages("text", corpus_of("a b"))
            assert work.passage_folders("text") == []
            work.add_passages("text", corpus_of("c d"))
            [folder] = work.passage_folders("text")
            assert folder.documents == ("c d",)

    @pytest.mark.parametrize("content", ["{", "[]", "{}", '{"n_passages": {"train": 1}}'])
    def test_passage_folders_names_a_broken_file(self, open_work, content):
        with open_work() as work:
            work.add_passages("text", corpus_of("a b"))
            path = Path("out/work/text-0/documents.json")
            path.write_text(content)
            with pytest.raises(CorpusError, match=rf"^{path}: .*another --out"):
                work.passage_folders("text")

    def test_check_passages_does_not_wait_for_a_pipe(self, open_work):
        with open_work() as work:
            work.add_passages("text", corpus_of("a b"))
            [folder] = work.passage_folders("text")
            folder.passages_file("train").unlink()
            os.mkfifo(folder.passages_file("train"))
            with pytest.raises(CorpusError, match=r"train\.json: .*not a regular file"):
                folder.check_passages("train")

    def test_files_of_a_folder_tell_a_changed_byte(self, open_work):
        def check_train():
            with open_work() as work:
                for folder in work.passage_folders("text"):
                    folder.check_passages("train")

        with open_work() as work:
            work.add_passages("text", corpus_of("a b"))
        for name, old in (("job.json", b"lexicon"), ("text-0/train.json", b'"a"')):
            path = Path("out/work", name)
            content = path.read_bytes()
            assert old in content
            path.write_bytes(content.replace(old, old.replace(old[1:2], b"z"), 1))
            with pytest.raises(DistillError, match=rf"^{path}: .*--out"):
                check_train()
            path.write_bytes(content)

    def test_passages_file_holds_what_training_reads(self, make_trained):
        from gliner_distill.corpus.reader import read_passages

        write_texts(make_texts(40))
        made, _ = make_trained()
        for split, passages in made.labeled.text.items():
            stored = list(read_passages(f"out/work/text-0/{split}.json"))
            assert stored == [passage.passage for passage in passages]
        config = json.loads(Path("out/work/text-0/documents.json").read_text())
        assert config["n_passages"] == {"train": 32, "dev": 4, "test": 4}


class TestRuns:
    def test_start_of_run_is_the_last_student_before_it(self, open_work, start_folder):
        with open_work(start=start_folder) as work:
            assert work.start_of_run(0) == work.start_of_run(12) == start_folder
            for number in (2, 10):
                (work.run_folder(number) / "student").mkdir(parents=True)
            assert work.start_of_run(2) == start_folder
            assert work.start_of_run(10) == Path("out/work/run-2/student")
            assert work.start_of_run(12) == Path("out/work/run-10/student")

    def test_mark_finished_is_remembered(self, open_work):
        with open_work() as work:
            assert not work.is_finished(1)
            work.mark_finished(1)
            assert work.is_finished(1)
            assert not work.is_finished(0)
