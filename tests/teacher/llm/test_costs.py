"""Tokens, their cost, and the limit."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from gliner_distill.errors import TeacherError
from gliner_distill.teacher.llm.costs import Bill
from gliner_distill.teacher.llm.settings import Prices

DEAR = Prices(1e6, 1e6)  # a token costs 1


def pay(bill, tokens):
    with bill.request(n_input_bytes=20, max_output_tokens=10) as charge:
        charge.tokens = tokens


def test_bill_adds_up_tokens_and_cost():
    bill = Bill("llm:m", Prices(2.0, 10.0), None)
    pay(bill, (1_000_000, 500_000))
    pay(bill, (0, 100_000))
    assert bill.cost == pytest.approx(8.0)
    assert bill.describe() == (
        "1,000,000 tokens read and 600,000 written in this run, which cost 8.00"
    )
    assert Bill("llm:m", None, None).cost is None


def test_bill_stops_before_the_request_that_may_exceed_the_limit():
    bill = Bill("llm:m", DEAR, 50)
    for _ in range(3):  # each reserves 20, and costs 15
        pay(bill, (10, 5))
    with pytest.raises(
        TeacherError, match=r"llm:m.*20\.00.*50\.00.*45\.00.*same command.*--max-cost"
    ):
        pay(bill, (0, 0))
    assert bill.cost == 45


def test_bill_charges_nothing_for_a_request_that_failed():
    bill = Bill("llm:m", DEAR, 20)
    with pytest.raises(ValueError, match="gone"), bill.request(20, 10):
        raise ValueError("gone")
    pay(bill, (10, 5))
    assert bill.cost == 15


def test_bill_stays_within_the_limit_whatever_runs_at_the_same_time():
    bill = Bill("llm:m", DEAR, 200)

    def work(_):
        try:
            pay(bill, (10, 9))
        except TeacherError:
            return 0
        return 1

    with ThreadPoolExecutor(16) as pool:
        n_paid = sum(pool.map(work, range(64)))
    # 9 requests of 19 leave room for one more of 20; 10 cost 190, after which none fits.
    assert (n_paid, bill.cost) == (10, 190)
