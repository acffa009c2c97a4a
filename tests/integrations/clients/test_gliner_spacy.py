"""The component of gliner-spacy, with a student."""

import pytest

pytestmark = pytest.mark.slow

TEXT = "Marie Curie was born in Warsaw."


@pytest.fixture(scope="module")
def blank(client):
    """A function that returns a blank pipeline with the component."""
    client("gliner_spacy.pipeline", modules=("gliner_spacy",))
    import spacy

    def build(**config):
        nlp = spacy.blank("en")
        nlp.add_pipe("gliner_spacy", config={"labels": ["person", "city"]} | config)
        return nlp

    return build


def entities_of(spans):
    return [(span.text, span.label_) for span in spans]


def test_component_sets_the_entities_of_a_doc(blank):
    doc = blank(gliner_model="urchade/gliner_base")(TEXT)
    assert entities_of(doc.ents) == [("Marie Curie", "person"), ("Warsaw", "city")]


def test_component_sets_scores_of_spans(blank):
    doc = blank()(TEXT)
    assert all(0.5 < span._.score <= 1 for span in doc.ents)


def test_component_of_style_span_sets_a_span_group(blank):
    doc = blank(style="span")(TEXT)
    assert entities_of(doc.spans["sc"]) == [("Marie Curie", "person"), ("Warsaw", "city")]
    assert not doc.ents


def test_component_reads_long_texts_in_chunks(blank):
    doc = blank(chunk_size=100)(f"{TEXT} {'Nothing happened here. ' * 30}Ada lived in London.")
    assert entities_of(doc.ents) == [
        *(("Marie Curie", "person"), ("Warsaw", "city")),
        *(("Ada", "person"), ("London", "city")),
    ]


def test_component_applies_its_threshold(blank):
    low, high = sorted(span._.score for span in blank()(TEXT).ents)
    doc = blank(threshold=(low + high) / 2)(TEXT)
    assert [span._.score for span in doc.ents] == [high]


def test_component_accepts_the_settings_of_onnx(blank):
    doc = blank(load_onnx_model=True, onnx_model_file="model.onnx")(TEXT)
    assert len(doc.ents) == 2


def test_component_pipes_several_docs(blank):
    docs = blank().pipe([TEXT, "Nothing.", "Ada lived in London."])
    assert [len(doc.ents) for doc in docs] == [2, 0, 2]


def test_categories_of_gliner_cat_use_the_scores(blank):
    nlp = blank(style="span")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("gliner_cat", config={"cat_data": {"people": ["person"], "places": ["city"]}})
    [sentence] = nlp(TEXT).sents
    assert sentence._.sent_cats["people"] > 0.5
    assert sentence._.sent_cats["places"] > 0.5
