"""The module `gliner.model` of the stand-in, from which some packages import `GLiNER`."""

from gliner_distill.compat.gliner import GLiNER as GLiNER
