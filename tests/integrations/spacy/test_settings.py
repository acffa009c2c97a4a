"""The settings in spaCy's config: defaults, wrong values, and what a config file can hold."""

import pytest

from gliner_distill.errors import InputError
from gliner_distill.integrations.spacy.settings import ComponentSettings, check_labels


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        ({"treshold": 0.3}, "treshold"),
        ({"style": "entity"}, "style"),
        ({"labels": "person"}, "labels"),
        ({"labels": [["person"]]}, "labels"),
        ({"threshold": "high"}, "threshold"),
        ({"thresholds": {"person": "high"}}, "thresholds"),
    ],
)
def test_unknown_or_mistyped_setting_is_a_config_error_of_spacy(spacy, make_nlp, config, shown):
    from thinc.api import ConfigValidationError

    with pytest.raises(ConfigValidationError, match=shown):
        make_nlp(**config)


def test_missing_labels_are_a_config_error_of_spacy(spacy):
    from thinc.api import ConfigValidationError

    with pytest.raises(ConfigValidationError, match="labels"):
        spacy.blank("en").add_pipe("gliner_distill")


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        ({"labels": []}, "labels"),
        ({"labels": {}}, "labels"),
        ({"labels": ["person", " "]}, "labels"),
        ({"labels": ["US", "us"]}, "'US'"),
        ({"threshold": 1.5}, "threshold"),
        ({"thresholds": {"city": -1.0}}, "thresholds"),
        ({"labels": ["person"], "thresholds": {"persons": 0.3}}, "'persons' is not in labels"),
        ({"spans_key": ""}, "spans_key"),
        ({"num_threads": 0}, "num_threads"),
    ],
)
def test_wrong_value_is_a_value_error_that_names_component_and_setting(make_nlp, config, shown):
    with pytest.raises(ValueError, match="'gliner_distill'") as raised:
        make_nlp(**config)
    assert shown in str(raised.value)


@pytest.mark.parametrize("label", ["a: b", "a=b", "# b", "; b", "[b]"])
def test_mapping_that_a_config_file_cannot_hold_is_refused(spacy, label):
    settings = ComponentSettings({label: "a thing"})
    with pytest.raises(InputError, match="labels"):
        settings.check("ner")
    with pytest.raises(InputError, match="thresholds"):
        ComponentSettings([label], thresholds={label: 0.3}).check("ner")


@pytest.mark.parametrize("labels", [["${paths.train}"], ["$ amount"], {"price": "$ amount"}])
def test_label_that_a_config_file_would_change_is_refused(spacy, labels):
    with pytest.raises(InputError, match="labels"):
        ComponentSettings(labels).check("ner")


def test_check_labels_refuses_a_single_string():
    with pytest.raises(InputError, match=r"\['person'\]"):
        check_labels("person")


@pytest.mark.slow
def test_unusual_labels_survive_saving_and_loading(spacy, make_nlp, tmp_path):
    labels = ["50% off: now", "a=b", "# one", "Œuvre d'art", 'the "best"']
    described = {"Work of Art": "a book, film or song: 1 # 2", "U.S. state": "state"}
    for given in (labels, described):
        make_nlp(labels=given).to_disk(tmp_path / "pipeline")
        settings = spacy.load(tmp_path / "pipeline").get_pipe("gliner_distill").settings
        assert settings.labels == given
