"""Who may register, and under which slug."""

from collections.abc import Awaitable, Callable

import trio

from agentgather.broker.registration_quota import RegistrationQuota, ReturnQuota
from agentgather.broker.route import Route
from agentgather.broker.routes import Routes
from agentgather.wire.errors import Rejected

CheckToken = Callable[[str], Awaitable[bool]]
NoteRegistration = Callable[[str, str | None, float | None], None]
"""Told of a slug, the code of a refusal, and how many seconds one took that succeeded."""


class Gate:
    """Registrations of one broker. Without ``check_token`` nobody needs a token.

    ``count`` is told what came of each, and ``note`` of as many as a log may be told of.
    """

    def __init__(
        self,
        routes: Routes,
        quota: RegistrationQuota,
        returns: ReturnQuota,
        public_url: str,
        *,
        check_token: CheckToken | None = None,
        count: Callable[[str], None] = lambda _: None,
        note: NoteRegistration = lambda _slug, _code, _seconds: None,
    ) -> None:
        self._routes = routes
        self._quota = quota
        self._returns = returns
        self._public_url = public_url
        self._check_token = check_token
        self._count = count
        self._note = note

    async def admit(self, slug: str, owner: bytes, token: str, client: str) -> Route:
        """Give a claimed route to a host whose proof is good.

        Its owner's return counts for the route, and for no client.

        Raises:
            Rejected: ``rate_limited``, ``slug_forbidden`` without a good token, and what
                ``Routes.claim`` raises.

        """
        now = trio.current_time()
        returns = self._routes.is_owner(slug, owner)
        if returns:
            self._returns.check(self._routes.hash_of(slug), now)
        else:
            self._quota.check(client, now)
        if self._check_token is not None and not await self._check_token(token):
            raise Rejected(
                "slug_forbidden", "a registration token is needed here; ask the broker's operator"
            )
        route = await self._routes.claim(slug, owner, client)
        if returns:
            self._returns.record(route.hash, now)
        else:
            self._quota.record(client, now)
        self._count("returned" if returns else "claimed")
        if self._quota.takes_note(client, now):
            self._note(slug, None, trio.current_time() - now)
        return route

    def count_failure(self, client: str, error: Rejected, slug: str = "") -> None:
        """Count a registration that failed. Without ``slug`` none was claimed yet."""
        now = trio.current_time()
        self._count(error.code)
        if error.code != "rate_limited":
            self._quota.record(client, now)
        if self._quota.takes_note(client, now):
            self._note(slug, error.code, None)

    def pause(self, route: Route) -> None:
        """Note that a link was ended for its host's fault: the owner stays away for a while."""
        self._returns.pause(route.hash, trio.current_time())

    def public_url(self, slug: str) -> str:
        """Give the base URL of a room."""
        return f"{self._public_url}/{slug}"
