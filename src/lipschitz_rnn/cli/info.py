"""``lipschitz-rnn info``: versions, hardware, backends, presets."""

from lipschitz_rnn.cli.app import app
from lipschitz_rnn.cli.examples import epilog
from lipschitz_rnn.cli.options import AsJson


@app.command(short_help="What runs here, and on what.", epilog=epilog("info", "info --json"))
def info(json: AsJson = False) -> None:
    """Say what runs here, and on what."""
    from rich import box
    from rich.table import Table

    from lipschitz_rnn.cli.console import make_console, say
    from lipschitz_rnn.data import cache_folder
    from lipschitz_rnn.experiments import preset_names
    from lipschitz_rnn.experiments.plain import as_json
    from lipschitz_rnn.ops import available_backends
    from lipschitz_rnn.training.config import ModelConfig
    from lipschitz_rnn.training.environment import describe_backend, describe_environment

    environment, choice = describe_environment(), describe_backend(ModelConfig(hidden_size=128))
    found = {
        "backends": available_backends(),
        "backend_of_smnist": choice.name,
        "presets": preset_names(),
        "data_cache": str(cache_folder()),
    }
    if json:
        say(as_json({**environment, **found, "refused": choice.refused}))
        return
    table = Table(box=box.SIMPLE, show_header=False)
    for key, value in (environment | found).items():
        text = ", ".join(value) if isinstance(value, tuple) else str(value)
        table.add_row(key.replace("_", " "), text)
    for name, reasons in choice.refused.items():
        table.add_row(f"not {name}", " ".join(reasons))
    make_console().print(table)
