"""Teachers whose answers cost money, alone and in an ensemble."""

from contextlib import contextmanager
from pathlib import Path

from gliner_distill.teacher.ensemble import TeacherEnsemble
from gliner_distill.teacher.paid import announce_questions, is_paid, keep_answers

STORE = Path("store")


def list_questions():
    return [(("paris",), ("city",))]


def make_paid(lexicon_teacher, **more):
    """Return a teacher that writes down what it is told."""

    class PaidTeacher(lexicon_teacher):
        is_paid = True

        def __init__(self):
            super().__init__({}, **more)
            self.told = []

        def announce(self, questions):
            self.told += [(folder, list(ask())) for folder, ask in questions.items()]

        @contextmanager
        def keep_answers(self, folder, list_questions):
            self.told.append(f"opened {folder} for {len(list_questions())}")
            yield
            self.told.append("closed")

    return PaidTeacher()


def test_paid_teachers_are_told_what_they_will_be_asked(lexicon_teacher):
    paid = make_paid(lexicon_teacher)
    announce_questions(paid, {STORE: list_questions})
    with keep_answers(paid, STORE, list_questions):
        assert paid.told[1:] == ["opened store for 1"]
    assert paid.told == [(STORE, list_questions()), "opened store for 1", "closed"]
    assert is_paid(paid)


def test_paid_teachers_of_an_ensemble_are_told_as_well(lexicon_teacher):
    paid = make_paid(lexicon_teacher, fingerprint="a" * 64)
    ensemble = TeacherEnsemble([lexicon_teacher({}), paid])
    announce_questions(ensemble, {STORE: list_questions})
    with keep_answers(ensemble, STORE, list_questions):
        pass
    assert len(paid.told) == 3
    assert is_paid(ensemble)


def test_other_teachers_are_told_nothing(lexicon_teacher):
    teacher = lexicon_teacher({})
    announce_questions(teacher, {STORE: list_questions})
    with keep_answers(teacher, STORE, list_questions):
        pass
    assert not is_paid(teacher)
