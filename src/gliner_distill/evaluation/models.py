"""One protocol and one loader for everything that finds entities in text.

`load_model` turns the name of a student or of a GLiNER into an `NERModel`. A student runs without
torch; torch is imported only when the name stands for a GLiNER.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, final

from gliner_distill.corpus.labels import format_prompt
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, EntityDict, word_texts
from gliner_distill.errors import InputError, MissingExtraError
from gliner_distill.runtime.inputs import InferenceOptions, add_matches, describe_entities
from gliner_distill.runtime.labels import Prompts, read_label_set, read_per_text
from gliner_distill.runtime.locate import locate_model
from gliner_distill.runtime.memory import DEFAULT_MEMORY
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.teacher.base import Teacher

# A lone surrogate is a Python character that no tokenizer accepts.
_REPLACED = dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}")


class NERModel(Protocol):
    """A model that finds the entities of given labels: a `StudentNER` or a `TeacherNER`."""

    def predict_words(
        self,
        passages: Sequence[Sequence[str]],
        labels: Sequence[Sequence[str]],
        *,
        threshold: float = 0.5,
    ) -> list[list[Entity]]:
        """Return the entities of each passage, without overlaps, in order of position.

        Args:
            passages: The words of each passage.
            labels: The labels asked of each passage, each of them once.
            threshold: The score that an entity must exceed.
        """
        ...

    def inference(
        self,
        texts: list[str],
        labels: Sequence[str] | Mapping[str, str],
        flat_ner: bool = True,
        threshold: float = 0.5,
        multi_label: bool = False,
        *,
        patterns: bool = True,
    ) -> list[list[EntityDict]]:
        """Return the entities of each text, in order of position.

        Args:
            texts: The texts.
            labels: The labels asked of every text, or a mapping from each label to its
                description. A student reads the description in place of the label; a teacher
                reads both.
            flat_ner: Whether entities may not overlap; otherwise one may lie inside another.
            threshold: The score that an entity must exceed.
            multi_label: Whether a span may have several labels.
            patterns: Whether structured types, such as e-mail addresses, are also found by checked
                patterns where a label asks for them; see `StudentNER.inference`.
        """
        ...


@final
class TeacherNER:
    """A teacher as a model: its probabilities, decoded into entities.

    Args:
        teacher: Any teacher.

    Attributes:
        teacher: The teacher.
    """

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher

    def predict_words(
        self,
        passages: Sequence[Sequence[str]],
        labels: Sequence[Sequence[str]],
        *,
        threshold: float = 0.5,
    ) -> list[list[Entity]]:
        """Return the entities of each passage; see `NERModel.predict_words`."""
        asked = read_per_text([list(passage_labels) for passage_labels in labels])
        probs_by_passage = self.teacher.score_passages(passages, list(map(_prompts, asked)))
        return [
            decode_entities(probs, [label for label, _ in own], threshold=threshold)
            for probs, own in zip(probs_by_passage, asked, strict=True)
        ]

    def inference(
        self,
        texts: list[str],
        labels: Sequence[str] | Mapping[str, str],
        flat_ner: bool = True,
        threshold: float = 0.5,
        multi_label: bool = False,
        *,
        patterns: bool = True,
    ) -> list[list[EntityDict]]:
        """Return the entities of each text; see `NERModel.inference`."""
        options = InferenceOptions(flat_ner, multi_label, threshold, patterns=patterns)
        asked = read_label_set(labels)
        kinds = options.structured_labels(asked)
        names = [label for label, _ in asked]
        prompts = _prompts(asked)
        passages = [word_texts(text.translate(_REPLACED)) for text in texts]
        probs_by_text = self.teacher.score_passages(passages, [prompts] * len(passages))
        answers = []
        for text, probs in zip(texts, probs_by_text, strict=True):
            entities = decode_entities(
                probs, names, threshold=threshold, flat_ner=flat_ner, multi_label=multi_label
            )
            answers.append(add_matches(text, describe_entities(text, entities), kinds, options))
        return answers


def load_model(
    name: str | Path | None = None,
    *,
    num_threads: int | None = None,
    device: str = "cpu",
    max_memory: str | int = DEFAULT_MEMORY,
) -> NERModel:
    """Return the model that a name stands for.

    Args:
        name: The folder of a student, of a run, of an export or of a GLiNER; a hub id; or None for
            the student that comes with the package.
        num_threads: The number of threads to compute with; None for `OMP_NUM_THREADS`, or else one
            per processor.
        device: Where a GLiNER runs, such as `cpu` or `cuda:0`; a student always runs on the CPU.
        max_memory: See `StudentNER`; it has no effect on a GLiNER, whose weights decide.

    Raises:
        StudentError: The name stands for neither a student nor a GLiNER, or the student is broken.
        InputError: `num_threads` is not a whole number of at least 1.
        TeacherError: The GLiNER does not load.
        HubError: The model is not on the hub, or cannot be downloaded.
        MissingExtraError: The model is a GLiNER, and torch or gliner is not installed.
    """
    if num_threads is not None and (not isinstance(num_threads, int) or num_threads < 1):
        raise InputError(f"num_threads is {num_threads!r}; expected a whole number, at least 1")
    located = locate_model(name)
    if located.kind == "student":
        folder = None if name is None else located.folder
        return StudentNER.from_pretrained(folder, num_threads=num_threads, max_memory=max_memory)
    try:
        import torch

        from gliner_distill.teacher.gliner import GLiNERTeacher
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gliner_distill"):
            raise
        raise MissingExtraError(error.name, "train") from error
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    return TeacherNER(GLiNERTeacher.from_pretrained(located.folder, device=device))


def _prompts(labels: Prompts) -> tuple[str, ...]:
    """Return the labels in the wording for a teacher, with descriptions that differ from them."""
    return tuple(
        format_prompt(label, "" if description == label else description)
        for label, description in labels
    )
