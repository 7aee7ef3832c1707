"""Samples for training and prediction: where they come from, and how they become sequences."""

from lipschitz_rnn.data.array_dataset import ArrayDataset as ArrayDataset
from lipschitz_rnn.data.batch import Batch as Batch
from lipschitz_rnn.data.batch import Dataset as Dataset
from lipschitz_rnn.data.batch import LongBatch as LongBatch
from lipschitz_rnn.data.by_length import group_by_length as group_by_length
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
from lipschitz_rnn.data.ragged import FrameDataset as FrameDataset
from lipschitz_rnn.data.sequence import SequenceDataset as SequenceDataset
from lipschitz_rnn.data.sequence import to_sequences as to_sequences
from lipschitz_rnn.data.series import SeriesStream as SeriesStream
from lipschitz_rnn.data.sources import DataUnavailableError as DataUnavailableError
from lipschitz_rnn.data.split import KINDS as KINDS
from lipschitz_rnn.data.split import Split as Split
from lipschitz_rnn.data.stream import SymbolStream as SymbolStream
from lipschitz_rnn.data.tasks import load_split as load_split
from lipschitz_rnn.data.tasks import split_options as split_options
