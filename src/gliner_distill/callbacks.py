"""TODO-DOC."""

from collections.abc import Callable

ShowProgress = Callable[[str, int, int, str], None]
"""Called with a stage's name, words done, words in all, and a short text on how it goes."""


def count_words(show: ShowProgress, stage: str, n_words: int) -> Callable[[int, str], None]:
    """Return what takes each step's words and a text, and shows the stage's sum so far."""
    done = 0

    def count(words: int, text: str) -> None:
        nonlocal done
        done += words
        show(stage, done, n_words, text)

    return count
