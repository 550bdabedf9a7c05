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
"""Bytes of messages in one page; one message always fits."""
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
