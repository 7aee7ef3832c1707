"""The content of a certificate's file, as somebody changes it on purpose."""

import base64

import numpy as np

from lipschitz_rnn.analysis.certificate_json import decode_unit, digest_of
from lipschitz_rnn.analysis.certificate_model import units_digest


def array_of(entry):
    dtype = {"float32": "<f4", "float64": "<f8"}[entry["dtype"]]
    return np.frombuffer(base64.b64decode(entry["data"]), dtype).reshape(entry["shape"]).copy()


def put(entry, array):
    dtype = {"float32": "<f4", "float64": "<f8"}[entry["dtype"]]
    entry["data"] = base64.b64encode(np.asarray(array, dtype).tobytes()).decode()


def sign_again(content, index=0):
    """What somebody does who changes a file on purpose: all that follows fits again."""
    unit = content["units"][index]
    unit |= {"rate": None, "contraction": None}
    found = decode_unit("x", unit | {"holds": False})
    certificate = found.certificate
    object.__setattr__(certificate, "holds", unit["holds"])
    unit |= {"rate": certificate.rate, "contraction": certificate.contraction}
    unit["sha256"] = digest_of(certificate)
    sign_units(content)


def sign_units(content):
    """The digest of the list of units, for those that are there."""
    units = [(unit["name"], unit["sha256"]) for unit in content["units"]]
    content["units_sha256"] = units_digest(units)
