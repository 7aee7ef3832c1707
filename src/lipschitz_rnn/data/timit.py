"""TIMIT (LDC93S1), which users supply: the next frame of log-magnitudes is predicted."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.files import manifest_digest
from lipschitz_rnn.data.ragged import FrameDataset
from lipschitz_rnn.data.sources import Report
from lipschitz_rnn.data.spectra import BINS, UNITS, frame_dataset, read_spectra, trivial_losses
from lipschitz_rnn.data.speech_files import find_folder, walk
from lipschitz_rnn.data.split import Split


def _speakers(text: str) -> frozenset[str]:
    return frozenset(text.split())


CORE_TEST = _speakers(
    """
    FDHC0 FELC0 FJLM0 FMGD0 FMLD0 FNLP0 FPAS0 FPKT0 MBPM0 MCMJ0 MDAB0 MGRT0 MJDH0 MJLN0 MJMP0
    MKLT0 MLLL0 MLNT0 MNJM0 MPAM0 MTAS1 MTLS0 MWBT0 MWEW0
    """
)
"""The core test set of TIMIT's own documentation, two men and a woman of each region."""
DEVELOPMENT = _speakers(
    """
    FADG0 FAKS0 FCAL1 FCMH0 FDAC1 FDMS0 FDRW0 FEDW0 FGJD0 FJEM0 FJMG0 FJSJ0 FKMS0 FMAH0 FMML0
    FNMR0 FREW0 FSEM0 MAJC0 MBDG0 MBNS0 MBWM0 MCSH0 MDLF0 MDLS0 MDVC0 MERS0 MGJF0 MGLB0 MGWT0
    MJAR0 MJFC0 MJSW0 MMDB1 MMDM2 MMJR0 MMWH0 MPDF0 MRCS0 MREB0 MRJM4 MRJR0 MROA0 MRTK0 MRWS1
    MTAA0 MTDT0 MTEB0 MTHC0 MWJG0
    """
)
"""The development set usual since Halberstadt (1998), of TIMIT's other test speakers."""
_UTTERANCE = re.compile(
    r"(?:.*/)?(TRAIN|TEST)/(DR[1-8])/([FM][A-Z]{3}[0-9])/((?:SA|SI|SX)[0-9]+)\.WAV(\.WAV)?"
)
_COMPARISON = (
    "not comparable with printed TIMIT figures, whose scale and pairing of inputs and targets are "
    "not described well enough"
)


@dataclass(frozen=True)
class Protocol:
    """Which utterances go where; every speaker has as many that are not SA.

    Attributes:
        train_speakers: How many speakers TRAIN holds.
        sentences: Utterances of a speaker, SI and SX.
        train_size: Utterances for training, the first so many by path.
        validation: Speakers for validation, among those of TEST.
        test: Speakers for the test, among those of TEST.
    """

    train_speakers: int = 462
    sentences: int = 8
    train_size: int = 3_690
    validation: frozenset[str] = CORE_TEST
    test: frozenset[str] = DEVELOPMENT


def load_timit(*, data_dir: Path | None = None, report: Report | None = None) -> Split:
    """TIMIT as frames to be predicted: 3,690 utterances for training, 192 and 400 held out.

    Each utterance is brought to 8 kHz and cut into frames, see
    :func:`lipschitz_rnn.data.spectra.log_magnitudes`. The two SA sentences, which everybody
    reads, are left out; no speaker is in two parts. Validation is the core test set (24 speakers)
    and the test is the development set (50 speakers), sets of the sizes that are believed to be
    printed. So is a training set of 3,690 utterances, while the 462 speakers have 3,696; here the
    last six by path are left out.

    Printed errors cannot be put beside those of this task: published logs begin at about 1,600,
    which is far from the scale of natural logarithms.

    Args:
        data_dir: A data folder to look into first. It holds ``timit/``, and that TIMIT's own tree,
            ``TRAIN/DR1/FCJF0/SI1027.WAV``, at any depth and in any case of letters.
        report: Told of each data folder that has no TIMIT.

    Returns:
        The three parts.

    Raises:
        InputError: If a file is wrong, or speakers or utterances are missing.
        DataUnavailableError: If there is no ``timit/``.
    """
    remedy = "Put TIMIT's own folders TRAIN and TEST into DIR/timit/"
    return read_timit(find_folder("timit", data_dir, report, remedy))


def read_timit(folder: Path, protocol: Protocol | None = None) -> Split:
    """TIMIT from a folder; see :func:`load_timit`.

    Args:
        folder: What holds TIMIT's tree.
        protocol: Who and how many; TIMIT's own if None.

    Returns:
        The three parts.

    Raises:
        InputError: If a file is wrong, or speakers or utterances are missing.
    """
    protocol = protocol or Protocol()
    files = _find_utterances(folder)
    parts = _divide(folder, files, protocol)
    digests: dict[str, str] = {}

    def dataset(names: Sequence[str]) -> FrameDataset:
        sequences = []
        for name in names:
            frames, digests[name] = read_spectra(files[name])
            if len(frames) < 2:
                raise InputError(
                    f"{files[name]}: expected at least 2 frames to predict one from another, "
                    f"got {len(frames)}."
                )
            sequences.append(frames)
        return frame_dataset(sequences)

    train, validation, test = (dataset(names) for names in parts)
    held_out = f"{len(protocol.validation)} for validation (core test set)"
    tested = f"{len(protocol.test)} for the test (development set)"
    return Split(
        name="timit",
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
            "speakers": f"{protocol.train_speakers} for training, {held_out}, {tested}",
            "comparison": _COMPARISON,
        },
    )


def _find_utterances(folder: Path) -> dict[str, Path]:
    """Files by ``TRAIN/DR1/FCJF0/SI1027``; of ``X.WAV`` and its copy ``X.WAV.wav`` the former."""
    found: dict[str, Path] = {}
    copies: dict[str, Path] = {}
    for path in walk(folder):
        match = _UTTERANCE.fullmatch(path.upper())
        if match is None:
            continue
        name = "/".join(match.groups()[:4])
        place = copies if match[5] else found
        if name in place:
            raise InputError(
                f"timit: expected one file for {name}, got {place[name]} and {folder / path}. "
                "Remove one of the two trees."
            )
        place[name] = folder / path
    return copies | found


def _divide(folder: Path, files: dict[str, Path], protocol: Protocol) -> tuple[list[str], ...]:
    """Names of the utterances of each part."""
    speakers: dict[str, dict[str, list[str]]] = {
        "TRAIN": defaultdict(list),
        "TEST": defaultdict(list),
    }
    for name in sorted(files):
        part, _, speaker, sentence = name.split("/")
        if not sentence.startswith("SA"):
            speakers[part][speaker].append(name)
    train, test = speakers["TRAIN"], speakers["TEST"]
    if len(train) != protocol.train_speakers:
        raise InputError(
            f"timit: expected {protocol.train_speakers} speakers under TRAIN, got {len(train)} "
            f"in {folder}. Copy TIMIT's own TRAIN there, all of it."
        )
    wanted = protocol.validation | protocol.test
    absent = sorted(wanted - set(test))
    if absent:
        raise InputError(
            f"timit: expected {len(wanted)} speakers of the core test and development sets under "
            f"TEST, got no {_some(absent)} in {folder}. Copy TIMIT's own TEST there, all of it."
        )
    both = sorted(wanted & set(train))
    if both:
        raise InputError(
            f"timit: expected no speaker under both TRAIN and TEST, got {_some(both)} in {folder}."
        )
    used = train | {speaker: test[speaker] for speaker in wanted}
    wrong = [f"{len(used[s])} of {s}" for s in sorted(used) if len(used[s]) != protocol.sentences]
    if wrong:
        raise InputError(
            f"timit: expected {protocol.sentences} SI and SX utterances of every speaker, "
            f"got {_some(wrong)} in {folder}. Copy those folders again."
        )
    fitted = sorted(name for names in train.values() for name in names)[: protocol.train_size]
    held_out = (protocol.validation, protocol.test)
    return (fitted, *(sorted(name for s in part for name in test[s]) for part in held_out))


def _some(items: Sequence[str]) -> str:
    """The first few of a list, and how many more there are."""
    more = f" and {len(items) - 3} more" if len(items) > 3 else ""
    return ", ".join(items[:3]) + more
