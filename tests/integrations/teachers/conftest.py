"""Small GLiNER2s of both architectures, made and taught by the package itself."""

import random
import warnings

import pytest

# Narrow heads without the parts that read relations and records.
BOUNDARY_HEAD = {
    "boundary_dim": 16,
    "pair_dim": 16,
    "multihead_pair_compat_heads": 2,
    "enable_records": False,
    "enable_relations": False,
}
HEADS = {
    "span": {"max_width": 4, "counting_layer": "count_lstm"},
    "boundary": {"boundary_head": BOUNDARY_HEAD},
}
TAUGHT = {"paris": "city", "london": "city", "mary": "person", "john": "person"}
FILLERS = ("the", "saw", "left", "in")


@pytest.fixture(scope="session")
def build_gliner2(needs):
    """A function that returns a tiny random GLiNER2 of an architecture."""
    needs("gliner2")
    needs("peft")
    import torch
    from gliner2 import AutoExtractor, ExtractorConfig
    from transformers import BertConfig

    from conftest import make_tokenizer

    torch.set_num_threads(1)

    def build(architecture, *, seed=0, max_pieces=128, scale=1.0, **head):
        torch.manual_seed(seed)
        tokenizer = make_tokenizer(max_pieces)
        encoder = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=128,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        heads = dict(HEADS[architecture])
        if architecture == "boundary":
            heads["boundary_head"] = BOUNDARY_HEAD | head
        config = ExtractorConfig(model_name="tiny", architecture=architecture, **heads)
        model = AutoExtractor.from_config(config, encoder_config=encoder, tokenizer=tokenizer)
        _spread_scores(model, architecture, scale)
        return model.eval()

    return build


def _spread_scores(model, architecture, scale):
    """Widen a random model's scores, which all lie near 0.5."""
    import torch

    with torch.no_grad():
        if architecture == "span":
            # A model that counts no entities finds none, and entities do not teach it to count.
            model.count_pred[-1].bias[1] += 100
            spread = [*model.count_embed.parameters()]
        else:
            spread = [*model.boundary_head.pair_scorer.parameters()]
        for parameter in spread:
            parameter *= scale


@pytest.fixture(scope="session")
def taught_gliner2(build_gliner2, tmp_path_factory):
    """A function that returns the folder of a GLiNER2 that was taught four words in seconds.

    It was always asked for "city" and then "person", so it may know the labels by their places.
    """
    folders = {}

    def teach(architecture):
        if architecture not in folders:
            model = build_gliner2(architecture)
            _teach(model, architecture)
            folders[architecture] = save(model, tmp_path_factory.mktemp("taught") / architecture)
        return folders[architecture]

    return teach


@pytest.fixture
def save_gliner2(tmp_path):
    """A function that writes a GLiNER2 into a new folder, as the package does, and returns it."""
    return lambda model: save(model, tmp_path / f"gliner2-{len(list(tmp_path.iterdir()))}")


def save(model, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(str(folder))
    return folder


def _teach(model, architecture):
    import torch

    draw, labels = random.Random(0), sorted(set(TAUGHT.values()))
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=5e-3)
    for _ in range(100):
        batch = []
        for _ in range(8):
            words = draw.choices([*FILLERS, *TAUGHT], k=draw.randint(3, 6))
            found = {label: [w for w in words if TAUGHT.get(w) == label] for label in labels}
            entities = {label: names or [""] for label, names in found.items()}
            batch.append((" ".join(words), {"entities": entities}))
        collated = model.processor.collate_fn_train(
            batch, architecture=architecture, ignore_missing_entities=True
        )
        optimizer.zero_grad()
        model(collated)["total_loss"].backward()
        optimizer.step()
    model.eval()
