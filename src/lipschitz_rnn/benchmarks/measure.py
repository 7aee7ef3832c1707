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

    Each runs once to warm up. A slow task then takes part in as many rounds as fit its budget, at
    least one, spread evenly over the rounds.

    Args:
        tasks: In the order of a round.
        always: Tasks that take part in every round, whatever they cost.
        repeats: Number of rounds.
        seconds: Budget of each task, by its warm-up.
        clock: Seconds.

    Returns:
        The seconds of every task, warm-up excluded.
    """
    planned = {}
    for key, task in tasks.items():
        once = max(_time(task, clock), 1e-9)
        planned[key] = repeats if key in always else max(1, min(repeats, int(seconds / once)))
    times: dict[Key, list[float]] = {key: [] for key in tasks}
    for index in range(repeats):
        for key, task in tasks.items():
            # n of R rounds, evenly: those in which the whole part of r n / R goes up
            if (index + 1) * planned[key] // repeats > index * planned[key] // repeats:
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
