"""Trained models for where there is no Python, or no training."""

from lipschitz_rnn.export.c_header import c_header as c_header
from lipschitz_rnn.export.onnx_file import export_onnx as export_onnx
from lipschitz_rnn.export.onnx_file import export_onnx_step as export_onnx_step
from lipschitz_rnn.export.result import ExportedFile as ExportedFile
from lipschitz_rnn.export.torch_file import export_torch as export_torch
