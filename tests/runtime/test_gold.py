"""Annotated texts for tuning: entities by words, and what does not fit them."""

from collections import Counter

import pytest

from gliner_distill.errors import InputError
from gliner_distill.runtime.gold import read_gold


class TestReadGold:
    def test_read_gold_returns_spans_by_words(self):
        entities = [[{"start": 5, "end": 10, "label": "person"}], []]
        first, second = read_gold(["Dear Smith.", ""], entities)
        assert first.spans == {(1, 2, "person")}
        assert not first.n_unaligned
        assert second.spans == frozenset()

    def test_read_gold_counts_entities_that_do_not_end_where_words_do(self):
        spans = [(5, 9), (6, 10), (5, 10), (40, 50)]
        entities = [[{"start": start, "end": end, "label": "person"} for start, end in spans]]
        (gold,) = read_gold(["Dear Smith."], entities)
        assert gold.spans == {(1, 2, "person")}
        assert gold.n_unaligned == Counter(person=3)

    def test_read_gold_warns_of_what_does_not_fit_words(self, caplog):
        spans = [(0, 4), (5, 9)]
        entities = [[], [{"start": start, "end": end, "label": "person"} for start, end in spans]]
        read_gold(["", "Dear Smith."], entities)
        assert "1 of 2 annotated entities" in caplog.text
        assert "entities[1]: 'person' from character 5 to 9" in caplog.text

    @pytest.mark.parametrize("span", [(0, 3), (5, 4), (40, 50), ("0", "4")])
    def test_read_gold_refuses_annotation_that_never_fits_words(self, span):
        entities = [[{"start": span[0], "end": span[1], "label": "person"}]]
        with pytest.raises(InputError, match=f"none of the 1 .*'person' .* {span[0]} to {span[1]}"):
            read_gold(["Dear Smith."], entities)
