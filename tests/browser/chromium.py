"""Debian's Chromium under Playwright. The browsers that Playwright brings are not used."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
# Of several lists Chromium takes the last, so this has Playwright's as well.
UNWANTED_FEATURES: Final = (
    # What drops down from the address bar is a page of its own, which each window would load
    # at once: more work than our page is, and nobody sees it.
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    # Playwright's.
    "AimEnabled",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)
ARGUMENTS: Final = (
    # Chromium's sandbox needs a user other than root, and the page is ours.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # Nothing but this machine can be reached, whatever a page asks for.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    f"--disable-features={','.join(UNWANTED_FEATURES)}",
)


class ChromiumMissing(RuntimeError):
    """There is no Chromium. The text says what to do."""


def find_chromium() -> Path:
    """Give the program that ``CHROMIUM`` names, or the first that is installed.

    Raises:
        ChromiumMissing: neither is there.

    """
    named = os.environ.get("CHROMIUM")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise ChromiumMissing(
            f"CHROMIUM={named} is no program"
            if named
            else "no Chromium is installed: `make test` installs it on Debian; "
            "elsewhere install it and set CHROMIUM=/path/to/it"
        )
    return Path(found)


@contextmanager
def open_chromium(*further: str) -> Iterator[Browser]:
    """Run Chromium, headless, until the block ends.

    Playwright's asyncio loop counts as running in this thread for as long.
    """
    program = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*ARGUMENTS, *further])
        try:
            yield browser
        finally:
            browser.close()
