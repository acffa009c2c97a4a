"""A cache that is bounded by bytes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gliner_distill.runtime.caches import SizedCache


def make_cache(max_bytes):
    return SizedCache[str, bytes](max_bytes, lambda key, value: len(value))


def test_cache_drops_the_least_recently_used_first():
    cache = make_cache(3 * 1400)
    for key in "abc":
        cache.put(key, b"x" * 1000)
    assert cache.get("a") == b"x" * 1000
    cache.put("d", b"x" * 1000)
    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "c", "d"]


def test_cache_counts_bytes_and_not_entries():
    cache = make_cache(100_000)
    for number in range(1000):
        cache.put(str(number), b"x" * 10)
    n_small = len(cache)
    assert 100 < n_small < 1000
    for number in range(1000):
        cache.put(str(number), b"x" * 10_000)
        assert cache.n_bytes <= 100_000
    assert len(cache) < 10


def test_cache_does_not_keep_what_is_too_large():
    cache = make_cache(5000)
    cache.put("small", b"x")
    cache.put("large", b"x" * 6000)
    assert cache.get("large") is None
    assert cache.get("small") == b"x"


def test_cache_counts_a_key_once_that_is_put_twice():
    cache = make_cache(5000)
    for size in (1000, 2000, 10):
        cache.put("key", b"x" * size)
    n_bytes = cache.n_bytes
    assert n_bytes < 1000
    cache.clear()
    assert (cache.n_bytes, len(cache)) == (0, 0)


def test_cache_keeps_its_count_from_several_threads():
    cache = make_cache(20_000)
    draws = np.random.default_rng(0).integers(0, 60, 4000).tolist()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: cache.put(str(number), b"x" * number), draws))
    n_bytes = cache.n_bytes
    assert n_bytes <= 20_000
    for number in range(60):
        if (value := cache.get(str(number))) is not None:
            n_bytes -= len(value) + 300
    assert n_bytes == 0
