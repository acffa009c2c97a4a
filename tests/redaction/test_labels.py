"""The labels that are redacted by default."""

from gliner_distill.patterns.labels import FINDERS, pattern_for
from gliner_distill.redaction.labels import PERSONAL_LABELS
from gliner_distill.redaction.placeholders import placeholder_name


def test_personal_labels_have_placeholders_of_their_own():
    names = [placeholder_name(label) for label in PERSONAL_LABELS]
    assert len(set(names)) == len(names)
    assert "LITERAL" not in names


def test_personal_labels_ask_for_every_kind_of_pattern():
    kinds = {pattern_for(label) for label in PERSONAL_LABELS}
    assert kinds >= FINDERS.keys() - {"ipv4", "ipv6"}
