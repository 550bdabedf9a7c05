"""Who may register, and under which slug."""

from collections.abc import Awaitable, Callable

import trio

from agentgather.broker.quota import RegistrationQuota
from agentgather.broker.route import Route
from agentgather.broker.routes import Routes
from agentgather.wire.errors import Rejected

CheckToken = Callable[[str], Awaitable[bool]]


class Gate:
    """Registrations of one broker. Without ``check_token`` nobody needs a token."""

    def __init__(
        self,
        routes: Routes,
        quota: RegistrationQuota,
        public_url: str,
        *,
        check_token: CheckToken | None = None,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._routes = routes
        self._quota = quota
        self._public_url = public_url
        self._check_token = check_token
        self._count = count

    async def admit(self, slug: str, owner: bytes, token: str, client: str) -> Route:
        """Give a claimed route to a host whose proof is good. Its owner's return is free.

        Raises:
            Rejected: ``slug_forbidden`` without a good token, and what ``Routes.claim`` raises.

        """
        now = trio.current_time()
        returns = self._routes.is_owner(slug, owner)
        if not returns:
            self._quota.check(client, now)
        if self._check_token is not None and not await self._check_token(token):
            raise Rejected(
                "slug_forbidden", "a registration token is needed here; ask the broker's operator"
            )
        route = await self._routes.claim(slug, owner, client)
        if not returns:
            self._quota.record(client, now)
        self._count("returned" if returns else "claimed")
        return route

    def count_failure(self, client: str, error: Rejected) -> None:
        """Count a registration that failed."""
        self._count(error.code)
        if error.code != "rate_limited":
            self._quota.record(client, trio.current_time())

    def public_url(self, slug: str) -> str:
        """Give the base URL of a room."""
        return f"{self._public_url}/{slug}"
