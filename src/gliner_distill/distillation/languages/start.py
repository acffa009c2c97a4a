"""Choose the student that a distillation starts from, by the language of its text.

The bundled student knows English. If its vocabulary does not suit the text, its pieces are replaced
by those of the teacher that occur in the text. If the teacher has none, and the vocabulary can
hardly spell the text, they are replaced by pieces that are trained on it. All other weights stay.
The choice is made once per working folder, which keeps it in `start.json`, and the new student in
`start`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from gliner_distill.corpus.reader import CorpusFile
from gliner_distill.distillation.few_shot import tuning_epochs
from gliner_distill.distillation.job import DistillSettings
from gliner_distill.distillation.languages.share import (
    MAX_SPELLED_SHARE,
    SpelledShare,
    measure_share,
)
from gliner_distill.distillation.languages.vocabulary import train_text_vocabulary
from gliner_distill.distillation.stages import Collected
from gliner_distill.distillation.workspace import PassageFolder, Workspace
from gliner_distill.entities import word_texts
from gliner_distill.errors import DistillError
from gliner_distill.json_files import TEXT, check_fields, read_sealed_json, write_sealed_json
from gliner_distill.labels import clean_label
from gliner_distill.runtime.config import MAX_PARAMETERS, StudentConfig
from gliner_distill.runtime.vocabulary import Vocabulary
from gliner_distill.runtime.weights import count_parameters
from gliner_distill.student.files import load_student, save_student
from gliner_distill.student.initialization import EncodeTexts, transfer_student
from gliner_distill.teacher.base import Teacher

START_FOLDER: Final = "start"
_START_FILE: Final = "start.json"
_ADVICE: Final = "remove the file to choose again, or choose another --out"

_MAX_BUNDLED_SHARE: Final = 0.5
"""The share of badly spelled words up to which the bundled student is a better start than pieces
that are trained on the text: it is in German and Spanish (21% to 27%), but not in Hindi (100%)."""

_MAX_UNKNOWN_SHARE: Final = 0.5
"""The share of words with unknown characters from which a student cannot learn a text."""

_N_CHECKED_WORDS: Final = 200_000
"""The number of words in which other scripts are looked for."""

_LABEL_REPEATS: Final = 8
"""The number of times that each label counts as text, so that its words become pieces."""


@dataclass(frozen=True, slots=True)
class Start:
    """The student that training and tuning start from.

    Attributes:
        kind: `bundled`, `teacher` for the teacher's pieces, or `text` for pieces trained on the
            text.
        reason: The reason, with the measured share, as a sentence for the user.
    """

    kind: str
    reason: str

    @property
    def is_new(self) -> bool:
        """Whether the start is another student than the bundled one."""
        return self.kind != "bundled"


def choose_start(work: Workspace, collected: Collected) -> tuple[Workspace, Collected]:
    """Return the workspace with the start of its runs, and a note about it if it is a new student.

    A start that the user has given is not changed.

    Raises:
        CorpusError: A file of passages was changed.
        DistillError: The folder cannot be read or written, or the teacher cannot be loaded.
    """
    if work.settings.start is not None:
        return work, collected
    path = work.folder / _START_FILE
    # A folder of an earlier version has runs that started from the bundled student.
    if not path.is_file() and not work.run_folder(0).exists():
        words = list(_read_words([*collected.text, *collected.gold]))
        write_sealed_json(path, asdict(make_start(work, words)))
    start = read_start(work) or Start("bundled", "")
    notes = [start.reason] if start.is_new else []
    if start.is_new:
        work = replace(work, settings=_settings_from(work, collected))
    # Text in another script may have been added to a folder of an earlier run.
    some = islice(_read_words(collected.text[-1:]), _N_CHECKED_WORDS)
    notes += _warn_about_script(work.start_of_run(collected.run), some)
    return work, replace(collected, warnings=(*collected.warnings, *notes))


def read_start(work: Workspace) -> Start | None:
    """Return the start that was chosen for a working folder; None if none was chosen.

    Raises:
        DistillError: The file cannot be read, or has changed.
    """
    path = work.folder / _START_FILE
    if not path.is_file():
        return None
    saved = read_sealed_json(path, advice=_ADVICE)
    try:
        check_fields(saved, {"kind": TEXT, "reason": TEXT})
    except ValueError as error:
        raise DistillError(f"{path}: {error}; {_ADVICE}") from error
    return Start(**saved)


def make_start(work: Workspace, words: Sequence[str]) -> Start:
    """Measure a text, write the student to start from if it is a new one, and say why.

    Raises:
        DistillError: The folder cannot be written, or the teacher cannot be loaded.
    """
    student, known = load_student(work.settings.start_folder)
    share = measure_share(known, words)
    if not share.is_high:
        return Start(
            "bundled",
            f"the student starts from the bundled one, which knows English, since {_why(share)}",
        )
    labels = [word for label in work.job.labels for word in word_texts(clean_label(label))]
    texts = [*words, *labels * _LABEL_REPEATS]
    teacher, most = work.teacher.load(), most_pieces(student.config)
    kind, vocabulary, source = "teacher", _teachers_vocabulary(teacher, texts, most), "the teacher"
    if vocabulary is None and share.spelled <= _MAX_BUNDLED_SHARE:
        return Start(
            "bundled",
            "the student starts from the bundled one, which knows English, although "
            f"{_why(share)}: the teacher has no pieces for the text, and pieces trained on the "
            f"text help only above {100 * _MAX_BUNDLED_SHARE:.0f}%",
        )
    if vocabulary is None:
        kind, source = "text", "training on the text"
        vocabulary = train_text_vocabulary(texts, known, max_pieces=most)
    new = transfer_student(
        student,
        known,
        vocabulary,
        encode_texts=_encoder_of(teacher),
        seed=work.settings.seed,
    )
    metadata = {"vocabulary": kind, "pieces": len(vocabulary)}
    save_student(work.folder / START_FOLDER, new, vocabulary, metadata=metadata)
    return Start(
        kind,
        f"the student starts with {len(vocabulary):,} pieces from {source} instead of those of the "
        f"bundled student, which knows English, since {_why(share)}",
    )


def most_pieces(config: StudentConfig) -> int:
    """Return the largest vocabulary with which an architecture has at most 6M parameters."""
    rest = count_parameters(replace(config, n_pieces=0))
    return (MAX_PARAMETERS - rest) // config.embedding_width


def _why(share: SpelledShare) -> str:
    limit = "more" if share.is_high else "not more"
    return (
        f"{share.describe()} in its vocabulary, {limit} than the limit of "
        f"{100 * MAX_SPELLED_SHARE:.0f}%"
    )


def _teachers_vocabulary(teacher: Teacher, texts: Iterable[str], most: int) -> Vocabulary | None:
    """Return the teacher's pieces of a text; None if it has none, or if they do not suit it."""
    offered = getattr(teacher, "prune_vocabulary", None)
    texts = list(texts)
    vocabulary: Vocabulary | None = None if offered is None else offered(texts, max_pieces=most)
    if vocabulary is not None and measure_share(vocabulary, texts).is_high:
        return None
    return vocabulary


def _encoder_of(teacher: Teacher) -> EncodeTexts | None:
    offered: EncodeTexts | None = getattr(teacher, "encode_texts", None)
    return offered


def _read_words(folders: Iterable[PassageFolder]) -> Iterator[str]:
    """Yield the words of all training passages in folders."""
    for folder in folders:
        if "train" in folder.splits:
            folder.check_passages("train")
            for passage in CorpusFile(folder.passages_file("train")):
                yield from passage.words


def _settings_from(work: Workspace, collected: Collected) -> DistillSettings:
    """Return settings with the new start, whose pieces need more steps than known ones."""
    settings = work.settings
    n_passages = sum(folder.n_passages["train"] for folder in [*collected.gold, *collected.text])
    epochs = max(settings.epochs, tuning_epochs(max(1, n_passages), settings))
    # A dev split of few passages says little about which epoch is the best.
    return replace(settings, start=work.folder / START_FOLDER, epochs=epochs, patience=0)


def _warn_about_script(start: Path, words: Iterable[str]) -> list[str]:
    """Return a warning if a vocabulary lacks the characters of most words."""
    share = measure_share(load_student(start)[1], words)
    if share.unknown <= _MAX_UNKNOWN_SHARE:
        return []
    return [
        f"{100 * share.unknown:.0f}% of the words have characters that the student cannot read, "
        "since it was made for text in another script; choose another --out for this text"
    ]
