"""The site of `export --format web` in Chromium. `make browser` runs these tests.

Without the package playwright or without Chromium they are skipped, unless `BROWSER=required` is
set, as `make browser` does.
"""

import functools
import http.server
import json
import os
import shutil
import threading
from pathlib import Path

import pytest

import web_cases
from gliner_distill.runtime.bundle import quantize_weights, read_bundle
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.web.site import write_site

CHROMIUM = shutil.which("chromium")
MOST_BYTES = 7_500_000
CASES = Path(__file__).parents[1] / "node" / "cases.mjs"
EXAMPLE = Path(__file__).parents[3] / "examples" / "browser_page"
ANSWER = """
async (cases) => {
  const { answerAll } = await import("/cases.mjs");
  const answers = await answerAll(new URL("/gliner-distill/", location), "/student", cases);
  return JSON.stringify(answers);
}
"""

pytestmark = pytest.mark.slow


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Keep the log of the tests free of requests."""


@pytest.fixture(scope="module")
def bundle():
    return quantize_weights(read_bundle(bundled_student_path()))


@pytest.fixture(scope="module")
def site(bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser") / "site"
    write_site(folder, bundle, [], name="bundled")
    shutil.copy(CASES, folder)
    for path in EXAMPLE.glob("entities.*"):
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def server(site):
    handler = functools.partial(Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        sync_playwright = None
    missing = "playwright" if sync_playwright is None else "chromium" if not CHROMIUM else None
    if missing and os.environ.get("BROWSER") == "required":
        pytest.fail(f"{missing} must be installed")
    if missing:
        pytest.skip(f"{missing} is not installed")
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []  # it needs another user than root
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server):
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(60_000)
    failures = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("console", lambda message: message.type == "error" and failures.append(message.text))
    page.address = f"http://127.0.0.1:{server.server_port}/"
    page.expects_failures = False
    yield page
    context.close()
    assert page.expects_failures or failures == []


# Waiting for a function would need `eval`, which the page's security policy forbids.
def wait_for_answer(page):
    page.locator("body[data-state=ready]").wait_for()


def wait_for_service_worker(page):
    page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    while page.evaluate("() => navigator.serviceWorker.controller?.state") != "activated":
        page.wait_for_timeout(20)


def marks(page):
    return page.locator("mark").evaluate_all(
        "all => all.map((mark) => [mark.firstChild.textContent, "
        "mark.querySelector('.label').textContent])"
    )


def test_words_pieces_and_labels_equal_those_of_python(page, bundle):
    splits = web_cases.make_splits()
    labels = splits[: web_cases.N_TEXTS // 2]
    page.goto(page.address)
    cases = web_cases.as_json(splits=splits, labels=labels)
    found = json.loads(evaluate(page, cases))
    expected = web_cases.expected_splits(bundle.vocabulary, splits)
    assert web_cases.first_difference(expected, found["splits"]) is None
    expected = web_cases.expected_labels(bundle.vocabulary, labels)
    assert web_cases.first_difference(expected, found["labels"]) is None


def test_entities_and_scores_equal_those_of_python_to_the_last_bit(page, bundle):
    calls = web_cases.make_calls()
    page.goto(page.address)
    found = json.loads(evaluate(page, web_cases.as_json(calls=calls)))["calls"]
    expected = web_cases.expected_calls(StudentNER(bundle), calls)
    for number, (ours, theirs) in enumerate(zip(expected, found, strict=True)):
        assert web_cases.first_difference(ours, theirs) is None, number


def evaluate(page, cases):
    # Given as JSON, since playwright itself cannot pass half of a surrogate pair.
    return page.evaluate(f"(text) => ({ANSWER})(JSON.parse(text))", json.dumps(cases))


def test_page_shows_entities_and_answers_every_change(page):
    page.goto(page.address)
    wait_for_answer(page)
    assert ["Elena Marchetti", "person"] in marks(page)
    assert "stays in this browser" in page.inner_text("header")
    page.fill("#text", "\U0001f642 Ada Lovelace lived in London.")
    page.locator("mark", has_text="Ada Lovelace").wait_for()
    wait_for_answer(page)
    assert marks(page) == [["Ada Lovelace", "person"], ["London", "city"]]


def test_slider_has_the_answers_of_python_for_each_step(page, bundle):
    text = "Elena Marchetti left Trieste for the University of Uppsala."
    page.goto(page.address)
    page.fill("#text", text)
    page.locator("mark", has_text="Uppsala").wait_for()
    wait_for_answer(page)
    labels = ["person", "city", "organization", "date"]
    for threshold in (0.1, 0.5, 0.9):
        page.fill("#threshold", str(threshold))
        expected = StudentNER(bundle).predict_entities(text, labels, threshold=threshold)
        assert marks(page) == [[entity["text"], entity["label"]] for entity in expected]


def test_site_works_without_a_network_after_the_first_visit(page, server):
    page.goto(page.address)
    wait_for_answer(page)
    wait_for_service_worker(page)
    # Without a network, the browser reports that it cannot look for a newer service worker.
    page.expects_failures = True
    server.shutdown()
    server.server_close()
    page.reload()
    wait_for_answer(page)
    assert ["Elena Marchetti", "person"] in marks(page)


def test_first_visit_loads_at_most_seven_and_a_half_megabytes(page):
    sizes = {}
    page.on("response", lambda answer: sizes.update({answer.url: answer.headers["content-length"]}))
    page.goto(page.address)
    wait_for_answer(page)
    wait_for_service_worker(page)
    assert sum(map(int, sizes.values())) <= MOST_BYTES
    assert any(url.endswith("weights.safetensors") for url in sizes)


@pytest.mark.skipif(
    not EXAMPLE.is_dir(), reason="the examples are in the repository, not in the package"
)
def test_page_of_the_examples_marks_entities_and_shows_markup_as_text(page):
    page.goto(page.address + "entities.html")
    page.locator("mark", has_text="Lovelace").wait_for()
    text = "<b>Marie Curie</b> was born in Warsaw."
    page.locator("#text").fill(text)
    page.locator("mark", has_text="Warsaw").wait_for()
    assert page.locator("mark").all_text_contents() == ["Marie Curie", "Warsaw"]
    assert page.locator("#state").text_content() == "2 entities"
    assert page.locator("#answer b").count() == 0
    assert page.locator("#answer").text_content().startswith("<b>Marie Curie (person)</b>")
    page.locator("#labels").fill("")
    page.locator("#state", has_text="0 entities").wait_for()
    assert page.locator("#answer").text_content() == text
