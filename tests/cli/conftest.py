"""A folder with a store and a trained student, and a temporary folder to work in."""

import pytest

from command_line import LEXICON, make_passages
from gliner_distill.callbacks import no_progress


@pytest.fixture(scope="session")
def world(tmp_path_factory, lexicon_teacher):
    """A folder with a store and a run folder of a student that learned it: do not change them."""
    from gliner_distill.labeling.pipeline import label_corpus
    from gliner_distill.labeling.policy import LabelPolicy
    from gliner_distill.runtime.config import StudentConfig
    from gliner_distill.training.settings import TrainingSettings
    from gliner_distill.training.train import train

    folder = tmp_path_factory.mktemp("world")
    passages = make_passages()
    label_corpus(passages, lexicon_teacher(LEXICON), folder / "store", policy=LabelPolicy(2))
    train(
        folder / "store",
        folder / "run",
        TrainingSettings(epochs=20, batch_size=4),
        config=StudentConfig(embedding_width=16, hidden_width=16),
        progress=no_progress,
    )
    return folder


@pytest.fixture(autouse=True)
def in_temporary_folder(tmp_path, monkeypatch):
    """Run each test in a folder of its own, so that paths in messages are short."""
    monkeypatch.chdir(tmp_path)
