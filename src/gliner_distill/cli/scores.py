"""The page that `evaluate` prints: a table of the labels, the totals, and the errors to look at.

The input is the measurements of a model and the width of the terminal. The output is lines of plain
text, without colors. Labels and texts of a corpus may hold line breaks and characters that control
a terminal, so they are shown with symbols in place of these.
"""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Final

from rich.cells import cell_len, chop_cells

from gliner_distill.cli.terminal import is_terminal, show_controls
from gliner_distill.evaluation.details import LabelDetails, SpanDetails
from gliner_distill.evaluation.evaluate import Measurements
from gliner_distill.evaluation.mistakes import Kind, Mistake
from gliner_distill.metrics import SpanScores, pool_scores

MOST_LABELS: Final = 40
"""The number of labels that are shown, unless the user asks for all."""

MOST_GROUPS: Final = 10
"""The number of groups of errors that are shown, unless the user asks for all."""

_PIPE_WIDTH: Final = 100
_LEAST_WIDTH: Final = 40
_MOST_WIDTH: Final = 120

_LEAST_LABEL_WIDTH: Final = 14
"""With less room than this beside the numbers, each label has a line of its own."""

_LEAST_CONTEXT_WIDTH: Final = 50
"""With less room than this beside it, what was found has a line of its own."""

_MOST_TEXT_WIDTH: Final = 400
"""The number of cells of a label or a span that are shown, at most."""

_WIDE_HEAD: Final = (
    *(("", "gold"), ("", "precision"), ("", "recall"), ("", "F1"), ("95%", "interval")),
    *(("wrong", "borders"), ("wrong", "label")),
)
_NARROW_HEAD: Final = tuple(("", name) for name in ("gold", "P", "R", "F1", "95%", "B", "L"))
_ABBREVIATIONS: Final = "P: precision; R: recall; B: wrong borders; L: wrong label. "
_LEGEND: Final = (
    'An answer is right if gold has an entity with its borders and its label. "wrong borders" '
    'counts the gold entities that overlap with an answer of their label, and "wrong label" those '
    "that were found with another label; neither is right. The interval is that of F1: the wider "
    "one of a bootstrap over passages and Wilson's. A dash stands for a share of nothing."
)

_KINDS: Final[tuple[Kind, ...]] = ("wrong label", "wrong borders", "invented", "missed")
"""The kinds of errors in the order in which they are shown."""

Cells = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """The model and the corpus that were measured, for the head of the page.

    Attributes:
        model: The name of the model.
        corpus: The name of the corpus.
        threshold: The score that entities exceed.
    """

    model: str
    corpus: str
    threshold: float


def page_width() -> int:
    """Return the width for the lines: that of the terminal, within limits, and 100 for a pipe."""
    if not is_terminal(sys.stdout):
        return _PIPE_WIDTH
    return min(_MOST_WIDTH, max(_LEAST_WIDTH, shutil.get_terminal_size().columns))


def score_page(
    subject: Subject, measured: Measurements, *, width: int, show_all: bool = False
) -> list[str]:
    """Return the lines of the whole page.

    Args:
        subject: The model and the corpus.
        measured: The measurements.
        width: The number of cells of a line, at least 40. Only the names of the model and of the
            corpus may make a line longer.
        show_all: Whether to show all labels and all errors instead of the most frequent ones.
    """
    details = measured.details
    return [
        *_head(subject, measured, width),
        "",
        *score_table(details, width=width, show_all=show_all),
        "",
        *_totals(measured, width),
        "",
        *error_lines(details, width=width, show_all=show_all),
    ]


def score_table(details: SpanDetails, *, width: int, show_all: bool = False) -> list[str]:
    """Return the table of the labels, the most frequent in gold first, and what it means."""
    rows = sorted(details.by_label.items(), key=lambda row: (-row[1].scores.n_reference, row[0]))
    n_shown = len(rows) if show_all or len(rows) <= MOST_LABELS else MOST_LABELS
    shown = [(_one_line(label), _cells(row)) for label, row in rows[:n_shown]]
    if rest := [row for _, row in rows[n_shown:]]:
        shown.append((f"({len(rest):,} more labels)", _cells(_pool(rest))))
    totals = [("all labels", _cells(details.overall))]
    with_gold = [row.scores for _, row in rows if row.scores.n_reference]
    if len(with_gold) > 1:
        totals.append(("mean of the labels", _mean_cells(with_gold)))
    table = _Table([*shown, *totals], width)
    lines = [*table.head(), table.rule()]
    lines += [line for row in shown for line in table.row(*row)]
    lines += [table.rule(), *(line for row in totals for line in table.row(*row)), ""]
    legend = _LEGEND if table.is_wide else _ABBREVIATIONS + _LEGEND
    if rest:
        legend += f" The {n_shown} labels with the most gold entities are shown; --all shows all."
    return lines + textwrap.wrap(legend, width)


def error_lines(details: SpanDetails, *, width: int, show_all: bool = False) -> list[str]:
    """Return the errors in groups of the same kind and labels, by kind and size.

    The kinds take turns until enough groups are chosen, so that each kind is seen. Each group has
    one example, with the words around it: the error with the highest score. Missed entities have no
    score, so the first one is taken.
    """
    if not details.mistakes:
        return ["There are no errors."]
    groups: dict[tuple[str, str, str], list[Mistake]] = {}
    for mistake in details.mistakes:
        groups.setdefault(_group_of(mistake), []).append(mistake)
    ordered = sorted(groups.values(), key=lambda group: (-len(group), _group_of(group[0])))
    by_kind = [[group for group in ordered if group[0].kind == kind] for kind in _KINDS]
    if not show_all:
        turns = (group for turn in zip_longest(*by_kind) for group in turn if group is not None)
        chosen = list(islice(turns, MOST_GROUPS))
        by_kind = [[group for group in kind if group in chosen] for kind in by_kind]
    shown = [group for kind in by_kind for group in kind]
    lines = textwrap.wrap(_explain_errors(details, len(ordered), len(shown), show_all), width)
    for group in shown:
        lines += ["", *_wrapped(_title_of(group), width)]
        examples = sorted(group, key=lambda mistake: -_score_of(mistake))
        for mistake in examples if show_all else examples[:1]:
            lines += _example(mistake, width)
    return lines


def _head(subject: Subject, measured: Measurements, width: int) -> list[str]:
    n_asked = measured.details.overall.scores.n_reference
    asked = "" if n_asked == measured.n_entities else f" ({n_asked:,} with labels that were asked)"
    counted = (
        f"{measured.n_passages:,} with {measured.n_words:,} words and {measured.n_entities:,} gold "
        f"{'entity' if measured.n_entities == 1 else 'entities'}{asked}"
    )
    return [
        f"model:      {_one_line(subject.model)}",
        f"corpus:     {_one_line(subject.corpus)}",
        *_named("passages", counted, width),
        f"threshold:  {subject.threshold:g}",
    ]


def _totals(measured: Measurements, width: int) -> list[str]:
    words, speed = measured.evaluation.gold.words, measured.speed
    shares = {"accuracy": words.accuracy, "precision": words.precision, "recall": words.recall}
    shares["F1"] = words.f1
    rates = (
        f"{speed.ms_per_passage:.2f} ms per passage, {speed.words_per_second:,.0f} words per second"
    )
    return [
        *_named(
            "per word", ", ".join(f"{name} {_percent(x)}" for name, x in shares.items()), width
        ),
        *_named("speed", rates, width),
    ]


def _named(name: str, text: str, width: int) -> list[str]:
    """Return a text after its name, in a column of its own."""
    first = f"{name + ':':12}"
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=" " * 12)


class _Table:
    """A table with a column of labels and right-aligned columns of numbers."""

    def __init__(self, rows: Sequence[tuple[str, Cells]], width: int) -> None:
        longest = max(cell_len(label) for label, _ in rows)
        for head, gap in ((_WIDE_HEAD, 2), (_NARROW_HEAD, 1)):
            self.is_wide = head is _WIDE_HEAD
            self._head, self._gap, self._width = head, " " * gap, width
            columns = zip(head, *(cells for _, cells in rows), strict=True)
            self._widths = [max(map(len, (*names, *cells))) for names, *cells in columns]
            room = width - sum(self._widths) - gap * len(self._widths)
            self._label_width = min(longest, room) if room >= _LEAST_LABEL_WIDTH else 0
            if self._label_width:
                break

    def head(self) -> list[str]:
        """Return the lines with the names of the columns."""
        first, second = (tuple(names[line] for names in self._head) for line in (0, 1))
        lines = [] if not any(first) else [self._line("", first)]
        return [*lines, self._line("label" if self._label_width >= len("label") else "", second)]

    def rule(self) -> str:
        """Return a line of dashes."""
        n_gaps = len(self._gap) * len(self._widths)
        return "-" * (self._label_width + sum(self._widths) + n_gaps)

    def row(self, label: str, cells: Cells) -> Iterator[str]:
        """Yield the lines of a row; a label that is too long for its column has its own lines."""
        if cell_len(label) > self._label_width:
            yield from _wrapped(label, self._width)
            label = ""
        yield self._line(label, cells)

    def _line(self, label: str, cells: Cells) -> str:
        numbers = "".join(
            f"{self._gap}{cell:>{width}}" for cell, width in zip(cells, self._widths, strict=True)
        )
        return (label + " " * (self._label_width - cell_len(label)) + numbers).rstrip()


def _cells(row: LabelDetails) -> Cells:
    scores = row.scores
    interval = "-"
    if row.interval is not None:
        interval = "-".join(f"{100 * edge:.0f}" for edge in row.interval)
    return (
        f"{scores.n_reference:,}",
        _percent(scores.precision) if scores.n_predicted else "-",
        _percent(scores.recall) if scores.n_reference else "-",
        _percent(scores.f1) if scores.n_reference else "-",
        interval,
        f"{row.n_wrong_borders:,}",
        f"{row.n_wrong_label:,}",
    )


def _mean_cells(rows: Sequence[SpanScores]) -> Cells:
    """Return the mean shares of the labels that gold has (macro average)."""
    shares = (
        sum(getattr(row, name) for row in rows) / len(rows)
        for name in ("precision", "recall", "f1")
    )
    return ("", *map(_percent, shares), "", "", "")


def _pool(rows: Sequence[LabelDetails]) -> LabelDetails:
    """Return the scores of several labels together, without an interval."""
    return LabelDetails(
        pool_scores(row.scores for row in rows),
        None,
        n_wrong_borders=sum(row.n_wrong_borders for row in rows),
        n_wrong_label=sum(row.n_wrong_label for row in rows),
        n_missed=sum(row.n_missed for row in rows),
        n_invented=sum(row.n_invented for row in rows),
    )


def _explain_errors(details: SpanDetails, n_groups: int, n_shown: int, show_all: bool) -> str:
    total = details.overall
    counted = (
        f"{total.n_missed:,} missed, {total.n_invented:,} invented, {total.n_wrong_label:,} with a "
        f"wrong label, {total.n_wrong_borders:,} with wrong borders"
    )
    text = f"Errors: {counted}. Brackets mark the gold entity or, if there is none, the answer."
    if show_all:
        return f"{text} Passages are counted from 1."
    which = f"{n_shown} of {n_groups:,} groups are shown, the largest of each kind, with an example"
    if n_shown == n_groups:
        which = "Each group has an example"
    return f"{text} {which}; --all prints all errors, and --json FILE writes them to a file."


def _group_of(mistake: Mistake) -> tuple[str, str, str]:
    """Return the kind and both labels; errors that have them in common form a group."""
    expected = "" if mistake.expected is None else mistake.expected.label
    found = "" if mistake.found is None else mistake.found.label
    return mistake.kind, expected, found


def _title_of(group: Sequence[Mistake]) -> str:
    kind, expected, found = _group_of(group[0])
    label = _one_line(found or expected)
    if kind == "wrong label":
        label += f" instead of {_one_line(expected)}"
    times = "once" if len(group) == 1 else f"{len(group):,} times"
    return f"{kind}: {label} ({times})"


def _score_of(mistake: Mistake) -> float:
    return 0.0 if mistake.found is None else mistake.found.score


def _example(mistake: Mistake, width: int) -> list[str]:
    """Return the lines of an error: the passage, the words around it, and what was found."""
    head, note = f"  passage {mistake.passage + 1:,}: ", ""
    found = mistake.found
    if found is not None:
        note = f"score {found.score:.2f}"
        if mistake.kind == "wrong borders":
            note = f'found "{_clip(_one_line(mistake.text_of(found)), width)}", {note}'
    room = width - len(head)
    beside = room - cell_len(f"; {note}") if note else room
    if beside >= _LEAST_CONTEXT_WIDTH or not note:
        return [head + _in_context(mistake, beside) + (f"; {note}" if note else "")]
    lines = [f"    {line}" for line in _wrapped(note, width - 4)]
    return [head + _in_context(mistake, room), *lines]


def _in_context(mistake: Mistake, room: int) -> str:
    """Return the span in brackets, with as many words around it as there is room for."""
    start, end, words = mistake.shown.start_word, mistake.shown.end_word, mistake.words
    # Long passages are cut before their words are joined: no more than `room` words fit.
    span = f"[{_clip(_one_line(' '.join(words[start:end][:room])), room - 10)}]"
    room -= cell_len(span) + len("... ") + len(" ...")
    before = _fitting(words[max(0, start - room) : start][::-1], room // 2)
    room -= sum(cell_len(word) + 1 for word in before)
    after = _fitting(words[end : end + max(room, 0)], room)
    cut = ("..." if len(before) < start else "", "..." if end + len(after) < len(words) else "")
    return " ".join(filter(None, (cut[0], *reversed(before), span, *after, cut[1])))


def _fitting(words: Sequence[str], room: int) -> list[str]:
    """Return the first words that fit into some cells, each with a space."""
    fitting: list[str] = []
    for word in map(_one_line, words):
        room -= cell_len(word) + 1
        if room < 0:
            break
        fitting.append(word)
    return fitting


def _one_line(text: str) -> str:
    """Return a text with symbols for line breaks and for all characters that control a terminal."""
    return show_controls(text).replace("\n", "\N{SYMBOL FOR LINE FEED}").replace("\t", " ")


def _clip(text: str, width: int) -> str:
    """Return a text that has at most `width` cells."""
    if cell_len(text) <= width:
        return text
    return chop_cells(text, max(width - 3, 1))[0] + "..."


def _wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text, which breaks at spaces where it can; long texts are cut."""
    lines: list[str] = [""]
    for word in re.split(r"(?<=\s)(?=\S)", _clip(text, _MOST_TEXT_WIDTH)):
        for part in chop_cells(word, width) or [""]:
            if cell_len(lines[-1] + part.rstrip()) > width and lines[-1]:
                lines.append("")
            lines[-1] += part
    return [line.rstrip() for line in lines]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
