"""Windows over long passages, and batches of items of like length."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.windows import batches_by_length


class TestBatchesByLength:
    @given(
        st.lists(st.integers(0, 30)),
        st.none() | st.integers(1, 60),
        st.none() | st.integers(1, 5),
        st.booleans(),
    )
    def test_batches_by_length_holds_each_item_once_within_the_limits(
        self, lengths, max_padded, max_items, longest_first
    ):
        batches = list(
            batches_by_length(
                enumerate(lengths),
                lambda item: item[1],
                max_padded=max_padded,
                max_items=max_items,
                longest_first=longest_first,
            )
        )
        items = [item for batch in batches for item in batch]
        assert Counter(items) == Counter(enumerate(lengths))
        assert [length for _, length in items] == sorted(lengths, reverse=longest_first)
        for batch in batches:
            padded = len(batch) * max(length for _, length in batch)
            assert max_items is None or len(batch) <= max_items
            assert max_padded is None or padded <= max_padded or len(batch) == 1

    @pytest.mark.parametrize("longest_first", [True, False])
    def test_batches_by_length_keeps_the_order_of_equal_lengths(self, longest_first):
        batches = batches_by_length("dacb", lambda _: 1, max_items=3, longest_first=longest_first)
        assert list(batches) == [["d", "a", "c"], ["b"]]

    def test_batches_by_length_without_limits_is_one_batch(self):
        assert list(batches_by_length([3, 1, 2], lambda item: item)) == [[1, 2, 3]]

    def test_batches_by_length_of_nothing_is_empty(self):
        assert list(batches_by_length([], len, max_padded=4)) == []
