"""The settings of training: their ranges and their help."""

import dataclasses
import math

import pytest

from gliner_distill.errors import SettingsError
from gliner_distill.training.settings import TrainingSettings


class TestTrainingSettings:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("alpha", value) for value in (-0.1, 2.0, math.nan)),
            *(("temperature", value) for value in (0.0, -1.0, math.nan, math.inf)),
            *(("feature_weight", value) for value in (-0.1, math.nan, math.inf)),
            *(("epochs", value) for value in (0, -1)),
            *(("batch_size", value) for value in (0, -8)),
            *(("learning_rate", value) for value in (0.0, -1e-3, math.nan, math.inf)),
            *(("embedding_lr_factor", value) for value in (-0.1, math.nan, math.inf)),
            *(("weight_decay", value) for value in (-0.1, math.nan, math.inf)),
            *(("max_gradient_norm", value) for value in (0.0, -1.0, math.nan, math.inf)),
            *(("positive_weight", value) for value in (0.0, -1.0, math.nan, math.inf)),
            *(("augmentation_prob", value) for value in (-0.1, 1.1, math.nan)),
            ("precision", "fp16"),
            ("device", "abacus"),
        ],
    )
    def test_training_settings_name_a_value_outside_its_range(self, name, value):
        with pytest.raises(SettingsError, match=rf"^{name} must be .*; got {value}$"):
            TrainingSettings(**{name: value})

    def test_training_settings_allow_the_ends_of_ranges(self):
        TrainingSettings(alpha=0, embedding_lr_factor=0, weight_decay=0, epochs=1, batch_size=1)
        TrainingSettings(alpha=1, temperature=1e-3)

    def test_training_settings_have_help_for_every_field(self):
        for item in dataclasses.fields(TrainingSettings):
            assert TrainingSettings.help(item.name).endswith(".")
