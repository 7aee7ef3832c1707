"""Models as programs of ``torch.export``, compared with the models before anything is written."""

import copy
import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import write_atomically
from lipschitz_rnn.export.interface import Interface, interface
from lipschitz_rnn.export.result import SIZES, ExportedFile, compare, file_of
from lipschitz_rnn.export.stateful import Stateful
from lipschitz_rnn.nn import LipschitzRNN, LipschitzRNNCell
from lipschitz_rnn.nn.unit import unit_weights


def export_torch(model: nn.Module, path: str | Path, *, dt: bool = False) -> ExportedFile:
    r"""Write a model as a program of ``torch.export``, for any length and any size of batch.

    .. math:: (x_{1 \dots T},\; h_0) \mapsto (y,\; h_T)

    The program holds A and W as they are now, without what they were made from. It takes the input
    and the state, and ``dt=`` if asked for, in the model's layout, and returns the answers and the
    state. Where the native kernel runs the model, it runs the program too; else the recurrence is
    one operator of torch's that loops (``scan``), a prototype in torch. Loading needs both torch
    and this library::

        import lipschitz_rnn.ops
        program = torch.export.load("model.pt2").module()
        answers, h_n = program(input, hx)

    The ``model_`` of a fitted estimator has no state: its program takes the input, and ``dt``, and
    returns the answers.

    What is exported is the model in evaluation mode, on the CPU. Before anything is written the
    program is saved, loaded, run on random inputs and compared with the model.

    Args:
        model: As :func:`export_onnx` takes it.
        path: The file.
        dt: Whether the program takes times.

    Returns:
        The file, and how far it is from the model: not at all with the kernel.

    Raises:
        InputError: If the model is of another kind.
        OSError: If the file cannot be written.

    Examples:
        >>> from lipschitz_rnn import LipschitzRNN
        >>> made = export_torch(LipschitzRNN(3, 8), "layer.pt2")  # doctest: +SKIP
    """
    face = interface("export_torch", model, dt=dt)
    if isinstance(face.layer, nn.RNNBase):
        raise InputError(
            f"export_torch: expected a layer of this library, got {type(face.layer).__name__}, "
            "which torch exports for one length alone. Export it to ONNX, or as cells in a "
            "RecurrentLayer."
        )
    fixed = dataclasses.replace(face, model=_without_schemes(face.model))
    data = _program_of(fixed)
    program = torch.export.load(io.BytesIO(data)).module()

    def run(inputs: dict[str, Tensor]) -> Mapping[str, Tensor]:
        input, hx, times, *_ = face.arguments(inputs)
        options = {"dt": times} if dt else {}
        with torch.no_grad():
            if face.whole:
                return face.results(program(input, **options), ())
            return face.results(*program(input, hx, **options))

    difference = compare(face, run)
    path = Path(path)
    write_atomically(path, data)
    return file_of(face, path, len(data), difference, f"torch {torch.__version__}")


def _program_of(face: Interface) -> bytes:
    """The saved program."""
    given = face.sample(*SIZES[0])
    input, hx, dt, *_ = face.arguments(given)
    options = {} if dt is None else {"dt": dt}
    patch = 1 if face.patches is None else face.patches.patch
    # torch takes it that what is made of T, such as the number of patches, is not 1
    shortest = {"T": 1 if patch == 1 else patch + 1, "B": 1}
    free = {letter: torch.export.Dim(letter, min=least) for letter, least in shortest.items()}
    axes = {
        name: {i: free[n] for i, n in enumerate(shape) if isinstance(n, str)}
        for name, (_, shape) in face.inputs().items()
    }
    states = tuple(axes[name] for name in face.states)
    shapes: dict[str, Any] = {"input": axes[next(iter(axes))]}
    if not face.whole:
        shapes["hx"] = states if len(states) > 1 else states[0]
    if dt is not None:
        shapes["dt"] = axes["dt"]
    model, args = (face.model, (input,)) if face.whole else (Stateful(face.model), (input, hx))
    with torch.no_grad():  # which leaves the loop of what has no kernel a plain one
        program = torch.export.export(
            model,
            args,
            options,
            dynamic_shapes=shapes,
            # or torch stops at what it cannot prove of a number of patches, rounded up
            prefer_deferred_runtime_asserts_over_guards=patch > 1,
        )
    stream = io.BytesIO()
    torch.export.save(program, stream)
    return stream.getvalue()


def _without_schemes(model: nn.Module) -> nn.Module:
    """A copy whose weights are those that the model computes with."""
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            # a copy shares the class that torch made for the original, and removal empties it
            kind = type(module)
            own = {k: v for k, v in vars(kind).items() if k not in ("__dict__", "__weakref__")}
            module.__class__ = type(kind.__name__, kind.__bases__, own)
        if isinstance(module, LipschitzRNN | LipschitzRNNCell):
            _settle(module)
        for name in list(getattr(module, "parametrizations", ())):
            parametrize.remove_parametrizations(module, name)
    for parameter in model.parameters():
        parameter.data = parameter.data.contiguous()  # as files hold them
    return model


def _settle(module: LipschitzRNN | LipschitzRNNCell) -> None:
    """Make what a constraint makes of A and W, and α A, the weights themselves."""
    options = module.options
    suffixes = module._suffixes if isinstance(module, LipschitzRNN) else [""]
    for suffix in suffixes:
        with torch.no_grad():
            made = unit_weights(module, suffix, options)[:2]
        for name, value in zip(("weight_a", "weight_hh"), made, strict=True):
            if value is not None:
                if parametrize.is_parametrized(module, name + suffix):
                    parametrize.remove_parametrizations(module, name + suffix)
                setattr(module, name + suffix, nn.Parameter(value))
    module.options = dataclasses.replace(
        options,
        alpha=float(options.has_linear),
        constraint=None,
        trainable=tuple(name for name in options.trainable if name == "step_size"),
    )
