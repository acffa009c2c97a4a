"""The page of `serve` in Chromium, with a real server. `make browser` runs these tests.

Without the packages playwright and fastapi or without Chromium they are skipped, unless
`BROWSER=required` is set, as `make browser` does.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

CHROMIUM = shutil.which("chromium")
TEXT = "Elena Marchetti left Trieste. 🙂 Bo Lindqvist came to Uppsala."

pytestmark = pytest.mark.slow


def skip_or_fail(missing):
    if os.environ.get("BROWSER") == "required":
        pytest.fail(f"{missing} must be installed")
    pytest.skip(f"{missing} is not installed")


@pytest.fixture(scope="module")
def browser():
    """Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        skip_or_fail("playwright")
    if not CHROMIUM:
        skip_or_fail("chromium")
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []  # it needs another user than root
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


class Server:
    """A server in a process of its own."""

    def __init__(self, *options, **environment):
        command = [sys.executable, "-m", "gliner_distill", "serve", "--port", "0", "--threads", "1"]
        self.process = subprocess.Popen(
            [*command, *map(str, options)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line
        self.address = found[0]

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def server(browser):
    """A server with the bundled student."""
    pytest.importorskip("fastapi")
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def page(browser, server):
    """The page with its first answer; a test fails if the page had an error of JavaScript."""
    yield from open_page(browser, server.address)


def open_page(browser, address, **options):
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(60_000)
    failures = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(address)
    page.wait_for_selector("mark")
    wait_for_answers(page)
    yield page
    context.close()
    assert failures == []


def ask(page, text, *labels):
    """Write a text and labels, and wait for the answer."""
    while page.locator("#labels li").count():
        page.locator("#labels [data-do=remove]").first.click()
    for label in labels:
        page.fill("#new-label", label)
        page.keyboard.press("Enter")
    page.fill("#text", text)
    page.click("#find")
    wait_for_answers(page)


def wait_for_answers(page):
    """Wait until the answers for all steps of the slider are there."""
    page.wait_for_selector("body[data-state=ready]")


def found(page):
    """Return the texts and labels of the marks."""
    return page.locator("mark").evaluate_all(
        "marks => marks.map((m) => [m.firstChild.textContent, "
        "m.querySelector(':scope > .label').textContent])"
    )


class TestAsking:
    def test_the_first_example_is_answered_at_once(self, page):
        assert ["Elena Marchetti", "person"] in found(page)
        assert re.search(r"words in [\d.]+ ms", page.inner_text("#status"))

    def test_offsets_behind_an_emoji_are_right(self, page):
        ask(page, TEXT, "person", "city")
        assert ["Bo Lindqvist", "person"] in found(page)
        assert ["Uppsala", "city"] in found(page)

    def test_the_answer_is_that_of_the_runtime(self, page):
        from gliner_distill import StudentNER

        ask(page, TEXT, "person", "city")
        page.click("[data-view=json]")
        shown = json.loads(page.inner_text("#columns pre").replace("\u00a0", " "))
        expected = StudentNER.from_pretrained().predict_entities(TEXT, ["person", "city"])
        assert [(e["text"], e["label"], e["score"]) for e in shown] == [
            (e["text"], e["label"], e["score"]) for e in expected
        ]

    def test_every_example_has_entities(self, page):
        options = page.locator("#examples option").evaluate_all("all => all.map((o) => o.value)")
        assert len(options) == 11
        for value in options[1:]:
            page.select_option("#examples", value)
            wait_for_answers(page)
            assert found(page)

    def test_a_long_text_is_shown_in_part_and_then_as_a_whole(self, page):
        text = " ".join(f"{TEXT} Number {number}." for number in range(1000))
        ask(page, text, "person", "city")
        assert page.locator("mark").count() < 4 * 1000
        page.get_by_role("button", name=re.compile("Show the other")).click()
        assert page.locator("mark").count() >= 2000
        assert "Number 999." in page.inner_text("#columns")

    def test_a_file_is_read(self, page, tmp_path):
        (tmp_path / "letter.txt").write_text(TEXT)
        page.set_input_files("#file", tmp_path / "letter.txt")
        page.locator("#columns").get_by_text("Uppsala").first.wait_for()

    def test_a_dropped_file_is_read(self, page):
        page.evaluate(
            """text => {
              const data = new DataTransfer();
              data.items.add(new File([text], "a.txt", { type: "text/plain" }));
              document.body.dispatchEvent(
                new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
            }""",
            TEXT,
        )
        page.locator("#columns").get_by_text("Uppsala").first.wait_for()

    def test_nothing_to_ask_is_said(self, page):
        page.fill("#text", "")
        page.click("#find")
        assert "Choose an example" in page.inner_text("#status")
        assert page.locator("mark").count() == 0
        assert page.is_disabled("#copy")


class TestLabels:
    def test_labels_are_added_moved_described_and_removed(self, page):
        page.fill("#new-label", "job title, skill")
        page.keyboard.press("Enter")
        names = page.locator("#labels .name")
        assert names.all_inner_texts()[-2:] == ["job title", "skill"]
        page.get_by_role("button", name="Move to the left: skill").click()
        assert names.all_inner_texts()[-2:] == ["skill", "job title"]
        page.get_by_role("button", name="Describe: skill").click()
        page.keyboard.type("something a person can do")
        # A request for the changes before may come first.
        with page.expect_request(
            lambda sent: "something a person" in (sent.post_data or "")
        ) as sent:
            page.keyboard.press("Enter")
        assert sent.value.url.endswith("/v1/entities")
        assert sent.value.post_data_json["labels"]["skill"] == "something a person can do"
        assert "skill: something a person can do" in names.all_inner_texts()
        page.get_by_role("button", name="Remove: job title").click()
        assert "job title" not in names.all_inner_texts()

    def test_a_label_is_dragged_to_another_place(self, page):
        chips = page.locator("#labels li")
        chips.nth(3).drag_to(chips.nth(0))
        assert page.locator("#labels .name").all_inner_texts() == [
            *("date", "person", "city", "organization")
        ]

    def test_a_label_in_another_spelling_is_not_added_twice(self, page):
        before = page.locator("#labels li").count()
        page.fill("#new-label", "Person")
        page.keyboard.press("Enter")
        assert page.locator("#labels li").count() == before


class TestThreshold:
    def test_the_slider_filters_without_a_request(self, page):
        ask(page, TEXT, "person", "city")
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        page.fill("#threshold", "0.95")
        few = page.locator("mark").count()
        page.fill("#threshold", "0.05")
        many = page.locator("mark").count()
        page.wait_for_timeout(600)
        assert few < many
        assert requests == []
        assert page.inner_text("#threshold-value") == "0.05"

    def test_each_step_has_the_answer_of_the_runtime(self, page):
        from gliner_distill import StudentNER

        student = StudentNER.from_pretrained()
        labels = ["person", "politician", "city", "place"]
        ask(page, TEXT, *labels)
        for threshold in (0.1, 0.3, 0.7):
            page.fill("#threshold", str(threshold))
            expected = student.predict_entities(TEXT, labels, threshold=threshold)
            assert found(page) == [[e["text"], e["label"]] for e in expected]


class TestViews:
    def test_nested_entities_are_marks_inside_marks(self, page):
        ask(page, "She works at the University of Trieste.", "organization", "city")
        page.fill("#threshold", "0.05")
        page.check("#nested")
        page.wait_for_selector("mark mark")
        assert page.locator("mark mark > .label").first.inner_text() == "city"

    def test_several_labels_may_have_one_place(self, page):
        ask(page, "Elena Marchetti left.", "person", "woman")
        page.fill("#threshold", "0.05")
        page.check("#several")
        page.wait_for_selector("mark mark")

    def test_label_and_score_appear_on_focus(self, page):
        mark = page.locator("mark").first
        mark.focus()
        assert re.fullmatch(r"person, score [01]\.\d\d", mark.locator("> .score").inner_text())
        assert re.fullmatch(
            r"Elena Marchetti: person, score [01]\.\d\d", mark.get_attribute("aria-label")
        )

    def test_the_table_has_a_row_per_entity(self, page):
        n_marks = page.locator("mark").count()
        page.click("[data-view=table]")
        assert page.locator("#columns tbody tr").count() == n_marks
        assert page.get_attribute("[data-view=table]", "aria-pressed") == "true"

    def test_downloads_hold_the_entities(self, page):
        with page.expect_download() as download:
            page.click("#download")
        rows = json.loads(download.value.path().read_text())
        assert {"start", "end", "text", "label", "score"} == set(rows[0])
        with page.expect_download() as download:
            page.click("#download-csv")
        assert download.value.path().read_text().startswith("text,label,score,start,end")

    def test_entities_are_copied(self, browser, server):
        permissions = ["clipboard-read", "clipboard-write"]
        for page in open_page(browser, server.address, permissions=permissions):
            page.click("#copy")
            page.get_by_text("Copied.", exact=True).wait_for()
            copied = page.evaluate("navigator.clipboard.readText()")
            assert json.loads(copied)[0]["label"] == "person"

    def test_texts_are_never_html(self, page):
        ask(page, "<img src=x onerror=alert(1)> Elena Marchetti <b>left</b>.", "person", "<i>x</i>")
        assert page.locator("#columns img, #columns b, #labels i").count() == 0
        assert "<b>left</b>" in page.inner_text("#columns")

    def test_the_page_fits_a_phone_and_follows_dark_mode(self, browser, server):
        options = {"viewport": {"width": 360, "height": 700}, "color_scheme": "dark"}
        for page in open_page(browser, server.address, **options):
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
            color = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert color == "rgb(20, 23, 26)"

    def test_everything_is_reached_with_the_keyboard(self, page):
        page.focus("#examples")
        reached = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.add(
                page.evaluate(
                    "document.activeElement.id || document.activeElement.dataset.do || "
                    "document.activeElement.dataset.view || document.activeElement.tagName"
                )
            )
        assert reached >= {
            *("file", "text", "right", "describe", "remove", "new-label", "threshold", "nested"),
            *("several", "find", "text", "table", "json", "copy", "download", "MARK"),
        }


class TestTrouble:
    def test_what_the_server_refuses_is_shown(self, page):
        page.fill("#new-label", "x" * 2000)
        page.keyboard.press("Enter")
        page.fill("#text", "a " * 600_000)
        page.click("#find")
        page.wait_for_selector("#error:not([hidden])")
        assert "The server refuses this" in page.inner_text("#error")
        assert found(page) == []
        assert page.is_disabled("#download")

    def test_a_server_that_goes_away_is_noticed_and_comes_back(self, browser):
        server = Server()
        port = server.address.rpartition(":")[2]
        for page in open_page(browser, server.address):
            server.stop()
            page.click("#find")
            page.wait_for_selector("#error:not([hidden])")
            assert "does not answer" in page.inner_text("#error")
            server = Server("--port", port)
            page.click("#find")
            page.wait_for_selector("#error", state="hidden")
        server.stop()

    def test_a_server_with_a_key_asks_for_it(self, browser):
        key = "a-key-of-sixteen-signs"
        server = Server(GLINER_DISTILL_API_KEY=key)
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.address)
        page.wait_for_selector("#key-form:not([hidden])")
        page.fill("#key", key)
        page.keyboard.press("Enter")
        page.wait_for_selector("mark")
        context.close()
        server.stop()
