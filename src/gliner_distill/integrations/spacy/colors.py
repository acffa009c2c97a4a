"""Colors for displaCy, which shows labels that it does not know in gray.

spaCy asks `label_colors` through its entry points `displacy_colors` whenever displaCy draws. The
labels of every component in this process have a color then.
"""

import colorsys
from collections.abc import Iterable
from typing import Final

_GOLDEN_RATIO: Final = 0.618034
_LIGHTNESS, _SATURATION = 0.8, 0.75  # black text is easy to read on such a color

_color_of_label: dict[str, str] = {}


def assign_colors(labels: Iterable[str]) -> None:
    """Give each label a color if it has none; the first labels get the most different ones.

    Labels for which displaCy has a color keep it.
    """
    from spacy.displacy.render import DEFAULT_LABEL_COLORS

    for label in labels:
        # displaCy compares labels in upper case.
        key = label.upper()
        if key not in DEFAULT_LABEL_COLORS:
            _color_of_label.setdefault(key, pick_color(len(_color_of_label)))


def label_colors() -> dict[str, str]:
    """Return the color of each label, in upper case, of the components in this process."""
    return dict(_color_of_label)


def pick_color(number: int) -> str:
    """Return the color with a number, as CSS writes it; its hue is far from those before it.

    >>> pick_color(0), pick_color(1)
    ('#f2a6a6', '#a6bcf2')
    """
    hue = number * _GOLDEN_RATIO % 1
    channels = colorsys.hls_to_rgb(hue, _LIGHTNESS, _SATURATION)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)
