"""The small world that several test modules share: tiny GLiNERs and students, a lexicon teacher.

Torch and gliner are imported when a fixture needs them, so that the other tests start fast.
"""

import io
import os
import string
import sys
import threading
import warnings
from collections import Counter
from dataclasses import dataclass, field

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported: tests share a machine
# Ray gives its workers a low priority. On a busy machine, they would hardly run.
os.environ.setdefault("RAY_worker_niceness", "0")

import numpy as np
import pytest
from hypothesis import settings

from gliner_distill.entities import END, INSIDE, START, Entity, Passage

# An example may be slow for what else the machine does; pytest's own timeout holds. Half of the
# usual number of examples saves time in each run, and each run draws others.
settings.register_profile("tests", deadline=None, max_examples=50)
settings.load_profile("tests")


def pytest_collection_modifyitems(items):
    """Begin with the files that have the most slow tests: no process then works alone at the end.

    `make test` gives each file to one process, in this order.
    """
    n_slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: n_slow[item.path], reverse=True)


ARCHITECTURES = ("UniEncoderSpan", "UniEncoderToken", "BiEncoderSpan", "BiEncoderToken")
VOCABULARY = [
    *("the", "of", "in", "and", "person", "city", "river", "company", "place", "name", "paris"),
    *("london", "rhine", "thames", "acme", "globex", "mary", "john", "ann", "saw", "left", "built"),
    *("old", "new", "big", "bank", "north", "south", "on", "to", "from"),
]


@dataclass
class LexiconTeacher:
    """A teacher in plain Python: each word that is a lexicon's entry is an entity of its label."""

    lexicon: dict[str, str]
    name: str = "lexicon"
    fingerprint: str = "f" * 64
    fail_at_passage: int | None = None
    asked: list[tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=list)

    def score_passages(self, passages, labels):
        scores = []
        for words, asked in zip(passages, labels, strict=True):
            if len(self.asked) == self.fail_at_passage:
                raise RuntimeError("the machine went away")
            self.asked.append((tuple(words), tuple(asked)))
            probs = np.full((len(words), len(asked), 3), 0.03, dtype=np.float32)
            for position, word in enumerate(words):
                if (label := self.lexicon.get(word)) in asked:
                    # A little different for every word and kind, so that a mix-up would show.
                    for kind, base in ((START, 0.9), (END, 0.8), (INSIDE, 0.95)):
                        probs[position, list(asked).index(label), kind] = base + len(word) / 256
            scores.append(probs)
        return scores


@pytest.fixture(scope="session")
def lexicon_teacher():
    """The class; each test makes its own."""
    return LexiconTeacher


def make_tokenizer(max_pieces):
    """Return a lower-casing WordPiece tokenizer of single characters and a few whole words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    letters = string.ascii_lowercase + string.digits
    pieces = [
        *specials,
        *letters,
        *string.punctuation,
        *(f"##{letter}" for letter in letters),
        *VOCABULARY,
    ]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(piece, vocabulary[piece]) for piece in ("[CLS]", "[SEP]")],
    )
    limit = {} if max_pieces is None else {"model_max_length": max_pieces}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        **limit,
    )


def _encoder_config(vocab_size, relative):
    shape = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "vocab_size": vocab_size,
        "max_position_embeddings": 128,
    }
    if relative:  # DeBERTa, the encoder of most published GLiNERs: no table of positions
        positions = {"relative_attention": True, "position_biased_input": False}
        return {"model_type": "deberta-v2", "pos_att_type": ["p2c", "c2p"], **positions, **shape}
    return {"model_type": "bert", **shape}


def _spread_scores(model):
    """Widen a random model's scores, which all lie near 0.5, by scaling its last layer."""
    import torch

    is_token_level = model.config.span_mode == "token_level"
    layer = model.model.scorer.out_mlp if is_token_level else model.model.prompt_rep_layer
    last = [module for module in layer.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.weight *= 30
        last.bias.zero_()


@pytest.fixture(scope="session")
def build_gliner():
    """A function that returns a tiny random GLiNER of one of the `ARCHITECTURES`."""
    import gliner.config
    import gliner.model
    import torch

    torch.set_num_threads(1)

    def build(architecture, *, seed=0, max_pieces=128, relative=False, **settings):
        torch.manual_seed(seed)
        tokenizer, tokenizers = make_tokenizer(max_pieces), {}
        encoder = _encoder_config(len(tokenizer), relative)
        shape = {"max_width": 4, "max_len": 40, "max_types": 5, "hidden_size": 32}
        config = {"model_name": "tiny", "encoder_config": encoder, **shape, **settings}
        if architecture.startswith("Bi"):
            tokenizers["labels_tokenizer"] = make_tokenizer(max_pieces)
            config["labels_encoder"] = "tiny-labels"
            config["labels_encoder_config"] = _encoder_config(len(tokenizer), False)
        gliner_class = getattr(gliner.model, f"{architecture}GLiNER")
        model = gliner_class(
            getattr(gliner.config, f"{architecture}Config")(**config),
            tokenizer=tokenizer,
            backbone_from_pretrained=False,
            **tokenizers,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "not supported for bi-encoder models"
            gliner_class._resize_token_embeddings(model, model.config, tokenizer)
        _spread_scores(model)
        return model.eval()

    return build


@pytest.fixture(scope="session", params=ARCHITECTURES)
def tiny_gliner(request, build_gliner):
    """A tiny random GLiNER of each architecture, shared by the tests: do not change it."""
    return build_gliner(request.param)


LEXICON = {
    **{"paris": "city", "london": "city", "rhine": "river", "thames": "river", "acme": "company"},
    **{"globex": "company", "mary": "person", "john": "person", "ann": "person"},
}
LABELS = ("person", "city", "river", "company")


@pytest.fixture(scope="session")
def five_passages():
    """Five passages, labeled by the lexicon teacher; gold knows one company more than it does."""
    from gliner_distill.entities import LabeledPassage

    texts = (
        *("mary saw the old bank of the rhine", "acme built london", "the thames left john"),
        *("in paris globex and ann", "nothing new on the north to the south"),
    )
    passages = []
    for words in map(str.split, texts):
        found = [(place, LEXICON[word]) for place, word in enumerate(words) if word in LEXICON]
        entities = [Entity(place, place + 1, label) for place, label in found]
        if "bank" in words:
            entities.append(Entity(3, 5, "company"))
        passages.append(Passage(tuple(words), tuple(entities)))
    words, labels = [passage.words for passage in passages], [LABELS] * len(passages)
    scores = LexiconTeacher(LEXICON).score_passages(words, labels)
    return [
        LabeledPassage(passage, LABELS, probs)
        for passage, probs in zip(passages, scores, strict=True)
    ]


@pytest.fixture(scope="session")
def small_vocabulary():
    """A few dozen pieces: characters and some of the words above."""
    from gliner_distill.runtime.vocabulary import train_vocabulary

    return train_vocabulary([*VOCABULARY, *LABELS] * 3, n_pieces=90)


@pytest.fixture(scope="session")
def build_student(small_vocabulary):
    """A function that returns an 8-wide student without dropout, drawn from a seed."""
    import torch

    from gliner_distill.runtime.config import StudentConfig
    from gliner_distill.student.model import Student

    torch.set_num_threads(1)

    def build(*, seed=0, **shape):
        torch.manual_seed(seed)
        narrow = {"embedding_width": 8, "hidden_width": 8}
        without = {"embedding_dropout_prob": 0.0, "dropout_prob": 0.0}
        shape = narrow | without | {"n_pieces": len(small_vocabulary)} | shape
        return Student(StudentConfig(**shape)).eval()

    return build


@pytest.fixture(scope="session")
def build_finder(build_student):
    """A function that returns a random student that finds entities in most texts.

    `context_free` makes its LSTM say nothing: a word's scores are then the same everywhere.
    """
    import torch

    def build(*, context_free=False, **shape):
        student = build_student(**shape)
        *_, last_layer = student.label_tower.modules()
        with torch.no_grad():
            last_layer.weight *= 100 if student.config.label_hidden_width else 20
            if student.config.head == "boundary":
                student.bias.zero_()
            else:
                student.none.bias.fill_(1.0)
            for layer in (*student.forward_lstm, *student.backward_lstm) if context_free else ():
                for parameter in layer.parameters():
                    parameter.zero_()
        return student

    return build


@pytest.fixture(scope="session")
def build_comparer(build_finder):
    """A function that returns such a student that reads labels in order and compares them."""
    import torch

    def build(**shape):
        widths = {"label_hidden_width": 12, "label_lstm_width": 5, "relation_width": 3}
        shape = {"head": "boundary"} | widths | shape
        student = build_finder(**shape)
        with torch.no_grad():
            student.label_kind.weight.normal_(std=3.0)
            student.label_kind.bias.normal_(std=0.5)
        return student

    return build


@pytest.fixture(scope="session")
def draw_words():
    """A function that draws passages: some words that a vocabulary knows, some that it does not."""
    known = [*VOCABULARY, "Paris", "LONDON", "x", "1990", "well-known", "Zürich", "東京", ".", ","]

    def draw(seed, n_passages, *, longest=20):
        draws = np.random.default_rng(seed)
        return [
            draws.choice(known, draws.integers(1, longest, endpoint=True)).tolist()
            for _ in range(n_passages)
        ]

    return draw


@pytest.fixture(scope="session")
def gliner_folder(build_gliner, tmp_path_factory):
    """A folder with a tiny random GLiNER, as `save_pretrained` writes it: do not change it."""
    folder = tmp_path_factory.mktemp("teacher") / "gliner"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build_gliner("UniEncoderSpan").save_pretrained(str(folder), safe_serialization=True)
    return folder


@dataclass
class Finished:
    """The exit code and the output of a run of the command line."""

    code: int
    out: str
    err: str


@pytest.fixture
def run_cli(monkeypatch, capsys):
    """A function that runs `gliner-distill` in this process, as `main` does."""
    from gliner_distill.cli.main import main

    # The command line changes this hook; put it back after the test.
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)

    def run(*args, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["gliner-distill", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        return Finished(end.value.code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def mixed_passages():
    """Four labeled passages: words of several scripts, nested entities, no gold, no labels."""
    from gliner_distill.entities import LabeledPassage

    def labeled(text, labels, *entities):
        words = tuple(text.split())
        probs = np.random.default_rng(len(words)).random((len(words), len(labels), 3))
        passage = Passage(words, tuple(Entity(*entity) for entity in entities))
        return LabeledPassage(passage, labels, probs.astype(np.float32))

    spans = [(0, 1, "person"), (2, 3, "city"), (2, 4, "名前")]
    return [
        labeled("Zoë visited 東京 🙂 .", ("person", "city", "名前"), *spans),
        labeled("nothing here", ("city",)),
        labeled("no labels asked", ()),
        labeled("Rhine", ("river", "city"), (0, 1, "river")),
    ]


@pytest.fixture(scope="session")
def make_store():
    """A function that writes labeled passages as a soft-label store and returns its manifest.

    `shards` says how many passages each shard holds; without it there is one shard.
    """
    from gliner_distill.store.manifest import (
        Manifest,
        write_manifest,
        write_stored_file,
    )
    from gliner_distill.store.shards import ShardOrigin, pack_shard

    def make(folder, items, shards=None, **metadata):
        n_words = sum(len(item.passage.words) for item in items)
        made_from = {"teacher": "lexicon", "teacher_fingerprint": "f" * 64}
        made_from |= {"corpus_fingerprint": "c" * 64, "label_policy": {"negatives": 2}}
        counts = {"n_passages": len(items), "n_words": n_words}
        manifest = Manifest(**(made_from | counts | metadata))
        rest = iter(items)
        for index, n_passages in enumerate(shards or [len(items)]):
            part = [next(rest) for _ in range(n_passages)]
            origin = ShardOrigin(manifest.origin, manifest.teacher, index)
            shard, content = pack_shard(part, manifest.quantizer, origin)
            write_stored_file(folder, shard.file, content)
            manifest.add_shard(shard)
        write_manifest(folder, manifest)
        return manifest

    return make


@pytest.fixture(scope="session")
def comparable():
    """A function that returns labeled passages as what equals what a store gives back of them."""

    def metadata_of(item, quantizer):
        bins = [quantizer.encode(probs).tolist() for probs in (item.probs, *item.individual_probs)]
        return item.passage, item.labels, bins

    return lambda items, quantizer: [metadata_of(item, quantizer) for item in items]
