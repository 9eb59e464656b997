"""Makes tests/io/data/npy_dict: .npy files saved from dicts, with NumPy 2.

np.save of NumPy 2 pickles with protocol 4 and names numpy._core; NumPy 1 wrote protocol 3 and numpy.core. The second is made
here from the first's functions and one replaced name. good_*.npy hold the same two arrays; of bad_*.npy none may be read.
"""
import collections
import os
import pickle
import sys

import numpy as np

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "npy_dict")
IDS = np.array([[5, 0, -3, 7]], dtype=np.int64)
MASK = np.arange(6, dtype=np.float32).reshape(1, 2, 3) / 4
GOOD = {"ids": IDS, "mask": MASK}


class Runs:
    def __reduce__(self):
        return (os.system, ("touch /tmp/it_ran",))


def header(shape="()"):
    text = "{'descr': '|O', 'fortran_order': False, 'shape': %s, }" % shape
    text += " " * (117 - len(text)) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def write(name, data):
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(data)


def boxed(thing):
    box = np.empty((), dtype=object)
    box[()] = thing
    return box


def save(name, thing, protocol=4):
    write(name, header() + pickle.dumps(boxed(thing), protocol=protocol))


def main():
    os.makedirs(OUT, exist_ok=True)
    np.save(os.path.join(OUT, "good_numpy2.npy"), GOOD)
    old = pickle.dumps(boxed(GOOD), protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    write("good_numpy1.npy", header() + old)
    save("good_fortran.npy", {"mask": np.asfortranarray(MASK), "ids": IDS})
    save("good_ordered.npy", collections.OrderedDict(GOOD))
    save("bad_runs.npy", {"ids": Runs()})
    save("bad_runs_beside.npy", {**GOOD, "other": Runs()})
    save("bad_list.npy", [IDS, MASK])
    save("bad_array.npy", IDS)
    save("bad_nested.npy", {"ids": GOOD})
    save("bad_number.npy", {"ids": 3})
    save("bad_scalar.npy", {"ids": np.float32(3)})
    save("bad_key.npy", {1: IDS})
    save("bad_big.npy", {"ids": IDS.astype(">i8")})
    save("bad_fields.npy", {"ids": np.zeros(2, dtype=[("a", "<f4")])})
    save("bad_complex.npy", {"ids": np.zeros(2, dtype=np.complex64)})
    save("bad_text.npy", {"ids": np.array(["a"])})
    save("bad_objects.npy", {"ids": np.array([None])})
    save("bad_protocol2.npy", GOOD, protocol=2)
    plain = pickle.dumps(boxed(GOOD), protocol=4)
    shape = b"K\x01K\x02K\x03\x87"
    write("bad_short.npy", header() + plain.replace(shape, b"K\x01K\x02K\x04\x87"))
    # shape (1, 2, 3) of mask made (1, 2, 2^62): sizes overflow
    huge = b"\x8a\x08" + (2**62).to_bytes(8, "little")
    write("bad_huge.npy", header() + plain.replace(shape, b"K\x01K\x02" + huge + b"\x87"))
    write("bad_two.npy", header("(2,)") + plain)


if __name__ == "__main__":
    sys.exit(main())
