"""Any folder of spoken prompts as frames to be predicted: the front end of TIMIT without TIMIT."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.files import manifest_digest
from lipschitz_rnn.data.sources import Report
from lipschitz_rnn.data.spectra import BINS, UNITS, frame_dataset, read_spectra, trivial_losses
from lipschitz_rnn.data.speech_files import find_folder, walk
from lipschitz_rnn.data.split import Split

_SILENCE = "silence"


def load_speech(
    *, split_seed: int = 1234, data_dir: Path | None = None, report: Report | None = None
) -> Split:
    """A folder of WAV files as frames to be predicted, split 80/10/10 by prompt.

    Each file is brought to 8 kHz and cut into frames, see
    :func:`lipschitz_rnn.data.spectra.log_magnitudes`. What several speakers say under the same
    name is in one part. Prompts are put in the order of SHA-256 of ``"SEED PROMPT"``; the last
    tenth is the test, the tenth before it validation. Files in folders called ``silence`` and
    those shorter than two frames are skipped.

    Figures are of the files at hand. They have nothing to do with figures on TIMIT.

    Args:
        split_seed: Another one deals the prompts out anew.
        data_dir: A data folder to look into first. It holds ``speech/SPEAKER/.../PROMPT.wav``, or
            what Debian's ``asterisk-core-sounds-*-wav`` unpack to.
        report: Told of each data folder that has no ``speech/``.

    Returns:
        The three parts; sequences are in the order of their prompts, so that the first few are of
        all speakers.

    Raises:
        InputError: If a file is wrong or there are not enough.
        DataUnavailableError: If there is no ``speech/``.
    """
    remedy = "Put WAV files into DIR/speech/SPEAKER/"
    folder = find_folder("speech", data_dir, report, remedy)
    paths = [path for path in walk(folder) if path.lower().endswith(".wav")]
    spoken = [path for path in paths if _SILENCE not in PurePosixPath(path).parts[:-1]]
    digests, frames = {}, {}
    for path in spoken:
        spectra, digests[path] = read_spectra(folder / path)
        if len(spectra) >= 2:
            frames[path] = spectra
    parts = _divide(folder, frames, split_seed)
    dataset = frame_dataset([frames[path] for names in parts for path in names])
    train, validation, test = (
        dataset.subset(index)
        for index in torch.split(torch.arange(len(frames)), [len(names) for names in parts])
    )
    return Split(
        name="speech",
        train=train,
        validation=validation,
        test=test,
        output_size=BINS,
        source=f"folder {folder.parent}",
        digest=manifest_digest(digests),
        kind="spectra",
        trivial=trivial_losses(train, test),
        notes={
            "units": UNITS,
            "speakers": _speakers(frames),
            "files": f"{len(frames)} used; skipped {len(paths) - len(spoken)} of silence and "
            f"{len(spoken) - len(frames)} shorter than 2 frames",
            "split": f"80/10/10 by prompt, seed {split_seed}",
            "comparison": "not TIMIT, and never to be placed beside figures on it",
        },
    )


def speaker_and_prompt(path: str) -> tuple[str, str]:
    """Who says what, by the path of a file below ``speech/``.

    Args:
        path: Relative, with ``/``.

    Returns:
        The first folder, or the one below Debian's ``asterisk/sounds``, or nothing if there is no
        folder; and the rest of the path without its suffix, in lower case.

    Examples:
        >>> speaker_and_prompt("ann/digits/7.wav")
        ('ann', 'digits/7')
        >>> speaker_and_prompt("x/usr/share/asterisk/sounds/it_IT_m_Carlo/digits/7.wav")
        ('it_IT_m_Carlo', 'digits/7')
    """
    below = re.sub(r"^(?:.*/)?asterisk/sounds/", "", path)
    *folders, name = PurePosixPath(below).with_suffix("").parts
    return (folders[0] if folders else ""), "/".join([*folders[1:], name]).lower()


def _divide(folder: Path, frames: dict[str, np.ndarray], seed: int) -> tuple[list[str], ...]:
    """Paths of each part, a prompt's all in one."""
    prompts: dict[str, list[str]] = defaultdict(list)
    for path in frames:
        prompts[speaker_and_prompt(path)[1]].append(path)
    order = sorted(prompts, key=lambda prompt: hashlib.sha256(f"{seed} {prompt}".encode()).digest())
    held_out = max(1, len(order) // 10)
    if len(order) < 3:
        raise InputError(
            f"speech: expected at least 3 prompts of 2 frames or more, got {len(order)} in "
            f"{folder}. Put WAV files into {folder}/SPEAKER/."
        )
    cuts = (0, len(order) - 2 * held_out, len(order) - held_out, len(order))
    return tuple(
        [path for prompt in order[start:stop] for path in prompts[prompt]]
        for start, stop in pairwise(cuts)
    )


def _speakers(paths: Iterable[str]) -> str:
    """How many files of whom."""
    count = Counter(speaker_and_prompt(path)[0] or "unnamed" for path in paths)
    named = ", ".join(f"{speaker} ({number} files)" for speaker, number in sorted(count.items()))
    return f"{len(count)}: {named}"
