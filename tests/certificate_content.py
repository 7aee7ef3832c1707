"""The content of a certificate's file, as somebody changes it on purpose."""

import base64

import numpy as np

from lipschitz_rnn.analysis.certificate_json import decode_unit, digest_of


def array_of(entry):
    dtype = {"float32": "<f4", "float64": "<f8"}[entry["dtype"]]
    return np.frombuffer(base64.b64decode(entry["data"]), dtype).reshape(entry["shape"]).copy()


def put(entry, array):
    dtype = {"float32": "<f4", "float64": "<f8"}[entry["dtype"]]
    entry["data"] = base64.b64encode(np.asarray(array, dtype).tobytes()).decode()


def sign_again(unit):
    """What somebody does who changes a file on purpose: all that follows fits again."""
    unit |= {"rate": None, "contraction": None}
    found = decode_unit("x", unit | {"holds": False})
    certificate = found.certificate
    object.__setattr__(certificate, "holds", unit["holds"])
    unit |= {"rate": certificate.rate, "contraction": certificate.contraction}
    unit["sha256"] = digest_of(certificate, found.max_dt)
