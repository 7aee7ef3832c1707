"""Tables in Markdown."""

from collections.abc import Collection, Sequence


def markdown_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], words: Collection[str]
) -> list[str]:
    r"""A line for the headings, one for where columns stand, one for each row.

    Args:
        heads: Headings.
        rows: Cells.
        words: Headings of columns that hold words, which stand to the left; numbers to the right.

    Returns:
        The lines.

    Examples:
        >>> print("\n".join(markdown_table(["unit", "error"], [["a|b", "0.1"]], ["unit"])))
        | unit | error |
        | --- | --: |
        | a\|b | 0.1 |
    """
    rule = ["---" if head in words else "--:" for head in heads]
    cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    return [f"| {' | '.join(line)} |" for line in (heads, rule, *cells)]
