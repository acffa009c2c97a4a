"""Helpers of the benchmark tests: scores by hand, and the cells of a printed table."""

LABELS = ("person", "city", "river", "company")


def f1_of(found, passages):
    """Return the exact-match F1, counting only gold of the labels asked."""
    pairs = [
        (set(entities), set(one.entities)) for entities, one in zip(found, passages, strict=True)
    ]
    gold = [{one for one in entities if one.label in LABELS} for _, entities in pairs]
    n_correct = sum(len(pair[0] & wanted) for pair, wanted in zip(pairs, gold, strict=True))
    n_both = sum(len(pair[0]) + len(wanted) for pair, wanted in zip(pairs, gold, strict=True))
    return 2 * n_correct / n_both if n_both else 1.0


def table_rows(text):
    """Return the rows of a printed table, by their first cell."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in cells}
