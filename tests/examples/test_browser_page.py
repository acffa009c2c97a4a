"""The browser page of the examples, run in Node on a written site, with stand-ins for elements."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gliner_distill.runtime.bundle import quantize_weights, read_bundle
from gliner_distill.runtime.locate import bundled_student_path
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.web.site import write_site

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "browser_page"
NODE = shutil.which("node")

# It prints the texts of the state and the answer after each step.
RUN = """
import { StudentNER } from "./gliner-distill/index.js";
import { connect, readLabels } from "./entities.js";

globalThis.document = { createElement: (name) => ({ name }) };
class Field {
  listeners = [];
  constructor(value) { this.value = value; }
  addEventListener(kind, listener) { this.listeners.push([kind, listener]); }
  type(value) { this.value = value; for (const [, listener] of this.listeners) listener(); }
}
const student = await StudentNER.load("./student");
let fails = false;
const engine = {
  async find(text, labels) {
    if (fails) throw new Error("no memory");
    return { entities: student.predictEntities(text, labels) };
  },
};
const text = new Field("Ada Lovelace lived in London.");
const labels = new Field("person, city");
const state = {};
const answer = { replaceChildren(...nodes) { this.nodes = nodes; } };
const steps = [];
const note = () => steps.push([state.textContent, answer.nodes]);
const pause = () => new Promise((done) => setTimeout(done, 300));

await connect(engine, { text, labels, answer, state }, 10);
note();
text.type("<b>Marie Curie</b> left \\u{1f642} Warsaw.");
await pause();
note();
labels.type("city, , city");
await pause();
note();
labels.type(" ");
await pause();
note();
fails = true;
labels.type("person");
await pause();
note();
console.log(JSON.stringify([steps, readLabels(" a b ,c,,a b")]));
"""

pytestmark = [
    pytest.mark.skipif(
        not FOLDER.is_dir(), reason="the examples are in the repository, not in the package"
    ),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser_page") / "site"
    write_site(folder, quantize_weights(read_bundle(bundled_student_path())), [], name="bundled")
    for path in FOLDER.iterdir():
        assert not (folder / path.name).exists()  # nothing of the site is replaced
        shutil.copy(path, folder)
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    (folder / "run.mjs").write_text(RUN, encoding="utf-8")
    return folder


def shown(nodes):
    """Return the nodes of an answer: strings, and the text of each mark in a list."""
    return [node if isinstance(node, str) else [node["textContent"]] for node in nodes]


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_page_shows_the_entities_of_the_student_as_text(site):
    done = subprocess.run(
        [NODE, "run.mjs"], cwd=site, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    steps, labels = json.loads(done.stdout)
    first, changed, one_label, no_label, failed = steps
    expected = StudentNER.from_pretrained(num_threads=1).predict_entities(
        "Ada Lovelace lived in London.", ["person", "city"]
    )
    assert [entity["text"] for entity in expected] == ["Ada Lovelace", "London"]
    assert first[0] == "2 entities"
    assert shown(first[1]) == [
        *("", ["Ada Lovelace"], " (person)", " lived in ", ["London"], " (city)", "."),
    ]
    assert first[1][1]["title"].startswith("person, score ")
    assert "".join(node for node in changed[1] if isinstance(node, str)).startswith("<b>")
    assert ["Warsaw"] in shown(changed[1])
    assert ["Marie Curie"] not in shown(one_label[1])
    assert no_label == ["0 entities", ["<b>Marie Curie</b> left \U0001f642 Warsaw."]]
    assert failed[0] == "Not found: no memory"
    assert labels == ["a b", "c"]


def test_page_has_the_elements_of_its_script_and_loads_nothing_from_elsewhere():
    page = (FOLDER / "entities.html").read_text(encoding="utf-8")
    script = (FOLDER / "entities.js").read_text(encoding="utf-8")
    for name in json.loads(re.search(r"const parts = (\[.*?\]);", script)[1]):
        assert f'id="{name}"' in page
    assert "://" not in page + script
    assert re.findall(r'src="(.*?)"', page) == ["entities.js"]
