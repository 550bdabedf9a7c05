"""The endpoints that quart serves: pages, seats, the host's controls.

The checks are done and the body is read before quart sees a request, so it has nothing
to parse, to bound or to refuse.
"""

from collections.abc import Mapping
from typing import Any, Final

from quart import Response, request
from quart_trio import QuartTrio

from agentgather.edge.answers import Send, header_list, refusal
from agentgather.edge.bodies import Receive
from agentgather.server.routes import NEED_NO_TOKEN, ROUTES, Route, Way, check_access
from agentgather.server.visits import Visit
from agentgather.wire.errors import Rejected

_VISIT: Final = "agentgather.visit"
_ROUTE: Final = "agentgather.route"


class QuartWay:
    """The quart application behind the checks."""

    def __init__(self) -> None:
        app = self._app = QuartTrio("agentgather", static_folder=None)
        # A bug goes up to RoomApp, which answers for both ways.
        app.config["PROPAGATE_EXCEPTIONS"] = True
        for route in ROUTES:
            if route.way is Way.QUART:
                app.add_url_rule(
                    route.path,
                    endpoint=f"{route.method} {route.path}",
                    view_func=_view,
                    methods=[route.method],
                    provide_automatic_options=False,
                )

    async def lifespan(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Run the application's start and end."""
        await self._app(scope, receive, send)  # type: ignore[arg-type]

    async def serve(
        self, route: Route, visit: Visit, scope: Mapping[str, Any], receive: Receive, send: Send
    ) -> None:
        """Serve one request that has passed the checks."""
        inner = dict(scope)
        inner[_VISIT] = visit
        inner[_ROUTE] = route
        # The checks have matched the path. What quart would make of an odd one, such as a
        # redirect where a slash is doubled, is not asked.
        inner["path"] = route.path
        body_taken = visit.method != "POST"

        async def receive_rest() -> Any:
            nonlocal body_taken
            if body_taken:
                return await receive()
            body_taken = True
            return {"type": "http.request", "body": b"", "more_body": False}

        await self._app(inner, receive_rest, send)  # type: ignore[arg-type]


async def _view(**_parameters: str) -> Response:
    scope: Any = request.scope
    route: Route = scope[_ROUTE]
    visit: Visit = scope[_VISIT]
    try:
        if route.access not in NEED_NO_TOKEN:
            # On the way through quart other requests ran, and one of them may have removed
            # the caller or rotated its token. From here to the decision nothing can.
            seat = visit.live.authenticate(visit.token, visit.now)
            check_access(route, seat)
            visit = visit._replace(seat=seat)
        answer = await route.handler(visit)
    except Rejected as error:
        answer = refusal(error)
    response = Response(answer.body, status=answer.status)
    response.headers.clear()
    for name, value in header_list(answer):
        response.headers[name.decode()] = value.decode()
    return response
