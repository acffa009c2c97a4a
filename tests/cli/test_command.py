"""The text below the options of each command."""

from gliner_distill.cli.command import make_epilog


def test_make_epilog_has_exit_codes_before_examples():
    epilog = make_epilog("  gliner-distill bench")
    before, _, after = epilog.partition("Examples:\n")
    assert all(f"\n  {code}  " in before for code in (0, 1, 2))
    assert after == "  gliner-distill bench"
