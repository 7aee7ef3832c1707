"""What a page shows as printed, beside what is printed: alike but for what differs by machine."""

import re

NUMBER = re.compile(r"[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
ANY = NUMBER.pattern
POINTS = 12.0  # a share of 360 samples has a deviation of up to 2.6, and training elsewhere its own


def plain(line):
    """A line without rules and without the spaces that align it."""
    return " ".join(line.replace("─", "").split())


def pattern_of(line, shares):
    """What a line may be: classes as shown, shares nearly so, other numbers any.

    Shares of per cent become groups, and what is shown for them is added to ``shares``.
    """
    if re.fullmatch(r"\d|.*\[\d(?: \d)+\]", line):  # predicted classes
        return re.escape(line)
    pattern, end = "", 0
    for found in NUMBER.finditer(line):
        share = re.match(r" ?%", line[found.end() :])
        if share:
            shares.append(float(found[0]))
        pattern += re.escape(line[end : found.start()]) + (f"({ANY})" if share else ANY)
        end = found.end()
    return (pattern + re.escape(line[end:])).replace(re.escape("..."), ".*")


def follows(shown, said):
    """Whether what is shown was said, where ``...`` may stand for anything."""
    pattern, shares = "", []
    for line in filter(None, map(plain, shown)):
        pattern += r"(?:.*\n)*?" if line == "..." else pattern_of(line, shares) + r"\n"
    found = re.fullmatch(pattern, "".join(f"{line}\n" for line in map(plain, said) if line))
    return found and all(
        abs(float(share) - expected) <= POINTS
        for share, expected in zip(found.groups(), shares, strict=True)
    )
