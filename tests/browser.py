"""A real browser without a window: what a page looks like at a width, how large its elements are, what it asks for.

Chromium is driven over a pipe in its own DevTools protocol, so that nothing but the standard library is needed.  The
page's scripts are off, as for a reader who has none, unless asked for; what the tests measure is asked for from
outside.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 60.0  # seconds without an answer, after which the browser is given up


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser whose profile is in `folder`; skips the test where there is none, or where it does not start."""
    executable = next((found for name in NAMES if (found := shutil.which(name))), None)
    if executable is None or not hasattr(os, "posix_spawn"):
        pytest.skip(f"no browser to look at the page with: none of {', '.join(NAMES)} is installed")
    running = Browser(executable, folder)
    try:
        running.start()
        yield running
    finally:
        running.close()


class Browser:
    """One window.

    `open` shows a file, and everything else is about what is shown: `messages` are the console's, warnings of the
    browser included, and `requests` the addresses that the page has asked for.
    """

    def __init__(self, executable: str, folder: Path) -> None:
        self.messages: list[str] = []
        self.requests: list[str] = []
        self._number, self._session, self._loaded, self._rest = 0, "", False, b""
        theirs_in, self._write = _high_pipe()
        self._read, theirs_out = _high_pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-extensions", "--no-first-run"]
        flags += ["--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}"]
        self._log = folder / "browser.log"
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        actions = [(os.POSIX_SPAWN_DUP2, theirs_in, 3), (os.POSIX_SPAWN_DUP2, theirs_out, 4)]
        actions += [(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
        self._process = os.posix_spawn(
            executable, [executable, *flags, "about:blank"], os.environ, file_actions=actions, setpgroup=0
        )
        for descriptor in (theirs_in, theirs_out, log):
            os.close(descriptor)

    def start(self) -> None:
        """Take hold of the first window; skips the test where the browser does not answer."""
        try:
            (target,) = [t for t in self._send("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        except (OSError, EOFError) as error:
            pytest.skip(f"the browser does not start ({error}): {self._log.read_text(errors='replace')[-300:]}")
        attached = self._send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def open(self, file: Path, width: int, *, dark: bool = False, media: str = "", scripts: bool = False) -> None:
        """Show the file in a window of this width, for a reader who likes it dark or not; `media` may be "print"."""
        self.messages, self.requests, self._loaded = [], [], False
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setScriptExecutionDisabled", value=not scripts)
        self._send("Emulation.setDeviceMetricsOverride", **size)
        self._send("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self._send("Page.navigate", url=file.resolve().as_uri())
        while not self._loaded:
            self._hear(self._receive())

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression about the page, as JSON carries it."""
        answer = self._send("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise ValueError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def boxes(self, selector: str) -> list[dict[str, Any]]:
        """Text, left, top, right and bottom, in pixels of the page, of each element that a CSS selector names."""
        return self.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector)})].map(element => {{"
            "const box = element.getBoundingClientRect();"
            "return {text: element.textContent, left: box.left + scrollX, top: box.top + scrollY,"
            "        right: box.right + scrollX, bottom: box.bottom + scrollY}})"
        )

    def screenshot(self, to: Path) -> Path:
        """A picture of the whole page, however long."""
        answer = self._send("Page.captureScreenshot", captureBeyondViewport=True)
        to.write_bytes(base64.b64decode(answer["data"]))
        return to

    def pdf(self, to: Path) -> Path:
        """The page as it is printed."""
        to.write_bytes(base64.b64decode(self._send("Page.printToPDF", preferCSSPageSize=True)["data"]))
        return to

    def close(self) -> None:
        """End the browser, with all of its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        os.close(self._read)
        os.close(self._write)

    def _send(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._number:
            self._hear(answer)
        if "error" in answer:
            raise ValueError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            if not select.select([self._read], [], [], deadline - time.monotonic())[0]:
                raise TimeoutError(f"no answer for {PATIENCE:.0f} s")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise EOFError("it has ended")
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _hear(self, event: dict[str, Any]) -> None:
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Log.entryAdded":
            self.messages.append(parameters["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.messages.append(" ".join(str(a.get("value", a.get("description"))) for a in parameters["args"]))
        elif method == "Runtime.exceptionThrown":
            self.messages.append(parameters["exceptionDetails"]["text"])


def _high_pipe() -> tuple[int, int]:
    """A pipe whose ends are no numbers that the browser gives a meaning to."""
    import fcntl  # which is not there on Windows

    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]
