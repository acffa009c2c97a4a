"""Describe a soft-label store as lines of text, with counts from one pass over it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliner_distill.entities import END, INSIDE, START, LabeledPassage
from gliner_distill.store.disagreements import (
    THRESHOLD,
    Disagreement,
    GoldComparison,
    clip,
    printable,
)
from gliner_distill.store.manifest import Manifest, Shard, read_manifest
from gliner_distill.store.shards import open_shard
from gliner_distill.store.store import SoftLabelStore, naming_shard
from gliner_distill.store.stored_files import locate_stored

BORDERS = tuple(map(Fraction, ("0", "1/32", "1/16", "1/8", "1/4", "1/2", "3/4", "7/8", "1")))
"""The borders of the histogram's bins, which every quantizer has; a bin includes its lower one."""

_N_BINS = len(BORDERS) - 1
_N_FREQUENT_LABELS = 10
_LABEL_COLUMNS = 40
_SMALLEST_BAR = 1e-4
_BAR_PER_TENFOLD = 6


@dataclass(slots=True)
class ProbabilityHistogram:
    """A histogram of pairs of a word and a label by their inside probability.

    Attributes:
        counts: The number of pairs in each bin.
        start_sums: The sum of their start probabilities, by bin.
        end_sums: The sum of their end probabilities, by bin.
    """

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_N_BINS, np.int64))
    start_sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_N_BINS))
    end_sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_N_BINS))

    def add(self, probs: NDArray[np.float32]) -> None:
        """Count the pairs of a passage; the probabilities have shape `(words, labels, 3)`."""
        pairs = probs.reshape(-1, 3)
        # Without the outer borders, every probability falls into a bin.
        inner = [float(border) for border in BORDERS[1:-1]]
        bins = np.searchsorted(inner, pairs[:, INSIDE], side="right")
        self.counts += np.bincount(bins, minlength=_N_BINS)
        self.start_sums += np.bincount(bins, weights=pairs[:, START], minlength=_N_BINS)
        self.end_sums += np.bincount(bins, weights=pairs[:, END], minlength=_N_BINS)


@dataclass(slots=True)
class _StoreStatistics:
    """Counts over the passages of a store.

    Attributes:
        labels: The number of passages that each label was asked about.
        histogram: All pairs of a word and a label, by probability.
        comparison: The comparison of teacher and gold.
    """

    labels: Counter[str] = field(default_factory=Counter)
    histogram: ProbabilityHistogram = field(default_factory=ProbabilityHistogram)
    comparison: GoldComparison = field(default_factory=GoldComparison)

    def add(self, position: int, item: LabeledPassage) -> None:
        """Count a passage; `position` is its position in the store."""
        self.labels.update(item.labels)
        self.histogram.add(item.probs)
        self.comparison.add(position, item)


def describe_store(folder: Path) -> list[str]:
    """Return lines about a store: origin, size, labels, probabilities, and gold against teacher.

    An unfinished store is described by its manifest alone. The memory does not grow with the number
    of passages. Entities that only the teacher finds are common if the annotation is not
    exhaustive.

    Raises:
        StoreError: The folder is not a store, or a shard is missing or broken.
    """
    manifest = read_manifest(folder)
    lines = _manifest_lines(manifest)
    if not manifest.is_complete:
        return [*lines, "unfinished: run the same label command again to finish it"]
    store = SoftLabelStore(folder)
    # This comes first because it reports broken shards; reading the sizes would crash on them.
    statistics = _gather_statistics(store)
    return [
        *lines,
        *_size_lines(store),
        _label_line(statistics.labels),
        "",
        *_histogram_lines(statistics.histogram),
        "",
        *_comparison_lines(statistics.comparison),
    ]


def _gather_statistics(store: SoftLabelStore) -> _StoreStatistics:
    statistics = _StoreStatistics()
    for position, item in enumerate(store):
        statistics.add(position, item)
    return statistics


def _policy_in_words(policy: Mapping[str, Any]) -> str:
    """Return the label policy of a manifest in words; a list or mapping is given by its length.

    >>> _policy_in_words({"negatives": 8, "fixed": [], "seed": 0})
    "each passage's own labels, negatives: 8, seed: 0"
    >>> _policy_in_words({"fixed": ["person", "city"], "order": "random"})
    'fixed labels: 2, order: random'
    """
    rest = dict(policy)
    fixed, negatives, pool, from_pool, descriptions, seed = (
        rest.pop(key, None)
        for key in ("fixed", "negatives", "pool", "from_pool", "descriptions", "seed")
    )
    parts = [
        f"fixed labels: {_count(fixed)}" if fixed else "each passage's own labels",
        f"negatives: {_count(negatives)}" if negatives else "",
        f"from a pool of {_count(pool)}: {_count(from_pool)}" if pool or from_pool else "",
        f"labels with a description: {_count(descriptions)}" if descriptions else "",
        "" if seed is None else f"seed: {seed}",
        *(f"{key}: {_count(value)}" for key, value in rest.items()),
    ]
    return ", ".join(part for part in parts if part)


def _count(value: object) -> str:
    """Return a number with separators; a list or mapping is counted, other values are printed."""
    if isinstance(value, list | dict):
        value = len(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_number else clip(str(value), _LABEL_COLUMNS)


def _manifest_lines(manifest: Manifest) -> list[str]:
    n_words = sum(shard.n_words for shard in manifest.shards)
    seconds = manifest.seconds
    lines = {
        "teacher": f"{manifest.teacher} ({manifest.teacher_fingerprint[:12]})",
        "teachers kept": ", ".join(manifest.individual_teachers),
        "corpus": manifest.corpus_fingerprint[:12],
        "label policy": _policy_in_words(manifest.label_policy),
        "quantization": manifest.quantization,
        "passages": f"{manifest.n_labeled:,} of {manifest.n_passages:,}",
        "words": f"{n_words:,} of {manifest.n_words:,}",
        "shards": f"{len(manifest.shards):,}",
        "word-label pairs": f"{sum(shard.n_pairs for shard in manifest.shards):,}",
        "labeled in": f"{seconds:,.0f} s"
        + (f", {n_words / seconds:,.0f} words per second" if seconds else ""),
    }
    title = f"soft-label store, format version {manifest.format_version}"
    return [title, *(_line(name, value) for name, value in lines.items() if value)]


def _size_lines(store: SoftLabelStore) -> list[str]:
    manifest = store.manifest
    n_pairs = max(sum(shard.n_pairs for shard in manifest.shards), 1)
    scores = sum(_score_bytes(store.folder, shard) for shard in manifest.shards)
    others = sum(other.n_bytes for other in manifest.other_files)
    lines = [
        _line("size", f"{store.size_bytes:,} bytes, {store.size_bytes / n_pairs:.2f} per pair"),
        _line("scores alone", f"{scores:,} bytes, {scores / n_pairs:.2f} per pair"),
    ]
    return [*lines, _line("subword vectors", f"{others:,} bytes")] if others else lines


def _score_bytes(folder: Path, shard: Shard) -> int:
    """Return the compressed size of the columns of scores in a shard."""
    with naming_shard(folder / shard.file), open_shard(locate_stored(folder, shard.file)) as opened:
        metadata = opened.metadata
        columns = (
            metadata.row_group(group).column(column)
            for group in range(metadata.num_row_groups)
            for column in range(metadata.num_columns)
        )
        return sum(
            column.total_compressed_size
            for column in columns
            if column.path_in_schema.startswith("scores")
        )


def _label_line(labels: Counter[str]) -> str:
    frequent = [
        f"{clip(printable(label), _LABEL_COLUMNS)} ({count:,})"
        for label, count in labels.most_common(_N_FREQUENT_LABELS)
    ]
    return _line("labels", f"{len(labels):,}: {', '.join(frequent)}")


def _histogram_lines(histogram: ProbabilityHistogram) -> list[str]:
    """Return the lines of the histogram, at most 80 columns wide, with bars on a log scale."""
    n_pairs = max(int(histogram.counts.sum()), 1)
    lines = [
        "word-label pairs by inside probability, with the means of start and end",
        f"(bars on a log scale: {_BAR_PER_TENFOLD} # per factor of ten above {_SMALLEST_BAR:.2%})",
        f"  {'inside':<11}{'pairs':>15}{'share':>9}{'start':>7}{'end':>7}",
    ]
    for index, count in enumerate(histogram.counts.tolist()):
        means = (histogram.start_sums[index], histogram.end_sums[index])
        start, end = (f"{total / count:.3f}" if count else "-" for total in means)
        bin_name = f"{BORDERS[index]} - {BORDERS[index + 1]}"
        share = count / n_pairs
        line = f"  {bin_name:<11}{count:>15,}{share:>9.2%}{start:>7}{end:>7}  {_bar(share)}"
        lines.append(line.rstrip())
    return lines


def _bar(share: float) -> str:
    if share <= _SMALLEST_BAR:
        return ""
    return "#" * round(_BAR_PER_TENFOLD * float(np.log10(share / _SMALLEST_BAR)))


def _comparison_lines(comparison: GoldComparison) -> list[str]:
    decoded = _line("teacher's entities", f"{comparison.n_decoded:,} (threshold {THRESHOLD})")
    if not comparison.n_gold:
        return [decoded, _line("gold entities", "none")]
    if not comparison.n_asked_gold:
        others = f"none of a label asked, {comparison.n_gold:,} of other labels"
        return [decoded, _line("gold entities", others)]
    precision, recall, f1 = comparison.span_shares
    return [
        decoded,
        _line("gold entities", f"{comparison.n_asked_gold:,} of labels asked"),
        _line(
            "teacher on gold",
            f"precision {precision:.3f}, recall {recall:.3f}, F1 {f1:.3f} (exact spans)",
        ),
        _line(
            "agreement",
            f"{comparison.pairs.rate:.4f} of the pairs (teacher: inside > {THRESHOLD}; "
            f"gold: inside an entity)",
        ),
        _line("Cohen's kappa", f"{comparison.pairs.kappa:.3f} on the same pairs"),
        "",
        *_disagreement_lines(comparison.disagreements),
    ]


def _disagreement_lines(disagreements: list[Disagreement]) -> list[str]:
    if not disagreements:
        return ["teacher and gold do not disagree anywhere"]
    return [
        "most confident disagreements of teacher and gold",
        f"{'passage':>9}  conf.  {'what':<16}  label: words",
        *(disagreement.line() for disagreement in disagreements),
    ]


def _line(name: str, value: str) -> str:
    return f"{name:<19}{printable(value)}"
