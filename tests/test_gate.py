"""GLiNERs that would run code, or that cannot be read safely, are refused before anything loads."""

import io
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from command_line import assert_fails, make_passages, write_corpus
from gliner_distill.errors import TeacherError
from gliner_distill.gate import (
    GLINER_CONFIG,
    MAX_TEXT_BYTES,
    check_gliner,
    check_gliner_settings,
    no_foreign_code,
)
from stand_in_hub import Client, running_hub

REAL_TEACHER = Path(__file__).resolve().parents[2] / "shared" / "teacher"
ENCODER = {"model_type": "bert", "hidden_size": 8}
CODE = """
from pathlib import Path
Path(__file__).with_name("code-ran").touch()
Path({marker!r}).touch()
raise RuntimeError("the code ran")
"""


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def edit(path, **fields):
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return write(path, content | fields)


@pytest.fixture
def folder(tmp_path):
    """A folder that looks like a GLiNER's from outside."""
    folder = tmp_path / "gliner"
    write(folder / GLINER_CONFIG, {"model_name": "tiny", "encoder_config": ENCODER})
    write(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer"})
    write(folder / "tokenizer.json", {"model": {"vocab": {"auto_map": 7, "model_type": 8}}})
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture(scope="session")
def own_code(tmp_path_factory):
    """A function that adds Python to a folder, and returns the `auto_map` of it and its traces."""
    outside = tmp_path_factory.mktemp("outside") / "code-ran"

    def add(folder):
        (folder / "evil.py").write_text(CODE.format(marker=str(outside)), encoding="utf-8")
        names = ("AutoConfig", "AutoModel", "AutoTokenizer")
        auto_map = dict.fromkeys(names, "evil.Evil") | {"AutoTokenizer": [None, "evil.Evil"]}
        return auto_map, (outside, folder / "code-ran")

    return add


class TestCheckGliner:
    def test_check_gliner_accepts_known_settings(self, folder):
        check_gliner(folder, name="mine")

    @pytest.mark.parametrize("name", [None, "gliner", "gliner_uni_encoder_span", "anything"])
    def test_check_gliner_ignores_the_model_type_of_the_gliner_itself(self, folder, name):
        edit(folder / GLINER_CONFIG, model_type=name)
        write(folder / "config.json", {"model_type": name})
        check_gliner(folder, name="mine")

    @pytest.mark.parametrize("key", ["auto_map", "custom_pipelines"])
    @pytest.mark.parametrize(
        "file",
        [
            *(GLINER_CONFIG, "config.json", "tokenizer_config.json", "tokenizer.json"),
            *("labels_tokenizer/tokenizer_config.json", "anything.json", "CONFIG.JSON"),
        ],
    )
    @pytest.mark.parametrize("value", [{"AutoModel": "evil.Evil"}, "evil.Evil", [], None])
    def test_check_gliner_refuses_code_in_every_json_file(self, folder, key, file, value):
        edit(folder / file, **{key: value})
        with pytest.raises(TeacherError) as caught:
            check_gliner(folder, name="mine")
        assert str(caught.value).startswith(f"mine: {file}: field '{key}' ")
        assert repr(value)[:50] in str(caught.value)

    def test_check_gliner_refuses_code_at_any_depth(self, folder):
        deep = {"auto_map": {"AutoModel": "evil.Evil"}}
        for place in ("text_config", "parts"):
            deep = {place: [1, deep]}
        edit(folder / GLINER_CONFIG, encoder_config=ENCODER | deep)
        with pytest.raises(TeacherError, match=r"encoder_config\.parts\.text_config\.auto_map"):
            check_gliner(folder, name="mine")

    def test_check_gliner_refuses_a_kernel_from_the_hub(self, folder):
        edit(folder / GLINER_CONFIG, encoder_config=ENCODER | {"attn_implementation": "me/kernel"})
        with pytest.raises(TeacherError, match=r"encoder_config\.attn_implementation.*me/kernel"):
            check_gliner(folder, name="mine")
        edit(folder / GLINER_CONFIG, encoder_config=ENCODER | {"attn_implementation": "sdpa"})
        check_gliner(folder, name="mine")

    def test_check_gliner_refuses_the_configuration_of_a_backbone_from_the_hub(self, folder):
        backbone = {"model_type": "detr", "backbone": "evil/repo", "use_timm_backbone": False}
        edit(folder / GLINER_CONFIG, encoder_config=ENCODER | {"sub": backbone})
        with pytest.raises(TeacherError, match=r"encoder_config\.sub\.backbone.*evil/repo"):
            check_gliner(folder, name="mine")

    @pytest.mark.slow
    @pytest.mark.parametrize("place", ["encoder_config", "labels_encoder_config", "decoder_config"])
    def test_check_gliner_refuses_an_encoder_that_transformers_lacks(self, folder, place):
        edit(folder / GLINER_CONFIG, **{place: {"sub": {"model_type": "new-impl"}}})
        with pytest.raises(TeacherError, match=rf"{place}\.sub\.model_type.*'new-impl'.*transform"):
            check_gliner(folder, name="mine")

    def test_check_gliner_accepts_the_encoder_of_gliner_itself(self, folder):
        edit(folder / GLINER_CONFIG, span_encoder_config={"model_type": "rnn"})
        check_gliner(folder, name="mine")

    def test_check_gliner_refuses_a_pipe_and_a_device(self, folder):
        for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
            for name in ("config.json", "vocab.txt", "model.safetensors"):
                path = folder / name
                path.unlink(missing_ok=True)
                make(path)
                with pytest.raises(TeacherError, match=rf"mine: {name}: .*not a regular file"):
                    check_gliner(folder, name="mine")
                path.unlink()
                (folder / "model.safetensors").touch()

    def test_check_gliner_refuses_a_file_that_is_too_large_without_reading_it(self, folder):
        with (folder / "vocab.json").open("wb") as stream:
            stream.truncate(MAX_TEXT_BYTES + 1)
        with pytest.raises(TeacherError, match=r"vocab\.json: .* 64,000,001 bytes.*64,000,000"):
            check_gliner(folder, name="mine")

    @pytest.mark.parametrize(
        "content",
        [b"{", b"", b"\xff\xfe{\x00}\x00", b"[" * 200_000, b'{"a":' * 5_000 + b"}" * 5_000],
    )
    def test_check_gliner_refuses_what_it_cannot_check(self, folder, content):
        (folder / "config.json").write_bytes(content)
        with pytest.raises(TeacherError, match=r"mine: config\.json: .*(JSON|nested)"):
            check_gliner(folder, name="mine")

    @pytest.mark.parametrize("content", [[], "text", None])
    def test_check_gliner_refuses_a_configuration_that_is_not_an_object(self, folder, content):
        write(folder / GLINER_CONFIG, content)
        with pytest.raises(TeacherError, match=rf"mine: {GLINER_CONFIG} .*object"):
            check_gliner(folder, name="mine")


class TestEncoder:
    @pytest.mark.parametrize("field", ["model_name", "labels_encoder", "labels_decoder"])
    @pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
    def test_check_gliner_checks_the_folder_of_an_encoder(self, folder, tmp_path, field, file):
        encoder = tmp_path / "encoder"
        write(encoder / file, {"auto_map": {"AutoConfig": "evil.Evil"}})
        edit(folder / GLINER_CONFIG, **{field: str(encoder)})
        with pytest.raises(TeacherError, match=rf"mine: {field} .*{file}: .*auto_map"):
            check_gliner(folder, name="mine")

    @pytest.mark.slow
    def test_check_gliner_refuses_an_encoder_folder_of_an_unknown_kind(self, folder, tmp_path):
        write(tmp_path / "encoder" / "config.json", {"model_type": "new-impl"})
        edit(folder / GLINER_CONFIG, model_name=str(tmp_path / "encoder"))
        with pytest.raises(TeacherError, match=r"config\.json: field 'model_type' is 'new-impl'"):
            check_gliner(folder, name="mine")

    @pytest.mark.parametrize(
        "name", ["", "no\0thing", "x" * 5000, "me/never-downloaded", "bert-nowhere", "a/b/c/d"]
    )
    def test_check_gliner_accepts_an_encoder_that_is_not_on_this_machine(self, folder, name):
        edit(folder / GLINER_CONFIG, model_name=name)
        check_gliner(folder, name="mine")

    @pytest.mark.parametrize("value", [["a"], 3, {"a": 1}])
    def test_check_gliner_refuses_an_encoder_that_is_not_a_name(self, folder, value):
        edit(folder / GLINER_CONFIG, labels_encoder=value)
        with pytest.raises(TeacherError, match=r"gliner_config\.json: field 'labels_encoder'"):
            check_gliner(folder, name="mine")


@pytest.mark.slow
class TestNoForeignCode:
    @pytest.mark.parametrize("is_trusted", [None, True])
    def test_no_foreign_code_runs_nothing_and_asks_nothing(
        self, tmp_path, own_code, monkeypatch, is_trusted
    ):
        from transformers import AutoConfig

        auto_map, traces = own_code(tmp_path)
        write(tmp_path / "config.json", {"model_type": "none", "auto_map": auto_map})
        monkeypatch.setattr("builtins.input", Unread().read)
        with (
            no_foreign_code(),
            pytest.raises((TeacherError, ValueError), match=r"evil\.py|custom code"),
        ):
            AutoConfig.from_pretrained(tmp_path, trust_remote_code=is_trusted)
        assert not any(trace.exists() for trace in traces)

    def test_no_foreign_code_uses_no_network_and_gives_it_back(self):
        from huggingface_hub import is_offline_mode
        from transformers import dynamic_module_utils

        before = vars(dynamic_module_utils).copy(), is_offline_mode()
        with no_foreign_code():
            assert is_offline_mode()
        assert (vars(dynamic_module_utils), is_offline_mode()) == before


GOOD = {
    GLINER_CONFIG: json.dumps({"model_name": "me/encoder", "encoder_config": ENCODER}).encode(),
    "model.safetensors": b"weights",
}
EVIL = {"config.json": b'{"model_type": "bert", "auto_map": {"AutoConfig": "evil.Evil"}}'}
IMPORTS = """
import logging
from gliner_distill.errors import DistillError
from gliner_distill.evaluation.models import load_model
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.runtime.locate import locate_model
from gliner_distill.teacher.loading import load_gliner

def message(call, *arguments):
    try:
        return f"loaded {call(*arguments)}"
    except DistillError as error:
        return f"{type(error).__name__}: {error}"
"""


class TestHub:
    """Models of a stand-in for the hub; each call runs in its own process."""

    pytestmark = pytest.mark.slow

    @pytest.fixture
    def hub(self):
        repos = {
            "models/me/good": GOOD,
            "models/me/evil": GOOD | EVIL,
            "models/me/large": GOOD | {"vocab.json": b"{}"},
            "models/me/encoder": EVIL,
            "models/me/pickled": {GLINER_CONFIG: GOOD[GLINER_CONFIG], "pytorch_model.bin": b"x"},
        }
        with running_hub(repos) as hub:
            hub.claimed_sizes["vocab.json"] = MAX_TEXT_BYTES + 1
            yield hub

    @pytest.fixture
    def client(self, hub, tmp_path):
        return Client(tmp_path / "home", hub.endpoint, IMPORTS)

    @pytest.mark.parametrize("call", ["load_model", "load_gliner"])
    def test_hub_model_with_code_is_refused_before_its_weights_are_downloaded(
        self, hub, client, call
    ):
        said = client.call(f"message({call}, 'me/evil')")
        assert said.startswith("TeacherError: me/evil: config.json: field 'auto_map' ")
        assert any(request.endswith("config.json") for request in hub.requests)
        assert not any("model.safetensors" in request for request in hub.requests)

    def test_hub_model_with_a_large_file_is_refused_before_anything_is_downloaded(
        self, hub, client
    ):
        said = client.call("message(load_model, 'me/large')")
        for fact in ("me/large", "vocab.json", "64,000,001", "64,000,000"):
            assert fact in said
        assert all("/resolve/" not in request for request in hub.requests)

    @pytest.mark.parametrize("name", ["me/good", "me/pickled"])
    def test_hub_gliner_is_told_and_refused_where_only_a_student_will_do(self, hub, client, name):
        said = client.call(f"message(StudentNER.from_pretrained, {name!r})")
        assert said.startswith(f"StudentError: {name}: this is a GLiNER, not a student")
        assert f"distill(texts, labels, teacher='{name}')" in said
        assert "StudentNER.from_pretrained()" in said
        weights = ("model.safetensors", "pytorch_model.bin")
        assert not any(request.endswith(weights) for request in hub.requests)

    def test_hub_gliner_is_told_where_a_student_may_be_expected(self, client):
        told = "(logging.basicConfig(stream=__import__('sys').stdout), locate_model('me/good'))[1]"
        said = client.call(f"{told}.kind", n_lines=2)
        assert "me/good: " in said.splitlines()[0]
        assert "GLiNER, not a student" in said.splitlines()[0]
        assert said.splitlines()[1] == "gliner"

    def test_hub_encoder_in_the_cache_is_checked(self, client, folder):
        edit(folder / GLINER_CONFIG, model_name="me/encoder")
        fetch = "__import__('huggingface_hub').hf_hub_download('me/encoder', 'config.json')"
        said = client.call(f"({fetch}, message(load_gliner, {str(folder)!r}))[1]")
        for fact in (str(folder), "model_name 'me/encoder'", "config.json", "auto_map"):
            assert fact in said


@pytest.fixture
def corpus_and_store(tmp_path, make_store, five_passages, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_store(tmp_path / "store", five_passages)
    write_corpus("corpus.json", make_passages())
    texts = "\n\n".join(f"text {number} is in paris" for number in range(60))
    Path("texts.txt").write_text(texts, encoding="utf-8")
    Path("labels.txt").write_text("city\n", encoding="utf-8")


COMMANDS = {
    "predict": ("predict", "-", "-l", "city", "-m", "MODEL"),
    "redact": ("redact", "-", "-m", "MODEL"),
    "evaluate": ("evaluate", "MODEL", "corpus.json"),
    "bench": ("bench", "MODEL"),
    "label": ("label", "corpus.json", "--teacher", "MODEL", "--out", "new"),
    "distill": (
        *("distill", "texts.txt", "--labels", "labels.txt"),
        *("--teacher", "MODEL", "--out", "new"),
    ),
    "train": (*("train", "store", "--out", "new", "--feature-weight", "1", "--teacher", "MODEL"),),
    "reproduce": (
        *("reproduce", "--data", "corpus.json", "--train", "10", "--test", "5"),
        *("--teacher", "MODEL", "--out", "new"),
    ),
}


class Unread(io.BytesIO):
    """Standard input that must not be read."""

    def read(self, *_):
        raise AssertionError("standard input was read")

    read1 = readline = readinto = read


@pytest.mark.slow
class TestCommandLine:
    @pytest.mark.parametrize("command", COMMANDS)
    @pytest.mark.parametrize("file", [GLINER_CONFIG, "config.json", "tokenizer_config.json"])
    def test_command_never_runs_code_of_a_gliner_nor_asks_for_it(
        self, command, file, gliner_folder, own_code, corpus_and_store, run_cli, monkeypatch
    ):
        folder = shutil.copytree(gliner_folder, "hostile")
        auto_map, traces = own_code(Path(folder))
        config = json.loads((Path(folder) / GLINER_CONFIG).read_text(encoding="utf-8"))
        if file == GLINER_CONFIG:
            fields = {"encoder_config": config["encoder_config"] | {"auto_map": auto_map}}
        else:
            fields = {"auto_map": auto_map}
        edit(Path(folder) / file, **fields)
        monkeypatch.setattr("builtins.input", Unread().read)
        finished = run_cli(*(part.replace("MODEL", str(folder)) for part in COMMANDS[command]))
        assert_fails(finished, "hostile", file, "auto_map", "evil.Evil")
        assert finished.out == ""
        assert not any(trace.exists() for trace in traces)

    def test_answer_on_standard_input_does_not_count(
        self, gliner_folder, own_code, tmp_path, run_cli, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        folder = Path(shutil.copytree(gliner_folder, "hostile"))
        auto_map, traces = own_code(folder)
        edit(folder / "tokenizer_config.json", auto_map=auto_map)
        finished = run_cli("predict", "-l", "city", "-m", folder, stdin=b"y\nin paris\n")
        assert_fails(finished, "tokenizer_config.json", "auto_map")
        assert sys.stdin.buffer.tell() == 0
        assert not any(trace.exists() for trace in traces)


@pytest.mark.slow
@pytest.mark.skipif(not REAL_TEACHER.is_dir(), reason="the teacher is not on this machine")
class TestRealTeacher:
    def test_real_teacher_passes(self):
        check_gliner(REAL_TEACHER, name="teacher")

    @pytest.mark.parametrize("file", [GLINER_CONFIG, "config.json", "tokenizer_config.json"])
    def test_real_teacher_with_code_is_refused(self, tmp_path, own_code, file):
        from gliner_distill.evaluation.models import load_model

        folder = tmp_path / "teacher"
        folder.mkdir()
        for path in REAL_TEACHER.iterdir():
            if path.suffix == ".json":
                shutil.copyfile(path, folder / path.name)
            else:
                (folder / path.name).symlink_to(path)
        auto_map, traces = own_code(folder)
        edit(folder / file, auto_map=auto_map)
        with pytest.raises(TeacherError, match=rf"{file}: field 'auto_map'"):
            load_model(folder)
        assert not any(trace.exists() for trace in traces)


@pytest.mark.parametrize(
    "tokenizer",
    [{"model": {"vocab": {"a": 0, "b": 2**30}}}, {"added_tokens": [{"id": 2**30, "content": "b"}]}],
)
def test_check_gliner_settings_refuses_a_piece_whose_number_takes_gigabytes(folder, tokenizer):
    edit(folder / "tokenizer.json", truncation={"max_length": 2**40}, **tokenizer)
    with pytest.raises(
        TeacherError, match=r"tokenizer\.json: field .*(vocab\.b|id)' is 1073741824"
    ):
        check_gliner_settings(folder, name="mine")


def test_check_gliner_settings_needs_no_weights(folder):
    (folder / "model.safetensors").unlink()
    check_gliner_settings(folder, name="mine")
    with pytest.raises(TeacherError, match=r"model\.safetensors is missing"):
        check_gliner(folder, name="mine")
