#!/usr/bin/env python3
"""Makes crates/data/tests/kinds.npz: one small array of every kind that emberloop-data reads, written by NumPy itself.

    pip install numpy
    python tests/tools/make_numpy_kinds.py
"""

import io
import pathlib
import zipfile

import numpy as np

PATH = pathlib.Path(__file__).resolve().parents[2] / "crates" / "data" / "tests" / "kinds.npz"
BASE = np.arange(12).reshape(2, 3, 2)

arrays = {kind: BASE.astype(kind) for kind in "i1 i2 i4 i8 u1 u2 u4 u8 f4 f8".split()}
arrays["big_endian"] = BASE.astype(">f4")
arrays["fortran"] = np.asfortranarray(BASE.astype("<f8"))
arrays["half"] = BASE.astype("<f2")
arrays["complex"] = BASE.astype("<c8")
arrays["objects"] = np.array([None, 1], dtype=object)
arrays["unicode"] = np.array(["walk", "gehen \u00fc"])
arrays["bytes"] = np.array([b"walk", b"run"])
arrays["bool"] = np.array([True, False])
arrays["code"] = np.array([7, 3])
arrays["float_code"] = np.array([7.0, 3.0])
arrays["tokens"] = np.array([["a", "b", "a"], ["c", "a", "b"]])

with zipfile.ZipFile(PATH, "w") as archive:
    for name, array in arrays.items():
        npy = io.BytesIO()
        np.lib.format.write_array(npy, array)
        entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
        archive.writestr(entry, npy.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
print(PATH.name, PATH.stat().st_size, "bytes")
