"""``lipschitz-rnn info``: versions, hardware, backends, presets."""

from lipschitz_rnn.cli.app import app


@app.command()
def info() -> None:
    """Say what runs here, and on what."""
    from rich import box
    from rich.table import Table

    from lipschitz_rnn.cli.console import make_console
    from lipschitz_rnn.data import cache_folder
    from lipschitz_rnn.experiments import preset_names
    from lipschitz_rnn.ops import available_backends
    from lipschitz_rnn.training.config import ModelConfig
    from lipschitz_rnn.training.environment import describe_backend, describe_environment

    table = Table(box=box.SIMPLE, show_header=False)
    for key, value in describe_environment().items():
        table.add_row(key.replace("_", " "), str(value))
    choice = describe_backend(ModelConfig(hidden_size=128))
    table.add_row("backends", ", ".join(available_backends()))
    table.add_row("backend of smnist", choice.name)
    for name, reasons in choice.refused.items():
        table.add_row(f"not {name}", " ".join(reasons))
    table.add_row("presets", ", ".join(preset_names()))
    table.add_row("data cache", str(cache_folder()))
    make_console().print(table)
