import pytest
import torch
from run_comparison import Stop, assert_same_run

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.training import fit, resume


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there_is_refused_before_anything_is_written(
    tmp_path, config, split, make_model, with_training
):
    with pytest.raises(InputError, match="expected a GPU that torch can use, got none"):
        fit(with_training(config, device="cuda"), split, make_model(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_run_on_a_gpu_resumes_with_its_random_numbers(
    tmp_path, config, split, make_model, with_training
):
    config = with_training(config, device="cuda")
    fit(config, split, make_model(), tmp_path / "whole")
    seen = []

    def stop(event):
        seen.append(event)
        if len(seen) == 10:
            raise Stop

    with pytest.raises(Stop):
        fit(config, split, make_model(), tmp_path / "cut", hooks=[stop])
    resume(tmp_path / "cut", split, make_model())
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
