"""One Lipschitz unit as named parameters on a module: shared by the cell and the layer.

A cell holds one unit under bare names, a layer one for each layer and direction under torch's
suffixes (``_l0``, ``_l0_reverse``). The equation itself is in ``ops``.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lipschitz_rnn._base.checks import require_choice, require_in_range, require_positive_int
from lipschitz_rnn._base.typing import Device
from lipschitz_rnn.nn.contraction import (
    CONSTRAINTS,
    contractive_flow,
    contractive_step,
    make_proof,
)
from lipschitz_rnn.nn.contraction_search import Target
from lipschitz_rnn.nn.init import scaled_normal_, uniform_fan_in_
from lipschitz_rnn.nn.parametrizations import Positive, SymmetricSkew, register_scalar
from lipschitz_rnn.ops import TABLEAUX, ButcherTableau, Nonlinearity, lipschitz_field
from lipschitz_rnn.ops.call import autocast_is_on
from lipschitz_rnn.ops.nonlinearity import as_nonlinearity
from lipschitz_rnn.ops.scan import scan_both
from lipschitz_rnn.ops.tableau import as_tableau

TRAINABLE = ("step_size", "alpha", "beta_a", "gamma_a", "beta_w", "gamma_w")


@dataclass(frozen=True)
class UnitOptions:
    """Hyper-parameters of a unit; see ``LipschitzRNN`` for their meaning."""

    beta_a: float = 0.75
    gamma_a: float = 0.001
    beta_w: float = 0.75
    gamma_w: float = 0.001
    step_size: float = 0.03
    method: str | ButcherTableau = "euler"
    substeps: int = 1
    nonlinearity: str | Nonlinearity = "tanh"
    alpha: float = 1.0
    gated: bool = False
    trainable: tuple[str, ...] = ()
    constraint: str | None = None
    rate: float = 0.01
    init_std: float = 0.1
    bias: bool = True

    @classmethod
    def make(cls, where: str, *, beta: float, gamma: float, **options: Any) -> Self:
        """Check everything; ``beta`` and ``gamma`` stand in for those of A and W that are None."""
        for name, shared in (("beta", beta), ("gamma", gamma)):
            for key in (f"{name}_a", f"{name}_w"):
                options[key] = shared if options[key] is None else options[key]
        if isinstance(options["trainable"], str):  # its letters would be taken for names
            raise TypeError(
                f"{where}: expected `trainable` to be a tuple of names, got a string. "
                f"Write trainable=({options['trainable']!r},)."
            )
        made = cls(**options | {"trainable": tuple(options["trainable"])})
        made._check(where)
        return made

    @property
    def has_linear(self) -> bool:
        """Whether there is a linear term A h at all."""
        return self.alpha != 0 or "alpha" in self.trainable

    @property
    def target(self) -> Target:
        """What a constraint asks of one integrator step."""
        return Target(
            self.rate,
            self.step_size / self.substeps,
            as_tableau("LipschitzRNN", self.method),
            as_nonlinearity("LipschitzRNN", self.nonlinearity),
        )

    def _check(self, where: str) -> None:
        for name in self.trainable:
            require_choice(where, "trainable", name, TRAINABLE)
        for name in ("beta_a", "beta_w"):
            ends = name in self.trainable
            require_in_range(where, name, getattr(self, name), 0, 1, open_low=ends, open_high=ends)
        for name in ("gamma_a", "gamma_w"):
            require_in_range(where, name, getattr(self, name), 0, open_low=name in self.trainable)
        require_in_range(where, "step_size", self.step_size, 0, open_low=True)
        require_in_range(where, "alpha", self.alpha, -float("inf"))
        require_in_range(where, "init_std", self.init_std, 0)
        require_positive_int(where, "substeps", self.substeps)
        as_tableau(where, self.method)
        as_nonlinearity(where, self.nonlinearity)
        if self.constraint is not None:
            self._check_constraint(where)
        if not self.has_linear and {"beta_a", "gamma_a"} & set(self.trainable):
            raise ValueError(
                f"{where}: expected neither `beta_a` nor `gamma_a` in `trainable` with alpha=0, "
                f"got {self.trainable}. Without a linear term there is no matrix A."
            )

    def _check_constraint(self, where: str) -> None:
        require_choice(where, "constraint", self.constraint, CONSTRAINTS)
        require_in_range(where, "rate", self.rate, 0)
        steps = self.constraint == "contractive"  # in the flow ε plays no part
        if not self.has_linear or self.gated or (steps and "step_size" in self.trainable):
            wanted = ", no gate and a fixed step size" if steps else " and no gate"
            raise ValueError(
                f"{where}: expected a linear term{wanted} with constraint={self.constraint!r}, got "
                f"alpha={self.alpha}, gated={self.gated}, trainable={self.trainable}. "
                "Only A can damp, and a gate would scale the damping too."
            )
        if steps:
            self.target.require_sector(where)
            self.target.require_reachable(where)

    def describe(self) -> list[str]:
        """``name=value`` for every option that differs from its default."""
        parts = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                known = isinstance(value, Nonlinearity) or value in TABLEAUX.values()
                parts.append(f"{field.name}={(value.name if known else value)!r}")
        return parts


def register_unit(
    module: nn.Module,
    suffix: str,
    input_size: int,
    hidden_size: int,
    options: UnitOptions,
    *,
    device: Device = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Register the parameters of one unit, all zero, under names that end in ``suffix``."""

    def add(name: str, wanted: bool, *shape: int) -> None:
        zeros = torch.zeros(*shape, device=device, dtype=dtype) if wanted else None
        module.register_parameter(name + suffix, None if zeros is None else nn.Parameter(zeros))

    def add_matrix(name: str, letter: str) -> None:
        learned = [item for item in ("beta", "gamma") if f"{item}_{letter}" in options.trainable]
        beta, gamma = getattr(options, f"beta_{letter}"), getattr(options, f"gamma_{letter}")
        scheme = SymmetricSkew(beta, gamma, trainable=learned, device=device, dtype=dtype)
        add(name, True, hidden_size, hidden_size)
        parametrize.register_parametrization(module, name + suffix, scheme)

    add("weight_ih", True, hidden_size, input_size)
    add_matrix("weight_hh", "w")
    if options.has_linear:
        add_matrix("weight_a", "a")
    else:
        add("weight_a", False)
    add("bias", options.bias, hidden_size)
    if options.constraint == "contractive":
        add("log_metric", True, hidden_size)
        add("log_multiplier", True, len(options.target.tableau.b), hidden_size)
    if options.gated:
        add("weight_gate", True, hidden_size, input_size)
        add("bias_gate", options.bias, hidden_size)
    for name, constraint in (("step_size", Positive()), ("alpha", None)):
        if name in options.trainable:
            value = getattr(options, name)
            register_scalar(module, name + suffix, value, constraint, device=device, dtype=dtype)


def reset_unit(module: nn.Module, suffix: str, input_size: int, options: UnitOptions) -> None:
    """Draw the authors' initial values and put learned scalars where they started.

    M ~ N(0, (init_std/N)²); U and b as in ``nn.Linear``.
    """
    for name, letter in (("weight_hh", "w"), ("weight_a", "a")):
        _reset_matrix(module, name + suffix, letter, options)
    for name in ("weight_ih", "bias", "weight_gate", "bias_gate"):
        tensor = getattr(module, name + suffix, None)
        if tensor is not None:
            uniform_fan_in_(tensor, input_size)
    for name in ("step_size", "alpha"):
        if name in options.trainable:
            _set_scalar(module, name + suffix, getattr(options, name))
    if options.constraint == "contractive":
        nn.init.zeros_(getattr(module, "log_metric" + suffix))
        nn.init.zeros_(getattr(module, "log_multiplier" + suffix))


def _reset_matrix(module: nn.Module, name: str, letter: str, options: UnitOptions) -> None:
    if parametrize.is_parametrized(module, name):
        parametrizations: nn.ModuleDict = module.parametrizations  # type: ignore[assignment]
        scheme: nn.Module = parametrizations[name][0]  # type: ignore[index]
        free: Tensor = parametrizations[name].original  # type: ignore[assignment]
        scaled_normal_(free, options.init_std)
        for scalar in ("beta", "gamma"):
            if f"{scalar}_{letter}" in options.trainable:
                _set_scalar(scheme, scalar, getattr(options, f"{scalar}_{letter}"))
    elif getattr(module, name) is not None:  # its parametrisation was removed
        beta, gamma = getattr(options, f"beta_{letter}"), getattr(options, f"gamma_{letter}")
        weight: Tensor = getattr(module, name)
        with torch.no_grad():
            weight.copy_(SymmetricSkew(beta, gamma)(scaled_normal_(weight, options.init_std)))


def _set_scalar(module: nn.Module, name: str, value: float) -> None:
    """Assign a learned scalar, through its constraint if it has one."""
    if parametrize.is_parametrized(module, name):
        old: Tensor = module.parametrizations[name].original  # type: ignore[index,union-attr]
        setattr(module, name, torch.full_like(old, value))
    else:
        nn.init.constant_(getattr(module, name), value)


def _read(module: nn.Module, suffix: str) -> Callable[[str], Tensor]:
    def read(name: str) -> Tensor:
        value: Tensor = getattr(module, name + suffix)
        return value

    return read


def _body(read: Callable[[str], Tensor], options: UnitOptions) -> tuple[Tensor, ...]:
    """``α A``, ``W``, ``U``, ``b``, and those of the gate if there is one."""
    a: Tensor | None = read("weight_a")
    w = read("weight_hh")
    alpha = read("alpha") if "alpha" in options.trainable else options.alpha
    if a is not None and (isinstance(alpha, Tensor) or alpha != 1):
        a = alpha * a
    if a is not None and options.constraint == "contractive-flow":
        a = contractive_flow(a, w, options.rate, options.target.nonlinearity.lipschitz_constant)
    elif a is not None and options.constraint == "contractive":
        logs = read("log_metric"), read("log_multiplier")
        a, w = contractive_step(a, w, *logs, options.target)
    gate = (read("weight_gate"), read("bias_gate")) if options.gated else ()
    # the type checker cannot know which of these may be None; the ops check
    return (a, w, read("weight_ih"), read("bias"), *gate)


def unit_proof(module: nn.Module, suffix: str, options: UnitOptions) -> tuple[Tensor, Tensor]:
    """Metric, (H,), and multipliers, (S, H), by which a constrained unit contracts, in float64."""
    read = _read(module, suffix)
    logs = read("log_metric"), read("log_multiplier")
    return make_proof(*logs, read("weight_hh"), options.target)


def scan_unit(
    module: nn.Module,
    suffix: str,
    options: UnitOptions,
    input: Tensor,
    h0: Tensor,
    dt: Tensor | None,
    output: str,
    memory: str = "store",
) -> tuple[Tensor | None, Tensor]:
    """States of one unit, (T, B, H), or None, and the last one; steps are ``step_size * dt``."""
    # Every parametrised tensor is read once, so A and W are computed once per sequence.
    read = _read(module, suffix)
    dtype = read("weight_ih").dtype
    if input.dtype != dtype and not autocast_is_on(input.device):
        raise TypeError(
            f"{type(module).__name__.removeprefix('Parametrized')}: expected `input` of the dtype "
            f"of the weights, {dtype}, got {input.dtype}. Convert one of them with .to(dtype)."
        )
    if dt is not None:  # never rounded to half precision, nor to less than the layer's own
        least = torch.promote_types(dtype, torch.float32)
        dt = dt.to(torch.promote_types(dt.dtype, least))
        if options.constraint == "contractive":
            options.target.require_times("LipschitzRNN", dt)
    step_size = read("step_size") if "step_size" in options.trainable else options.step_size
    names = ("a", "w", "u", "b", "u_gate", "b_gate")
    weights = dict(zip(names, _body(read, options), strict=False))  # ungated: the first four
    return scan_both(
        "lipschitz_scan",
        {"input": input, "h0": h0, **weights},
        step_size=step_size if dt is None else step_size * dt,
        method=options.method,
        nonlinearity=options.nonlinearity,
        substeps=options.substeps,
        output=output,
        memory=memory,
    )


def unit_weights(module: nn.Module, suffix: str, options: UnitOptions) -> tuple[Tensor, ...]:
    """``α A``, ``W``, ``U`` and ``b`` of an ungated unit."""
    return _body(_read(module, suffix), options)


def unit_field(
    module: nn.Module, suffix: str, options: UnitOptions, input: Tensor, h: Tensor
) -> Tensor:
    """Right-hand side of one unit, (B, H), for a held input (B, P)."""
    body = _body(_read(module, suffix), options)
    return lipschitz_field(input, h, *body, nonlinearity=options.nonlinearity)
