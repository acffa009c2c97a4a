"""Windows over long passages, and batches of items of like length."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliner_distill.windows import Window, batches_by_length, plan_windows


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


class TestPlanWindows:
    @given(
        st.lists(st.integers(1, 9), min_size=1, max_size=120),
        st.integers(1, 60),
        st.integers(1, 50),
    )
    def test_plan_windows_keeps_each_word_once_within_the_limits(
        self, word_pieces, max_pieces, max_words
    ):
        windows = plan_windows(np.array(word_pieces), max_pieces=max_pieces, max_words=max_words)
        kept = [range(window.keep_start, window.keep_end) for window in windows]
        assert list(chain(*kept)) == list(range(len(word_pieces)))
        for window in windows:
            assert window.start <= window.keep_start <= window.keep_end <= window.end
            n_words = window.end - window.start
            assert 1 <= n_words <= max_words
            assert n_words == 1 or sum(word_pieces[window.start : window.end]) <= max_pieces

    def test_plan_windows_returns_one_window_if_the_passage_fits(self):
        windows = plan_windows(np.ones(40, dtype=np.int64), max_pieces=40, max_words=40)
        assert windows == [Window(start=0, end=40, keep_start=0, keep_end=40)]

    def test_plan_windows_overlaps_by_32_words_and_cuts_in_their_middle(self):
        first, second = plan_windows(np.ones(300, dtype=np.int64), max_pieces=999, max_words=200)
        assert first == Window(start=0, end=200, keep_start=0, keep_end=184)
        assert second == Window(start=168, end=300, keep_start=184, keep_end=300)

    def test_plan_windows_gives_a_word_beyond_the_limit_its_own_window(self):
        windows = plan_windows(np.array([1, 1, 99, 1, 1]), max_pieces=10, max_words=9)
        assert [(window.keep_start, window.keep_end) for window in windows] == [
            (0, 2),
            (2, 3),
            (3, 5),
        ]
