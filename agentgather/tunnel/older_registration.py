"""Registering with an older broker, which knows no owners: a slug is whose host is there."""

from typing import Final

import trio

from agentgather.link.handshake import RegistrationRefused
from agentgather.tunnel.no_link import NoLink
from agentgather.tunnel.older_calls import CallFailed, CallRefused, OlderCalls
from agentgather.wire.link import Refused
from agentgather.wire.older import Credentials

TAKEN_SECONDS: Final = 35
"""Such a broker frees a slug 30 s after its host was last heard of. That was perhaps us."""
TAKEN_PAUSE_SECONDS: Final = 3

_IN_VAIN: Final = frozenset({"invalid_registration", "route_slug_taken"})


async def register_older(calls: OlderCalls, slug: str) -> Credentials:
    """Claim a slug, and give what the broker has named the route.

    Raises:
        NoLink: there was no answer, or none of a broker.
        RegistrationRefused: the slug is none, or another host's.

    """
    give_up_at = trio.current_time() + TAKEN_SECONDS
    while True:
        try:
            route = await calls.register(slug)
        except CallFailed as error:
            raise NoLink(str(error)) from None
        except CallRefused as error:
            is_taken = error.code == "route_slug_taken"
            if is_taken and trio.current_time() < give_up_at:
                await trio.sleep(TAKEN_PAUSE_SECONDS)
                continue
            if error.code in _IN_VAIN:
                raise RegistrationRefused(Refused(code=error.code, message=error.message)) from None
            raise NoLink("the broker does not register this room now") from None
        return Credentials(route.route_id, route.host_connection_id)
