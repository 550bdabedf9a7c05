"""What spec/ promises is what the code does."""

import ast
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

import jsonschema
import msgspec
import pytest
import trio

from agentgather.domain.display_names import skeleton
from agentgather.domain.log import Log
from agentgather.domain.mentions import parse_mentions
from agentgather.domain.room import Room
from agentgather.domain.text import Moment, parse_time
from agentgather.domain.tokens import hash_token
from agentgather.edge.origins import Served
from agentgather.link.allowance import Allowance
from agentgather.link.machine import End, LinkMachine
from agentgather.link.proof import is_proven, owner_of, prove
from agentgather.server.app import build_app
from agentgather.server.live_room import LiveRoom
from agentgather.server.routes import ROUTES
from agentgather.wire.errors import CODES, PeerViolation
from agentgather.wire.limits import MAX_LOG_MESSAGES
from agentgather.wire.link import (
    CLOSE_CODES,
    Data,
    FromBroker,
    FromHost,
    Request,
    Reset,
    Response,
    decode_from_broker,
    decode_from_host,
    encode_frame,
)
from agentgather.wire.records import (
    Participant,
    RoomState,
    Tokens,
    decode_message,
    encode_message,
)
from generate import openapi, spec

ROOT: Final = Path(__file__).resolve().parent.parent
SPEC: Final = ROOT / "spec"
PACKAGE: Final = ROOT / "agentgather"

# Codes that are part of the contract and that no line of the program names today.
RESERVED: Final = {
    "storage_unsafe": "a room with such a file does not open, so no request meets it",
}


def vectors(name: str) -> list[Any]:
    lines = (SPEC / "vectors" / f"{name}.jsonl").read_text("ascii").splitlines()
    return [pytest.param(json.loads(line), id=json.loads(line)["name"]) for line in lines]


def exact(document: object) -> str:
    """Give a JSON document as the room writes it: no spaces, UTF-8, keys in their order."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def validate(document: object, file: str, name: str) -> None:
    schema = json.loads((SPEC / "schema" / f"{file}.json").read_text("utf-8"))
    del schema["anyOf"]
    jsonschema.Draft202012Validator(schema | {"$ref": f"#/$defs/{name}"}).validate(document)


# --- What is generated ------------------------------------------------------
def test_generated_files_are_current() -> None:
    assert spec.stale() == [], "run `make spec`"


def test_no_generated_file_is_left_from_before() -> None:
    found = {path.relative_to(SPEC).as_posix() for path in SPEC.glob("schema/*")}
    assert found <= spec.generate().keys()


@pytest.mark.parametrize("path", sorted((SPEC / "schema").glob("*.json")), ids=lambda p: p.stem)
def test_schemas_are_schemas(path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text("utf-8")))


def test_every_route_is_in_openapi_and_every_operation_is_a_route() -> None:
    document = json.loads((SPEC / "openapi.json").read_text("utf-8"))
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    routes = {(route.method, openapi.template(route.path)) for route in ROUTES}
    assert described == routes == openapi.OPERATIONS.keys()


def test_openapi_names_only_codes_that_exist_under_their_own_status() -> None:
    document = json.loads((SPEC / "openapi.json").read_text("utf-8"))
    for item in document["paths"].values():
        for operation in item.values():
            for status, response in operation["responses"].items():
                if "$ref" not in response or status == "default":
                    continue
                for code in response["description"].replace("`", "").split(", "):
                    assert str(CODES[code].status) == status


def test_references_in_openapi_resolve() -> None:
    document = json.loads((SPEC / "openapi.json").read_text("utf-8"))
    for reference in references(document):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def references(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        if isinstance(document.get("$ref"), str):
            yield document["$ref"]
        for value in document.values():
            yield from references(value)
    elif isinstance(document, list):
        for value in document:
            yield from references(value)


def test_every_endpoint_has_a_heading_in_the_prose() -> None:
    prose = (SPEC / "http-api.md").read_text("utf-8")
    missing = [
        f"{route.method} {route.path}"
        for route in ROUTES
        if not route.path.startswith("/assets/") and f"`{route.method} {route.path}`" not in prose
    ]
    assert missing == []


# --- Codes ------------------------------------------------------------------
def raised_codes() -> dict[str, str]:
    """Give each code that the program can refuse with, and one place that does."""
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for constant in code_constants(node):
                if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                    where = f"{path.relative_to(ROOT).as_posix()}:{constant.lineno}"
                    found.setdefault(constant.value, where)
    return found


def code_constants(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        by_keyword = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        takes_code = name in ("Rejected", "Unavailable", "_settle", "_undo_all")
        return [*(node.args[:1] if takes_code else []), *by_keyword]
    if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict):
        named = isinstance(node.target, ast.Name) and node.target.id.endswith("_CODES")
        return node.value.values if named else []
    return []


def test_every_refusal_has_a_row_in_the_table() -> None:
    unknown = {code: where for code, where in raised_codes().items() if code not in CODES}
    assert unknown == {}, "add a row to wire.errors.CODES, or use one that is there"


def test_every_429_says_when_to_come_back() -> None:
    faults = [
        f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in ("Rejected", "Unavailable")
        for code in node.args[:1]
        if isinstance(code, ast.Constant) and CODES[code.value].status == 429
        if not any(keyword.arg == "retry_after" for keyword in node.keywords)
    ]
    assert faults == [], "pass retry_after"


def test_every_row_of_the_table_is_used_or_reserved() -> None:
    texts = [
        path.read_text("utf-8")
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).as_posix() != "wire/errors.py"
    ]
    unused = {code for code in CODES if not any(f'"{code}"' in text for text in texts)}
    assert unused == RESERVED.keys(), "codes are permanent: list one that is unused as reserved"


def test_the_prose_names_only_codes_that_exist() -> None:
    prose = (SPEC / "http-api.md").read_text("utf-8")
    for line in prose.splitlines():
        if line.startswith("Own errors:"):
            for code in line.split("`")[1::2]:
                assert code in CODES, line


# --- Vectors ----------------------------------------------------------------
@pytest.mark.parametrize("vector", vectors("records"))
def test_records(vector: dict[str, Any]) -> None:
    line = vector["line"].encode()
    message = decode_message(line)
    validate(json.loads(line), "records", "Message")
    if vector["canonical"]:
        assert encode_message(message) == line
    else:
        assert encode_message(message) == vector["read_as"].encode()


@pytest.mark.parametrize("vector", vectors("mentions"))
def test_mentions(vector: dict[str, Any]) -> None:
    found = parse_mentions(vector["text"], frozenset(vector["roster"]))
    assert list(found) == vector["mentions"]


@pytest.mark.parametrize("vector", vectors("display-names"))
def test_display_names(vector: dict[str, Any]) -> None:
    assert (skeleton(vector["one"]) == skeleton(vector["other"])) is vector["alike"]


@pytest.mark.parametrize("vector", vectors("cursors"))
def test_cursors(vector: dict[str, Any]) -> None:
    log = Log()
    for message_id in vector["log"]:
        log.append(message_id, b'{"id":%d,"mentions":[]}' % message_id, addressed=(), to_all=False)
    log.publish(len(vector["log"]))
    if "before_id" in vector:
        messages, has_more = log.page_before(vector["before_id"], vector["limit"])
        assert [one["id"] for one in json.loads(bytes(messages))] == vector["ids"]
        assert has_more is vector["has_more_before"]
        return
    page = log.page_after(vector["since_id"], vector["limit"])
    assert [one["id"] for one in json.loads(bytes(page.messages))] == vector["ids"]
    assert (page.next_since_id, page.has_more) == (vector["next_since_id"], vector["has_more"])


# --- The link: link.jsonl has four kinds of lines ------------------------------------
def link_vectors(kind: str) -> list[Any]:
    return [one for one in vectors("link") if one.values[0]["kind"] == kind]


def decoders(sender: str) -> list[Callable[[bytes | str], Any]]:
    """Give what reads a frame of that sender."""
    return [
        decode
        for name, decode in (("host", decode_from_host), ("broker", decode_from_broker))
        if sender in (name, "either")
    ]


def spelled(frame: Any) -> dict[str, Any]:
    """Give a frame as the vectors write it: byte strings in hex, defaults left out."""
    return {
        key: in_hex(value) for key, value in msgspec.msgpack.decode(encode_frame(frame)).items()
    }


def in_hex(value: Any) -> Any:
    if isinstance(value, list):
        return [in_hex(one) for one in value]
    return value.hex() if isinstance(value, bytes) else value


def read_frame(spelling: dict[str, Any], decode: Callable[[bytes | str], Any]) -> Any:
    """Give the frame that a vector writes."""
    keys = dict(spelling)
    for key in keys.keys() & {"nonce", "owner", "proof", "path", "query", "data"}:
        value = keys[key]
        keys[key] = bytes(value["zeros"]) if isinstance(value, dict) else bytes.fromhex(value)
    return decode(msgspec.msgpack.encode(keys))


@pytest.mark.parametrize("vector", link_vectors("frame"))
def test_frames(vector: dict[str, Any]) -> None:
    message = bytes.fromhex(vector["message"])
    for decode in decoders(vector["from"]):
        frame = decode(message)
        assert spelled(frame) == vector["frame"]
        assert (encode_frame(frame) == message) is vector["canonical"]


@pytest.mark.parametrize("vector", link_vectors("no frame"))
def test_what_is_no_frame(vector: dict[str, Any]) -> None:
    message = vector["text"] if "text" in vector else bytes.fromhex(vector["message"])
    for decode in decoders(vector["from"]):
        with pytest.raises(PeerViolation) as caught:
            decode(message)
        assert caught.value.code == vector["code"]
        assert vector["code"] in CLOSE_CODES


@pytest.mark.parametrize("vector", link_vectors("proof"))
def test_proofs(vector: dict[str, Any]) -> None:
    secret, slug, nonce = vector["secret"], vector["slug"], bytes.fromhex(vector["nonce"])
    owner, proof = bytes.fromhex(vector["owner"]), bytes.fromhex(vector["proof"])
    assert owner_of(secret) == owner
    assert (prove(secret, slug, nonce) == proof) is vector["good"]
    assert is_proven(owner, proof, slug, nonce) is vector["good"]


@pytest.mark.parametrize("vector", link_vectors("conversation"))
def test_conversations(vector: dict[str, Any]) -> None:
    end = End[vector["end"].upper()]
    machine = LinkMachine(end, Allowance(0))
    ours = decode_from_host if end is End.HOST else decode_from_broker
    theirs = decode_from_broker if end is End.HOST else decode_from_host
    for step in vector["steps"]:
        for number in range(step.get("times", 1)):
            written = dict(step.get("sends") or step["receives"])
            if number:
                written["stream"] += number
            if "sends" in step:
                frame = read_frame(written, ours)
                say(machine, frame)
                assert drain(machine) == [frame]
                continue
            hear(machine, read_frame(written, theirs), step, ours)


def say(machine: LinkMachine, frame: Any) -> None:
    if isinstance(frame, Request):
        machine.send(machine.open(), frame)
    elif isinstance(frame, Response | Data):
        machine.send(machine.streams[frame.stream], frame)
    elif isinstance(frame, Reset):
        machine.reset(frame.stream, frame.code)
    else:
        machine.go_away(frame.code)


def hear(
    machine: LinkMachine, frame: Any, step: dict[str, Any], ours: Callable[[bytes | str], Any]
) -> None:
    if step["then"] == "ends":
        with pytest.raises(PeerViolation) as caught:
            machine.receive(frame, 0)
        assert caught.value.code == step["code"]
        assert not machine.outgoing
        return
    taken = machine.receive(frame, 0)
    answers = [read_frame(one, ours) for one in step.get("answers", ())]
    assert drain(machine) == answers
    assert taken == {"taken": frame, "dropped": None, "resets": [*answers, None][0]}[step["then"]]


def drain(machine: LinkMachine) -> list[Any]:
    return [machine.outgoing.pop() for _ in range(len(machine.outgoing))]


def test_every_frame_and_close_code_has_a_vector_and_a_place_in_the_prose() -> None:
    both = [*get_args(FromHost), *get_args(FromBroker)]
    frames = {struct.__struct_config__.tag for struct in both}
    assert {one.values[0]["frame"]["t"] for one in link_vectors("frame")} == frames
    prose = (SPEC / "tunnel.md").read_text("utf-8")
    assert [name for name in sorted(frames | CLOSE_CODES.keys()) if f"`{name}`" not in prose] == []


# --- A conversation: each line of answers.jsonl follows from those above it -----------
class MemoryStore:
    """Takes every change and keeps none."""

    def write(self, files: Mapping[str, bytes | None], lines: bytes) -> None:
        pass


class Host:
    """One room in memory, whose clock stands still during a request and goes on between."""

    def __init__(self, start: dict[str, Any]) -> None:
        started_ms = parse_time(start["at"])
        assert started_ms is not None
        self.now = Moment(1_000.0, started_ms)
        self.minted = 0
        state = RoomState(id=start["room"], createdAt=start["at"], updatedAt=start["at"])
        state.brief_updated_at, state.brief_updated_by = start["at"], "host"
        host = Participant(
            alias="host", kind="human", is_host=True, token_hash=hash_token(start["token"])
        )
        room = Room(state, [host], start["brief"], max_messages=MAX_LOG_MESSAGES)
        self.live = LiveRoom(
            room, Tokens(), MemoryStore(), clock=lambda: self.now, entropy=self.entropy
        )
        self.app = build_app(self.live, Served(start["base_url"]))

    def entropy(self, size: int) -> bytes:
        self.minted += 1
        return bytes([self.minted]) * size

    async def ask(self, vector: dict[str, Any]) -> tuple[int, bytes, dict[bytes, bytes]]:
        self.now = Moment(self.now.monotonic + 1, self.now.wall_ms + 1000)
        method, _, target = vector["request"].partition(" ")
        path, _, query = target.partition("?")
        body = exact(vector["body"]).encode() if "body" in vector else b""
        headers = [(b"host", b"127.0.0.1:8787")]
        if vector.get("token") is not None:
            headers.append((b"authorization", f"Bearer {vector['token']}".encode()))
        if body:
            headers.append((b"content-type", b"application/json"))
            headers.append((b"content-length", b"%d" % len(body)))
        scope = {
            "type": "http",
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8787),
            "extensions": {},
        }
        coming = [{"type": "http.request", "body": body, "more_body": False}]
        events: list[Any] = []

        async def receive() -> Any:
            if not coming:
                await trio.sleep_forever()
            return coming.pop()

        async def send(event: Any) -> None:
            events.append(event)

        await self.app(scope, receive, send)
        answer = b"".join(event.get("body", b"") for event in events[1:])
        return events[0]["status"], answer, dict(events[0]["headers"])


def conversation() -> list[dict[str, Any]]:
    text = (SPEC / "vectors" / "answers.jsonl").read_text("ascii")
    return [json.loads(line) for line in text.splitlines()]


async def test_answers() -> None:
    start, *exchanges = conversation()
    host = Host(start)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(host.live.commit.run)
        nursery.start_soon(host.live.hub.run)
        for exchange in exchanges:
            status, answer, headers = await host.ask(exchange)
            wanted = exchange["answer"]
            if not wanted["ok"]:
                # The text of a refusal is for people, and may change.
                wanted = wanted | {"message": json.loads(answer)["message"]}
            assert (status, answer.decode()) == (exchange["status"], exact(wanted) + "\n"), (
                exchange["name"]
            )
            assert int(headers[b"content-length"]) == len(answer)
            assert headers[b"content-type"] == b"application/json; charset=utf-8"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("exchange", conversation()[1:], ids=lambda one: str(one["name"]))
def test_answers_are_what_the_schemas_say(exchange: dict[str, Any]) -> None:
    answer, body = exchange["answer"], exchange.get("body")
    method, _, target = exchange["request"].partition(" ")
    path = target.partition("?")[0]
    if not answer["ok"]:
        validate(answer | {"message": "x"}, "answers", "Refusal")
        is_last_host = exchange["name"] == "remove the last host"
        assert exchange["status"] == (409 if is_last_host else CODES[answer["error"]].status)
        return
    path = "/participants/{alias}/" + path.rpartition("/")[2] if path.count("/") > 1 else path
    operation = openapi.OPERATIONS[method, path]
    kind = operation.answers[exchange["status"]]
    name = "PageBackward" if "has_more_before" in answer else getattr(kind, "__name__", "")
    validate(answer, "answers", name)
    if body is not None and operation.body is not None:
        validate(body, "requests", operation.body.__name__)
