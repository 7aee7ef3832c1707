"""Estimators for scikit-learn: series in, classes, numbers or forecasts out."""

from lipschitz_rnn.estimators.classifier import LipschitzRNNClassifier as LipschitzRNNClassifier
from lipschitz_rnn.estimators.forecaster import LipschitzRNNForecaster as LipschitzRNNForecaster
from lipschitz_rnn.estimators.regressor import LipschitzRNNRegressor as LipschitzRNNRegressor
