"""What may be a route's slug: the first segment of a public URL's path."""

from typing import Final

from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_SLUG_CHARS
from agentgather.wire.names import is_route_slug

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
    if not is_route_slug(slug):
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
