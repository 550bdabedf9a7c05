"""Every URL of a room, built in one place, so that a path prefix is never lost.

Only validated parts go in: a normalised base URL, an alias, a token, a number. So a
command made of them can be pasted into a shell.
"""


def room_url(base_url: str, path: str) -> str:
    """Give the URL of an endpoint; ``path`` starts with a slash."""
    return f"{base_url}{path}"


def card_command(base_url: str, alias: str, token: str) -> str:
    """Give the command that prints a participant's Attend Card."""
    return f'curl -s "{room_url(base_url, f"/card?participant={alias}&token={token}")}"'


def browser_url(base_url: str, token: str) -> str:
    """Give the link that a person opens. A fragment never leaves the browser."""
    return f"{room_url(base_url, '/')}#token={token}"


def wait_command(base_url: str, alias: str, since_id: int, *, for_me: bool = False) -> str:
    """Give the command that waits on; the Attend Card exports the token it names."""
    query = f"participant={alias}&since_id={since_id}" + ("&for=me" if for_me else "")
    url = room_url(base_url, f"/wait?{query}")
    return f'curl -s "{url}" -H "Authorization: Bearer $AG_TOKEN"'
