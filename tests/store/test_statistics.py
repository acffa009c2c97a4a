"""The description of a store for people."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from gliner_distill.entities import END, INSIDE, START, LabeledPassage, Passage
from gliner_distill.errors import StoreError
from gliner_distill.store.manifest import (
    MANIFEST,
    Manifest,
    Shard,
    read_manifest,
    shard_name,
    write_manifest,
    write_stored_file,
)
from gliner_distill.store.quantization import COMPACT, UNIFORM
from gliner_distill.store.shards import ShardOrigin, encode_shard
from gliner_distill.store.statistics import ProbabilityHistogram, describe_store
from labeled_passages import labeled


def make_store(folder, items, *, n_unlabeled=0, quantizer=UNIFORM, **metadata):
    """Write a store of two passages a shard; some of its passages may not be labeled yet."""
    manifest = Manifest(
        **{"teacher": "lexicon", "teacher_fingerprint": "f" * 64, "corpus_fingerprint": "c" * 64}
        | {"label_policy": {"negatives": 0, "fixed": [], "seed": 0}, "quantization": quantizer.name}
        | {"n_passages": len(items) + n_unlabeled, "n_words": words_of(items) + n_unlabeled}
        | metadata
    )
    for first in range(0, len(items), 2):
        part, index = items[first : first + 2], first // 2
        origin = ShardOrigin(manifest.origin, manifest.teacher, index)
        written = write_stored_file(
            folder, shard_name(index), encode_shard(part, quantizer, origin)
        )
        counts = len(part), words_of(part), pairs_of(part)
        manifest.add_shard(Shard(written.file, written.n_bytes, written.sha256, index, *counts))
    write_manifest(folder, manifest)
    return folder


def words_of(items):
    return sum(len(item.passage.words) for item in items)


def pairs_of(items):
    return sum(len(item.passage.words) * len(item.labels) for item in items)


def size_of(folder):
    return sum(path.stat().st_size for path in (folder / "data").iterdir())


def facts_of(folder):
    """Return the lines that have a name, by name."""
    lines = describe_store(folder)
    return {line[:19].strip(): line[19:] for line in lines if line[18:19] == " "}


THREE = [
    labeled(
        "mary left paris",
        ["person", "city"],
        teacher=[(0, 1, "person", 0.95), (2, 3, "city", 0.8)],
        gold=[(0, 1, "person"), (2, 3, "city")],
    ),
    labeled(
        "acme or old bank", ["company"], teacher=[(0, 1, "company", 0.7)], gold=[(2, 4, "company")]
    ),
    labeled("nothing here", ["person"], gold=[(1, 2, "person")]),
]

# Written by hand. Of 12 pairs the teacher says yes to 3 and gold to 5, both to 2, so they agree on
# 8: 0.6667. By chance (3 * 5 + 9 * 7) / 144 = 0.5417 would agree, hence (8 * 12 - 78) / (144 - 78).
# What is read back is the middle of a 256th: 0.02 is 5.5 / 256, 0.95 is 243.5 / 256.
OF_THREE = """\
soft-label store, format version 3
teacher            lexicon (ffffffffffff)
corpus             cccccccccccc
label policy       each passage's own labels, seed: 0
quantization       uniform
passages           3 of 3
words              9 of 9
shards             2
word-label pairs   12
labeled in         3 s, 3 words per second
size               SIZE
scores alone       SCORES
labels             3: person (2), city (1), company (1)

word-label pairs by inside probability, with the means of start and end
(bars on a log scale: 6 # per factor of ten above 0.01%)
  inside               pairs    share  start    end
  0 - 1/32                 9   75.00%  0.021  0.021  #######################
  1/32 - 1/16              0    0.00%      -      -
  1/16 - 1/8               0    0.00%      -      -
  1/8 - 1/4                0    0.00%      -      -
  1/4 - 1/2                0    0.00%      -      -
  1/2 - 3/4                1    8.33%  0.701  0.701  ##################
  3/4 - 7/8                1    8.33%  0.799  0.799  ##################
  7/8 - 1                  1    8.33%  0.951  0.951  ##################

teacher's entities 3 (threshold 0.5)
gold entities      4 of labels asked
teacher on gold    precision 0.667, recall 0.500, F1 0.571 (exact spans)
agreement          0.6667 of the pairs (teacher: inside > 0.5; gold: inside an entity)
Cohen's kappa      0.273 on the same pairs

most confident disagreements of teacher and gold
  passage  conf.  what              label: words
        1  0.979  only gold         company: acme or [old bank]
        2  0.979  only gold         person: nothing [here]
        1  0.701  only the teacher  company: [acme] or old bank"""


def test_describe_store_describes_a_finished_store(tmp_path):
    folder = make_store(tmp_path, THREE, seconds=3.0)
    lines = describe_store(folder)
    found = facts_of(folder)
    expected = OF_THREE.replace("SIZE", found["size"]).replace("SCORES", found["scores alone"])
    assert "\n".join(lines) == expected
    assert found["size"] == f"{size_of(folder):,} bytes, {size_of(folder) / 12:.2f} per pair"
    assert max(map(len, lines[14:25])) <= 80


def test_describe_store_describes_an_unfinished_store_by_its_manifest(tmp_path):
    folder = make_store(tmp_path, THREE[:2], n_unlabeled=1)
    (folder / shard_name(0)).unlink()
    lines = describe_store(folder)
    assert lines[-1] == "unfinished: run the same label command again to finish it"
    found = facts_of(folder)
    assert (found["passages"], found["words"], found["shards"]) == ("2 of 3", "7 of 8", "1")
    assert (found["word-label pairs"], found["labeled in"]) == ("10", "0 s")
    assert "labels" not in found
    assert "size" not in found


def test_describe_store_measures_the_scores_of_all_teachers(tmp_path):
    random = np.random.default_rng(0)
    mean, *each = random.random((3, 200, 10, 3), dtype=np.float32)
    item = LabeledPassage(Passage(("word",) * 200), tuple(map(str, range(10))), mean, tuple(each))
    folder = make_store(tmp_path, [item], individual_teachers=["large", "small"])
    found = facts_of(folder)
    assert found["teachers kept"] == "large, small"
    n_bytes, a_pair = found["scores alone"].split(" bytes, ")
    # Evenly spread random bytes do not compress: 3 teachers' 3 probabilities of 2,000 pairs.
    assert int(n_bytes.replace(",", "")) == pytest.approx(3 * 3 * 2000, rel=0.05)
    assert a_pair == f"{int(n_bytes.replace(',', '')) / 2000:.2f} per pair"


def test_describe_store_measures_subword_vectors_apart(tmp_path):
    vectors = write_stored_file(tmp_path, "vectors.safetensors", b"0" * 5000)
    folder = make_store(tmp_path, THREE, other_files=[vectors])
    assert facts_of(folder)["size"].startswith(f"{size_of(folder):,} bytes")
    assert facts_of(folder)["subword vectors"] == "5,000 bytes"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"negatives": 0, "fixed": [], "seed": 0}, "each passage's own labels, seed: 0"),
        (
            {"negatives": 8, "fixed": [], "pool": ["a"] * 1234, "from_pool": 3, "seed": 20250102}
            | {"descriptions": {"drug": "a medicine"}},
            "each passage's own labels, negatives: 8, from a pool of 1,234: 3, "
            "labels with a description: 1, seed: 20250102",
        ),
        ({"fixed": ["a"] * 2000}, "fixed labels: 2,000"),
        (
            {"order": "random\n", "some": ["a", "b"], "is_new": True},
            "each passage's own labels, order: random\ufffd, some: 2, is_new: True",
        ),
    ],
)
def test_describe_store_puts_the_label_policy_in_words(tmp_path, policy, words):
    folder = make_store(tmp_path, THREE, label_policy=policy)
    assert facts_of(folder)["label policy"] == words


def test_describe_store_shows_the_ten_most_frequent_labels(tmp_path):
    labels = [f"label {number}" for number in range(12)]
    items = [labeled("word", labels[: number + 1]) for number in range(12)]
    shown = facts_of(make_store(tmp_path, items))["labels"]
    assert shown.startswith("12: label 0 (12), label 1 (11), ")
    assert shown.endswith(", label 9 (3)")


def test_histogram_counts_a_border_in_the_bin_above_it():
    histogram = ProbabilityHistogram()
    inside = [0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 7 / 8, 1, 0.3]
    probs = np.zeros((5, 2, 3), dtype=np.float32)
    probs[:, :, INSIDE] = np.array(inside).reshape(5, 2)
    probs[4, :, START], probs[4, :, END] = [0.5, 0.25], [0.75, 0.125]
    histogram.add(probs)
    histogram.add(probs[:0])
    assert histogram.counts.tolist() == [1, 1, 1, 1, 2, 1, 1, 2]
    assert histogram.start_sums.tolist() == [0, 0, 0, 0, 0.25, 0, 0, 0.5]
    assert histogram.end_sums.tolist() == [0, 0, 0, 0, 0.125, 0, 0, 0.75]


def test_histogram_is_equal_for_both_quantizers():
    probs = np.random.default_rng(0).beta(0.3, 2, size=(500, 4, 3)).astype(np.float32)
    exact = ProbabilityHistogram()
    exact.add(probs)
    for quantizer in (COMPACT, UNIFORM):
        kept = ProbabilityHistogram()
        kept.add(quantizer.decode(quantizer.encode(probs)))
        assert kept.counts.tolist() == exact.counts.tolist()


def test_describe_store_compares_nothing_without_gold(tmp_path):
    items = [labeled("acme here", ["company"], teacher=[(0, 1, "company", 0.9)])]
    assert describe_store(make_store(tmp_path / "none", items))[-2:] == [
        "teacher's entities 1 (threshold 0.5)",
        "gold entities      none",
    ]
    items = [labeled("acme here", ["company"], gold=[(0, 1, "person")])]
    assert describe_store(make_store(tmp_path / "others", items))[-2:] == [
        "teacher's entities 0 (threshold 0.5)",
        "gold entities      none of a label asked, 1 of other labels",
    ]


def test_describe_store_describes_an_empty_store(tmp_path):
    items = [labeled("nothing asked", []), labeled("", ["city"])]
    lines = describe_store(make_store(tmp_path / "store", items))
    assert facts_of(tmp_path / "store")["labels"] == "1: city (1)"
    assert lines[-1] == "gold entities      none"
    assert describe_store(make_store(tmp_path / "empty", []))[-1] == "gold entities      none"


def test_describe_store_shows_full_agreement(tmp_path):
    lines = describe_store(make_store(tmp_path, THREE[:1]))
    assert lines[-1] == "teacher and gold do not disagree anywhere"
    assert facts_of(tmp_path)["Cohen's kappa"] == "1.000 on the same pairs"


def test_describe_store_replaces_control_characters(tmp_path):
    escape = "\x1b[2J"
    item = labeled("word", [f"city{escape}"], gold=[(0, 1, f"city{escape}")])
    lines = describe_store(make_store(tmp_path, [item], teacher=f"me{escape}"))
    assert all(line.isprintable() for line in lines)


def test_describe_store_names_other_folders_and_broken_shards(tmp_path):
    with pytest.raises(StoreError, match=r"manifest\.json is missing"):
        describe_store(tmp_path)
    folder = make_store(tmp_path / "store", THREE)
    (folder / shard_name(1)).write_bytes(b"")
    with pytest.raises(StoreError, match=r"shard-000001\.parquet: .*SHA-256"):
        describe_store(folder)
    (folder / shard_name(1)).unlink()
    with pytest.raises(StoreError, match=r"shard-000001\.parquet: is missing"):
        describe_store(folder)
    (folder / MANIFEST).unlink()
    with pytest.raises(StoreError, match=r"manifest\.json is missing"):
        describe_store(folder)


def test_describe_store_names_a_shard_with_a_name_that_is_not_text(tmp_path):
    folder = make_store(tmp_path, THREE)
    path = folder / shard_name(1)
    content = bytearray(path.read_bytes())
    content[content.rindex(b"scores")] = 0xFE  # in the description of the last column
    path.write_bytes(content)
    manifest = read_manifest(folder)
    digest = hashlib.sha256(content).hexdigest()
    manifest.shards[1] = replace(manifest.shards[1], sha256=digest)
    write_manifest(folder, manifest)
    with pytest.raises(StoreError, match=r"shard-000001\.parquet: cannot be read: .*utf-8"):
        describe_store(folder)
