"""What a soft-label store holds, for people: counts of one pass over it, and lines of text."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gliner_distill.entities import END, INSIDE, START, LabeledPassage
from gliner_distill.store.disagreements import (
    THRESHOLD,
    Disagreement,
    GoldComparison,
    clip,
    printable,
)
from gliner_distill.store.manifest import Manifest, read_manifest
from gliner_distill.store.store import SoftLabelStore

BORDERS = tuple(map(Fraction, ("0", "1/32", "1/16", "1/8", "1/4", "1/2", "3/4", "7/8", "1")))
"""Of the histogram's bins, each with its lower border. Every score code cuts at them."""


_N_BINS = len(BORDERS) - 1


_N_FREQUENT_LABELS = 10


_LABEL_COLUMNS = 40


_SMALLEST_BAR = 1e-4


_BAR_PER_TENFOLD = 6


@dataclass(slots=True)
class ProbabilityHistogram:
    """Word-label pairs by their inside probability.

    Attributes:
        counts: Pairs of each bin.
        start_sums: Sum of their start probabilities.
        end_sums: Sum of their end probabilities.
    """

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_N_BINS, np.int64))
    start_sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_N_BINS))
    end_sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_N_BINS))

    def add(self, probs: NDArray[np.float32]) -> None:
        """Count a passage's pairs; the probabilities have shape `(words, labels, 3)`."""
        pairs = probs.reshape(-1, 3)
        inner = [float(border) for border in BORDERS[1:-1]]
        bins = np.searchsorted(inner, pairs[:, INSIDE], side="right")
        self.counts += np.bincount(bins, minlength=_N_BINS)
        self.start_sums += np.bincount(bins, weights=pairs[:, START], minlength=_N_BINS)
        self.end_sums += np.bincount(bins, weights=pairs[:, END], minlength=_N_BINS)


@dataclass(slots=True)
class StoreStatistics:
    """Counts of a store's passages.

    Attributes:
        labels: Passages that each label was asked of.
        histogram: All pairs of a word and a label, by probability.
        comparison: Of teacher and gold.
    """

    labels: Counter[str] = field(default_factory=Counter)
    histogram: ProbabilityHistogram = field(default_factory=ProbabilityHistogram)
    comparison: GoldComparison = field(default_factory=GoldComparison)

    def add(self, position: int, item: LabeledPassage) -> None:
        """Count a passage; `position` is its number in the store."""
        self.labels.update(item.labels)
        self.histogram.add(item.probs)
        self.comparison.add(position, item)


def gather_statistics(store: SoftLabelStore) -> StoreStatistics:
    """Return the counts of a store, read once and not kept.

    Raises:
        StoreError: A shard is missing or broken.
    """
    statistics = StoreStatistics()
    for position, item in enumerate(store):
        statistics.add(position, item)
    return statistics


def describe_store(folder: Path) -> list[str]:
    """Return lines on a store: origin, size, labels, probabilities, where teacher and gold differ.

    An unfinished store is described by its manifest alone. What is kept in memory does not grow
    with the number of passages. Of the disagreements, those that only the teacher sees are common
    where the annotation is not exhaustive.

    Raises:
        StoreError: The folder is no store, or a shard is missing or broken.
    """
    manifest = read_manifest(folder)
    lines = _manifest_lines(manifest)
    if not manifest.is_complete:
        return [*lines, "unfinished: run the same label command again to finish it"]
    store = SoftLabelStore(folder)
    # First, as it finds broken shards, and reading their sizes would stumble over them.
    statistics = gather_statistics(store)
    return [
        *lines,
        *_size_lines(store),
        _label_line(statistics.labels),
        "",
        *_histogram_lines(statistics.histogram),
        "",
        *_comparison_lines(statistics.comparison),
    ]


def _policy_in_words(policy: Mapping[str, Any]) -> str:
    """Return a manifest's label policy in words; of lists and mappings, how much they hold.

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
    """Return a number readably, of a list or mapping how many it holds, anything else as it is."""
    if isinstance(value, list | dict):
        value = len(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_number else clip(str(value), _LABEL_COLUMNS)


def _manifest_lines(manifest: Manifest) -> list[str]:
    n_words = sum(shard.n_words for shard in manifest.shards)
    seconds = manifest.seconds
    metadata = {
        "teacher": f"{manifest.teacher} ({manifest.teacher_fingerprint[:12]})",
        "each teacher": ", ".join(manifest.individual_teachers),
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
    return [title, *(_fact(name, value) for name, value in metadata.items() if value)]


def _size_lines(store: SoftLabelStore) -> list[str]:
    manifest = store.manifest
    n_pairs = max(sum(shard.n_pairs for shard in manifest.shards), 1)
    scores = sum(_score_bytes(store.folder / shard.file) for shard in manifest.shards)
    others = sum(other.n_bytes for other in manifest.other_files)
    lines = [
        _fact("size", f"{store.size_bytes:,} bytes, {store.size_bytes / n_pairs:.2f} per pair"),
        _fact("scores alone", f"{scores:,} bytes, {scores / n_pairs:.2f} per pair"),
    ]
    return [*lines, _fact("subword vectors", f"{others:,} bytes")] if others else lines


def _score_bytes(shard: Path) -> int:
    """Return what the columns of scores take in a shard, compressed."""
    metadata = pq.read_metadata(shard)
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
    return _fact("labels", f"{len(labels):,}: {', '.join(frequent)}")


def _histogram_lines(histogram: ProbabilityHistogram) -> list[str]:
    """Return the histogram, at most 80 columns wide; its bars show shares of all sizes."""
    n_pairs = max(int(histogram.counts.sum()), 1)
    lines = [
        "word-label pairs by inside probability, with the means of start and end",
        f"(bars on a log scale: {_BAR_PER_TENFOLD} # for each tenfold above {_SMALLEST_BAR:.2%})",
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
    decoded = _fact("teacher's entities", f"{comparison.n_decoded:,} (threshold {THRESHOLD})")
    if not comparison.n_gold:
        return [decoded, "no gold entity"]
    if not comparison.n_asked_gold:
        return [decoded, f"no gold entity of a label asked, {comparison.n_gold:,} of others"]
    precision, recall, f1 = comparison.span_shares
    return [
        decoded,
        _fact("gold entities", f"{comparison.n_asked_gold:,} of labels asked"),
        _fact(
            "teacher on gold",
            f"precision {precision:.3f}, recall {recall:.3f}, F1 {f1:.3f} (exact spans)",
        ),
        _fact(
            "agreement",
            f"{comparison.pairs.rate:.4f} of the pairs (teacher: inside > {THRESHOLD}; "
            f"gold: within an entity)",
        ),
        _fact("Cohen's kappa", f"{comparison.pairs.kappa:.3f} of the same"),
        "",
        *_disagreement_lines(comparison.disagreements),
    ]


def _disagreement_lines(disagreements: list[Disagreement]) -> list[str]:
    if not disagreements:
        return ["no disagreement of teacher and gold"]
    return [
        "most confident disagreements of teacher and gold",
        f"{'passage':>9}  conf.  {'what':<16}  label: words",
        *(disagreement.line() for disagreement in disagreements),
    ]


def _fact(name: str, value: str) -> str:
    return f"{name:<19}{printable(value)}"
