"""What people are told about a store."""

import numpy as np
import pytest
from rich.cells import cell_len

from gliner_distill.decoding import decode_entities
from gliner_distill.entities import END, INSIDE, START, Entity, LabeledPassage, Passage
from gliner_distill.errors import StoreError
from gliner_distill.metrics import score_spans
from gliner_distill.store.disagreements import (
    Disagreement,
    GoldComparison,
    PairAgreement,
    teacher_gold_disagreements,
)
from gliner_distill.store.manifest import (
    MANIFEST,
    Manifest,
    Shard,
    shard_name,
    write_manifest,
    write_stored_file,
)
from gliner_distill.store.quantization import COMPACT, UNIFORM
from gliner_distill.store.shards import ShardOrigin, encode_shard
from gliner_distill.store.statistics import ProbabilityHistogram, describe_store


def labeled(text, labels, teacher=(), gold=()):
    """Return a passage whose teacher says each entity of `teacher` with its score, else 0.02."""
    words = tuple(text.split())
    probs = np.full((len(words), len(labels), 3), 0.02, dtype=np.float32)
    for start, end, label, score in teacher:
        column = labels.index(label)
        probs[start:end, column, INSIDE] = score
        probs[start, column, START] = probs[end - 1, column, END] = score
    entities = tuple(Entity(*entity) for entity in gold)
    return LabeledPassage(Passage(words, entities), tuple(labels), probs)


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


def disagreements_of(*items):
    comparison = GoldComparison()
    for position, item in enumerate(items):
        comparison.add(position, item)
    return comparison.disagreements


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


def test_a_finished_store_is_described_with_what_is_in_it(tmp_path):
    folder = make_store(tmp_path, THREE, seconds=3.0)
    lines = describe_store(folder)
    found = facts_of(folder)
    expected = OF_THREE.replace("SIZE", found["size"]).replace("SCORES", found["scores alone"])
    assert "\n".join(lines) == expected
    assert found["size"] == f"{size_of(folder):,} bytes, {size_of(folder) / 12:.2f} per pair"
    assert max(map(len, lines[14:25])) <= 80


def test_an_unfinished_store_is_described_by_its_manifest(tmp_path):
    folder = make_store(tmp_path, THREE[:2], n_unlabeled=1)
    (folder / shard_name(0)).unlink()
    lines = describe_store(folder)
    assert lines[-1] == "unfinished: run the same label command again to finish it"
    found = facts_of(folder)
    assert (found["passages"], found["words"], found["shards"]) == ("2 of 3", "7 of 8", "1")
    assert (found["word-label pairs"], found["labeled in"]) == ("10", "0 s")
    assert "labels" not in found
    assert "size" not in found


def test_scores_are_measured_apart_with_those_of_each_teacher(tmp_path):
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


def test_other_files_stand_beside_the_size(tmp_path):
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
def test_the_label_policy_is_told_in_words(tmp_path, policy, words):
    folder = make_store(tmp_path, THREE, label_policy=policy)
    assert facts_of(folder)["label policy"] == words


def test_the_ten_most_frequent_labels_are_shown(tmp_path):
    labels = [f"label {number}" for number in range(12)]
    items = [labeled("word", labels[: number + 1]) for number in range(12)]
    shown = facts_of(make_store(tmp_path, items))["labels"]
    assert shown.startswith("12: label 0 (12), label 1 (11), ")
    assert shown.endswith(", label 9 (3)")


def test_a_border_belongs_to_the_bin_above_it_and_one_to_the_last():
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


def test_either_score_code_gives_the_same_histogram():
    probs = np.random.default_rng(0).beta(0.3, 2, size=(500, 4, 3)).astype(np.float32)
    exact = ProbabilityHistogram()
    exact.add(probs)
    for quantizer in (COMPACT, UNIFORM):
        kept = ProbabilityHistogram()
        kept.add(quantizer.decode(quantizer.encode(probs)))
        assert kept.counts.tolist() == exact.counts.tolist()


@pytest.mark.parametrize(
    ("n_pairs", "n_teacher", "n_gold", "n_both", "rate", "kappa"),
    [
        # By chance 0.3 * 0.3 + 0.7 * 0.7 = 0.58 agree.
        (10, 3, 3, 2, 0.8, (0.8 - 0.58) / (1 - 0.58)),
        (10, 3, 3, 3, 1.0, 1.0),
        (10, 0, 4, 0, 0.6, 0.0),
        (4, 2, 2, 0, 0.0, -1.0),
        (4, 4, 4, 4, 1.0, 1.0),
    ],
)
def test_agreement_and_kappa_equal_numbers_made_by_hand(
    n_pairs, n_teacher, n_gold, n_both, rate, kappa
):
    pairs = PairAgreement(n_pairs, n_teacher, n_gold, n_both)
    assert (pairs.rate, pairs.kappa) == pytest.approx((rate, kappa))


def test_gold_within_gold_counts_a_pair_once_and_labels_not_asked_count_nothing():
    item = labeled(
        "the bank of acme",
        ["company"],
        teacher=[(1, 2, "company", 0.9)],
        gold=[(0, 4, "company"), (3, 4, "company"), (3, 4, "person")],
    )
    comparison = GoldComparison()
    comparison.add(0, item)
    assert comparison.pairs == PairAgreement(n_pairs=4, n_teacher=1, n_gold=4, n_both=1)
    assert (comparison.n_gold, comparison.n_asked_gold) == (3, 2)


def test_spans_summed_over_passages_equal_those_of_all_passages_at_once(five_passages):
    comparison = GoldComparison()
    for position, item in enumerate(five_passages):
        comparison.add(position, item)
    at_once = score_spans(
        [decode_entities(item.probs, item.labels) for item in five_passages],
        [item.passage.entities for item in five_passages],
    )
    assert comparison.span_shares == (at_once.precision, at_once.recall, at_once.f1)
    assert at_once.recall < 1


def test_without_gold_nothing_is_compared(tmp_path):
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


def test_a_store_of_nothing_is_described_without_dividing_by_zero(tmp_path):
    items = [labeled("nothing asked", []), labeled("", ["city"])]
    lines = describe_store(make_store(tmp_path / "store", items))
    assert facts_of(tmp_path / "store")["labels"] == "1: city (1)"
    assert lines[-1] == "gold entities      none"
    assert describe_store(make_store(tmp_path / "empty", []))[-1] == "gold entities      none"


def test_full_agreement_leaves_no_disagreement(tmp_path):
    lines = describe_store(make_store(tmp_path, THREE[:1]))
    assert lines[-1] == "teacher and gold do not disagree anywhere"
    assert facts_of(tmp_path)["Cohen's kappa"] == "1.000 on the same pairs"


@pytest.mark.parametrize(
    ("teacher", "gold", "kinds"),
    [
        ([(1, 3, "city", 0.9)], [(1, 3, "city")], []),
        ([(1, 3, "city", 0.9)], [], [("only the teacher", 0.9, None)]),
        # Gold's entity next to it shares no word; another label over other words is no matter.
        (
            [(1, 3, "city", 0.9)],
            [(3, 4, "person"), (1, 2, "person")],
            [
                ("only the teacher", 0.9, None),
                ("only gold", 0.98, None),
                ("only gold", 0.98, None),
            ],
        ),
        ([(1, 3, "city", 0.9)], [(2, 4, "city")], [("other border", 0.9, Entity(2, 4, "city"))]),
        # An equal entity settles it, whatever else overlaps.
        ([(1, 3, "city", 0.9)], [(0, 4, "city"), (1, 3, "city")], []),
        (
            [(1, 3, "city", 0.9)],
            [(1, 3, "river")],
            [("other label", 0.9, Entity(1, 3, "river"))],
        ),
        (
            [(1, 3, "city", 0.9)],
            [(1, 3, "person")],
            [("other label", 0.9, Entity(1, 3, "person")), ("only gold", 0.98, None)],
        ),
        # Gold's own label goes before another one's.
        (
            [(1, 3, "city", 0.9)],
            [(1, 3, "river"), (0, 2, "city")],
            [("other border", 0.9, Entity(0, 2, "city"))],
        ),
        # The largest inside probability counts, here of one word of two.
        ([(1, 2, "person", 0.3)], [(0, 2, "person")], [("only gold", 0.7, None)]),
        ([], [(0, 2, "river")], []),
    ],
)
def test_disagreements_are_of_four_kinds(teacher, gold, kinds):
    # "river" was not asked.
    item = labeled("a b c d", ["person", "city"], teacher=teacher, gold=gold)
    entities = decode_entities(item.probs, item.labels)
    found = list(teacher_gold_disagreements(0, item, entities))
    assert [(one.kind, pytest.approx(one.confidence), one.gold) for one in found] == kinds


def test_the_twenty_most_confident_are_kept_and_of_equal_ones_the_earlier():
    # Confidences 0.505 + 0, 1, ..., 9 hundredths, over and over.
    items = [
        labeled("x y", ["city"], teacher=[(1, 2, "city", 0.505 + position % 10 / 100)])
        for position in range(100)
    ]
    found = [(one.position, round(one.confidence, 3)) for one in disagreements_of(*items)]
    assert found == [
        *((position, 0.595) for position in range(9, 100, 10)),
        *((position, 0.585) for position in range(8, 100, 10)),
    ]


def test_of_equal_ones_in_a_passage_the_first_word_goes_first():
    item = labeled("x y z", ["city"], gold=[(2, 3, "city"), (0, 1, "city")])
    assert [one.entity.start_word for one in disagreements_of(item)] == [0, 2]


def line_of(text, start, end, label="city", **others):
    entity = Entity(start, end, label)
    metadata = {"kind": "only the teacher", "words": tuple(text.split(" ")), "gold": None} | others
    return Disagreement(1234, 0.95, entity=entity, **metadata).line()


def test_a_line_shows_an_entity_between_up_to_four_words():
    head = "    1,234  0.950  only the teacher  city: "
    assert line_of("a b c d e f g h i j k", 5, 7) == f"{head}b c d e [f g] h i j k"
    assert line_of("a b c", 0, 1) == f"{head}[a] b c"
    assert line_of("a b c", 1, 3) == f"{head}a [b c]"


def test_a_line_shows_what_gold_has_instead():
    border = line_of("in old york", 2, 3, kind="other border", gold=Entity(1, 3, "city"))
    assert border == "    1,234  0.950  other border      city (gold: old york): in old [york]"
    label = line_of("in old york", 1, 3, kind="other label", gold=Entity(1, 3, "name"))
    assert label == "    1,234  0.950  other label       city (gold: name): in [old york]"


def test_a_line_has_fewer_words_to_the_sides_where_it_would_be_too_long():
    head = "    1,234  0.950  only the teacher  city: "
    n_left = 120 - len(head)
    words = ["a", "b", "c", "d", "entity", "e", "f", "g", "h"]
    for n_letters, sides in ((n_left - 18, 4), (n_left - 17, 3), (n_left - 2, 0)):
        words[4] = "x" * n_letters
        left, right = words[4 - sides : 4], words[5 : 5 + sides]
        expected = head + " ".join([*left, f"[{words[4]}]", *right])
        assert len(expected) <= 120
        assert line_of(" ".join(words), 4, 5) == expected
    words[4] = "x" * (n_left - 1)
    assert line_of(" ".join(words), 4, 5) == f"{head}[{'x' * (n_left - 2)}…"


def test_long_labels_are_cut_and_wide_letters_take_two_columns():
    assert ("  " + "a" * 23 + "…: [x]") in line_of("x", 0, 1, label="a" * 30)
    assert ("  " + "東" * 11 + " …: [x]") in line_of("x", 0, 1, label="東" * 30)
    assert cell_len(line_of("東" * 100, 0, 1)) <= 120


def test_control_characters_are_made_harmless(tmp_path):
    escape, reversal = "\x1b[2J", "\u202e"
    assert line_of(f"a{escape} b\nb c{reversal}", 1, 2).endswith(": a\ufffd[2J [b\ufffdb] c\ufffd")
    item = labeled("word", [f"city{escape}"], gold=[(0, 1, f"city{escape}")])
    lines = describe_store(make_store(tmp_path, [item], teacher=f"me{escape}"))
    assert all(line.isprintable() for line in lines)


def test_something_else_and_a_broken_shard_are_named(tmp_path):
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
