"""The wheel has the package and nothing else and works; the source archive has the repository."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEFT_OUT = (".ci", ".gitignore", ".pre-commit-config.yaml")


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Both, built from what is committed; needs git, a compiler and a package index."""
    folder = tmp_path_factory.mktemp("archives")
    clone, out = folder / "clone", folder / "out"
    for command in (
        ["git", "clone", "-q", str(ROOT), str(clone)],
        [sys.executable, "-m", "build", "--outdir", str(out), str(clone)],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (wheel,), (source,) = out.glob("*.whl"), out.glob("*.tar.gz")
    listed = subprocess.run(["git", "-C", str(clone), "ls-files"], capture_output=True, text=True)
    return wheel, source, set(listed.stdout.splitlines())


@pytest.mark.slow
def test_the_source_archive_is_what_is_committed(archives):
    _, source, committed = archives
    with tarfile.open(source) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    kept = {name for name in committed if not set(Path(name).parts) & set(LEFT_OUT)}
    assert names - {"PKG-INFO"} == kept


@pytest.mark.slow
def test_the_wheel_is_the_package_and_its_kernel(archives):
    wheel, _, committed = archives
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {name.removeprefix("src/") for name in committed if name.startswith("src/")}
    rest = {name for name in names - package if ".dist-info/" not in name}
    assert package <= names
    (kernel,) = rest
    assert Path(kernel).match("lipschitz_rnn/ops/liblipschitz_scan.*")
    described = {name.partition(".dist-info/")[2] for name in names - package - rest}
    assert described == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "source"])
def test_what_is_installed_trains(archives, tmp_path, kind):
    """In an empty folder, with this environment's libraries but not its package: hence ``-S``."""
    archive = archives[0] if kind == "wheel" else archives[1]
    site, play = tmp_path / "site", tmp_path / "play"
    play.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site)]
    done = subprocess.run([*pip, str(archive)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    paths = [str(site), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    verbs = [sys.executable, "-S", "-m", "lipschitz_rnn.cli"]
    for command, expected in (
        ([sys.executable, "-S", "-c", "import lipschitz_rnn as l; print(l.__file__)"], str(site)),
        ([*verbs, "info"], "native"),
        ([*verbs, "train", "digits", "--out", "run", "--set", "training.epochs=2"], "run folder"),
        ([*verbs, "report", "run"], "report.html"),
    ):
        done = subprocess.run(command, cwd=play, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        assert expected in done.stdout
    assert (play / "run/report.html").stat().st_size > 10_000
