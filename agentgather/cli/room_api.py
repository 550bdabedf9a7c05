"""The room as commands see it: one method per endpoint.

What comes back is checked against the declared answer, and given as the plain document, so
that ``--json`` passes on also what a newer server says more.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from agentgather.cli.answers import Document, document_of, failure_of, with_messages
from agentgather.cli.failures import Unreachable
from agentgather.cli.http_client import NoAnswer, NotSent, Reply
from agentgather.cli.older_room import page_backward, page_forward
from agentgather.cli.request import Request
from agentgather.cli.transports import Transport
from agentgather.wire.api import (
    BriefAnswer,
    CloseAnswer,
    InviteAnswer,
    JoinAnswer,
    LoopGuardAnswer,
    OkAnswer,
    PageBackward,
    PageForward,
    PolicyAnswer,
    PostAnswer,
    ProfileAnswer,
    StatusAnswer,
    WaitAnswer,
)
from agentgather.wire.older import OlderMessages


class RoomApi:
    """The endpoints. Each raises Refused, TryLater or Unreachable, with what to do next."""

    def __init__(self, transport: Transport, token: str) -> None:
        self._transport = transport
        self._token = token

    # --- The room -------------------------------------------------------------------
    def status(self) -> Document:
        """GET /status."""
        return self._get("/status", StatusAnswer)

    def healthz(self) -> Document:
        """GET /healthz."""
        return self._get("/healthz", OkAnswer)

    def brief(self) -> Document:
        """GET /brief."""
        return self._get("/brief", BriefAnswer)

    def set_brief(self, body: str) -> Document:
        """POST /brief."""
        return self._post("/brief", BriefAnswer, {"body": body})

    def set_attendance(self, policy: str) -> Document:
        """POST /attendance."""
        return self._post("/attendance", PolicyAnswer, {"policy": policy})

    def rearm(self) -> Document:
        """POST /loop-guard."""
        return self._post("/loop-guard", LoopGuardAnswer)

    def close(self) -> Document:
        """POST /close."""
        return self._post("/close", CloseAnswer)

    # --- One's own seat -------------------------------------------------------------
    def join(self) -> Document:
        """POST /join."""
        return self._post("/join", JoinAnswer)

    def leave(self) -> Document:
        """POST /leave."""
        return self._post("/leave", OkAnswer)

    def profile(self) -> Document:
        """GET /profile."""
        return self._get("/profile", ProfileAnswer)

    def set_profile(self, display_name: str) -> Document:
        """POST /profile."""
        return self._post("/profile", ProfileAnswer, {"display_name": display_name})

    def card(self, *, host: str | None = None) -> str:
        """GET /card, as it reads at ``host``, a further place where the room is served."""
        reply = self._checked(Request("GET", "/card", self._token, host=host))
        return reply.body.decode("utf-8", "replace")

    # --- Other seats ----------------------------------------------------------------
    def invite(self, draft: Mapping[str, Any]) -> Document:
        """POST /participants."""
        return self._post("/participants", InviteAnswer, draft)

    def remove(self, alias: str) -> Document:
        """POST /participants/<alias>/remove."""
        return self._post(f"/participants/{alias}/remove", ProfileAnswer)

    def rotate(self, alias: str) -> Document:
        """POST /participants/<alias>/rotate."""
        return self._post(f"/participants/{alias}/rotate", InviteAnswer)

    # --- Messages -------------------------------------------------------------------
    def post(self, draft: Mapping[str, Any]) -> Document:
        """POST /messages. ``draft`` has a ``client_msg_id``, so it may be sent again."""
        answer = self._post("/messages", PostAnswer, draft)
        return with_messages(answer, [answer["message"]])

    def messages_after(self, since_id: int, limit: int | None = None) -> Document:
        """GET /messages forward, one page."""
        more = f"&limit={limit}" if limit is not None else ""
        page = self._page(f"since_id={since_id}{more}", PageForward)
        return page if "has_more" in page else page_forward(page, limit)

    def messages_before(self, before_id: int, limit: int) -> Document:
        """GET /messages backward, one page, oldest first."""
        page = self._page(f"before_id={before_id}&limit={limit}", PageBackward)
        return page if "has_more_before" in page else page_backward(page, before_id, limit)

    def wait(
        self, since_id: int, *, for_me: bool = False, hold_seconds: int | None = None
    ) -> Document:
        """GET /wait, held by the server until there is news, or for ``hold_seconds``."""
        target = f"/wait?since_id={since_id}" + ("&for=me" if for_me else "")
        if hold_seconds is not None:
            target += f"&hold={hold_seconds}"
        answer = self._get(target, WaitAnswer)
        return with_messages(answer, answer["messages"])

    # --- Within ---------------------------------------------------------------------
    def _page(self, query: str, form: Any) -> Document:
        reply = self._checked(Request("GET", f"/messages?{query}", self._token))
        try:
            page = document_of(reply, form)
        except Unreachable:
            page = document_of(reply, OlderMessages)
        return with_messages(page, page["messages"])

    def _get(self, target: str, form: Any) -> Document:
        return document_of(self._checked(Request("GET", target, self._token)), form)

    def _post(self, target: str, form: Any, draft: Mapping[str, Any] | None = None) -> Document:
        body = msgspec.json.encode({} if draft is None else draft)
        return document_of(self._checked(Request("POST", target, self._token, body)), form)

    def _checked(self, request: Request) -> Reply:
        reply = _sent(lambda: self._transport(request))
        if 200 <= reply.status < 300:
            return reply
        raise failure_of(reply)


def _sent(send: Callable[[], Reply]) -> Reply:
    try:
        return send()
    except NotSent as error:
        raise Unreachable(
            f"the room's server cannot be reached ({error}); ask the host whether it runs"
        ) from None
    except NoAnswer as error:
        raise Unreachable(
            f"the room's server did not answer ({error}); it may have done what was asked",
            may_be_done=True,
        ) from None
