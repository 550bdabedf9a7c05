"""A slug is claimed by whoever has the secret, and by nobody who has less."""

from hashlib import sha256

import pytest

from agentgather.link.proof import is_proven, owner_of, prove

SECRET = "agh_" + "s" * 43
NONCE = bytes(range(32))
OTHER_NONCE = bytes(32)


def test_a_proof_made_with_the_secret_is_good() -> None:
    assert is_proven(owner_of(SECRET), prove(SECRET, "demo", NONCE), "demo", NONCE)


def test_an_owner_is_one_per_secret() -> None:
    assert owner_of(SECRET) == owner_of(SECRET) != owner_of(SECRET + "x")
    assert len(owner_of(SECRET)) == 32


@pytest.mark.hostile("T01")
@pytest.mark.parametrize(
    ("secret", "slug", "nonce"),
    [
        pytest.param("agh_" + "t" * 43, "demo", NONCE, id="wrong secret"),
        pytest.param("", "demo", NONCE, id="no secret"),
        pytest.param(SECRET, "other", NONCE, id="proof for another slug"),
        pytest.param(SECRET, "demo\0", NONCE, id="slug with a separator"),
        pytest.param(SECRET, "demo", OTHER_NONCE, id="replayed: made for another nonce"),
        pytest.param(SECRET, "demo", NONCE[:-1], id="nonce cut short"),
    ],
)
def test_a_proof_of_anything_else_is_not(secret: str, slug: str, nonce: bytes) -> None:
    assert not is_proven(owner_of(SECRET), prove(secret, slug, nonce), "demo", NONCE)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_wrong_lengths_are_no_proof_and_no_error(length: int) -> None:
    assert not is_proven(owner_of(SECRET), bytes(length), "demo", NONCE)
    assert not is_proven(bytes(length), prove(SECRET, "demo", NONCE), "demo", NONCE)


def test_every_bit_of_a_proof_counts() -> None:
    proof = prove(SECRET, "demo", NONCE)
    for bit in range(256):
        flipped = bytearray(proof)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not is_proven(owner_of(SECRET), bytes(flipped), "demo", NONCE)


@pytest.mark.hostile("T01")
def test_what_a_broker_stores_is_not_enough_to_register() -> None:
    owner = owner_of(SECRET)
    # The best that can be made of it: it stands for the key, or for the secret.
    for guess in (owner, sha256(owner).digest(), bytes(32)):
        assert not is_proven(owner, guess, "demo", NONCE)
    assert not is_proven(owner, prove(owner.hex(), "demo", NONCE), "demo", NONCE)
    assert not is_proven(owner, prove(owner.decode("latin-1"), "demo", NONCE), "demo", NONCE)
