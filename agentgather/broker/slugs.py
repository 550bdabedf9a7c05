"""What may be a route's slug: the first segment of a public URL's path."""

import re
from typing import Final

from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_SLUG_CHARS

# A label of a DNS name (RFC 1123, section 2.1), so that it could be a subdomain one day.
# Without two dashes in a row there is no `xn--`, whose letters a browser shows as others.
_SLUG: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)

# What a broker serves or may serve one day beside rooms, and what would read as its own
# voice: /support/ or /login/ of a stranger is a trap. Paths such as /_host, /.well-known
# and /robots.txt need no row: no slug has their characters.
RESERVED_SLUGS: Final = frozenset(
    {
        *("about", "abuse", "account", "accounts", "admin", "administrator", "api"),
        *("assets", "auth", "billing", "blog", "broker", "callback", "cdn"),
        *("config", "contact", "dashboard", "doc", "docs", "download", "downloads"),
        *("everyone", "favicon", "favicon-ico", "health", "healthz", "help", "host"),
        *("hosts", "images", "index", "internal", "invite", "legal", "link", "links"),
        *("localhost", "login", "logout", "mail", "manifest", "metrics", "oauth"),
        *("official", "ping", "postmaster", "privacy", "public", "ready", "readyz"),
        *("register", "robots", "robots-txt", "rooms", "root", "route", "routes"),
        *("saml", "security", "service-worker", "settings", "setup", "signin"),
        *("signup", "sitemap", "sso", "static", "stats", "status", "support", "sw", "system"),
        *("terms", "token", "tokens", "tunnel", "user", "users", "verify", "webmaster"),
        *("well-known", "ws", "www"),
    }
)

# How a name is written with other characters, and still reads the same.
_READS_AS: Final = str.maketrans("013456789q", "oleasgtbgg", "-")
_OUR_NAME: Final = "agentgather"


def check_slug(slug: str) -> None:
    """Refuse what may not be a slug.

    Raises:
        Rejected: ``invalid_registration``. The text says what to do, and never repeats it.

    """
    if len(slug) > MAX_SLUG_CHARS or _SLUG.fullmatch(slug) is None:
        raise Rejected(
            "invalid_registration",
            f"a slug is 1 to {MAX_SLUG_CHARS} of a-z and 0-9, with single dashes between them",
        )
    if slug in RESERVED_SLUGS:
        raise Rejected(
            "invalid_registration", "the broker keeps this slug for itself; choose another one"
        )
    if _OUR_NAME in slug.translate(_READS_AS):
        raise Rejected(
            "invalid_registration",
            "this slug reads as the program's own name; choose another one",
        )
