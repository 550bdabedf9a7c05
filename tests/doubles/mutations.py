"""Bytes for whoever decodes: at random, and good ones with something done to them."""

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

ODD: Final = (
    *(b"\x00", b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"\xef\xbb\xbf", b"\\ud800", b"\\u0000"),
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b"\xe2\x80\xa8", b"\x7f"),
    *(b'"', b"{", b"}", b"[", b"[" * 2000, b"]", b":", b",", b"null", b"true", b"1e999", b"-0"),
    *(b"9" * 400, b"NaN", b"=", b"&", b"%", b"%00", b"%ff", b"+", b"/", b"//", b"..", b"@", b"#"),
)


@st.composite
def mutated(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    """Do a few things to a sample: cut, flip, repeat, put in, or put another behind it."""
    data = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 12))
        what = draw(st.sampled_from(["cut", "drop", "flip", "repeat", "odd", "random", "join"]))
        before, piece, after = data[:at], data[at : at + length], data[at + length :]
        match what:
            case "cut":
                data = before
            case "drop":
                data = before + after
            case "flip":
                bit = 1 << draw(st.integers(0, 7))
                data = before + bytes(byte ^ bit for byte in piece) + after
            case "repeat":
                data = before + piece * draw(st.integers(2, 40)) + after
            case "odd":
                data = before + draw(st.sampled_from(ODD)) + piece + after
            case "random":
                data = before + draw(st.binary(max_size=8)) + after
            case "join":
                data = before + draw(st.sampled_from(samples)) + after
    return data


def hostile_bytes(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Give bytes at random, and samples that were mutated, the latter more often."""
    return st.one_of(st.binary(max_size=200), mutated(samples), mutated(samples))
