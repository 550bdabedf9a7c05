"""What the reader of a page has before the first block, and does by hand between two."""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.docs.machine import Machine
from tests.docs.page import ROOT, Block
from tests.end_to_end.public.front import open_front
from tests.end_to_end.public.host import Host


class Reader:
    """Somebody with a machine, and nothing else."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def before(self, block: Block) -> None:
        """Do what the text says, and no block, before this one."""

    def after(self, block: Block, said: str) -> None:
        """Do what the text says of the block's output: here, run the command that it prints."""
        for command in re.findall(r"^ *(curl -s \"\S+/card\?\S+\")$", said, re.MULTILINE):
            card = self.machine.shell.run(command)
            assert card.startswith("# Attend Card: "), card


class Participant(Reader):
    """Was invited, as `rev` and as `ada`, to a room `review` that is public too."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.host = Host(machine.folder / "host", "review", machine["broker"], machine.trust)
        machine.stack.callback(self.host.end)
        self.host.opens()
        machine["port"] = self.host.local_url().rpartition(":")[2]
        machine["token"] = self.host.invite("rev")["token"]
        (machine.checkout / "ada-token").write_text(self.host.invite("ada", "human")["token"])


class Client(Participant):
    """Writes a client, and has the variables of the examples in the shell."""

    def before(self, block: Block) -> None:
        token = self.host.token if block.section == "Host only" else self.machine["token"]
        self.machine.shell.run(f"export AG_BASE={self.host.local_url()} AG_TOKEN={token}")


class Exposer(Reader):
    """Tries a broker of its own, beside the one that others run."""

    def before(self, block: Block) -> None:
        if "agentgather broker serve" in block.text:
            self.machine.take_port("broker_port")


class Operator(Reader):
    """Has a broker behind Caddy, which asks hosts for tokens."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        folder = machine.folder / "server"
        folder.mkdir()
        front = machine.stack.enter_context(open_front(folder, "--registration token"))
        machine.is_behind(front.url, front.broker)
        machine.trust = front.caddy.trust
        machine.begin_anew()

    def before(self, block: Block) -> None:
        # The first gates are for another machine, whose requests are counted apart.
        other = "interface = 127.0.0.2\n" if block.section == "4. Caddy" else ""
        (self.machine.home / ".curlrc").write_text(other)

    def after(self, block: Block, said: str) -> None:
        super().after(block, said)
        if token := re.search(r"^agr_\S+$", said, re.MULTILINE):
            (self.machine.checkout / "token").write_text(token[0])


class Downloader(Reader):
    """Has a release that is signed, and the key's line."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        assert machine["release"]
        release = machine.folder / "release"
        if shutil.which("ssh-keygen") is not None:
            self._sign(release)
        shutil.copytree(release, machine.checkout, dirs_exist_ok=True)

    def _sign(self, release: Path) -> None:
        key = self.machine.folder / "key"
        sums = release / "SHA256SUMS"
        for words in (
            ["-q", "-t", "ed25519", "-N", "", "-f", str(key)],
            ["-q", "-Y", "sign", "-n", "agentgather", "-f", str(key), str(sums)],
        ):
            subprocess.run(["ssh-keygen", *words], check=True, capture_output=True)
        public = Path(f"{key}.pub").read_text()
        line = f'agentgather-release namespaces="agentgather" {public}'
        (release / "allowed_signers").write_text(line)


class Releaser(Reader):
    """Is in the folder with the files of a release, which is the repository's here."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        shutil.copy(ROOT / "packaging" / "install.sh", machine.checkout)


READERS: Final[Mapping[str, Callable[[Machine], Reader]]] = MappingProxyType(
    {
        "docs/deployment.md": Operator,
        "docs/joining.md": Participant,
        "docs/release.md": Releaser,
        "docs/remote-exposure.md": Exposer,
        "docs/security.md": Downloader,
        "spec/http-api.md": Client,
    }
)
