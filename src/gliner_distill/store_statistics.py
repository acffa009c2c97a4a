"""What a soft-label store holds, for people."""

from collections import Counter
from pathlib import Path

from gliner_distill.entities import decode_entities
from gliner_distill.metrics import score_spans
from gliner_distill.soft_labels import SoftLabelStore, read_manifest


def describe_store(folder: Path) -> list[str]:
    """Return lines on a store: origin, counts, size, agreement of teacher and gold.

    An unfinished store is described by its manifest alone.

    Raises:
        StoreError: The folder is no store, or a shard is broken.
    """
    manifest = read_manifest(folder)
    n_words = sum(shard.n_words for shard in manifest.shards)
    n_pairs = sum(shard.n_pairs for shard in manifest.shards)
    lines = [
        f"soft-label store, format version {manifest.format_version}",
        f"teacher            {manifest.teacher} ({manifest.teacher_fingerprint[:12]})",
        f"corpus             {manifest.corpus_fingerprint[:12]}",
        f"label policy       {manifest.label_policy}",
        f"passages           {manifest.n_labelled:,} of {manifest.n_passages:,}",
        f"shards             {len(manifest.shards):,}",
        f"words              {n_words:,}",
        f"word-label pairs   {n_pairs:,}",
        f"labelled in        {manifest.seconds:,.0f} s",
    ]
    if not manifest.is_complete:
        return [*lines, "unfinished: run the same label command again to finish it"]
    store = SoftLabelStore(folder)
    lines.append(
        f"size               {store.size_bytes:,} bytes, "
        f"{store.size_bytes / max(n_pairs, 1):.2f} a pair"
    )
    return lines + _contents(store)


def _contents(store: SoftLabelStore) -> list[str]:
    labels: Counter[str] = Counter()
    predicted, gold = [], []
    for item in store:
        labels.update(item.labels)
        asked = set(item.labels)
        predicted.append(decode_entities(item.probs, item.labels))
        gold.append([entity for entity in item.passage.entities if entity.label in asked])
    spans = score_spans(predicted, gold)
    frequent = ", ".join(f"{label} ({count})" for label, count in labels.most_common(10))
    return [
        f"labels             {len(labels):,}: {frequent}",
        f"teacher's entities {spans.n_predicted:,} (threshold 0.5)",
        f"gold entities      {spans.n_reference:,}",
        f"teacher on gold    precision {spans.precision:.3f}, recall {spans.recall:.3f}, "
        f"F1 {spans.f1:.3f} (exact spans)",
    ]
