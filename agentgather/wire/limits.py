"""Every bound and default, once, each with its reason.

``spec/limits.md`` is generated from this module: the string under a constant is
its row there.
"""

from typing import Final

# --- Requests -------------------------------------------------------------
MAX_REQUEST_LINE_BYTES: Final = 8 * 1024
"""One request line or header line; nginx's and Apache's default."""
MAX_TARGET_BYTES: Final = 4 * 1024
"""A request target; the longest of ours is a card link of about 200 bytes."""
MAX_HEADERS_BYTES: Final = 16 * 1024
"""All header lines together; room for a browser's cookies, not for a flood."""
MAX_HEADERS: Final = 100
"""Header fields in one request; Apache's default."""
MAX_BODY_BYTES: Final = 64 * 1024
"""A request body: 24,000 UTF-16 units of text are at most 72,000 bytes of JSON in the
worst script, and fit 64 KiB in all others."""
MAX_QUERY_FIELDS: Final = 16
"""Query parameters in one request; no endpoint knows more than five."""
MAX_QUERY_INTEGER_DIGITS: Final = 15
"""Digits of a query integer: always below 2^53, so every JSON reader holds it exactly."""

# --- Connections ----------------------------------------------------------
HEADERS_SECONDS: Final = 10
"""From the first byte of a request to the end of its headers. Bytes do not extend it."""
BODY_SECONDS: Final = 15
"""From the end of the headers to the end of the body."""
UNREAD_ANSWER_SECONDS: Final = 15
"""How long an answer may lie unread at the peer before the connection is cut."""
KEEP_ALIVE_SECONDS: Final = 75
"""An idle connection; nginx's default, longer than the pause between two waits."""
UNSENT_BODY_SECONDS: Final = 5
"""After a refusal, how long the rest of the refused body is read and thrown away, so
that the peer can read the answer before the connection closes."""
DRAIN_SECONDS: Final = 0.8
"""How long a stopping server waits for the answers in flight."""
BACKLOG: Final = 4096
"""Connections that the kernel queues; at 100 a thousand opens took 9 s."""
RESERVED_DESCRIPTORS: Final = 256
"""Descriptors kept for files, listeners and pipes when connections are capped."""
MAX_CONNECTIONS: Final = 16_384
"""Connections at once, lowered to what the descriptor limit allows."""
MAX_CONNECTIONS_PER_CLIENT: Final = 12_000
"""Connections of one address; a room on one machine has every agent behind 127.0.0.1."""

# --- Messages -------------------------------------------------------------
MAX_TEXT_UNITS: Final = 24_000
"""Message text in UTF-16 code units, as JavaScript counts."""
MAX_BRIEF_UNITS: Final = 16_000
"""Brief text in UTF-16 code units."""
MAX_SUMMARY_UNITS: Final = 12_000
"""A handoff's summary in UTF-16 code units."""
MAX_DISPLAY_NAME_CHARS: Final = 60
"""Characters of a display name after trimming."""
MAX_PAGE_MESSAGES: Final = 500
"""Messages in one page; also the default."""
MAX_PAGE_BYTES: Final = 256 * 1024
"""An answer with a page of messages; one message always fits."""
MAX_RENDERED_PAGE_MESSAGES: Final = 100
"""Messages in one page with ``render=html``: some screens full, at about 1 ms each."""
RENDER_SECONDS: Final = 0.1
"""How long one page may be rendered before it is cut; one message always fits."""
MAX_RENDERED_BYTES: Final = 8 * 1024 * 1024
"""Rendered messages that are kept for the next reader: the last few thousand."""
MAX_LOG_MESSAGES: Final = 50_000
"""Client messages in one room by default (``--max-messages``)."""
MAX_NOTICES: Final = 50_000
"""``joined`` and ``left`` lines in one room. Past it they are no longer written; the
lines of the host (close, brief, policy, removal) always are."""
EXPORT_SLICE: Final = 50
"""Messages of an export that are put together at once: a millisecond of ordinary ones."""
EXPORT_SLICE_BYTES: Final = 16 * 1024
"""Their bytes, but for the last one; the worst text takes 8 ms for its 72 KB."""

# --- Waits ----------------------------------------------------------------
HOLD_SECONDS: Final = 25
"""The longest a wait is held, and the default: below every common proxy's 30 s."""
HEARTBEAT_SECONDS: Final = 15
"""Between two heartbeats of an event stream."""
UNPUBLISHED_SECONDS: Final = 3600
"""How long a client goes on asking where a broker says that nothing is published: time for a
host who slept, or whose hours at the broker were over, to make the room public again."""
MAX_WAITS_PER_PARTICIPANT: Final = 4
"""Held waits and event streams of one participant: two tabs and two agents' loops."""
MAX_WAITS: Final = 12_000
"""Held waits and event streams of one room, below the connection cap."""
WAKE_BATCH: Final = 32
"""Waiters woken between two checkpoints; a bystander's p99 stays below 30 ms."""

# --- Presence -------------------------------------------------------------
STALE_AFTER_MS: Final = 90_000
"""Silence after which an attending participant is stale: three missed waits and a bit."""
MAX_SPANS: Final = 32
"""Stretches of attendance that are remembered of one participant; the oldest go first."""
MAX_ACTIVITY_BUCKETS: Final = 96
"""Columns of the picture of a room: as many as a phone has room for."""
MAX_ACTIVITY_NAMES: Final = 12
"""Participants with a row of their own in it: as many as colours can be told apart."""
MAX_ACTIVITY_ATTENDING: Final = 48
"""Participants whose attendance is in it: those who were here last."""
ACTIVITY_SLICE: Final = 5_000
"""Messages that are counted between two checkpoints, about a millisecond; a tenth of them
where the log is read."""

# --- Rates ----------------------------------------------------------------
RATE_WINDOW_SECONDS: Final = 60
"""The sliding window of every rate below."""
POSTS_PER_WINDOW: Final = 120
"""Messages of one participant."""
JOINS_PER_WINDOW: Final = 60
"""Joins of one participant."""
BRIEFS_PER_WINDOW: Final = 20
"""Brief updates of one participant."""
CLOSES_PER_WINDOW: Final = 10
"""Closes of one participant."""
WRITES_PER_WINDOW: Final = 30
"""Other writes of one participant: profile, leave, policy, invite, remove, rotate."""
PREVIEWS_PER_WINDOW: Final = 60
"""Previews of one participant: one for each pause in typing."""
BAD_TOKENS_PER_WINDOW: Final = 30
"""Unknown tokens from one address; a good token from there is never refused."""
BAD_TUNNEL_TOKENS_PER_WINDOW: Final = 600
"""Those that come through a tunnel, which names no addresses: ``ROUTE_REQUESTS_PER_WINDOW`` of
a broker. It lets strangers have half of them, so nobody is refused for another's."""
MAX_RATE_KEYS: Final = 10_000
"""Keys that one limiter remembers; the longest unused goes first."""

# --- Loop guard -----------------------------------------------------------
LOOP_GUARD_POSTS: Final = 30
"""Messages by agents since the last one by a person."""
LOOP_GUARD_DECAY_SECONDS: Final = 60
"""Each full minute without a message by an agent takes one off the count."""

# --- Roster ---------------------------------------------------------------
MAX_PARTICIPANTS: Final = 10_000
"""Seats of one room, removed ones included."""
MAX_INVITE_SECONDS: Final = 366 * 24 * 3600
"""The longest an unused invite may stay valid."""

# --- Storage --------------------------------------------------------------
MAX_STAGED: Final = 4_096
"""Changes that wait for the disk; past it a writer is told to come back."""
MAX_COMMIT_BATCH: Final = 1_024
"""Changes that share one write and one sync."""
MAX_STAGED_BYTES: Final = 32 * 1024 * 1024
"""Bytes of such changes; a roster of 10,000 seats is 5 MiB each time that it changes."""
MAX_COMMIT_BYTES: Final = 4 * 1024 * 1024
"""Bytes that share one write and one sync, but for a single longer change."""
MAX_LOG_LINE_BYTES: Final = 1024 * 1024
"""A line of the log; a longer one was not written by us and is set aside as bad."""
MAX_SMALL_FILE_BYTES: Final = 16 * 1024 * 1024
"""A room's small file; a roster of 10,000 seats is about 5 MiB."""

# --- Link -----------------------------------------------------------------
MAX_FRAME_BYTES: Final = 64 * 1024
"""One frame: a head of 16 KiB of headers and 4 KiB of target, and the first of a body."""
MAX_HEAD_BYTES: Final = 31 * 1024
"""Of it the head, so that a piece of a body always fits beside it."""
MAX_DATA_BYTES: Final = 32 * 1024
"""Bytes of a body in one frame; larger ones are hardly faster, and others wait for them."""
MAX_STREAMS: Final = 256
"""Streams of one link at once; the broker's limit on a route's requests."""
REQUEST_CREDIT_BYTES: Final = 64 * 1024
"""What a host takes of a request's body before it gives more credit: a whole body."""
RESPONSE_CREDIT_BYTES: Final = 16 * 1024
"""What a broker takes of an answer before it gives more credit: nearly every answer. For
256 streams that is 4 MiB."""
MAX_WINDOW_BYTES: Final = 1024 * 1024
"""What one stream's credit may grow to: 100 MB/s at 10 ms there and back."""
MAX_ROUTE_BUFFER_BYTES: Final = 6 * 1024 * 1024
"""What a broker buffers of one route's answers at most: all credit that it has given."""
MAX_ROUTE_BODY_BYTES: Final = 2 * 1024 * 1024
"""What it buffers of one route's request bodies; with the answers that is 8 MiB. Strangers'
bodies have half of it."""
MAX_QUEUED_BYTES: Final = 256 * 1024
"""Frames that wait for the link's writer; whoever has more to send waits."""
MAX_UNREAD_ANSWERS: Final = 2_048
"""Of them, resets, pongs and credit. A peer that keeps to the credit it has read of causes
at most three for each of its 256 streams, and its pings; a greedy one is cut off."""
PING_SECONDS: Final = 10
"""Between two pings of each end."""
PONG_SECONDS: Final = 20
"""From a ping to its pong, at most: a dead peer is known within 30 s."""
REGISTER_SECONDS: Final = 10
"""From the handshake to the registration's answer."""
MAX_CONTROL_FRAMES_PER_SECOND: Final = 200
"""Frames, of a link or of its WebSocket, that carry no body and answer nothing. A sound peer
has a ping and a pong in ten seconds; 200 a second cost a broker one hundredth of a core."""
MAX_CONTROL_BURST: Final = 2_000
"""Such frames of a link at once. The most that a sound peer has reason for is 512: 256 answers
that came late, each with a head and an end."""
SMALL_BYTES: Final = 1024
"""Less than this in a fragment, or in a piece of a body that comes late, is as good as nothing:
it costs what a frame costs. More than that is bounded by its bytes."""
FAULT_PAUSE_SECONDS: Final = 30
"""How long a host stays away after the broker ended its link for the host's fault. What it
can cost in that time is one burst."""

# --- Broker ---------------------------------------------------------------
MAX_SLUG_CHARS: Final = 63
"""A route's slug; a label of a DNS name, so that a subdomain can have it one day."""
MAX_WAITS_PER_ROUTE: Final = 192
"""Waits and event streams of one route; the other 64 streams are for what ends soon."""
MAX_HOST_ANSWER_BYTES: Final = 1024 * 1024
"""An answer that announces its length, or that an older host gives: four full pages."""
ANSWER_SECONDS: Final = 30
"""From a request to the head of its answer, and between two pieces of a stream: longer
than the longest hold, and than two heartbeats of an event stream."""
ROUTE_IDLE_SECONDS: Final = 15 * 60
"""How long a route stays its owner's without a link: a laptop's nap, a host's restart."""
ROUTE_LIFETIME_SECONDS: Final = 8 * 3600
"""How long a route may live (``--max-lifetime``): a working day."""
MAX_ROUTES: Final = 10_000
"""Routes that a broker knows, those whose hosts are away included."""
CLIENT_REQUESTS_PER_WINDOW: Final = 60
"""Requests of one address whose credential no host has accepted yet: two visits of the page."""
ROUTE_REQUESTS_PER_WINDOW: Final = 600
"""Requests to one route: 192 waits of 25 s take 460 of them."""
ROUTES_PER_CLIENT: Final = 5
"""Routes of one address at once."""
REGISTRATIONS_PER_HOUR: Final = 20
"""Claims of a new slug, and failed ones, of one address. An owner who comes back is free."""
NOTES_PER_REGISTRATION: Final = 3
"""Lines of the access log, for each of them, about registrations of one address: the claim, a
return, a refusal. What is refused or returns costs its client nothing, and a line costs disk."""
UNCOUNTED_LINES_PER_WINDOW: Final = 60
"""Lines of the access log, for one address, about requests that no rate counts: those that are
refused before or by one, older hosts' polls, ``/healthz``. The metrics count all of them."""
RETURNS_PER_WINDOW: Final = 80
"""Registrations of one route's owner, after its first: a network that breaks each second, and
then some. They cost a broker a millisecond each."""
VAIN_HANDSHAKES_PER_WINDOW: Final = 20
"""Handshakes of one address that led to no registration. Those that follow have to wait."""
VAIN_WAIT_SECONDS: Final = 5
"""How long they wait for the broker's answer; a host has 10 s of patience."""
MAX_PENDING: Final = 1_024
"""Hosts that have not registered yet: ten seconds of a hundred a second. Beyond that the address
that has most of them gives one up to one that has fewer."""
MAX_PENDING_PER_CLIENT: Final = 512
"""Those of one address: 500 hosts that share one may come back at once."""
REGISTRATION_WINDOW_SECONDS: Final = 3600
"""The sliding window of ``REGISTRATIONS_PER_HOUR``."""
TRUST_SECONDS: Final = 3600
"""How long a credential that a host has accepted is no stranger's, unused. An attending one
is used at least once in ``HOLD_SECONDS``."""
MAX_TRUSTED: Final = 20_000
"""Such credentials, and the clients that showed them: two for each seat of full rooms; the
longest unused goes first."""
MAX_LOG_LINES: Final = 4_096
"""Lines of the access log that wait for who reads it; what is more is dropped and counted."""
HOST_SILENT_SECONDS: Final = 35
"""After which a host is gone: a missed ping, and its pong."""
POLL_SECONDS: Final = 20
"""How long the broker holds an older host's poll."""
MAX_OLDER_POLLS: Final = 16
"""Polls of one older host that are held; those programs have one, and read 16 at once."""
MAX_OLDER_WAITS: Final = 12
"""Waits at one older host. It serves 16 requests at once, and does not learn that a
participant left: four places are for what ends soon."""
MAX_OLDER_RESPOND_BYTES: Final = 1_414_102
"""The body that an older host responds with: 1 MiB in base64 and 16,000 bytes around it."""
MAX_OLDER_RESPONDS_BYTES: Final = 32 * 1024 * 1024
"""Such bodies over 64 KiB on their way to a broker at once; they can't be told apart from a
stranger's before they are here."""
MAX_CLIENT_RESPONDS_BYTES: Final = 8 * 1024 * 1024
"""Those of one address."""
BROKER_DRAIN_SECONDS: Final = 3
"""How long a stopping broker waits for answers in flight."""
HOSTS_BACK_PER_SECOND: Final = 50
"""How many hosts a restarting broker asks back in one second."""
