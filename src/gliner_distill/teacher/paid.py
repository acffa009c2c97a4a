"""Teachers whose answers cost money, such as a language model behind an endpoint.

Such a teacher has three optional members, which the functions here use if they are there:

- `is_paid`, which is true: the teacher is only asked about passages to label, and is not timed;
- `announce(questions)`, which tells the user what all questions together will cost;
- `keep_answers(folder, list_questions)`, a context manager in which each answer is kept in a folder
  as soon as it arrives.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gliner_distill.teacher.base import Teacher, individual_teachers

Asked = tuple[Sequence[str], Sequence[str]]
"""The words of a passage, and the labels that are asked about it in the wording for a teacher."""

ListQuestions = Callable[[], Iterable[Asked]]
"""A function that lists all questions anew each time."""


def is_paid(teacher: Teacher) -> bool:
    """Return whether a teacher, or one of an ensemble, is asked only about passages to label."""
    return any(getattr(one, "is_paid", False) for one in _members(teacher))


def announce_questions(teacher: Teacher, questions: Mapping[Path, ListQuestions]) -> None:
    """Tell a teacher about all questions before the first one, if it has `announce`.

    Args:
        teacher: Any teacher.
        questions: Lists the questions of each store, by the store's folder.
    """
    for one in _members(teacher):
        announce = getattr(one, "announce", None)
        if announce is not None:
            announce(questions)


@contextmanager
def keep_answers(teacher: Teacher, folder: Path, list_questions: ListQuestions) -> Iterator[None]:
    """Let a teacher keep its answers in a folder while the block runs, if it can.

    Args:
        teacher: Any teacher.
        folder: The folder, which exists.
        list_questions: Lists all questions that will be asked.
    """
    with ExitStack() as opened:
        for one in _members(teacher):
            keep = getattr(one, "keep_answers", None)
            if keep is not None:
                opened.enter_context(keep(folder, list_questions))
        yield


def _members(teacher: Teacher) -> tuple[Teacher, ...]:
    return individual_teachers(teacher) or (teacher,)
