"""Blocks of the documents are what they say they are, and those that don't run are known."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.page import NEEDS, NOT_RUN, PAGES, Block, blocks_of
from tests.docs.shell import stays
from tests.docs.substitutions import SUBSTITUTIONS
from tests.end_to_end.public.caddy import find_caddy

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
SHELL = [block for block in BLOCKS if block.is_shell]
LANGUAGES = {"caddyfile", "json", "mermaid", "nginx", "python", "sh", "text"}
PROGRAMS = {"sqlite3", "ss", "ssh-keygen"}
"""What a block may need. It is run where they are."""
NOT_RUN_BLOCKS = {
    "docs/deployment.md: getent ahosts rooms.example.org",
    "docs/deployment.md: python3 -m venv /opt/agentgather-0.3.0",
    "docs/deployment.md: useradd --system --home-dir /var/lib/agentgather-broker "
    "--no-create-home --shell /usr/sbin/nologin agentgather-broker",
    "docs/deployment.md: systemctl is-active agentgather-broker",
    "docs/deployment.md: apt-get install caddy",
    "docs/deployment.md: curl -si http://rooms.example.org/healthz | head -1",
    "docs/deployment.md: AGENTGATHER_HOST_TOKEN=$(agentgather room dashboard --show-token "
    "| sed 's/.*#token=//') \\",
    "docs/deployment.md: journalctl -u agentgather-broker -u caddy --since -1h "
    "| grep -c -e agp_ -e trial -e since_id",
    "docs/deployment.md: systemctl kill --signal KILL agentgather-broker",
    "docs/deployment.md: ln -sfn /opt/agentgather-0.3.1 /opt/agentgather",
    "docs/deployment.md: systemctl disable --now agentgather-broker",
    "docs/deployment.md: rm -r /var/lib/agentgather-broker /etc/agentgather /opt/agentgather "
    "/opt/agentgather-0.3.0",
    "docs/host-guide.md: systemctl --user daemon-reload",
    "docs/host-guide.md: systemctl --user stop 'agentgather-room@*'",
    "docs/operator-runbook.md: journalctl -u agentgather-broker --since -1h --output cat "
    '| grep -c \'"error":"host_unavailable"\'',
    "docs/operator-runbook.md: systemctl restart caddy",
    "docs/release.md: apt-get download librust-yoke-dev",
    "docs/release.md: ssh-keygen -t ed25519 -C agentgather-release -f ~/.ssh/agentgather-release",
    "docs/remote-exposure.md: ssh -N -L 8787:127.0.0.1:8787 you@host.example",
    "docs/remote-exposure.md: ssh -N -R 127.0.0.1:8787:127.0.0.1:8787 "
    "-o ExitOnForwardFailure=yes -o ServerAliveInterval=15 you@server.example",
    "docs/remote-exposure.md: tailscale serve --bg 8787",
    "docs/remote-exposure.md: cloudflared tunnel --url http://127.0.0.1:8787",
    "docs/remote-exposure.md: ngrok http 8787",
}
"""Each has its reason in the page. One that is new here has to be tried by hand."""


def where(blocks: list[Block]) -> list[str]:
    return [f"{block.page}:{block.line}" for block in blocks]


def test_every_block_says_what_it_is() -> None:
    unknown = [block for block in BLOCKS if block.language not in LANGUAGES]
    assert where(unknown) == [], f"a block without a language is not looked at; say {LANGUAGES}"


def test_the_blocks_that_do_not_run_are_these() -> None:
    reasons = {block.name: block.note for block in SHELL if block.note.startswith(NOT_RUN)}
    assert set(reasons) == NOT_RUN_BLOCKS, "\n".join(f"{one}: {reasons[one]}" for one in reasons)
    assert all(len(reason) > len(NOT_RUN) for reason in reasons.values())
    needed = {block.note.removeprefix(NEEDS) for block in SHELL if block.note.startswith(NEEDS)}
    assert needed == PROGRAMS


def test_every_block_is_shell_that_can_be_read() -> None:
    faults = []
    for block in SHELL:
        done = subprocess.run(["sh", "-n"], input=block.text, capture_output=True, text=True)
        if done.returncode:
            faults.append(f"{block.page}:{block.line}: {done.stderr}")
    assert faults == []


def test_what_is_pasted_after_a_command_that_stays_would_be_lost() -> None:
    faults = [block for block in SHELL if any(stays(line) is not None for line in block.lines[:-1])]
    assert where(faults) == [], "a terminal that is taken runs nothing more: end the block there"


def test_no_block_has_a_comment_that_a_shell_would_run() -> None:
    # zsh takes `#` for a word of the command, where it is typed or pasted.
    commented = [block for block in SHELL if re.search(r"(^|\s)#(\s|$)", block.text, re.MULTILINE)]
    assert where(commented) == []


def test_every_substitution_has_a_use() -> None:
    text = "\n".join(block.text for block in SHELL)
    unused = [one.pattern for one in SUBSTITUTIONS if not re.search(one.pattern, text, re.M)]
    assert unused == []


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "caddyfile"], ids=lambda one: one.page
)
def test_caddy_takes_what_is_written_for_it(block: Block, tmp_path: Path) -> None:
    text = block.text
    if text.startswith("@"):  # a part, for inside a site
        text = "rooms.example {\n" + text + "}\n"
    file = tmp_path / "Caddyfile"
    file.write_text(text)
    command = [find_caddy(), "adapt", "--config", str(file), "--adapter", "caddyfile"]
    done = subprocess.run(command, capture_output=True, text=True, env={"HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
