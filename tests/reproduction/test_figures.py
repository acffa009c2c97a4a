"""The figures: valid files, the same bytes each time, the numbers of the curves."""

import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from gliner_distill.errors import DistillError
from gliner_distill.reproduction.figures import draw_figure, plot_curves

MODELS = ("student_hard", "student_distilled")


def run_rows(offset, n_epochs=4):
    """One run whose shares rise from epoch to epoch, shifted by an offset."""
    rows = []
    for epoch in range(1, n_epochs + 1):
        share = min(1.0, 0.2 * epoch + offset)
        metrics = {
            f"{metric}_vs_{suffix}": share - (0.1 if suffix == "gold" else 0.0)
            for metric in ("accuracy", "recall", "f1")
            for suffix in ("teacher", "gold")
        }
        rows += [
            {"epoch": epoch, "split": split, "loss": 1.0 / epoch + offset, **metrics}
            for split in ("train", "dev", "test")
        ]
    return rows


def fake_curves(n_seeds=3, n_epochs=4):
    return {
        model: [run_rows(0.02 * seed + 0.05 * index, n_epochs) for seed in range(n_seeds)]
        for index, model in enumerate(MODELS)
    }


def drawn_axes(number, curves):
    figure = draw_figure(number, curves)
    figure.draw_without_rendering()
    return figure.axes


@pytest.mark.slow
def test_plot_curves_writes_figures_3_to_6_as_valid_png_and_svg_files(tmp_path):
    folder = tmp_path / "run" / "figures"
    written = plot_curves(fake_curves(), folder)
    assert [figure.number for figure in written] == [3, 4, 5, 6]
    for figure in written:
        assert figure.png_path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert ET.parse(figure.svg_path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
        assert figure.title
        assert "3 seeds" in figure.caption
    paths = {path for figure in written for path in (figure.png_path, figure.svg_path)}
    assert set(folder.iterdir()) == paths


@pytest.mark.slow
def test_plot_curves_writes_the_same_bytes_again_and_leaves_matplotlib_unchanged(tmp_path):
    settings = dict(mpl.rcParams)
    first = plot_curves(fake_curves(), tmp_path / "first")
    second = plot_curves(fake_curves(), tmp_path / "second")
    for figure, again in zip(first, second, strict=True):
        assert figure.png_path.read_bytes() == again.png_path.read_bytes()
        assert figure.svg_path.read_bytes() == again.svg_path.read_bytes()
        assert b"<dc:date>" not in figure.svg_path.read_bytes()
    assert dict(mpl.rcParams) == settings


@pytest.mark.slow
def test_plot_curves_ignores_the_matplotlib_settings_of_the_user(tmp_path):
    first = plot_curves(fake_curves(), tmp_path / "first")
    with mpl.rc_context({"axes.facecolor": "black", "lines.marker": "x"}):
        second = plot_curves(fake_curves(), tmp_path / "second")
    assert first[0].svg_path.read_bytes() == second[0].svg_path.read_bytes()


def test_draw_figure_draws_means_and_bands_from_the_lowest_to_the_highest_seed():
    (axes,) = drawn_axes(3, fake_curves())
    hard, distilled = axes.lines
    assert hard.get_ydata() == pytest.approx([1.02, 0.52, 1 / 3 + 0.02, 0.27])
    assert distilled.get_ydata() == pytest.approx([1.07, 0.57, 1 / 3 + 0.07, 0.32])
    band = axes.collections[0].get_paths()[0].vertices
    at_first_epoch = band[band[:, 0] == 1.0, 1]
    assert (at_first_epoch.min(), at_first_epoch.max()) == pytest.approx((1.0, 1.04))


@pytest.mark.parametrize(("number", "n_panels"), [(4, 1), (5, 1), (6, 2)])
def test_draw_figure_draws_agreement_with_the_teacher_solid_and_with_gold_dashed(number, n_panels):
    panels = drawn_axes(number, fake_curves())
    assert len(panels) == n_panels
    for axes in panels:
        assert [line.get_linestyle() for line in axes.lines] == ["-", "--", "-", "--"]
        teacher, gold = axes.lines[:2]
        assert np.asarray(teacher.get_ydata()) - 0.1 == pytest.approx(gold.get_ydata())
        low, high = axes.get_ylim()
        assert low < min(gold.get_ydata())
        assert max(teacher.get_ydata()) < high <= 1.01


def test_draw_figure_keeps_the_color_of_a_model_in_any_order():
    curves = fake_curves()
    (axes,) = drawn_axes(3, curves)
    (reversed_axes,) = drawn_axes(3, dict(reversed(curves.items())))
    colors = {line.get_label(): line.get_color() for line in axes.lines}
    assert colors == {line.get_label(): line.get_color() for line in reversed_axes.lines}
    assert len(set(colors.values())) == 2


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 20])
def test_draw_figure_has_whole_epochs_as_ticks(n_epochs):
    (axes,) = drawn_axes(4, fake_curves(n_epochs=n_epochs))
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


@pytest.mark.slow
def test_draw_figure_leaves_out_a_missing_metric_and_the_caption_says_one_seed(tmp_path):
    curves = {"student_hard": [run_rows(0.0)], "student_distilled": [run_rows(0.1)]}
    for row in curves["student_hard"][0]:
        row["recall_vs_gold"] = None
    assert len(drawn_axes(4, curves)[0].lines) == 3
    assert "One seed" in plot_curves(curves, tmp_path)[0].caption


@pytest.mark.parametrize("curves", [{}, {"student_hard": []}])
def test_plot_curves_refuses_to_draw_no_curves(curves, tmp_path):
    with pytest.raises(ValueError, match="no curves"):
        plot_curves(curves, tmp_path)


def test_plot_curves_says_which_folder_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DistillError, match=r"file/figures: .*Not a directory"):
        plot_curves(fake_curves(), tmp_path / "file" / "figures")


@pytest.mark.slow
def test_figure_file_as_json_names_the_files_below_a_folder(tmp_path):
    figure = plot_curves(fake_curves(), tmp_path / "figures")[0]
    described = figure.as_json(tmp_path)
    assert described["title"] == figure.title
    assert described["png"] == f"figures/{figure.png_path.name}"
    assert described["svg"] == f"figures/{figure.svg_path.name}"
    with pytest.raises(ValueError, match="elsewhere"):
        figure.as_json(tmp_path / "elsewhere")
