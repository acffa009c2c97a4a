"""The card of an exported student."""

from pathlib import Path
from typing import Final

from gliner_distill.hub.card_files import read_card_metadata, write_card
from gliner_distill.hub.cards import RESULTS, Card, plain_markdown
from gliner_distill.runtime.bundle import read_bundle
from gliner_distill.runtime.config import INT8
from gliner_distill.runtime.sharing.cards import short_card
from gliner_distill.student.export import ExportMeasurements

_MEASURED: Final = """\
## The export

This student was exported from `{source}` in {precision}, and compared with it on {n_passages:,}
passages of {corpus}: its F1 against gold is {f1:.1f} there, that of the original {torch_f1:.1f},
and its F1 against the entities of the original {agreement:.1f}.{fitted}
"""


_FITTED: Final = " Its threshold was fitted on the same passages."


def write_export_card(
    folder: Path, source: Path, measured: ExportMeasurements, *, corpus: str
) -> None:
    """Write the card of an export: what its files say, and its comparison with the original.

    The license and the other metadata of the original stay, apart from its results, which were not
    measured with the export.

    Args:
        folder: The folder of the export.
        source: The folder of the original.
        measured: The comparison of the two.
        corpus: The name of the passages of the comparison.

    Raises:
        StudentError: The folder cannot be written.
    """
    card = short_card(read_bundle(folder), folder.resolve().name)
    # The original may lack files of the runtime, which an export makes.
    original = read_card_metadata(source)
    kept = {key: value for key, value in original.items() if key != RESULTS}
    measurements = _MEASURED.format(
        source=plain_markdown(source.resolve().name),
        precision=measured.precision,
        n_passages=measured.n_passages,
        corpus=plain_markdown(corpus),
        f1=100 * measured.f1,
        torch_f1=100 * measured.torch_f1,
        agreement=100 * measured.agreement_f1,
        fitted=_FITTED if measured.precision == INT8 else "",
    )
    write_card(folder, Card({**card.metadata, **kept}, f"{card.text}\n{measurements}"))
