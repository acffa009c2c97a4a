"""A trained student becomes the one to publish: it compares labels, is calibrated and written."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from gliner_distill.corpus.reader import CorpusFile, sample_path, write_passages
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import Entity, Passage

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not RECIPES.is_dir(), reason="the recipes are in the repository, not in the package"
    ),
]
LEXICON = {"paris": "city", "mary": "person", "acme": "city"}


@pytest.fixture(scope="module")
def finishing(tmp_path_factory):
    """The recipe as a module, with two held-out sets, a short dev and few pairs of labels."""
    dev = tmp_path_factory.mktemp("sample") / "dev.json"
    write_passages(dev, list(CorpusFile(sample_path("dev")))[:8])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPES))
        module = importlib.import_module("finishing")
        patch.setattr(module, "HELD_OUT", ("one", "two"))
        patch.setattr(module, "sample_path", lambda split: dev)
        relations = importlib.import_module("label_relations")
        patch.setattr(relations, "N_UNRELATED", 100)
        patch.setattr(relations, "N_PER_CATCH_ALL", 5)
        yield module


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """A folder with two sets of four passages each."""
    folder = tmp_path_factory.mktemp("corpora")
    for name in ("one", "two"):
        rows = [
            {"tokenized_text": [name, "in", word, str(n)], "ner": [[2, 2, "city"]]}
            for n, word in enumerate(("paris", "london", "acme", "paris"))
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        (folder / f"{name}.labels.json").write_text('["City", "person"]')
    return folder


@pytest.fixture(scope="module")
def thesaurus(finishing):
    from thesaurus import ThesaurusEntry

    broader = {"city": "place", "river": "place", "person": "being", "company": "organization"}
    entries = {label: ThesaurusEntry((), (above,), (), ()) for label, above in broader.items()}
    entries |= {label: ThesaurusEntry((), ("thing",), (), ()) for label in broader.values()}
    return finishing.Thesaurus(entries)


@pytest.fixture(scope="module")
def finished(
    finishing,
    corpora,
    thesaurus,
    tmp_path_factory,
    build_student,
    small_vocabulary,
    lexicon_teacher,
):
    """A folder with `trained`, an untrained student, and two times what `finish` makes of it."""
    from gliner_distill.student.files import save_student

    folder = tmp_path_factory.mktemp("finished")
    trained = build_student(head="boundary", n_layers=2, label_hidden_width=4, label_lstm_width=3)
    save_student(folder / "trained", trained, small_vocabulary, metadata={})
    for name, n_asked in (("once", 6), ("again", 0)):
        teacher = lexicon_teacher(LEXICON)
        finishing.finish(
            folder / "trained",
            [Passage(("paris",), (Entity(0, 1, "city"), Entity(0, 1, "place")))],
            thesaurus,
            teacher,
            corpora,
            folder / name,
            answers=folder / "answers",
            seed=0,
            n_passages=3,
            wording_steps=5,
        )
        # The second time, all answers are in the folder.
        assert len(teacher.asked) == n_asked
    return folder


class TestFinish:
    def test_finish_writes_calibrated_weights_in_half_precision(self, finished):
        import torch
        from safetensors.torch import load_file

        weights = load_file(finished / "once" / "student.safetensors")
        assert {weight.dtype for weight in weights.values()} == {torch.float16}
        before = load_file(finished / "trained" / "student.safetensors")["bias"]
        calibration = read_config(finished)["calibration"]
        expected = before - torch.tensor(calibration["shift"])
        torch.testing.assert_close(weights["bias"].float(), expected, rtol=1e-3, atol=1e-3)
        f1 = calibration["mean F1 at 0.5"]
        assert f1["after"] >= f1["before"]

    def test_finish_describes_what_was_done(self, finished):
        config = read_config(finished)
        assert config["relations"]["n_pairs"][0] > 0
        calibration = config["calibration"]
        assert calibration["sets"] == ["one", "two"]
        assert calibration["passages per set"] == 3
        halves = calibration["half of the sets, fitted on the other half"]
        assert len(halves) == 2
        assert set(halves[0]["entities by threshold"]) == set(halves[1]["entities by threshold"])
        assert set(calibration["expected calibration error"]) == {"before", "after"}

    def test_finish_writes_a_folder_for_torch_and_the_runtime(self, finished):
        from gliner_distill import StudentNER
        from gliner_distill.student.files import load_student

        assert StudentNER.from_pretrained(finished / "once").precision == "int8"
        student, _ = load_student(finished / "once")
        assert student.config.relation_width > 0
        assert student.config.label_lstm_width == 3
        score_map = read_config(finished)["runtime"]["score_map"]
        assert 0.0 in score_map["logits"]
        assert score_map["reported"] == sorted(score_map["reported"])

    def test_finish_makes_the_same_student_again(self, finished):
        for name in ("student_config.json", "student.safetensors"):
            once, again = (finished / folder / name for folder in ("once", "again"))
            assert once.read_bytes() == again.read_bytes()


def read_config(finished):
    return json.loads((finished / "once" / "student_config.json").read_text())


class TestHeldOutPassages:
    def test_choose_passages_takes_those_of_the_benchmark(self, finishing, corpora, monkeypatch):
        monkeypatch.syspath_prepend(str(RECIPES.parent / "benchmarks"))
        open_label = importlib.import_module("open_label")
        for n_passages in (1, 3, 4, 9):
            expected = open_label.read_set(corpora, "one", n_passages).passages
            assert finishing.choose_passages(corpora, "one", n_passages) == expected

    def test_score_set_reads_passages_and_labels(
        self, finishing, corpora, build_comparer, small_vocabulary
    ):
        from gliner_distill.student.predictor import StudentPredictor

        passages = list(CorpusFile(corpora / "one.jsonl"))
        chosen = [passages[0], passages[3]]
        n_found = 0
        for seed in range(12):
            student = build_comparer(seed=seed)
            group = finishing.score_set(student, small_vocabulary, corpora, "one", 2)
            assert group.labels == [("city", "person")] * 2
            assert group.gold == [list(passage.entities) for passage in chosen]
            found = [
                decode_entities(1 / (1 + np.exp(-logits)), labels, threshold=0.5, kinds=kinds)
                for logits, labels, kinds in zip(
                    group.logits, group.labels, group.kinds, strict=True
                )
            ]
            predictor = StudentPredictor(student, small_vocabulary, threshold=0.5)
            words = [passage.words for passage in chosen]
            assert found == predictor.predict_words(words, group.labels)
            n_found += sum(map(len, found))
        assert n_found > 5

    def test_count_answers_counts_at_each_threshold(
        self, finishing, corpora, lexicon_teacher, tmp_path
    ):
        # A word of the lexicon has at least 0.8, and all others have 0.03.
        teacher = lexicon_teacher(LEXICON)
        counts = finishing.count_answers(teacher, corpora, "one", 4, tmp_path / "answers")
        assert counts[0.05] == counts[0.1] == counts[0.5] == counts[0.8] == 3
        assert counts[0.95] == 0
        assert (tmp_path / "answers" / "one-4").is_dir()

    def test_count_answers_makes_the_store_that_the_benchmark_reads(
        self, finishing, corpora, lexicon_teacher, tmp_path, monkeypatch
    ):
        monkeypatch.syspath_prepend(str(RECIPES.parent / "benchmarks"))
        open_label = importlib.import_module("open_label")
        first, second = lexicon_teacher(LEXICON), lexicon_teacher(LEXICON)
        counts = finishing.count_answers(first, corpora, "two", 3, tmp_path)
        asked = open_label.read_set(corpora, "two", 3)
        predict = open_label.ask_teacher(second, asked, tmp_path)
        assert second.asked == []
        assert sum(map(len, predict(0.5))) == counts[0.5] > 0
