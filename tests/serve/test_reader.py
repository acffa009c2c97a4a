"""Waiting requests: batches, order, parts, failures, bounds and the time limit."""

import asyncio
from contextlib import closing

import pytest

from gliner_distill.serve.problems import RequestError
from gliner_distill.serve.questions import Bounds, Question
from gliner_distill.serve.reader import Reader

PEOPLE = Question((("person", "person"),))
PLACES = Question((("city", "city"),))


def render(text, entities):
    return f"{text}:{[entity['text'] for entity in entities]}".encode()


def run(model, ask, **options):
    """Run a coroutine function with a reader of a model."""

    async def go():
        with closing(Reader(model, **options)) as reader:
            try:
                return await ask(reader)
            finally:
                model.release.set()

    return asyncio.run(go())


def test_reader_reads_requests_that_arrive_together_at_once(name_model):
    async def ask(reader):
        return await asyncio.gather(
            *(reader.read(PEOPLE, [f"Mary {n}", f"John {n}"], render) for n in range(3))
        )

    answers = run(name_model, ask)
    assert answers == [
        [f"Mary {n}:['Mary']".encode(), f"John {n}:['John']".encode()] for n in range(3)
    ]
    assert name_model.batches == [[f"{name} {n}" for n in range(3) for name in ("Mary", "John")]]


def test_reader_reads_what_has_come_during_a_batch_as_the_next_batch(name_model):
    async def ask(reader):
        first = asyncio.ensure_future(reader.read(PEOPLE, ["wait"], render))
        await asyncio.to_thread(name_model.waits.wait, 30)
        others = [asyncio.ensure_future(reader.read(PEOPLE, [text], render)) for text in "abc"]
        await asyncio.sleep(0)
        assert reader.n_waiting == 3
        name_model.release.set()
        await asyncio.gather(first, *others)

    run(name_model, ask)
    assert name_model.batches == [["wait"], ["a", "b", "c"]]


def test_reader_asks_different_questions_apart(name_model):
    async def ask(reader):
        texts = ["Mary in Paris"]
        return await asyncio.gather(
            *(reader.read(question, texts, render) for question in (PEOPLE, PLACES))
        )

    assert run(name_model, ask) == [[b"Mary in Paris:['Mary']"], [b"Mary in Paris:['Paris']"]]
    assert len(name_model.batches) == 2


def test_reader_fails_only_the_request_at_fault(name_model):
    async def ask(reader):
        return await asyncio.gather(
            *(reader.read(PEOPLE, [text], render) for text in ("Mary", "fail", "John")),
            return_exceptions=True,
        )

    mary, failed, john = run(name_model, ask)
    assert (mary, john) == ([b"Mary:['Mary']"], [b"John:['John']"])
    assert isinstance(failed, RuntimeError)


def test_reader_fails_only_the_request_whose_answer_cannot_be_written(name_model):
    def fail(text, entities):
        raise ValueError("no")

    async def ask(reader):
        return await asyncio.gather(
            reader.read(PEOPLE, ["Mary"], fail),
            reader.read(PEOPLE, ["John"], render),
            return_exceptions=True,
        )

    failed, john = run(name_model, ask)
    assert isinstance(failed, ValueError)
    assert john == [b"John:['John']"]


def test_reader_lets_others_in_between_the_parts_of_a_long_request(name_model):
    long_text = "x" * 30_000

    async def ask(reader):
        long = asyncio.ensure_future(reader.read(PEOPLE, [long_text] * 10, render))
        await asyncio.sleep(0)
        short = asyncio.ensure_future(reader.read(PEOPLE, ["Mary"], render))
        done, _ = await asyncio.wait([long, short], return_when=asyncio.FIRST_COMPLETED)
        assert done == {short}
        assert len(await long) == 10

    run(name_model, ask)
    turns = [place for place, batch in enumerate(name_model.batches) if "Mary" in batch]
    assert turns == [2]
    assert len(name_model.batches) > 4


def test_reader_keeps_the_order_of_many_texts(name_model):
    texts = [f"Mary {n}" for n in range(600)]

    async def ask(reader):
        return await reader.read(PEOPLE, texts, lambda text, _: text.encode())

    assert run(name_model, ask, n_threads=3) == [text.encode() for text in texts]


def test_reader_turns_requests_away_when_too_many_wait(name_model):
    async def ask(reader):
        waiting = [asyncio.ensure_future(reader.read(PEOPLE, ["wait"], render))]
        await asyncio.to_thread(name_model.waits.wait, 30)
        waiting += [asyncio.ensure_future(reader.read(PEOPLE, ["a"], render)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RequestError) as error:
            await reader.read(PEOPLE, ["b"], render)
        name_model.release.set()
        await asyncio.gather(*waiting)
        return error.value

    error = run(name_model, ask, bounds=Bounds(max_waiting=2))
    assert error.status == 429
    assert int(error.headers["Retry-After"]) > 0


def test_reader_turns_requests_away_when_too_many_characters_wait(name_model):
    async def ask(reader):
        first = asyncio.ensure_future(reader.read(PEOPLE, ["wait"], render))
        await asyncio.to_thread(name_model.waits.wait, 30)
        second = asyncio.ensure_future(reader.read(PEOPLE, ["a" * 90], render))
        await asyncio.sleep(0)
        with pytest.raises(RequestError) as error:
            await reader.read(PEOPLE, ["b" * 20], render)
        name_model.release.set()
        await asyncio.gather(first, second)
        assert await reader.read(PEOPLE, ["b" * 20], render)  # there is room again
        return error.value.status

    assert run(name_model, ask, bounds=Bounds(max_waiting_chars=100)) == 429


def test_reader_gives_up_after_the_time_limit_and_skips_what_nobody_waits_for(name_model):
    async def ask(reader):
        both = [asyncio.ensure_future(reader.read(PEOPLE, ["wait"], render))]
        await asyncio.to_thread(name_model.waits.wait, 30)
        both.append(asyncio.ensure_future(reader.read(PEOPLE, ["late"], render)))
        errors = await asyncio.gather(*both, return_exceptions=True)
        name_model.release.set()
        await reader.read(PEOPLE, ["next"], render)
        return [error.status for error in errors]

    assert run(name_model, ask, bounds=Bounds(time_limit_s=0.05)) == [503, 503]
    assert name_model.batches == [["wait"], ["next"]]


def test_reader_reads_side_by_side_with_several_threads(name_model):
    async def ask(reader):
        first = asyncio.ensure_future(reader.read(PEOPLE, ["wait"], render))
        await asyncio.to_thread(name_model.waits.wait, 30)
        await reader.read(PEOPLE, ["Mary"], render)
        name_model.release.set()
        await first

    run(name_model, ask, n_threads=2)


def test_reader_answers_no_texts_at_once(name_model):
    assert run(name_model, lambda reader: reader.read(PEOPLE, [], render)) == []


def test_reader_answers_as_the_student_alone(student):
    texts = ["Marie Curie was born in Warsaw in 1867.", "Mail a.b@example.com in Paris.", ""]
    questions = [
        Question((("person", "person"), ("city", "city"))),
        Question((("person", "name of a person"),)),
        Question(()),
        Question((("city", "town or city"),), threshold=0.2, nested=True),
        Question((("email", "email"), ("city", "city")), 0.5, (("city", 0.99),)),
    ]

    async def ask(reader):
        return await asyncio.gather(
            *(
                reader.read(question, [text], lambda _, found: repr(found).encode())
                for _ in range(3)
                for question in questions
                for text in texts
            )
        )

    batches = []

    async def go():
        with closing(Reader(student)) as reader:
            reader.count_batch = lambda n_texts, _: batches.append(n_texts)
            return await ask(reader)

    answers = [piece.decode() for [piece] in asyncio.run(go())]
    assert batches == [len(answers)]
    alone = [repr(question.ask(student, [text])[0]) for question in questions for text in texts]
    assert answers == alone * 3
