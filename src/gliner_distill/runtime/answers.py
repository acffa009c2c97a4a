"""Answer texts: read their words, find entities in them, and add what patterns find.

`StudentNER` checks its arguments; the functions here read the texts in chunks and describe the
entities by characters.
"""

from collections.abc import Iterable, Iterator, Sequence

from gliner_distill.entities import EntityDict
from gliner_distill.runtime.finder import EntityFinder
from gliner_distill.runtime.gliner_api.missing_texts import MissingTexts
from gliner_distill.runtime.inputs import (
    InferenceOptions,
    add_matches,
    chunk_texts_and_labels,
    describe_entities,
    read_words,
)
from gliner_distill.runtime.labels import Prompts

# An iterator of texts is read this many batches ahead.
_CHUNK_BATCHES = 8


def answer_stream(
    finder: EntityFinder,
    texts: Iterable[str],
    asked: Prompts | list[Prompts],
    options: InferenceOptions,
) -> Iterator[list[EntityDict]]:
    """Yield the entities of each text, while the texts are read.

    A warning at the end counts the texts that are missing.

    Args:
        finder: The student.
        texts: The texts.
        asked: The labels for all texts, or for each text its own.
        options: The options of the call.

    Raises:
        InputError: A text is not a string or too long, or there is not one set of labels per text.
    """
    n_texts = _CHUNK_BATCHES * options.batch_size
    missing = MissingTexts()
    if options.on_bad == "skip":
        texts = missing.fill(texts)
    try:
        for first, chunk, chunk_labels in chunk_texts_and_labels(texts, asked, n_texts):
            yield from answer_texts(finder, chunk, chunk_labels, options, first=first)
    finally:
        missing.warn()


def answer_texts(
    finder: EntityFinder,
    texts: Sequence[str],
    asked: Prompts | list[Prompts],
    options: InferenceOptions,
    *,
    first: int = 0,
) -> list[list[EntityDict]]:
    """Return the entities of each text.

    Args:
        finder: The student.
        texts: The texts.
        asked: The labels for all texts, or for each text its own.
        options: The options of the call.
        first: The number of the first text, for messages.

    Raises:
        InputError: See `answer_stream`.
    """
    passages = [
        read_words(text, number, options.on_long) for number, text in enumerate(texts, first)
    ]
    entities, probs = finder.find(passages, asked, options)
    kinds = options.structured_labels_by_text(asked, len(texts))
    return [
        add_matches(text, describe_entities(text, found, found_probs), text_kinds, options)
        for text, found, found_probs, text_kinds in zip(texts, entities, probs, kinds, strict=True)
    ]
