"""The options that several commands share."""

from typing import get_args

from gliner_distill.cli.options import Epochs, training_option
from gliner_distill.training.settings import TrainingSettings


def test_training_option_shares_the_help_of_its_setting():
    assert training_option("alpha", "A").help == TrainingSettings.help("alpha")
    assert get_args(Epochs)[1].help == TrainingSettings.help("epochs")
