"""Models as ONNX files, compared with the models before anything is written."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import write_atomically
from lipschitz_rnn.export.interface import interface
from lipschitz_rnn.export.result import ExportedFile, compare, file_of

if TYPE_CHECKING:
    import onnx

Run = Callable[[dict[str, Tensor]], Mapping[str, Tensor]]


def export_onnx(
    model: nn.Module,
    path: str | Path,
    *,
    dt: bool = False,
    lengths: bool = False,
    mask: bool = False,
) -> ExportedFile:
    r"""Write a model as an ONNX graph for sequences of any length and batches of any size.

    .. math:: (x_{1 \dots T},\; h_0) \mapsto (y,\; h_T)

    The graph holds A and W as they are now, and one loop (``Scan``) for each layer and direction.
    Its inputs and outputs, with the sizes of the layout that the model has:

    - ``input``, (T, B, P), or ``tokens``, (T, B), of integers, for a language model;
    - ``hx``, (L·D, B, H): the state to begin from, zeros at the beginning. A state that is a pair
      has two inputs, such as ``hx_h`` and ``hx_c``;
    - ``dt``, (T, B): how long each input is held, if asked for;
    - ``lengths``, (B,), integers: valid steps of each sequence of a padded batch, if asked for;
    - ``mask``, (T, B, P), booleans: which values were observed, if asked for;
    - ``logits`` of a classifier or language model, ``output`` of anything else;
    - ``h_n``, (L·D, B, H): the state after the last valid step; of a pair ``h_n`` and ``c_n``.

    The ``model_`` of a fitted estimator, :class:`lipschitz_rnn.LipschitzRNNClassifier` or
    ``LipschitzRNNRegressor``, answers for whole series: it has no state, and its answers are
    ``output``, (B, Q), unless it is a plain :class:`SequenceRegressor`.

    What is exported is the model in evaluation mode. Before anything is written the graph is run
    on random inputs, by onnxruntime where it is installed, and compared with the model.

    Args:
        model: A :class:`SequenceClassifier`, :class:`SequenceRegressor` or :class:`LanguageModel`,
            a fitted estimator's ``model_``, or a bare layer: :class:`LipschitzRNN`,
            :class:`RecurrentLayer` of any of the library's or torch's cells, or torch's RNN, GRU or
            LSTM; in float32 or float64.
        path: The file.
        dt: Whether the graph takes times. It cannot refuse what the model would refuse, such as
            times below 0.
        lengths: Whether the graph takes lengths. Answers to padded steps are zero.
        mask: Whether the graph takes a mask, and fills what is missing as the model does.

    Returns:
        The file, and how far it is from the model.

    Raises:
        InputError: If the model does something that has no nodes here, or ``onnx`` is missing.
        OSError: If the file cannot be written.

    Examples:
        >>> from lipschitz_rnn import LipschitzRNN, SequenceClassifier
        >>> model = SequenceClassifier(LipschitzRNN(3, 8), 2)
        >>> made = export_onnx(model, "gesture.onnx")  # doctest: +SKIP
        >>> made.outputs  # doctest: +SKIP
        {'logits': ('B', 2), 'h_n': (1, 'B', 8)}
    """
    return _export("export_onnx", model, path, dt=dt, lengths=lengths, mask=mask)


def export_onnx_step(model: nn.Module, path: str | Path, *, dt: bool = False) -> ExportedFile:
    r"""Write one step of a stream as an ONNX graph, for batches of any size.

    .. math:: (x_t,\; h_{t-1}) \mapsto (y_t,\; h_t)

    As :func:`export_onnx`, without the axis of time: ``input``, (B, P), and ``hx`` to ``logits`` or
    ``output``, of this step, and ``h_n``. Fed its own state it gives what the graph for sequences
    gives, to rounding.

    Args:
        model: As in :func:`export_onnx`; in one direction, and answering from the last state.
        path: The file.
        dt: Whether the graph takes ``dt``, (B,).

    Returns:
        The file, and how far it is from the model.

    Raises:
        InputError: As :func:`export_onnx`, and if the model is bidirectional or needs the whole
            series.
        OSError: If the file cannot be written.
    """
    return _export("export_onnx_step", model, path, dt=dt, step=True)


def _export(where: str, model: nn.Module, path: str | Path, **takes: bool) -> ExportedFile:
    try:
        import onnx
    except ImportError:
        raise InputError(
            f"{where}: expected the package onnx, but it is not installed. "
            'Try `pip install "lipschitz-rnn[onnx]"`.'
        ) from None
    from lipschitz_rnn.export.onnx_model import build_onnx

    face = interface(where, model, **takes)
    with torch.no_grad():
        made = build_onnx(face)
    onnx.checker.check_model(made, full_check=True)
    data = made.SerializeToString(deterministic=True)
    run, runner = _runner(made, data)
    difference = compare(face, run)
    path = Path(path)
    write_atomically(path, data)
    return file_of(face, path, len(data), difference, runner)


def _runner(made: "onnx.ModelProto", data: bytes) -> tuple[Run, str]:
    """What runs a graph, and its name: onnxruntime, or slowly, the reference of onnx itself."""
    try:
        import onnxruntime
    except ImportError:
        from onnx import __version__
        from onnx.reference import ReferenceEvaluator

        evaluator, name = ReferenceEvaluator(made), f"onnx.reference {__version__}"
    else:
        evaluator, name = _session(data), f"onnxruntime {onnxruntime.__version__}"
    names = [output.name for output in made.graph.output]

    def run(inputs: dict[str, Tensor]) -> Mapping[str, Tensor]:
        found = evaluator.run(names, {name: value.numpy() for name, value in inputs.items()})
        return {name: torch.from_numpy(x) for name, x in zip(names, found, strict=True)}

    return run, name


def _session(data: bytes) -> Any:
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as Missing

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Missing as error:
        reason = str(error).split(" : ")[-1]
        raise InputError(
            f"export to ONNX: expected operators that onnxruntime has, got: {reason}. It has more "
            "of them in float32: try model.float()."
        ) from None
