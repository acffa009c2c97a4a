"""The application: requests as Label Studio 1.23.2 sent them, bad ones, and Label Studio itself.

`requests.jsonl` holds what the package `label-studio` sent to this backend in one session, byte for
byte, except that tokens are zeros. The last test repeats such a session with the package itself. It
needs an environment of its own, because its requirements contradict ours: put its `label-studio`
on the PATH, or its path into the environment variable LABEL_STUDIO.
"""

import json
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from command_line import MAIN
from distillation_world import LABELS, LEXICON, make_texts
from gliner_distill.corpus.reader import read_passages
from gliner_distill.entities import Entity
from gliner_distill.integrations.label_studio.app import MAX_TASKS, create_app
from gliner_distill.integrations.label_studio.gold import GoldFile
from gliner_distill.integrations.label_studio.predictions import Predictor

ROOT = Path(__file__).resolve().parents[3]
RECORDED = [
    json.loads(line)
    for line in (Path(__file__).parent / "requests.jsonl").read_text(encoding="utf-8").splitlines()
]
REQUESTS = {request["name"]: request for request in RECORDED}
HEADERS = {"Host": "localhost"}
KNOWN = {
    **dict.fromkeys(("Ada Lovelace", "Maren", "Bo"), "person"),
    **dict.fromkeys(("London", "York", "Kendal", "Paris", "Rome"), "city"),
}


class NameModel:
    """A model that knows some names."""

    def __init__(self, known=None):
        self._known = KNOWN if known is None else known

    def inference(
        self, texts, labels, flat_ner=True, threshold=0.5, multi_label=False, *, patterns
    ):
        return [
            [
                {
                    "start": match.start(),
                    "end": match.end(),
                    "text": match[0],
                    "label": self._known[match[0]],
                    "score": 0.9,
                }
                for match in re.finditer("|".join(self._known), text)
                if self._known[match[0]] in labels
            ]
            for text in texts
        ]


@pytest.fixture
def make_client(needs):
    """A function that returns a client of the application."""
    needs("httpx")
    needs("filelock")
    testclient = needs("fastapi.testclient")

    def make(model=None, **options):
        app = create_app(Predictor(model or NameModel(), version="names-1"), **options)
        # An error in the application becomes a response, as in a real server.
        return testclient.TestClient(app, raise_server_exceptions=False)

    return make


@pytest.fixture
def gold(needs, tmp_path):
    needs("filelock")
    return GoldFile(tmp_path / "gold.jsonl")


def replay(client, name):
    """Send a recorded request, and return the response."""
    request = REQUESTS[name]
    return client.request(
        request["method"],
        request["path"],
        content=request["body"].encode(),
        headers=request["headers"],
    )


def records_of(gold):
    return [json.loads(line) for line in gold.path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("request_", RECORDED, ids=lambda request: request["name"])
def test_recorded_request_has_the_length_that_it_says(request_):
    length = int(request_["headers"].get("content-length", 0))
    assert len(request_["body"].encode()) == length


def test_app_answers_health_setup_and_versions(make_client):
    client = make_client()
    health = replay(client, "health")
    assert (health.status_code, health.json()["status"]) == (200, "UP")
    setup = replay(client, "setup")
    assert (setup.status_code, setup.json()["model_version"]) == (200, "names-1")
    assert replay(client, "versions").json() == {"versions": ["names-1"]}


def test_app_refuses_a_project_without_labels_for_a_text(make_client):
    response = replay(make_client(), "setup of a project without texts")
    assert response.status_code == 422
    assert response.json()["field"] == "schema"


def test_app_answers_each_task_of_a_request(make_client):
    response = replay(make_client(), "predict")
    assert response.status_code == 200
    answer = response.json()
    assert answer["model_version"] == "names-1"
    spans = [
        [
            (region["value"]["start"], region["value"]["text"], *region["value"]["labels"])
            for region in result["result"]
        ]
        for result in answer["results"]
    ]
    assert spans == [
        [(0, "Ada Lovelace", "person"), (22, "London", "city")],
        [
            (2, "Maren", "person"),
            (13, "York", "city"),
            (23, "Bo", "person"),
            (36, "Kendal", "city"),
        ],
        [],
        [],
        [(12, "Paris", "city"), (31, "Rome", "city")],
    ]
    # The fourth text is the number 7.
    assert "data.text" in answer["results"][3]["error"]
    assert {region["from_name"] for result in answer["results"] for region in result["result"]} == {
        "label"
    }


def test_app_answers_an_interactive_request(make_client):
    [result] = replay(make_client(), "interactive").json()["results"]
    assert len(result["result"]) == 2


def test_app_keeps_the_annotations_of_a_session(make_client, gold):
    client = make_client(gold=gold)
    for name in ("tasks created", "training started"):
        assert replay(client, name).json()["status"] == "ignored"
    for name in ("annotation created", "second annotation created", "annotation updated"):
        assert replay(client, name).json() == {"status": "saved", "texts": 1}
    replay(client, "empty annotation created")
    assert replay(client, "task skipped").json()["status"] == "ignored"
    first, second, empty = read_passages(gold.path)
    assert first.entities == (Entity(0, 2, "person"),)
    assert second.entities == (Entity(1, 2, "person"), Entity(3, 4, "city"))
    assert empty.entities == ()
    # Somebody annotates the first text again, without entities, and deletes that.
    replay(client, "another annotation created")
    assert next(iter(read_passages(gold.path))).entities == ()
    assert replay(client, "annotation deleted").json() == {"status": "removed", "texts": 1}
    replay(client, "annotations deleted in the data manager")
    assert [passage.entities for passage in read_passages(gold.path)] == [
        first.entities,
        second.entities,
    ]


def test_app_keeps_an_annotation_once_if_it_is_sent_twice(make_client, gold):
    client = make_client(gold=gold)
    replay(client, "annotation created")
    before = gold.path.read_bytes()
    assert replay(client, "annotation created").status_code == 200
    assert gold.path.read_bytes() == before


def test_app_asks_for_credentials_as_label_studio_sends_them(make_client):
    client = make_client(credentials="ann:s3cret")
    assert replay(client, "health without credentials").status_code == 401
    assert replay(client, "health with credentials").status_code == 200
    assert replay(client, "annotation created").status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/predict", b"", "body"),
        ("/predict", b"[]", "body"),
        ("/predict", b"{}", "tasks"),
        ("/predict", b'{"tasks": {}}', "tasks"),
        ("/predict", b'{"tasks": [3]}', "tasks[0]"),
        ("/predict", b'{"tasks": []}', "label_config"),
        ("/predict", b'{"tasks": [], "label_config": "<View/>"}', "label_config"),
        ("/predict", json.dumps({"tasks": [{}] * (MAX_TASKS + 1)}).encode(), "tasks"),
        ("/setup", b"{}", "schema"),
        ("/setup", b'{"schema": null}', "schema"),
        ("/webhook", b'{"action": 1}', "action"),
    ],
)
def test_app_names_the_field_of_a_bad_request(make_client, path, body, field):
    headers = HEADERS | {"Content-Type": "application/json"}
    response = make_client().post(path, content=body, headers=headers)
    assert response.status_code == 422
    assert response.json()["field"] == field


def test_app_refuses_pages_of_a_browser(make_client):
    client = make_client()
    assert client.get("/health", headers={"Host": "evil.example"}).status_code == 400
    plain = HEADERS | {"Content-Type": "text/plain"}
    assert client.post("/webhook", content=b"{}", headers=plain).status_code == 415
    assert client.get("/docs", headers=HEADERS).status_code == 404


def test_app_logs_no_text(make_client, gold, caplog):
    client = make_client(gold=gold)
    bad = json.loads(REQUESTS["annotation created"]["body"])
    bad["annotation"]["result"][0]["value"]["text"] = "Somebody Else"
    with caplog.at_level(logging.DEBUG):
        replay(client, "predict")
        replay(client, "annotation created")
        refused = client.post("/webhook", json=bad, headers=HEADERS)
    assert (refused.status_code, refused.json()["field"]) == (422, "annotation.result")
    messages = [record.getMessage() for record in caplog.records if record.name[:6] == "gliner"]
    assert any("annotation.result" in message for message in messages)
    assert not any(word in " ".join(messages) for word in ("Ada", "Lovelace", "Somebody", "Maren"))


def test_app_says_if_the_file_cannot_be_written(make_client, gold):
    gold.path.mkdir()
    response = replay(make_client(gold=gold), "annotation created")
    assert response.status_code == 507
    assert str(gold.path) in response.json()["error"]


def annotate(client, number, text, config):
    """Submit what the model finds in a text, and "in" as a preposition beside it."""
    task = {"id": number, "data": {"text": text}}
    asked = client.post(
        "/predict", json={"tasks": [task], "label_config": config}, headers=HEADERS
    ).json()
    [prediction] = asked["results"]
    start = text.index(" in ") + 1
    value = {"start": start, "end": start + 2, "text": "in", "labels": ["preposition"]}
    added = {"from_name": "label", "to_name": "text", "type": "labels", "value": value}
    annotation = {
        "id": number,
        "result": [*prediction["result"], added],
        "was_cancelled": False,
        "updated_at": "2026-11-29T03:00:00Z",
    }
    event = {
        "action": "ANNOTATION_CREATED",
        "annotation": annotation,
        "task": task,
        "project": {"id": 1, "label_config": config},
    }
    assert client.post("/webhook", json=event, headers=HEADERS).json()["status"] == "saved"


@pytest.mark.slow
def test_corrections_are_gold_for_distill(
    make_client, gold, build_student, small_vocabulary, lexicon_teacher, tmp_path, monkeypatch
):
    from gliner_distill.distillation.job import DistillJob, DistillSettings
    from gliner_distill.distillation.pipeline import distill_from
    from gliner_distill.student.files import save_student

    monkeypatch.chdir(tmp_path)
    labels = LABELS | {"preposition": ""}
    inside = "".join(f'<Label value="{label}"/>' for label in labels)
    config = (
        f'<View><Labels name="label" toName="text">{inside}</Labels>'
        '<Text name="text" value="$text"/></View>'
    )
    client = make_client(NameModel(LEXICON), gold=gold)
    for number, text in enumerate(make_texts(20, first=1000)):
        annotate(client, number, text, config)
    start = tmp_path / "tiny_start"
    student = build_student(head="boundary", label_hidden_width=12)
    save_student(start, student, small_vocabulary, metadata={})
    settings = DistillSettings(
        epochs=2,
        learning_rate=0.02,
        precision="fp32",
        start=start,
        shard_passages=8,
        min_tuning_epochs=2,
        max_tuning_epochs=2,
        timed_words=20,
        timed_seconds=0.01,
    )
    job = DistillJob(make_texts(40), labels, gold=gold.path)
    distilled = distill_from(job, lexicon_teacher(LEXICON), Path("out"), settings=settings)
    measurements = distilled.measurements
    assert sum(measurements.gold_passages.values()) == 20
    # The teacher finds all names in the test passages, and none of the prepositions.
    teacher = measurements.gold.teacher
    n_missed = measurements.gold_passages["test"]
    assert teacher.precision == 1
    assert teacher.recall == pytest.approx(1 - n_missed / teacher.n_reference)


SIGN_IN = """
import re, sys, requests

url, mail, password = sys.argv[1:]
session = requests.Session()
page = session.get(f"{url}/user/login/").text
token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
form = {"email": mail, "password": password, "csrfmiddlewaretoken": token}
session.post(f"{url}/user/login/", data=form, headers={"Referer": url}).raise_for_status()
headers = {"X-CSRFToken": session.cookies["csrftoken"], "Referer": url}
answer = session.post(f"{url}/api/token/", headers=headers)
answer.raise_for_status()
print(answer.json()["token"])
"""

# Goes on where the program of the page ends.
ANNOTATE = """
import json

task = next(iter(studio.tasks.list(project=project.id, fields="all")))
studio.actions.create(
    id="retrieve_tasks_predictions",
    project=project.id,
    selected_items={"all": True, "excluded": []},
)
[prediction] = studio.predictions.list(task=task.id)
print(json.dumps(prediction.result))
annotation = studio.annotations.create(id=task.id, result=prediction.result[:1])
studio.annotations.update(id=annotation.id, result=prediction.result)
empty = studio.projects.import_tasks(
    id=project.id, request=[{"text": "Nobody came."}], return_task_ids=True
)
studio.annotations.create(id=empty.task_ids[0], result=[])
other = studio.annotations.create(id=task.id, result=[])
studio.annotations.delete(id=other.id)
"""


@pytest.fixture
def start():
    """A function that starts a process, which ends with the test."""
    started = []

    def start(command, **options):
        started.append(subprocess.Popen(command, text=True, **options))
        return started[-1]

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=60)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_for(url, process, n_seconds=1500):
    for _ in range(n_seconds):
        assert process.poll() is None
        try:
            return urlopen(url, timeout=5).close()
        except (URLError, TimeoutError):
            time.sleep(1)
    raise AssertionError(f"{url} does not answer")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_label_studio_itself_gets_predictions_and_sends_annotations(needs, start, tmp_path):
    program = shutil.which(os.environ.get("LABEL_STUDIO", "label-studio"))
    if program is None:
        pytest.skip("label-studio is not on the PATH; it needs an environment of its own")
    needs("uvicorn")
    gold = tmp_path / "gold.jsonl"
    command = [sys.executable, "-c", MAIN, "label-studio", "--gold", str(gold), "--port", "0"]
    backend = start(command, stdout=subprocess.PIPE)
    backend_url = backend.stdout.readline().split()[-1]
    port = free_port()
    url, mail, password = f"http://127.0.0.1:{port}", "ann@example.com", "not-a-secret-1"
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        "USE_DEFAULT_BANNED_SUBNETS": "false",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        # A busy machine may need longer than the second that is the default.
        **dict.fromkeys(("ML_TIMEOUT_HEALTH", "ML_TIMEOUT_SETUP", "WEBHOOK_TIMEOUT"), "60"),
    }
    options = [
        *("--no-browser", "--internal-host", "127.0.0.1", "--host", url, "--port", str(port)),
        *("--data-dir", str(tmp_path / "studio"), "--username", mail, "--password", password),
    ]
    with (tmp_path / "studio.log").open("w", encoding="utf-8") as log:
        studio = start([program, "start", *options], env=environment, stdout=log, stderr=log)
    wait_for(f"{url}/health", studio)

    def run(script, *args, **more):
        python = Path(program).resolve().parent / "python"
        done = subprocess.run(
            [python, "-c", script, *args],
            env=environment | more,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    key = run(SIGN_IN, url, mail, password).strip()
    page = (ROOT / "docs" / "integrations" / "label_studio.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    addresses = {"LABEL_STUDIO_URL": url, "BACKEND_URL": backend_url}
    shown = run(example + ANNOTATE, **addresses, LABEL_STUDIO_API_KEY=key)
    regions = json.loads(shown.splitlines()[-1])
    assert [region["value"]["text"] for region in regions] == ["Ada Lovelace", "London"]
    first, second = read_passages(gold)
    assert first.entities == (Entity(0, 2, "person"), Entity(4, 5, "city"))
    assert second.entities == ()
