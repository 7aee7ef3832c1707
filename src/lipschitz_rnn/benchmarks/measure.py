"""Times of several tasks, taken in turn so that all share the same weather."""

import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

Clock = Callable[[], float]
Key = TypeVar("Key", bound=Hashable)


def alternate(
    tasks: Mapping[Key, Callable[[], object]],
    *,
    always: frozenset[Key],
    repeats: int,
    seconds: float,
    clock: Clock,
) -> dict[Key, list[float]]:
    """Time tasks one after the other, round by round.

    Each runs once to warm up, and takes part in the first round. A slow task then takes part in as
    many rounds as fit its budget, that one included, spread evenly over the others.

    Args:
        tasks: In the order of a round.
        always: Tasks that take part in every round, whatever they cost.
        repeats: Number of rounds.
        seconds: Budget of each task, by its time in the first round: what a library sets up when
            it is first called would count against it in the warm-up.
        clock: Seconds.

    Returns:
        The seconds of every task, warm-up excluded.
    """
    for task in tasks.values():
        task()
    times = {key: [_time(task, clock)] for key, task in tasks.items()}
    others = repeats - 1
    more = {
        key: others if key in always else min(others, int(seconds / max(first, 1e-9)) - 1)
        for key, (first,) in times.items()
    }
    for index in range(others):
        for key, task in tasks.items():
            # n of R rounds, evenly: those in which the whole part of r n / R goes up
            if (index + 1) * more[key] // others > index * more[key] // others:
                times[key].append(_time(task, clock))
    return times


def spread(values: Sequence[float]) -> tuple[float, list[float]]:
    """Median and quartiles.

    Args:
        values: At least one.

    Returns:
        The median; the lower and the upper quartile, equal to the value if there is one only.
    """
    if len(values) == 1:
        return values[0], [values[0], values[0]]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, [low, high]


def _time(task: Callable[[], object], clock: Clock) -> float:
    start = clock()
    task()
    return clock() - start
