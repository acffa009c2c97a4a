"""The methods of GLiNER that a student derives from its own."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

from gliner_distill.entities import EntityDict
from gliner_distill.metrics import score_spans
from gliner_distill.runtime.finder import EntityFinder
from gliner_distill.runtime.gliner_api.keywords import (
    check_call_keywords,
    check_passed_keywords,
    warn_unless_cpu,
)
from gliner_distill.runtime.gliner_api.passages import read_test_data, report_scores
from gliner_distill.runtime.gliner_api.surroundings import (
    CallerConfig,
    DataProcessor,
    Device,
    device_name,
)
from gliner_distill.runtime.inputs import InferenceOptions
from gliner_distill.runtime.labels import EncodedLabels, Labels, rename_labels

_logger = logging.getLogger(__name__)


class GLiNERMethods(ABC):
    """The members of GLiNER that callers use besides `inference` and `predict_entities`.

    docs/gliner_api.md compares all methods and keywords with GLiNER's.
    """

    _finder: EntityFinder
    _name: str | None

    @abstractmethod
    def inference(self, texts: Any, labels: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the entities of several texts."""

    def run(self, texts: Any, labels: Labels, *args: Any, **keywords: Any) -> Any:
        """Do the same as `inference`; this is its name in older versions of GLiNER."""
        check_passed_keywords(keywords, self.inference, name="run")
        return self.inference(texts, labels, *args, **keywords)

    def batch_predict_entities(
        self,
        texts: Iterable[str | None],
        labels: Labels,
        flat_ner: bool = True,
        threshold: float = 0.5,
        multi_label: bool = False,
        **keywords: Any,
    ) -> Any:
        """Do the same as `inference`; its other keywords are accepted, too."""
        check_passed_keywords(keywords, self.inference, name="batch_predict_entities")
        return self.inference(texts, labels, flat_ner, threshold, multi_label, **keywords)

    def predict_with_embeds(
        self,
        text: str | None,
        labels_embeddings: EncodedLabels,
        labels: Sequence[str],
        flat_ner: bool = True,
        threshold: float = 0.5,
        multi_label: bool = False,
        return_class_probs: bool = False,
        **keywords: Any,
    ) -> list[EntityDict]:
        """Return the entities of one text; see `batch_predict_with_embeds`."""
        check_passed_keywords(keywords, self.inference, name="predict_with_embeds")
        answers: list[list[EntityDict]] = self.batch_predict_with_embeds(
            [text],
            labels_embeddings,
            labels,
            flat_ner,
            threshold,
            multi_label,
            return_class_probs=return_class_probs,
            **keywords,
        )
        return answers[0]

    def batch_predict_with_embeds(
        self,
        texts: Iterable[str | None],
        labels_embeddings: EncodedLabels,
        labels: Sequence[str],
        flat_ner: bool = True,
        threshold: float = 0.5,
        multi_label: bool = False,
        batch_size: int = 64,
        packing_config: None = None,
        input_spans: None = None,
        return_class_probs: bool = False,
        **keywords: Any,
    ) -> Any:
        """Do the same as `inference`, with labels that `encode_labels` has encoded.

        Args:
            texts: See `inference`, also for the parameters that are not explained here.
            labels_embeddings: The result of `encode_labels`, of this or of another student. Only
                the texts of its labels are used; their vectors come from this student's cache.
            labels: The names of these labels in the answers, in the same order.
            flat_ner: See `inference`.
            threshold: See `inference`.
            multi_label: See `inference`.
            batch_size: See `inference`.
            packing_config: See `inference`.
            input_spans: See `inference`.
            return_class_probs: See `inference`.
            keywords: See `inference`.

        Raises:
            InputError: `labels_embeddings` has another type, or another number of labels; see also
                `inference`.
        """
        check_passed_keywords(keywords, self.inference, name="batch_predict_with_embeds")
        return self.inference(
            texts,
            rename_labels(labels_embeddings, labels),
            flat_ner,
            threshold,
            multi_label,
            batch_size,
            packing_config,
            input_spans,
            return_class_probs,
            **keywords,
        )

    def evaluate(
        self,
        test_data: Sequence[Mapping[str, Any]],
        flat_ner: bool = False,
        multi_label: bool = False,
        threshold: float = 0.5,
        batch_size: int = 64,
        entity_types: Sequence[Any] | None = None,
        **keywords: Any,
    ) -> tuple[str, float]:
        """Return precision, recall and F1 of exact spans on annotated passages, in GLiNER's form.

        If a passage does not list its own labels, all labels of `test_data` are asked for. GLiNER
        draws labels at random instead. Patterns are not used.

        Args:
            test_data: A mapping for each passage, with its words in `tokenized_text` and its
                entities in `ner`, each as [first word, last word, label]; optionally, the labels to
                ask for in `ner_labels`.
            flat_ner: Whether entities may not overlap. As in GLiNER, the default differs from that
                of `inference`.
            multi_label: Whether a span may have several labels.
            threshold: The score that an entity must exceed.
            batch_size: The largest number of passages that the student reads at once.
            entity_types: The labels to ask for in all passages, or a list of them for each passage.
            keywords: GLiNER's other keywords, which must be empty.

        Returns:
            A line of text with the percentages, and F1 as a number from 0 to 1.

        Raises:
            InputError: `test_data` or a keyword has a wrong form.
            TypeError: GLiNER has no such keyword.
        """
        check_call_keywords(keywords, self.evaluate)
        options = InferenceOptions(flat_ner, multi_label, threshold, batch_size=batch_size)
        options.check()
        passages = read_test_data(test_data, entity_types)
        found, _ = self._finder.find(passages.words, passages.asked, options)
        return report_scores(score_spans(found, passages.gold))

    def __getstate__(self) -> dict[str, Any]:
        # A pickle must not depend on whether these two were asked for.
        made_on_demand = ("config", "data_processor")
        return {name: value for name, value in vars(self).items() if name not in made_on_demand}

    @property
    def device(self) -> Device:
        """The device `cpu`, as a string that also has the attribute `type`."""
        return Device("cpu")

    @cached_property
    def config(self) -> CallerConfig:
        """The limits of this student under GLiNER's names; changes have no effect."""
        return CallerConfig(model_name=self._name or "student")

    @cached_property
    def data_processor(self) -> DataProcessor:
        """The word splitter, and a tokenizer whose tokens are words."""
        return DataProcessor()

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Return the student itself; for a device other than the CPU, log a warning."""
        for value in (*args, *kwargs.values()):
            device = device_name(value)
            warn_unless_cpu(device, f"to({device!r})")
        return self

    def cpu(self) -> Self:
        """Return the student itself."""
        return self

    def cuda(self, device: object = "cuda") -> Self:
        """Return the student itself; a warning says that it stays on the CPU."""
        return self.to("cuda" if device is None else device)

    def eval(self) -> Self:
        """Return the student itself, which is always ready to predict."""
        return self

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the kernel of a student is compiled when the package is installed."""
        _logger.info("compile has no effect on a student")

    def quantize(self, dtype: str = "int8") -> None:
        """Do nothing: `gliner-distill export` chooses the precision of a student."""
        _logger.info("quantize has no effect on a student")

    def configure_inference_packing(self, config: None) -> None:
        """Do nothing; a configuration is refused, see `packing_config` in `inference`.

        Raises:
            InputError: `config` is not None.
        """
        check_call_keywords({"packing_config": config}, self.configure_inference_packing)
