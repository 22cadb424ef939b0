#!/usr/bin/env python3
"""Makes models/japanese-vowels/{train,test}.npz from the copy of the data set that the PyPI package `aeon` carries.

    pip install aeon==1.6.0 numpy
    python tests/tools/make_japanese_vowels.py

Japanese Vowels, UCI Machine Learning Repository, https://doi.org/10.24432/C5NS47, CC BY 4.0. Donated by Mineichi Kudo,
Jun Toyama and Masaru Shimbo; described in "Multidimensional curve classification using passing-through regions",
Pattern Recognition Letters 20 (11-13), 1999, pages 1103-1111.

Nothing is scaled, resampled or left out, and the official split (270 and 370 utterances) is kept. The source has six
decimals; float32 keeps them (the values lie within +-3). Arrays of each file:

    x        float32 [n, 29, 12]   12 LPC cepstrum coefficients per frame, 0 after the end of an utterance
    lengths  int64   [n]           7 to 29 frames
    y        int64   [n]           the speaker, 0 to 8 (speakers 1 to 9 of the source)

Deflated at the highest level, with a fixed date, so that the same data gives the same bytes.
"""

import io
import pathlib
import zipfile

import numpy as np
from aeon.datasets import load_classification

STEPS = 29
SPEAKERS = [str(speaker) for speaker in range(1, 10)]
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "models" / "japanese-vowels"


def arrays(split):
    series, labels = load_classification("JapaneseVowels", split=split)
    x = np.zeros((len(series), STEPS, series[0].shape[0]), np.float32)
    for row, values in enumerate(series):
        x[row, : values.shape[1]] = values.T
    lengths = np.array([values.shape[1] for values in series], np.int64)
    y = np.array([SPEAKERS.index(label) for label in labels], np.int64)
    return {"x": x, "lengths": lengths, "y": y}


def write(path, contents):
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in contents.items():
            npy = io.BytesIO()
            np.lib.format.write_array(npy, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, npy.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)


for split in ("train", "test"):
    contents = arrays(split)
    path = FOLDER / f"{split}.npz"
    write(path, contents)
    print(path.name, {name: array.shape for name, array in contents.items()}, path.stat().st_size, "bytes")
