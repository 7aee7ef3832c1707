"""Samples for training and prediction: where they come from, and how they become sequences."""

from lipschitz_rnn.data.cache import DataStatus as DataStatus
from lipschitz_rnn.data.cache import FileStatus as FileStatus
from lipschitz_rnn.data.cache import cache_folder as cache_folder
from lipschitz_rnn.data.cache import get as get
from lipschitz_rnn.data.cache import verify as verify
from lipschitz_rnn.data.digits import load_digits as load_digits
from lipschitz_rnn.data.encode import encode_samples as encode_samples
from lipschitz_rnn.data.files import manifest_digest as manifest_digest
from lipschitz_rnn.data.images import LabelledImages as LabelledImages
from lipschitz_rnn.data.mnist import load_mnist as load_mnist
from lipschitz_rnn.data.permutations import named_permutation as named_permutation
from lipschitz_rnn.data.sequence import Batch as Batch
from lipschitz_rnn.data.sequence import SequenceDataset as SequenceDataset
from lipschitz_rnn.data.sequence import Split as Split
from lipschitz_rnn.data.sequence import to_sequences as to_sequences
from lipschitz_rnn.data.sources import DataUnavailableError as DataUnavailableError
from lipschitz_rnn.data.tasks import load_split as load_split

__all__ = [
    "Batch",
    "DataStatus",
    "DataUnavailableError",
    "FileStatus",
    "LabelledImages",
    "SequenceDataset",
    "Split",
    "cache_folder",
    "encode_samples",
    "get",
    "load_digits",
    "load_mnist",
    "load_split",
    "manifest_digest",
    "named_permutation",
    "to_sequences",
    "verify",
]
