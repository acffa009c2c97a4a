"""Count the entities that a student's clients and its teacher return at each threshold.

`python benchmarks/client_thresholds.py FOLDER TEACHER [--student STUDENT] [--sets a,b]
[--passages N] [--client NAME] [--out FILE]`

FOLDER holds NAME.jsonl and NAME.labels.json, as in `open_label.py`. By default the sets are the
twelve that the bundled student was not trained on, with N evenly spaced passages of each. A text is
the words of a passage, joined by spaces. The student, which is the bundled one by default, is asked
for the labels of the set through each client of `threshold_clients.py` and `published_clients.py`
that is installed. If STUDENT contains `{set}`, each set has a student of its own, in the folder
that has the name of the set in this place; `domain.py` writes such students. This package asks the
teacher for the same labels in the same texts, without checked patterns. If a client can return an
entity inside another, it is compared with the teacher and with `StudentNER` in the same mode
("nested").

The first table has the number of entities at each threshold, summed over all sets, and the second
table has these numbers divided by the teacher's. "Same" is the share of the entities of
`StudentNER`, over all thresholds, that the client returns, too, and "other" is the number of
entities that only the client returns. Only the fields that a client reports are compared, and
scores to four digits. Each client and threshold with a ratio outside of 0.75 to 1.25 is listed
below the tables. The program prints Markdown and writes all figures as JSON.
"""

import argparse
import logging
import os
from collections import Counter
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from named_students import BUNDLED, digest_student
from open_label import EvaluationSet, read_sets
from published_clients import PUBLISHED
from speed_report import describe_machine
from threshold_clients import OURS, STUDENT, Client, Found, student_ner

from gliner_distill import compat
from gliner_distill.decoding import decode_entities
from gliner_distill.entities import word_texts
from gliner_distill.files import write_json
from gliner_distill.processors import default_threads
from gliner_distill.runtime.locate import locate_model
from gliner_distill.runtime.ner import StudentNER
from gliner_distill.teacher.gliner import GLiNERTeacher

CLIENTS = (STUDENT, *OURS, *PUBLISHED)
NESTED_STUDENT = Client("StudentNER", partial(student_ner, flat_ner=False), is_nested=True)
TEACHERS = {"teacher": True, "teacher, nested": False}
"""The value of `flat_ner` for each row of the teacher."""
THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9)
MOST_APART = 0.25
Answers = dict[float, list[list[Found]]]
"""The entities that a client finds in each text, by threshold."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("teacher")
    parser.add_argument(
        "--student", help="a folder, perhaps with {set}, or a hub id; the bundled one by default"
    )
    parser.add_argument("--sets", default="held-out", help="names with commas between")
    parser.add_argument("--passages", type=int, default=17, help="passages per set")
    parser.add_argument("--client", action="append", help="a row of the tables; may be repeated")
    parser.add_argument("--out", type=Path, default=Path("client_thresholds.json"))
    options = parser.parse_args()
    keep_clients_quiet()
    sets = read_sets(options.folder, options.sets, options.passages)
    # This needs the real gliner, in whose place the clients get the student.
    teacher = GLiNERTeacher.from_pretrained(options.teacher)
    results: dict[str, Any] = {
        "machine": describe_machine(default_threads()),
        "models": describe_models(teacher, options, sets),
        "passages": {each.name: len(each.passages) for each in sets},
        **count_by_threshold(teacher, sets),
    }
    clients = choose_clients(options.client)
    print_head(results)
    load_students_once()
    results["clients"] = ask_clients(clients, sets, options.student)
    write_json(options.out, results)
    print_ratios(results)


def keep_clients_quiet() -> None:
    """Let no client send figures about its use, and no warning say whose place the student took."""
    os.environ |= {"HAYSTACK_TELEMETRY_ENABLED": "False", "DATAFOG_NO_TELEMETRY": "1"}
    logging.getLogger("gliner_distill").setLevel(logging.ERROR)


def load_students_once() -> None:
    """Let clients that are made for the same student share it, which changes no answer."""
    load = StudentNER.from_pretrained.__func__
    StudentNER.from_pretrained = classmethod(cache(load))


def describe_models(
    teacher: GLiNERTeacher, options: argparse.Namespace, sets: Sequence[EvaluationSet]
) -> dict[str, Any]:
    """Return the names of all models, and hashes that tell them from others."""
    folders = {locate_model(student_of(options.student, each)).folder for each in sets}
    return {
        "teacher": {"source": Path(options.teacher).resolve().name, "sha256": teacher.fingerprint},
        "students": [
            {
                "source": BUNDLED if options.student is None else folder.name,
                "sha256": digest_student(folder),
            }
            for folder in sorted(folders)
        ],
    }


def student_of(student: str | None, asked: EvaluationSet) -> str | None:
    """Return the student that is asked for the labels of a set; see `--student`."""
    return None if student is None else student.replace("{set}", asked.name)


def texts_of(asked: EvaluationSet) -> list[str]:
    return [" ".join(passage.words) for passage in asked.passages]


def count_by_threshold(
    teacher: GLiNERTeacher, sets: Sequence[EvaluationSet]
) -> dict[str, dict[float, int]]:
    """Return the number of entities that the teacher finds at each threshold, in both ways."""
    counts = {name: dict.fromkeys(THRESHOLDS, 0) for name in TEACHERS}
    for asked in sets:
        words = [word_texts(text) for text in texts_of(asked)]
        for probs in teacher.score_passages(words, [asked.labels] * len(words)):
            for name, flat_ner in TEACHERS.items():
                for threshold in THRESHOLDS:
                    found = decode_entities(
                        probs, asked.labels, threshold=threshold, flat_ner=flat_ner
                    )
                    counts[name][threshold] += len(found)
    return counts


def choose_clients(names: Sequence[str] | None) -> list[Client]:
    """Return the clients with these names, given with or without backquotes; None for all."""
    known = {client.name.replace("`", ""): client for client in CLIENTS}
    plain = list(known) if names is None else [name.replace("`", "") for name in names]
    for name in plain:
        if name not in known:
            raise SystemExit(f"--client {name}: expected one of {'; '.join(known)}")
    return [known[name] for name in plain]


def ask_clients(
    clients: Sequence[Client], sets: Sequence[EvaluationSet], student: str | None
) -> dict[str, Any]:
    """Return the figures of each client that is installed, and print them as they come."""
    expected = {
        is_nested: ask(like, sets, student)
        for is_nested, like in ((False, STUDENT), (True, NESTED_STUDENT))
    }
    figures = {}
    for client in clients:
        if client.missing() is not None:
            continue
        found = ask(client, sets, student)
        own = figures[client.name] = compare(client, found, expected[client.is_nested])
        counts = [f"{own['entities'][at]:,}" if at in found else "" for at in THRESHOLDS]
        print_row(client.name, [*counts, f"{100 * own['same']:.1f}%", f"{own['other']:,}"])
    return figures


def ask(client: Client, sets: Sequence[EvaluationSet], student: str | None) -> Answers:
    """Return what a client finds in all sets, one after the other."""
    answers: Answers = {}
    for threshold in THRESHOLDS:
        if client.only_threshold in (None, threshold):
            answers[threshold] = [
                found
                for asked in sets
                for found in ask_set(client, asked, threshold, student_of(student, asked))
            ]
    return answers


def ask_set(
    client: Client, asked: EvaluationSet, threshold: float, student: str | None
) -> list[list[Found]]:
    """Return what a client finds in the texts of a set."""
    compat.install(student, replace=True)  # for the published clients
    return client.make(asked.labels, threshold, student)(texts_of(asked))


def compare(client: Client, found: Answers, expected: Answers) -> dict[str, Any]:
    """Return the numbers of entities, of those that are expected, and of further ones."""
    same = other = wanted = 0
    for threshold, answers in found.items():
        for own, theirs in zip(answers, expected[threshold], strict=True):
            own_entities, their_entities = (tally(client, each) for each in (own, theirs))
            same += (own_entities & their_entities).total()
            other += (own_entities - their_entities).total()
            wanted += their_entities.total()
    return {
        "entities": {threshold: sum(map(len, answers)) for threshold, answers in found.items()},
        "same": same / wanted if wanted else 1.0,
        "other": other,
    }


def tally(client: Client, entities: Sequence[Found]) -> Counter[tuple[Any, ...]]:
    """Return how often each entity of a text occurs, by the fields that a client reports.

    Without its position, an entity counts once for each text of a label.
    """
    keys = [
        tuple(round(one[name], 4) if name == "score" else one[name] for name in client.fields)
        for one in entities
    ]
    return Counter(keys if "start" in client.fields else set(keys))


def print_head(results: dict[str, Any]) -> None:
    """Print what is measured, and the first rows of the first table."""
    machine, passages = results["machine"], results["passages"]
    print(
        f"{machine['cpu']}, threads: {machine['threads']}, {machine['date']}; "
        f"{sum(passages.values())} passages of {len(passages)} sets"
    )
    for client in CLIENTS:
        if (package := client.missing()) is not None:
            print(f"{client.name} is left out, because {package} is not installed")
    print()
    print_row("entities", [*map(str, THRESHOLDS), "same", "other"])
    print("|---|" + "---:|" * (len(THRESHOLDS) + 2))
    for name in TEACHERS:
        print_row(name, [*(f"{n:,}" for n in results[name].values()), "", ""])


def print_ratios(results: dict[str, Any]) -> None:
    """Print the second table, and a list of the ratios that are far from 1."""
    print()
    print_row("divided by the teacher's", list(map(str, THRESHOLDS)))
    print("|---|" + "---:|" * len(THRESHOLDS))
    ratios = {
        client.name: ratios_of(
            results["clients"][client.name]["entities"],
            results["teacher, nested" if client.is_nested else "teacher"],
        )
        for client in CLIENTS
        if client.name in results["clients"]
    }
    for name, own in ratios.items():
        print_row(name, [f"{own[at]:.2f}" if at in own else "" for at in THRESHOLDS])
    apart = [
        f"{name} at {at}: {ratio:.2f}"
        for name, own in ratios.items()
        for at, ratio in own.items()
        if abs(ratio - 1) > MOST_APART
    ]
    print(f"\nMore than {MOST_APART:.0%} from the teacher: {'; '.join(apart) or 'none'}")


def ratios_of(counts: dict[float, int], teacher: dict[float, int]) -> dict[float, float]:
    """Return the numbers divided by the teacher's; a number is its own ratio if that is 0."""
    return {at: n / max(teacher[at], 1) for at, n in counts.items()}


def print_row(name: str, cells: Sequence[str]) -> None:
    print("| " + " | ".join([name, *cells]) + " |", flush=True)


if __name__ == "__main__":
    main()
