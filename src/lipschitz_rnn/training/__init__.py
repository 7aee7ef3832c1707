"""Training: configuration, loop, checkpoints, records."""

from lipschitz_rnn.training.checkpoint import load_checkpoint as load_checkpoint
from lipschitz_rnn.training.checkpoint import save_checkpoint as save_checkpoint
from lipschitz_rnn.training.config import DataConfig as DataConfig
from lipschitz_rnn.training.config import ModelConfig as ModelConfig
from lipschitz_rnn.training.config import RunConfig as RunConfig
from lipschitz_rnn.training.config import SeedConfig as SeedConfig
from lipschitz_rnn.training.config import TrainingConfig as TrainingConfig
from lipschitz_rnn.training.evaluate import EvaluationResult as EvaluationResult
from lipschitz_rnn.training.evaluate import evaluate as evaluate
from lipschitz_rnn.training.events import EpochDone as EpochDone
from lipschitz_rnn.training.events import Event as Event
from lipschitz_rnn.training.events import Hook as Hook
from lipschitz_rnn.training.events import RunDone as RunDone
from lipschitz_rnn.training.events import RunStarted as RunStarted
from lipschitz_rnn.training.events import StopTraining as StopTraining
from lipschitz_rnn.training.events import UpdateDone as UpdateDone
from lipschitz_rnn.training.folder import RunFolder as RunFolder
from lipschitz_rnn.training.record import RunRecord as RunRecord
from lipschitz_rnn.training.record import WeightsResult as WeightsResult
from lipschitz_rnn.training.run import fit as fit
from lipschitz_rnn.training.run import resume as resume
from lipschitz_rnn.training.run_end import count_parameters as count_parameters
from lipschitz_rnn.training.tensorboard import TensorBoard as TensorBoard
