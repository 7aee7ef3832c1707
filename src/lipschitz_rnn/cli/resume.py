"""``lipschitz-rnn resume``: go on where a run was interrupted."""

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson, Board, DataDir, Quiet, RunDir


@app.command(
    short_help="Go on with a run that was interrupted.", epilog=epilog("resume runs/first")
)
def resume(
    run: RunDir,
    data_dir: DataDir = None,
    tensorboard: Board = False,
    json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Go on with RUN; the result is that of a run never interrupted."""
    from lipschitz_rnn.cli.console import say, warn
    from lipschitz_rnn.cli.launch import launch, workers
    from lipschitz_rnn.experiments import resume_run
    from lipschitz_rnn.training import RunFolder
    from lipschitz_rnn.training.distributed import is_first

    with workers():
        was_finished = RunFolder(run).is_finished
        report = warn if is_first() else None
        launch(
            run,
            lambda hooks: resume_run(run, data_dir=data_dir, hooks=hooks, report=report),
            quiet=quiet,
            json=json,
            tensorboard=tensorboard,
        )
        if was_finished and not json and is_first():
            say("this run is finished: nothing to do, nothing changed")
