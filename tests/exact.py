"""Matrices of rational numbers: what floating-point answers are held to."""

from fractions import Fraction

import numpy as np


def exact(matrix):
    """The stored numbers, as they are."""
    matrix = np.asarray(matrix, np.float64)
    cells = [Fraction(float(x)) for x in matrix.ravel()]
    return np.array(cells, dtype=object).reshape(matrix.shape)


def zeros(*shape):
    return exact(np.zeros(shape))


def is_positive_definite(matrix):
    """Whether all pivots of LDLᵀ are above 0, which decides it for a symmetric matrix."""
    work = matrix.copy()
    for k in range(len(work)):
        if work[k, k] <= 0:
            return False
        column = work[k + 1 :, k]
        work[k + 1 :, k + 1 :] -= np.outer(column, column) / work[k, k]
    return True


def encloses(ball, matrix):
    """Whether a matrix of fractions lies within a ball of floats."""
    gap = abs(exact(ball.center) - matrix)
    return bool((gap <= exact(ball.radius)).all())
