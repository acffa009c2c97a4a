"""The colors of labels in displaCy."""

import re

from gliner_distill.integrations.spacy.colors import assign_colors, label_colors, pick_color


def colors_in(html):
    """Return the colors by the label as it is shown."""
    marks = re.findall(
        r"<mark[^>]*background: (#\w+);.*?<span[^>]*>([^<]*)</span>", html, re.DOTALL
    )
    return {label: color for color, label in marks}


def test_pick_color_gives_different_colors():
    assert (pick_color(0), pick_color(1)) == ("#f2a6a6", "#a6bcf2")
    assert len({pick_color(number) for number in range(50)}) == 50


def test_assign_colors_keeps_a_color_once_it_is_given(spacy):
    assign_colors(["Bicycle Maker"])
    before = label_colors()["BICYCLE MAKER"]
    assign_colors(["fork", "bicycle maker"])
    assert label_colors()["BICYCLE MAKER"] == before


def test_assign_colors_leaves_labels_to_displacy_that_it_knows(spacy):
    assign_colors(["person"])
    assert "PERSON" not in label_colors()


def test_displacy_colors_the_labels_of_a_component_by_itself(spacy):
    from spacy import displacy

    nlp = spacy.blank("en")
    nlp.add_pipe("gliner_distill", config={"labels": ["person", "city", "year"]})
    doc = nlp("Marie Curie was born in Warsaw in 1867.")
    colors = colors_in(displacy.render(doc, style="ent", jupyter=False))
    assert colors.keys() == {"person", "city", "year"}
    assert "#ddd" not in colors.values()  # the gray that displaCy uses otherwise
    assert len(set(colors.values())) == 3


def test_displacy_prefers_the_colors_of_its_options(shared_nlp):
    from spacy import displacy

    options = {"colors": {"CITY": "#123456"}}
    doc = shared_nlp()("Ada Lovelace lived in London.")
    html = displacy.render(doc, style="ent", jupyter=False, options=options)
    assert colors_in(html)["city"] == "#123456"


def test_displacy_renders_the_style_span(shared_nlp):
    from spacy import displacy

    doc = shared_nlp(style="span")("Ada Lovelace lived in London.")
    html = displacy.render(doc, style="span", jupyter=False)
    assert label_colors()["CITY"] in html
