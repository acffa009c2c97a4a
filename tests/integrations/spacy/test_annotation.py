"""The attributes that are written into a document: `doc.ents`, `doc.spans` and `span._.score`."""

import pytest

from gliner_distill.integrations.spacy.annotation import register_score, set_ents, set_spans
from gliner_distill.integrations.spacy.token_spans import ScoredSpan


@pytest.fixture
def doc(spacy):
    from spacy.tokens import Doc
    from spacy.vocab import Vocab

    return Doc(Vocab(), words=["Ada", "Lovelace", "lived", "in", "London"])


def scored(doc, start, end, label, score=0.75):
    from spacy.tokens import Span

    return ScoredSpan(Span(doc, start, end, label=label), score)


def ents_of(doc):
    return [(ent.text, ent.label_) for ent in doc.ents]


def test_set_ents_marks_all_tokens_even_without_entities(doc):
    set_ents(doc, [], overwrite=False)
    assert doc.has_annotation("ENT_IOB")
    assert doc.ents == ()


def test_set_ents_writes_entities_and_scores(doc):
    set_ents(doc, [scored(doc, 0, 2, "person"), scored(doc, 4, 5, "city", 0.5)], overwrite=False)
    assert ents_of(doc) == [("Ada Lovelace", "person"), ("London", "city")]
    assert [ent._.score for ent in doc.ents] == [0.75, 0.5]


def test_set_ents_keeps_existing_entities_with_their_ids(doc):
    from spacy.tokens import Span

    doc.ents = [Span(doc, 1, 2, label="NAME", kb_id="Q7259", span_id="ada")]
    set_ents(doc, [scored(doc, 0, 2, "person"), scored(doc, 4, 5, "city")], overwrite=False)
    assert ents_of(doc) == [("Lovelace", "NAME"), ("London", "city")]
    assert (doc.ents[0].kb_id_, doc.ents[0].ent_id_) == ("Q7259", "ada")


def test_set_ents_overwrites_only_what_overlaps(doc):
    doc.ents = [scored(doc, 1, 2, "NAME").span, scored(doc, 3, 4, "WORD").span]
    set_ents(doc, [scored(doc, 0, 2, "person")], overwrite=True)
    assert ents_of(doc) == [("Ada Lovelace", "person"), ("in", "WORD")]


def test_set_ents_removes_the_ids_of_the_entities_that_it_overwrites(doc):
    from spacy.tokens import Span

    doc.ents = [
        Span(doc, 0, 1, label="NAME", kb_id="Q7259", span_id="ada"),
        Span(doc, 3, 5, label="PLACE", kb_id="Q84", span_id="london"),
    ]
    set_ents(doc, [scored(doc, 4, 5, "city")], overwrite=True)
    ids = [(ent.text, ent.kb_id_, ent.id_, ent.ent_id_) for ent in doc.ents]
    assert ids == [("Ada", "Q7259", "ada", "ada"), ("London", "", "", "")]
    assert [(token.ent_kb_id_, token.ent_id_) for token in doc[3:5]] == [("", "")] * 2


@pytest.mark.parametrize("overwrite", [False, True])
def test_set_ents_leaves_blocked_tokens_blocked(doc, overwrite):
    doc.set_ents([], blocked=[doc[4:5]], default="missing")
    set_ents(doc, [scored(doc, 0, 2, "person"), scored(doc, 3, 5, "city")], overwrite=overwrite)
    assert ents_of(doc) == [("Ada Lovelace", "person")]
    assert (doc[4].ent_iob_, doc[4].ent_type_) == ("B", "")


def test_set_spans_keeps_nested_spans_with_their_scores(doc):
    set_spans(doc, [scored(doc, 0, 2, "person"), scored(doc, 1, 2, "name", 0.5)], key="sc")
    group = doc.spans["sc"]
    assert [(span.text, span.label_) for span in group] == [
        ("Ada Lovelace", "person"),
        ("Lovelace", "name"),
    ]
    assert group.attrs["scores"].tolist() == [0.75, 0.5]
    assert group.name == "sc"
    assert group[0]._.score == 0.75


@pytest.mark.parametrize("scores", [[0.5, 0.75], [0.75, 0.5]])
def test_set_spans_keeps_the_highest_score_of_spans_with_the_same_tokens(doc, scores):
    labeled = zip(("city", "country"), scores, strict=True)
    set_spans(doc, [scored(doc, 4, 5, label, score) for label, score in labeled], key="sc")
    assert doc.spans["sc"].attrs["scores"].tolist() == scores
    assert [span._.score for span in doc.spans["sc"]] == [0.75, 0.75]


def test_set_spans_leaves_entities_and_other_spans(doc):
    doc.ents = [scored(doc, 1, 2, "NAME").span]
    doc.spans["mine"] = [doc[0:1]]
    set_spans(doc, [], key="sc")
    assert ents_of(doc) == [("Lovelace", "NAME")]
    assert {key: len(doc.spans[key]) for key in doc.spans} == {"mine": 1, "sc": 0}


def test_register_score_uses_an_extension_of_the_user(doc, score_extension):
    score_extension.set_extension("score", default=-1.0, force=True)
    assert register_score()
    assert doc[0:1]._.score == -1.0
    set_ents(doc, [scored(doc, 0, 2, "person")], overwrite=False)
    assert doc.ents[0]._.score == 0.75


def test_register_score_leaves_a_function_of_the_user(doc, score_extension):
    score_extension.set_extension("score", getter=lambda span: len(span), force=True)
    assert not register_score()
    set_ents(doc, [scored(doc, 0, 2, "person")], overwrite=False)
    assert doc.ents[0]._.score == 2


def test_scores_survive_in_a_docbin(doc):
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    set_ents(doc, [scored(doc, 0, 2, "person")], overwrite=False)
    set_spans(doc, [scored(doc, 4, 5, "city", 0.5)], key="sc")
    data = DocBin(docs=[doc], store_user_data=True).to_bytes()
    (read,) = DocBin().from_bytes(data).get_docs(Vocab())
    assert [ent._.score for ent in read.ents] == [0.75]
    assert read.spans["sc"].attrs["scores"].tolist() == [0.5]
