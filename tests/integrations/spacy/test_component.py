"""The component in blank English pipelines: what spaCy's documentation promises of one."""

import logging
import pickle

import pytest

from gliner_distill import StudentNER
from gliner_distill.errors import InputError, StudentError

TEXT = "Ada Lovelace lived in London."
TEXTS = [TEXT, "", "Nothing here.", "Marie Curie was born in Warsaw.", " \n\t ", "Oslo is cold."]

pytestmark = pytest.mark.slow


def ents_of(doc):
    return [(ent.text, ent.label_) for ent in doc.ents]


FOUND = [("Ada Lovelace", "person"), ("London", "city")]


def test_call_sets_entities_with_their_scores(shared_nlp):
    doc = shared_nlp()(TEXT)
    entities = StudentNER.from_pretrained().predict_entities(TEXT, ["person", "city"])
    assert ents_of(doc) == [(entity["text"], entity["label"]) for entity in entities] == FOUND
    scores = [entity["score"] for entity in entities]
    assert [ent._.score for ent in doc.ents] == pytest.approx(scores, abs=0.01)
    assert [token.ent_iob_ for token in doc] == ["B", "I", "O", "O", "B", "O"]


def test_call_changes_no_token(shared_nlp, spacy):
    text = "Dr. Ada Lovelace-King  lived in\n\nLondon, U.K."
    tokens = [token.text_with_ws for token in shared_nlp()(text)]
    assert tokens == [token.text_with_ws for token in spacy.blank("en")(text)]


@pytest.mark.parametrize("text", ["", " ", "\n\n \t", "\u00a0"])
def test_call_finds_nothing_in_a_text_without_words(shared_nlp, text):
    for style in ("ent", "span"):
        doc = shared_nlp(style=style)(text)
        assert doc.text == text
        assert (len(doc.ents), sum(map(len, doc.spans.values()))) == (0, 0)


def test_call_accepts_a_doc_without_tokens(shared_nlp):
    from spacy.tokens import Doc

    nlp = shared_nlp()
    assert nlp(Doc(nlp.vocab)).ents == ()


def test_call_with_none_is_an_error_of_spacy(shared_nlp):
    with pytest.raises(ValueError, match="E1041"):
        shared_nlp()(None)


def test_call_reads_long_texts_to_their_end(shared_nlp):
    text = "The weather was fine. " * 400 + TEXT  # 2,000 words and punctuation marks
    assert ents_of(shared_nlp()(text)) == FOUND


def test_pipe_equals_single_calls_in_order(shared_nlp):
    nlp = shared_nlp()
    for batch_size in (1, 2, 100):
        docs = list(nlp.pipe(iter(TEXTS), batch_size=batch_size))
        assert [doc.text for doc in docs] == TEXTS
        assert [ents_of(doc) for doc in docs] == [ents_of(nlp(text)) for text in TEXTS]


def test_pipe_reads_only_one_batch_ahead(shared_nlp):
    read = []
    stream = (read.append(text) or text for text in TEXTS)
    next(iter(shared_nlp().pipe(stream, batch_size=2)))
    assert len(read) == 2


def test_pipe_of_nothing_is_nothing(shared_nlp):
    assert list(shared_nlp().pipe([])) == []


def test_pipe_with_batches_of_nothing_is_a_value_error(shared_nlp):
    with pytest.raises(ValueError, match="batch_size is 0"):
        list(shared_nlp().pipe([TEXT], batch_size=0))


def test_pipe_keeps_contexts_with_as_tuples(shared_nlp):
    pairs = list(shared_nlp().pipe([(TEXT, {"id": 1}), ("Nothing.", {"id": 2})], as_tuples=True))
    assert [context for _, context in pairs] == [{"id": 1}, {"id": 2}]
    assert [ents_of(doc) for doc, _ in pairs] == [FOUND, []]


@pytest.mark.parametrize("style", ["ent", "span"])
def test_pipe_with_two_processes_equals_one(make_nlp, style):
    nlp = make_nlp(style=style)
    texts = [f"{TEXT} {number}" for number in range(6)]
    single = list(nlp.pipe(texts))  # so that the student is loaded before the processes start
    several = list(nlp.pipe(texts, n_process=2, batch_size=3))

    def spans_of(doc):
        spans = doc.ents if style == "ent" else doc.spans["sc"]
        return [(span.text, span.label_, round(span._.score, 2)) for span in spans]

    assert [doc.text for doc in several] == texts
    assert [spans_of(doc) for doc in several] == [spans_of(doc) for doc in single]
    assert all(map(spans_of, several))


def test_component_cfg_changes_labels_and_thresholds_for_one_call(shared_nlp):
    nlp = shared_nlp()
    for component_cfg, expected in (
        ({"labels": ["city"]}, FOUND[1:]),
        ({"threshold": 1.0}, []),
        ({"thresholds": {"city": 1.0}}, FOUND[:1]),
    ):
        cfg = {"gliner_distill": component_cfg}
        assert ents_of(nlp(TEXT, component_cfg=cfg)) == expected
        assert [ents_of(doc) for doc in nlp.pipe([TEXT], component_cfg=cfg)] == [expected]
    assert ents_of(nlp(TEXT)) == FOUND


def test_component_cfg_without_labels_is_a_value_error(shared_nlp):
    with pytest.raises(ValueError, match="labels"):
        shared_nlp()(TEXT, component_cfg={"gliner_distill": {"labels": []}})


def test_component_cfg_with_a_threshold_for_another_label_is_a_value_error(shared_nlp):
    nlp = shared_nlp(thresholds={"person": 0.2})
    for component_cfg in (
        {"thresholds": {"persn": 0.9}},
        {"thresholds": {"person": 0.9}, "labels": ["city"]},
    ):
        cfg = {"gliner_distill": component_cfg}
        with pytest.raises(ValueError, match=r"^thresholds: 'pers.*' is not in labels"):
            nlp(TEXT, component_cfg=cfg)
    # The config's own threshold may be for a label that a call leaves out.
    assert ents_of(nlp(TEXT, component_cfg={"gliner_distill": {"labels": ["city"]}})) == FOUND[1:]


def test_labels_are_those_of_the_config(shared_nlp):
    assert shared_nlp().pipe_labels["gliner_distill"] == ["person", "city"]


def test_answers_have_the_spelling_of_the_config(shared_nlp):
    doc = shared_nlp(labels=["PERSON", "Home_Town"], thresholds={"home town": 0.1})(TEXT)
    assert ("Ada Lovelace", "PERSON") in ents_of(doc)
    assert {label for _, label in ents_of(doc)} <= {"PERSON", "Home_Town"}


def test_labels_may_have_descriptions(shared_nlp):
    nlp = shared_nlp(labels={"P": "person", "C": "city"})
    assert ents_of(nlp(TEXT)) == [("Ada Lovelace", "P"), ("London", "C")]
    assert nlp.pipe_labels["gliner_distill"] == ["P", "C"]


def test_threshold_of_one_label_leaves_the_others(shared_nlp):
    assert ents_of(shared_nlp(thresholds={"person": 1.0})(TEXT)) == FOUND[1:]
    assert ents_of(shared_nlp(threshold=1.0)(TEXT)) == []


def test_patterns_find_addresses_unless_they_are_switched_off(shared_nlp):
    text = "Write to ada@example.org today."
    (ent,) = shared_nlp(labels=["email address"])(text).ents
    assert (ent.text, ent._.score) == ("ada@example.org", 1.0)
    doc = shared_nlp(labels=["email address"], patterns=False)(text)
    assert all(ent._.score < 1 for ent in doc.ents)


def test_style_span_fills_the_key_and_leaves_entities(shared_nlp):
    doc = shared_nlp(style="span", spans_key="found")(TEXT)
    group = doc.spans["found"]
    assert [(span.text, span.label_) for span in group] == FOUND
    assert group.attrs["scores"].tolist() == pytest.approx([span._.score for span in group])
    assert (doc.ents, list(doc.spans)) == ((), ["found"])


def test_style_span_keeps_an_entity_inside_another(shared_nlp):
    text = "She studied at the University of Oxford."
    doc = shared_nlp(style="span", labels=["university", "city"], threshold=0.05)(text)
    texts = {(span.text, span.label_) for span in doc.spans["sc"]}
    assert {("University of Oxford", "university"), ("Oxford", "city")} <= texts


def merged_doc(nlp):
    """Return the text as a document in which one token holds the ends of both entities."""
    from spacy.tokens import Doc

    words = ["Ada", "Lovelace,London", "called", "."]
    return Doc(nlp.vocab, words=words, spaces=[True, True, False, False])


def test_entity_inside_a_token_is_expanded(shared_nlp):
    from spacy.tokens import Doc

    nlp = shared_nlp()
    doc = nlp(Doc(nlp.vocab, words=["Ada", "Lovelace", "visited", "London/Paris", "today"]))
    assert ents_of(doc) == [("Ada Lovelace", "person"), ("London/Paris", "city")]


def test_overlap_after_expansion_keeps_the_higher_score_and_is_reported_once(make_nlp, caplog):
    nlp = make_nlp()
    with caplog.at_level(logging.WARNING, logger="gliner_distill"):
        first, _ = [nlp(merged_doc(nlp)) for _ in range(2)]
    doc = make_nlp(style="span")(merged_doc(nlp))
    spans = list(doc.spans["sc"])
    best = max(spans, key=lambda span: span._.score)
    assert ents_of(first) == [(best.text, best.label_)]
    (record,) = caplog.records
    (lost,) = [span for span in spans if span is not best]
    assert f"({lost.label_})" in record.getMessage()


def test_style_span_keeps_overlaps_after_expansion(shared_nlp):
    nlp = shared_nlp(style="span")
    doc = nlp(merged_doc(nlp))
    assert [(span.text, span.label_) for span in doc.spans["sc"]] == [
        ("Ada Lovelace,London", "person"),
        ("Lovelace,London", "city"),
    ]


RULES = [{"label": "FLOWER", "pattern": "London"}, {"label": "RIVER", "pattern": "lived"}]


@pytest.mark.parametrize(
    ("before", "config", "overwrite_ents", "expected"),
    [
        (True, {}, False, [*FOUND[:1], ("lived", "RIVER"), ("London", "FLOWER")]),
        (True, {"overwrite_ents": True}, False, [*FOUND[:1], ("lived", "RIVER"), *FOUND[1:]]),
        (False, {}, False, [*FOUND[:1], ("lived", "RIVER"), *FOUND[1:]]),
        (False, {}, True, [*FOUND[:1], ("lived", "RIVER"), ("London", "FLOWER")]),
    ],
)
def test_component_works_beside_an_entity_ruler(make_nlp, before, config, overwrite_ents, expected):
    nlp = make_nlp(**config)
    place = {"before" if before else "after": "gliner_distill"}
    ruler = nlp.add_pipe("entity_ruler", config={"overwrite_ents": overwrite_ents}, **place)
    ruler.add_patterns(RULES)
    assert ents_of(nlp(TEXT)) == expected


def test_two_components_find_different_labels(make_nlp):
    nlp = make_nlp(labels=["person"])
    nlp.add_pipe("gliner_distill", name="places", config={"labels": ["city"], "num_threads": 1})
    assert ents_of(nlp(TEXT)) == FOUND
    assert nlp.pipe_labels["places"] == ["city"]


def test_select_pipes_switches_the_component_off_and_on(make_nlp):
    nlp = make_nlp()
    with nlp.select_pipes(disable="gliner_distill"):
        assert nlp(TEXT).ents == ()
    assert ents_of(nlp(TEXT)) == FOUND


def test_component_can_be_sourced_from_another_pipeline(spacy, shared_nlp):
    nlp = spacy.blank("en")
    nlp.add_pipe("gliner_distill", source=shared_nlp())
    assert ents_of(nlp(TEXT)) == FOUND


def test_evaluate_scores_entities(shared_nlp):
    from spacy.training import Example

    nlp = shared_nlp()
    gold = {"entities": [(0, 12, "person"), (22, 28, "city"), (13, 18, "city")]}
    scores = nlp.evaluate([Example.from_dict(nlp.make_doc(TEXT), gold)])
    assert (scores["ents_p"], scores["ents_r"]) == (1.0, pytest.approx(2 / 3))


def test_evaluate_scores_spans(shared_nlp):
    from spacy.training import Example

    nlp = shared_nlp(style="span")
    gold = {"spans": {"sc": [(0, 12, "person")]}}
    scores = nlp.evaluate([Example.from_dict(nlp.make_doc(TEXT), gold)])
    assert (scores["spans_sc_p"], scores["spans_sc_r"]) == (0.5, 1.0)


def test_training_of_other_components_is_untouched(make_nlp):
    from spacy.training import Example

    nlp = make_nlp()
    nlp.add_pipe("textcat").add_label("A")
    nlp.get_pipe("textcat").add_label("B")
    examples = [Example.from_dict(nlp.make_doc(TEXT), {"cats": {"A": 1.0, "B": 0.0}})]
    optimizer = nlp.initialize(lambda: examples)
    losses = nlp.update(examples, sgd=optimizer)
    assert losses.keys() == {"textcat"}
    assert nlp.vocab.vectors.shape == (0, 0)
    assert ents_of(nlp(TEXT)) == FOUND


def test_error_handler_gets_the_batch_and_the_others_go_on(make_nlp):
    nlp = make_nlp()
    failed = []
    nlp.set_error_handler(lambda name, component, docs, error: failed.append((name, docs, error)))
    cfg = {"gliner_distill": {"threshold": 2.0}}
    assert list(nlp.pipe([TEXT, "Oslo."], batch_size=1, component_cfg=cfg)) == []
    assert [(name, docs[0].text) for name, docs, _ in failed] == [
        ("gliner_distill", TEXT),
        ("gliner_distill", "Oslo."),
    ]
    assert all(isinstance(error, InputError) for *_, error in failed)


def test_error_without_a_handler_is_raised(shared_nlp):
    with pytest.raises(ValueError, match="threshold"):
        list(shared_nlp().pipe([TEXT], component_cfg={"gliner_distill": {"threshold": 2.0}}))


def test_wrong_model_is_reported_at_the_first_use(make_nlp, tmp_path):
    nlp = make_nlp(model=str(tmp_path / "none"))
    with pytest.raises(
        ValueError, match=r"^component 'gliner_distill': .*none: .* not exist"
    ) as caught:
        nlp(TEXT)
    assert isinstance(caught.value.__cause__, StudentError)


def test_score_that_is_a_function_of_the_user_is_reported(make_nlp, score_extension, caplog):
    score_extension.set_extension("score", getter=lambda span: 7, force=True)
    with caplog.at_level(logging.WARNING, logger="gliner_distill"):
        nlp = make_nlp()
    assert "score" in caplog.text
    assert [ent._.score for ent in nlp(TEXT).ents] == [7, 7]


def test_component_pickles_with_its_student(shared_nlp):
    nlp = shared_nlp()
    nlp(TEXT)  # loads the student
    copy = pickle.loads(pickle.dumps(nlp.get_pipe("gliner_distill")))
    assert ents_of(copy(nlp.make_doc(TEXT))) == FOUND
