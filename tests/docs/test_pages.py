"""README and the tutorials: their commands and programs run, and print what the pages say.

The blocks of a page run one after the other in an empty folder, those of README in `REPOSITORY`:

- a block of `console`: each command after `$`, compared with the output below it, if there is any
  (indented lines may be parts of a longer one);
- a block of `python`: a program of its own, which uses no names of the ones before it, compared
  with the plain block after it, if there is one. An output that begins with `gliner-distill: ` is
  that of an error;
- a block after a line that ends with "`NAME`:" is the content of the file NAME.

`PATH/TO/GLINER` is a tiny random GLiNER, and `REPOSITORY` a folder with a part of the workshop's
files. What such a teacher or its students print is not compared. The commands of `sh` and the
programs of `py` and `js` do not run; `NOT_RUN` lists them. docs/serve.md has tests of its own
(`test_serve_page.py`).
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
README = "../README.md"
TUTORIALS = ("distill", "annotate", "redact", "from_gliner", "millions", "teacher")
PAGES = (
    *(README, "get_started.md", "troubleshooting.md", "web.md"),
    *(f"tutorials/{name}.md" for name in TUTORIALS),
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"`([\w.-]+)`:\s*\Z")
VERDICT = (
    "Agreement with ",
    "Against gold",
    "Speed and size",
    "Labels not asked for",
    "Recommendation",
    "report",
)
N_LETTERS, N_GOLD = 40, 10  # with so few, no students are tuned on gold
NOT_RUN = {
    # They install packages.
    "git clone", "cd gliner-distill", "python3 -m venv", "source .venv/bin/activate",
    "pip install .", "pip install --constraint constraints.txt '.[train]'", "pip install '.[ray]'",
    "pip install gliner-distill ", "pip install 'gliner-distill[train",
    # They need a browser; tests/examples runs the page in Node, and tests/web/browser in Chromium.
    'import { LocalEngine } from "./gliner-distill/index.js"', "python -m http.server -d site",
    # It needs a cluster; tests/cli runs the command on one machine.
    "gliner-distill predict mails.csv --column body -l person,city --out found.csv --ray",
    # They need gliner, or a process without it; tests/compat has the last one.
    "from gliner import GLiNER", 'model = GLiNER.from_pretrained("my-student")',
    "import gliner_distill.compat",
}  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DOCS.is_dir(), reason="the docs are in the repository alone"),
]


@dataclass
class Block:
    """A block of a page: its language, its text, the file it is, and the output below it."""

    language: str
    text: str
    file: str | None
    output: str | None


def blocks_of(page):
    """Return the blocks of a page, without those that are the output of the one before."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = list(BLOCK.finditer(text))
    blocks = []
    for place, match in enumerate(found):
        if not match[1]:
            continue
        name = FILE_NAME.search(text[: match.start()])
        after = found[place + 1] if place + 1 < len(found) else None
        is_output = after and not after[1] and not text[match.end() : after.start()].strip()
        output = after[2] if is_output else None
        blocks.append(Block(match[1], match[2], name and name[1], output))
    return blocks


def commands_of(text):
    """Yield the commands of a block of `console`, each with the output below it."""
    for part in re.split(r"^\$ ", text.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


@pytest.fixture
def stand_ins(build_student, small_vocabulary, gliner_folder, tmp_path, monkeypatch):
    """Replace what a user has: a GLiNER, the repository, time; return names and their values."""
    from gliner_distill import StudentNER
    from gliner_distill.distillation.job import DistillSettings
    from gliner_distill.distillation.pipeline import distill, distill_from
    from gliner_distill.student.files import save_student

    start = tmp_path / "start"
    student = build_student(head="boundary", label_hidden_width=12)
    save_student(start, student, small_vocabulary, metadata={})
    quick = DistillSettings(
        epochs=2, precision="fp32", start=start, timed_words=20, timed_seconds=0.01
    )
    for function in (distill, distill_from):
        monkeypatch.setitem(function.__kwdefaults__, "settings", quick)
    repository = tmp_path / "repository"
    workshop = repository / "examples" / "workshop"
    workshop.mkdir(parents=True)
    original = ROOT / "examples" / "workshop"
    shutil.copytree(ROOT / "examples" / "browser_page", repository / "examples" / "browser_page")
    for name, n_lines in (("letters.txt", N_LETTERS), ("gold.jsonl", N_GOLD), ("labels.txt", 99)):
        lines = (original / name).read_text(encoding="utf-8").splitlines(keepends=True)
        (workshop / name).write_text("".join(lines[:n_lines]), encoding="utf-8")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.syspath_prepend(str(work))
    StudentNER.from_pretrained(num_threads=1).save_pretrained("my-student")
    return {"PATH/TO/GLINER": str(gliner_folder), "REPOSITORY": str(repository)}


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_programs_of_a_page_run(page, stand_ins, run_cli, capsys, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    if page == README:
        monkeypatch.chdir(stand_ins["REPOSITORY"])
    is_exact, n_run = True, 0
    for block in blocks_of(page):
        if block.file:
            Path(block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            is_exact &= "workshop-student" not in block.text
            capsys.readouterr()
            program = replace_names(block.text, stand_ins)
            exec(compile(program, page, "exec"), {"__name__": "__main__"})
            n_run += 1
            printed = capsys.readouterr().out
            if block.output and is_exact:
                assert printed == block.output
        elif block.language == "console":
            for command, output in commands_of(block.text):
                is_exact &= "PATH/TO" not in command
                is_error = output.startswith("gliner-distill: ")
                printed = run_command(command, stand_ins, run_cli, is_error=is_error)
                n_run += 1
                assert_same_output(printed, output, is_exact)
        else:
            assert block.language in ("text", "json", "sh", "py", "js")
    sys.modules.pop("my_teacher", None)
    assert n_run > 1


def run_command(command, stand_ins, run_cli, *, is_error=False):
    """Run a command as a shell would, and return what it prints: an error if there must be one."""
    program, *args = shlex.split(replace_names(command, stand_ins))
    redirected = {}
    while len(args) > 2 and args[-2] in ("<", ">"):
        name, sign = args.pop(), args.pop()
        redirected[sign] = Path(name)
    if program == "cp":
        *patterns, target = map(Path, args)
        for path in (path for one in patterns for path in one.parent.glob(one.name)):
            shutil.copy(path, target)
        return ""
    if program in ("node", "npm"):
        return run_javascript(program, args)
    if program == "cat":
        return Path(*args).read_text(encoding="utf-8")
    assert program == "gliner-distill"
    done = run_cli(*args, stdin=redirected["<"].read_bytes() if "<" in redirected else b"")
    if is_error:
        assert done.code == 1
        return done.err
    assert done.code == 0, done.err
    if ">" not in redirected:
        return done.out
    redirected[">"].write_text(done.out, encoding="utf-8")
    return ""


def replace_names(text, stand_ins):
    for name, value in stand_ins.items():
        text = text.replace(name, value)
    return text


def run_javascript(program, args):
    """Run Node or npm, without the network, and return what Node prints."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed, so the rest of the page does not run")
    kept = {"npm_config_cache": str(Path("npm-cache").resolve()), "npm_config_offline": "true"}
    done = subprocess.run(
        [found, *args], env=os.environ | kept, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout if program == "node" else ""


def assert_same_output(printed, expected, is_exact):
    if is_exact:
        whole = re.sub(r"\n +", "", re.sub(r",\n +", ", ", expected))
        assert printed in (expected, whole) or not expected
    elif expected.startswith(VERDICT[0]):
        for text in (printed, expected):
            lines = text.splitlines()
            assert len(lines) == len(VERDICT)
            assert all(map(str.startswith, lines, VERDICT)), text


@pytest.mark.parametrize("page", PAGES)
def test_what_does_not_run_on_a_page_is_listed(page):
    for block in blocks_of(page):
        if block.language == "sh":
            for command in block.text.replace("\\\n", "").splitlines():
                assert command.startswith(tuple(NOT_RUN)), command
        elif block.language in ("py", "js") and not block.file:
            assert block.text.startswith(tuple(NOT_RUN)), block.text


def test_everything_that_is_listed_as_not_run_is_on_a_page():
    texts = "\n".join((DOCS / page).read_text(encoding="utf-8") for page in PAGES)
    assert {start for start in NOT_RUN if start not in texts} == set()
