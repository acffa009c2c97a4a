"""Short training runs that several test modules share."""

import pytest
import torch

from gliner_distill.teacher.gliner import GLiNERTeacher
from gliner_distill.training.data import make_split
from gliner_distill.training.loop import train_student
from training_runs import SHORT


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def train_short(build_student, small_vocabulary, five_passages):
    """A function that trains a student with dropout for four epochs of three steps."""

    def train(folder, settings=SHORT, *, seed=0, vocabulary=small_vocabulary, **arguments):
        student = build_student(seed=seed, dropout_prob=0.3, embedding_dropout_prob=0.2)
        train = arguments.pop("train", five_passages)
        splits = [make_split("dev", arguments.pop("dev", five_passages[:3]), vocabulary)]
        return train_student(
            student, vocabulary, train, folder, settings, splits=splits, **arguments
        )

    return train


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, build_student, small_vocabulary, five_passages):
    """The run folder of `train_short`, never stopped: do not change it."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    student = build_student(dropout_prob=0.3, embedding_dropout_prob=0.2)
    splits = [make_split("dev", five_passages[:3], small_vocabulary)]
    train_student(student, small_vocabulary, five_passages, folder, SHORT, splits=splits)
    return folder


@pytest.fixture(scope="module")
def gliner(build_gliner):
    """A tiny GLiNER as a teacher, whose representations are 32 wide: do not change it."""
    return GLiNERTeacher(build_gliner("UniEncoderSpan"))
