"""State directories as released brokers left them, beside the homes of their hosts."""

import shutil
from pathlib import Path

import pytest

from agentgather.broker.hashes import slug_hash
from agentgather.broker.state import State, open_state
from agentgather.broker.stored_lease import age_at_start
from agentgather.link.proof import owner_of
from agentgather.wire.records import decode_plain

FIXTURES = Path(__file__).resolve().parents[1] / "storage" / "fixtures"
ADA = "agr_hC6NR8Vtl77_WQMbcdGlWZZVSt3W0x1kpkCKVxM_0tU"
"""The token that the host of 0.3.0 showed; the operator printed it once."""


def open_copy(name: str, target: Path) -> State:
    """Open a copy as a broker that starts, with the modes that it had: git keeps none."""
    shutil.copytree(FIXTURES / name, target)
    for path in (target, *target.iterdir()):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return open_state(target, serving=True, create=False)


@pytest.mark.hostile("D05")
@pytest.mark.parametrize("name", sorted(path.name for path in FIXTURES.glob("broker-*")))
def test_a_broker_starts_and_works_on_what_an_older_one_left(name: str, tmp_path: Path) -> None:
    state = open_copy(name, tmp_path / "state")
    leases, tokens = state.load_leases(), state.list_tokens()
    state.put_lease(leases[0]._replace(slug_hash=slug_hash(state.key, "another")))
    _, minted = state.add_token("new", now_wall_s=1_800_000_000)
    assert state.use_token(minted, 1_800_000_000)
    assert len(state.load_leases()) == len(leases) + 1
    assert state.list_tokens()[: len(tokens)] == tokens
    state.close()


def test_what_lies_in_a_state_of_0_3_0(tmp_path: Path) -> None:
    state = open_copy("broker-0.3.0", tmp_path / "state")
    routes = FIXTURES / "home-0.3.0" / "rooms" / "review" / "routes.json"
    secret = decode_plain(routes.read_bytes())["routes"][0]["secret"]
    (lease,) = state.load_leases()
    # The host's secret still proves that the name is its own.
    assert lease.slug_hash == slug_hash(state.key, "review-fixture")
    assert lease.owner == owner_of(secret)
    assert age_at_start(lease, lease.created_wall_s + 60) == 60
    ada, unnamed = state.list_tokens()
    assert (ada.id, ada.label, unnamed.id, unnamed.label) == (1, "ada", 2, None)
    assert ada.expires_wall_s == ada.created_wall_s + 30 * 86_400
    assert state.use_token(ADA, ada.created_wall_s)
    assert not state.use_token(ADA, ada.expires_wall_s)
    state.close()
