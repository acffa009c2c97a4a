"""The student that a distillation starts from, by the language of its text."""

import json
from dataclasses import replace

import pytest

from gliner_distill.callbacks import no_progress
from gliner_distill.corpus.documents import SplitCorpus
from gliner_distill.distillation.job import DistillJob, DistillSettings, Plan
from gliner_distill.distillation.languages.start import (
    START_FOLDER,
    choose_start,
    most_pieces,
    read_start,
)
from gliner_distill.distillation.stages import Collected
from gliner_distill.distillation.teachers import TeacherSource
from gliner_distill.distillation.workspace import open_workspace
from gliner_distill.entities import Passage
from gliner_distill.errors import DistillError
from gliner_distill.runtime.config import MAX_PARAMETERS
from gliner_distill.runtime.vocabulary import choose_vocabulary
from gliner_distill.runtime.weights import count_parameters
from gliner_distill.student.files import load_student

pytestmark = pytest.mark.slow

LABELS = {"person": "", "city": ""}
ENGLISH = "the old man lived near the river and wrote about the bridge".split()  # noqa: SIM905
HINDI = ["सुनीता", "शर्मा", "मार्च", "से", "दिल्ली", "के", "बैंक", "में", "काम", "करती", "हैं"]


def collect(work, *words, run=0, n=4):
    """Return the passages of a folder of text, as `collect` writes them."""
    splits = {"train": [Passage(tuple(words))] * n, "dev": [], "test": []}
    work.add_passages("text", SplitCorpus(splits, documents=(str(run),), warnings=()))
    return Collected(work.passage_folders("text"), [], run=run, plan=Plan(), warnings=("earlier",))


class PiecesTeacher:
    """A teacher with a vocabulary and vectors of its own."""

    def __init__(self, teacher, pieces):
        self.name, self.fingerprint = teacher.name, teacher.fingerprint
        self.score_passages = teacher.score_passages
        self._pieces = pieces

    def prune_vocabulary(self, texts, *, max_pieces):
        return choose_vocabulary(self._pieces[:max_pieces], lowercase=True)


@pytest.fixture
def open_work(tmp_path, lexicon_teacher):
    def open_work(teacher=None, settings=None):
        source = TeacherSource(teacher or lexicon_teacher({}))
        job = DistillJob(["text"], LABELS)
        return open_workspace(
            tmp_path / "out", job, source, settings or DistillSettings(), no_progress
        )

    return open_work


def test_choose_start_keeps_the_bundled_student_for_english(open_work):
    with open_work() as work:
        same, noted = choose_start(work, collect(work, *ENGLISH))
        assert same == work
        assert noted.warnings == ("earlier",)
        start = read_start(work)
        assert start.kind == "bundled"
        assert start.reason.startswith("the student starts from the bundled one")
        assert "0% of 48 words" in start.reason
        assert not (work.folder / START_FOLDER).exists()


def test_choose_start_keeps_the_bundled_student_for_words_that_it_can_spell(open_work):
    words = [*ENGLISH * 2, *("vqxzj", "zzqvk", "kjxqz", "xqvvz", "qzjjx", "jqxzv") * 2]
    with open_work() as work:
        _, noted = choose_start(work, collect(work, *words))
        assert noted.warnings == ("earlier",)
        start = read_start(work)
        assert start.kind == "bundled"
        assert "although 33% of 144 words" in start.reason
        assert "more than the limit of 14%" in start.reason
        assert not (work.folder / START_FOLDER).exists()


def test_choose_start_trains_pieces_for_a_teacher_without_a_vocabulary(open_work):
    with open_work() as work:
        new, noted = choose_start(work, collect(work, *HINDI, n=10))
        assert new.settings.start == work.folder / START_FOLDER
        # Ten passages are read more often than by default.
        assert new.settings.epochs == 60
        assert new.settings.patience == 0
        assert noted.warnings[0] == "earlier"
        assert "pieces from training on the text" in noted.warnings[1]
        assert "100% of 90 words" in noted.warnings[1]
        student, vocabulary = load_student(new.settings.start)
        assert student.n_parameters <= MAX_PARAMETERS
        assert 0 not in vocabulary.encode_words(HINDI).piece_ids
        # A second call, as of a run that was stopped, takes the same student.
        weights = (work.folder / START_FOLDER / "student.safetensors").read_bytes()
        again, _ = choose_start(work, collect(work, *ENGLISH, run=1))
        assert again.settings.start == new.settings.start
        assert (work.folder / START_FOLDER / "student.safetensors").read_bytes() == weights


def test_choose_start_takes_the_pieces_of_the_teacher_if_they_suit_the_text(
    open_work, lexicon_teacher
):
    letters = sorted({letter for word in HINDI for letter in word})
    letters += [f"##{letter}" for letter in letters]
    teacher = PiecesTeacher(lexicon_teacher({}), ["[UNK]", *HINDI, "person", "city", *letters])
    with open_work(teacher) as work:
        _, noted = choose_start(work, collect(work, *HINDI))
        assert read_start(work).kind == "teacher"
        assert "pieces from the teacher" in noted.warnings[1]
        _, vocabulary = load_student(work.folder / START_FOLDER)
        assert vocabulary.pieces()[1] == HINDI[0]


def test_choose_start_trains_pieces_if_those_of_the_teacher_do_not_suit_the_text(
    open_work, lexicon_teacher
):
    teacher = PiecesTeacher(lexicon_teacher({}), ["[UNK]", "person", "city"])
    with open_work(teacher) as work:
        choose_start(work, collect(work, *HINDI))
        assert read_start(work).kind == "text"


def test_choose_start_keeps_a_start_that_the_user_has_given(open_work, start_folder):
    with open_work(settings=DistillSettings(start=start_folder)) as work:
        passages = collect(work, *HINDI)
        assert choose_start(work, passages) == (work, passages)
        assert read_start(work) is None


def test_choose_start_warns_if_later_text_is_in_a_script_that_the_student_lacks(open_work):
    with open_work() as work:
        choose_start(work, collect(work, *ENGLISH))
        _, noted = choose_start(work, collect(work, *HINDI, run=1))
        assert "100% of the words have characters that the student cannot read" in noted.warnings[1]
        assert "--out" in noted.warnings[1]


def test_choose_start_leaves_the_runs_of_an_earlier_version_alone(open_work):
    with open_work() as work:
        passages = collect(work, *HINDI)
        work.run_folder(0).mkdir()
        same, noted = choose_start(work, passages)
        assert same == work
        assert len(noted.warnings) == 2  # the script is still reported


def test_read_start_refuses_a_changed_file(open_work):
    with open_work() as work:
        choose_start(work, collect(work, *ENGLISH))
        path = work.folder / "start.json"
        saved = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps(saved | {"kind": "text"}), encoding="utf-8")
        with pytest.raises(DistillError, match=r"start\.json.*--out"):
            read_start(work)


def test_most_pieces_is_the_largest_vocabulary_below_the_bound(build_student):
    config = replace(build_student(head="boundary").config, embedding_width=128, hidden_width=160)
    most = most_pieces(config)
    assert count_parameters(replace(config, n_pieces=most)) <= MAX_PARAMETERS
    assert count_parameters(replace(config, n_pieces=most + 1)) > MAX_PARAMETERS
