"""The things that callers of a GLiNER look at besides its answers."""

import pickle

import torch
from gliner.data_processing.tokenizer import WordsSplitter

from gliner_distill.runtime.gliner_api.surroundings import CallerConfig, DataProcessor, Device
from gliner_distill.runtime.sections import WINDOW_WORDS

TEXT = "Mary-Ann paid £3.50 in Bad_Ems."


def test_device_is_a_name_that_torch_takes():
    device = Device("cpu")
    assert (device, device.type, str(device)) == ("cpu", "cpu", "cpu")
    assert torch.zeros(1, device=device).device.type == "cpu"


def test_caller_config_has_gliners_defaults_and_keeps_other_fields():
    limits = CallerConfig()
    assert (limits.model_name, limits.max_len) == ("student", WINDOW_WORDS)
    config = CallerConfig("mine", max_width=12, hidden_size=512)
    assert (config.model_name, config.max_width, config.hidden_size) == ("mine", 12, 512)
    assert pickle.loads(pickle.dumps(config)) == config != limits


def test_words_splitter_splits_as_gliners():
    ours = list(DataProcessor().words_splitter(TEXT))
    assert ours == list(WordsSplitter("whitespace")(TEXT))
    assert ours[0] == ("Mary-Ann", 0, 8)


def test_transformer_tokenizer_gives_a_position_and_a_number_for_each_word():
    tokenizer = DataProcessor().transformer_tokenizer
    words = tokenizer.tokenize(TEXT)
    encoded = tokenizer(TEXT, return_offsets_mapping=True, add_special_tokens=False)
    assert [TEXT[start:end] for start, end in encoded["offset_mapping"]] == words
    assert encoded["input_ids"] == tokenizer.encode(TEXT) == list(range(len(words)))
    assert tokenizer.num_special_tokens_to_add() == 0
