"""Figures of a trained unit: spectra, training history, gradients, vector field."""

from lipschitz_rnn.experiments.figures.gradient import gradient_figure as gradient_figure
from lipschitz_rnn.experiments.figures.history import history_figure as history_figure
from lipschitz_rnn.experiments.figures.robust import robust_figure as robust_figure
from lipschitz_rnn.experiments.figures.save import save_figure as save_figure
from lipschitz_rnn.experiments.figures.spectra import spectra_figure as spectra_figure
from lipschitz_rnn.experiments.figures.vector_field import (
    vector_field_figure as vector_field_figure,
)
