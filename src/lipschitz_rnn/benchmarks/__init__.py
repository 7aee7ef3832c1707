"""The speed of the recurrence beside other ways to compute it, and beside the machine's peak."""

from lipschitz_rnn.benchmarks.report import as_markdown as as_markdown
from lipschitz_rnn.benchmarks.report import read_results as read_results
from lipschitz_rnn.benchmarks.run import Settings as Settings
from lipschitz_rnn.benchmarks.run import run_benchmark as run_benchmark
from lipschitz_rnn.benchmarks.shapes import SHAPES as SHAPES
from lipschitz_rnn.benchmarks.shapes import Shape as Shape
from lipschitz_rnn.benchmarks.shapes import find_shape as find_shape
