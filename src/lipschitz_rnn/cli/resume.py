"""``lipschitz-rnn resume``: go on where a run was interrupted."""

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.options import DataDir, Quiet, RunDir


@app.command()
def resume(run: RunDir, data_dir: DataDir = None, quiet: Quiet = False) -> None:
    """Go on with RUN; the result is that of a run never interrupted."""
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.cli.launch import launch
    from lipschitz_rnn.experiments import resume_run
    from lipschitz_rnn.training import RunFolder

    was_finished = RunFolder(run).is_finished
    launch(
        run,
        lambda display: resume_run(run, data_dir=data_dir, hooks=[display], report=warn),
        quiet=quiet,
    )
    if was_finished:
        say("this run is finished: nothing to do, nothing changed")
