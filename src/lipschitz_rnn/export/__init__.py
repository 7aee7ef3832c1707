"""Trained models for where there is no Python."""

from lipschitz_rnn.export.c_header import c_header as c_header
