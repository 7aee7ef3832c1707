"""Named, reproducible runs: presets, their data and models, from training to prediction."""

from lipschitz_rnn.experiments.dynamics import fixed_points_run as fixed_points_run
from lipschitz_rnn.experiments.dynamics import lyapunov_run as lyapunov_run
from lipschitz_rnn.experiments.dynamics import stability_run as stability_run
from lipschitz_rnn.experiments.history import History as History
from lipschitz_rnn.experiments.history import UnitHistory as UnitHistory
from lipschitz_rnn.experiments.history import read_history as read_history
from lipschitz_rnn.experiments.predict import predict_run as predict_run
from lipschitz_rnn.experiments.registry import build_data as build_data
from lipschitz_rnn.experiments.registry import build_model as build_model
from lipschitz_rnn.experiments.registry import load_preset as load_preset
from lipschitz_rnn.experiments.registry import preset_names as preset_names
from lipschitz_rnn.experiments.reproduce import work_off as work_off
from lipschitz_rnn.experiments.robust import RobustCurve as RobustCurve
from lipschitz_rnn.experiments.robust import robust_curve as robust_curve
from lipschitz_rnn.experiments.runs import TrainedRun as TrainedRun
from lipschitz_rnn.experiments.runs import evaluate_run as evaluate_run
from lipschitz_rnn.experiments.runs import load_trained as load_trained
from lipschitz_rnn.experiments.runs import resume_run as resume_run
from lipschitz_rnn.experiments.runs import train_run as train_run
from lipschitz_rnn.experiments.spectra import measure_spectra as measure_spectra
from lipschitz_rnn.experiments.tables import load_table as load_table
from lipschitz_rnn.experiments.tables import table_names as table_names
from lipschitz_rnn.experiments.verify import verify_cards as verify_cards
