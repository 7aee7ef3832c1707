"""The public names, written down: adding or losing one is a decision, not an accident."""

import importlib
import importlib.metadata
import inspect
import subprocess
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SNAPSHOT = {
    "lipschitz_rnn": """
        LanguageModel LipschitzRNN LipschitzRNNCell LipschitzRNNClassifier LipschitzRNNForecaster
        LipschitzRNNRegressor RecurrentLayer SequenceClassifier SequenceRegressor Streamer
        SymmetricSkew lipschitz_scan use_backend
    """,
    "lipschitz_rnn.ops": """
        Backend BackendChoice ButcherTableau EULER HEUN MIDPOINT NONLINEARITIES NativeBackend
        Nonlinearity RK4 ScanCall TABLEAUX available_backends explain_backend explain_kernel
        explicit_step gated_lipschitz_scan
        lipschitz_field lipschitz_scan register_backend release_memory use_backend use_variant
        variants
    """,
    "lipschitz_rnn.linalg": """
        BallMatrix eigenvalue_lower_bound imaginary_bound is_certainly_positive_definite log_norm
        norm_upper_bound positive_qr scheme_interval spectral_abscissa
    """,
    "lipschitz_rnn.nn": """
        AntisymmetricRNNCell CayleyRNNCell CoRNNCell ExponentialRNNCell GatedLipschitzRNNCell
        LEMCell LanguageModel LipschitzRNN LipschitzRNNCell NoisyLipschitzRNNCell Positive
        RecurrentLayer ResidualRNNCell SequenceClassifier SequenceRegressor Streamer SymmetricSkew
        UNITS
        UnitInterval UnreachableMatrixError contraction_penalty load_authors_tensors
        logit_gains make_layer margin_logits unit_options
    """,
    "lipschitz_rnn.export": """
        ExportedFile c_header export_onnx export_onnx_step export_torch
    """,
    "lipschitz_rnn.analysis": """
        AttackOutcome CertificateCheck CertifiedRadii Condition ConditionNumber
        DeepFoolResult EulerContraction FixedPoint FixedPoints Gains GradientNorms
        HessianProduct HessianReport HessianSettings InputSensitivity JacobianNorms
        LyapunovSpectrum MaskingReport MatrixReport MeasuredGain PERTURBATIONS Perturbed
        ProductCheck RobustnessCurve RobustnessReport SchemeBounds StabilityCertificate
        StabilityReport StateBound StepMap StepSizes TheoremConditions UnitCertificate
        UnitMatrices UnitReport UnitRun admissible_step_sizes cell_of certified_accuracy
        certified_radii certify check_conditions check_masking condition_number deepfool
        drop_steps empirical_accuracy euler_contraction fgsm field_jacobian
        find_fixed_points find_units gradient_norms hessian hessian_of hessian_product
        input_gains input_sensitivity jacobian_norms jitter_times layer_cells
        load_certificate lyapunov_exponents measured_gain noise_weights parameter_groups
        pgd pgd_losses prune_weights random_search repeat_steps robustness round_weights
        rounding_bound run_layer salt_and_pepper save_certificate stability_polynomial
        stability_report state_bound verify_certificate weights_digest white_noise
        wilson_interval
    """,
    "lipschitz_rnn.data": """
        ArrayDataset Batch DataStatus DataUnavailableError Dataset FileStatus FrameDataset KINDS
        LabelledImages LongBatch SequenceDataset SeriesStream Split SymbolStream cache_folder
        encode_samples get group_by_length load_digits load_mnist load_split manifest_digest
        named_permutation split_options to_sequences verify
    """,
    "lipschitz_rnn.training": """
        DataConfig EpochDone EvaluationResult Event Hook ModelConfig RunConfig RunDone RunFolder
        RunRecord RunStarted SeedConfig StopTraining TensorBoard TrainingConfig UpdateDone
        WeightsResult count_parameters evaluate fit load_checkpoint resume save_checkpoint
    """,
    "lipschitz_rnn.estimators": """
        LipschitzRNNClassifier LipschitzRNNForecaster LipschitzRNNRegressor
    """,
    "lipschitz_rnn.report": """
        Written write_report
    """,
    "lipschitz_rnn.benchmarks": """
        SHAPES Settings Shape as_markdown find_shape read_results run_benchmark
    """,
    "lipschitz_rnn.experiments": """
        History RobustCurve TrainedRun UnitHistory build_data build_model evaluate_run
        fixed_points_run load_preset load_table load_trained lyapunov_run measure_spectra
        predict_run preset_names read_history resume_run robust_curve stability_run table_names
        train_run verify_cards work_off
    """,
}


def public_names(module):
    return {
        name
        for name in dir(module)  # and not vars(): what is imported when it is named counts too
        if not name.startswith("_") and not isinstance(getattr(module, name), types.ModuleType)
    }


@pytest.mark.parametrize("name", SNAPSHOT)
def test_public_names(name):
    assert public_names(importlib.import_module(name)) == set(SNAPSHOT[name].split())


@pytest.mark.parametrize("name", SNAPSHOT)
def test_public_names_are_documented(name):
    module = importlib.import_module(name)
    for public in public_names(module):
        value = getattr(module, public)
        if inspect.isclass(value) or inspect.isfunction(value):  # not a type alias
            assert value.__doc__, public


def test_version_is_that_of_the_metadata():
    import lipschitz_rnn

    assert lipschitz_rnn.__version__ == importlib.metadata.version("lipschitz-rnn")


def fresh(code):
    """What a new process prints that runs this."""
    command = [sys.executable, "-c", f"import sys; {code}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_imports_nothing_slow():
    """Nor does the command line, which a shell starts at every Tab key."""
    slow = ("torch", "numpy", "scipy", "sklearn", "matplotlib", "rich")
    shown = f"print([m for m in {slow} if m in sys.modules])"
    assert fresh(f"import lipschitz_rnn; {shown}") == "[]"
    assert fresh(f"import lipschitz_rnn.cli; {shown}") == "[]"
    offered = "from lipschitz_rnn.cli.complete import complete_preset, complete_table"
    assert fresh(f"{offered}; complete_preset(''), complete_table(''); {shown}") == "[]"


def test_a_layer_imports_torch_and_little_else():
    slow = ("scipy", "sklearn", "matplotlib", "typer", "rich", "lipschitz_rnn.analysis")
    shown = f"print([m for m in {slow} if m in sys.modules])"
    assert fresh(f"from lipschitz_rnn import LipschitzRNN; {shown}") == "[]"


def test_packages_and_names_are_there_once_they_are_asked_for():
    import lipschitz_rnn

    names = ", ".join(SNAPSHOT["lipschitz_rnn"].split())
    assert fresh(f"from lipschitz_rnn import *; {names}; print('there')") == "there"
    packages = {name.partition(".")[2] for name in SNAPSHOT if "." in name}
    assert packages == set(lipschitz_rnn._PACKAGES)
    assert packages == {page.stem for page in (ROOT / "docs/api").glob("*.md")}
    assert packages <= set(dir(lipschitz_rnn))
    first = "import lipschitz_rnn as l; print(l.report.__name__, l.estimators.__name__)"
    assert fresh(first) == "lipschitz_rnn.report lipschitz_rnn.estimators"
    for package in packages:
        assert getattr(lipschitz_rnn, package).__name__ == f"lipschitz_rnn.{package}"
    with pytest.raises(AttributeError, match="has no attribute 'LipschitzRnn'"):
        lipschitz_rnn.LipschitzRnn  # noqa: B018


def test_where_names_live():
    """The type checker reads one list of them, and Python another."""
    import lipschitz_rnn

    for package in lipschitz_rnn._PACKAGES:
        text = f"from lipschitz_rnn import {package} as {package}"
        assert text in inspect.getsource(lipschitz_rnn)

    for name in SNAPSHOT["lipschitz_rnn"].split():
        package = getattr(lipschitz_rnn, name).__module__.split(".")[1]
        assert f"from lipschitz_rnn.{package} import {name} as {name}" in inspect.getsource(
            lipschitz_rnn
        )
