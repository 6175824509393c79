"""Fetch one file over HTTP: resumable, checked, and in place only when complete.

This is code of this project because download helpers (pooch, torch.hub) begin anew after an interruption;
this one goes on where it stopped, with If-Range, so that a file that has changed on the server is fetched whole.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ..core.errors import ConfigError, DataError

Progress = Callable[[int, int], None]
_BLOCK = 1 << 20
_PAGE = (b"<!doctype html", b"<html", b"<head")


def checksum(path: Path, algorithm: str) -> str:
    """Return the hexadecimal digest of a file; ``algorithm`` is one of hashlib's, for example sha256 or md5."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _validator(state: Path, url: str) -> str:
    """What identified the file that a partial download belongs to; empty if unknown."""
    try:
        kept = json.loads(state.read_text())
    except (OSError, ValueError):
        return ""
    return str(kept.get("validator", "")) if kept.get("url") == url else ""


def _request(url: str, have: int, validator: str) -> urllib.request.Request:
    headers = {"User-Agent": "quantdg", "Accept-Encoding": "identity"}
    if have and validator:
        # If-Range makes the server start over when the file has changed meanwhile
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    return urllib.request.Request(url, headers=headers)


def _refuse_page(url: str, kind: str, start: bytes) -> None:
    if kind == "text/html" or start.lstrip().lower().startswith(_PAGE):
        raise DataError(
            f"{url} answered with a web page, not with a file (a sign-in or quota page, or a dead link); "
            "fetch the file in a browser and put it in place by hand"
        )


def _receive(
    response: http.client.HTTPResponse, url: str, out: IO[bytes], have: int, progress: Progress | None
) -> None:
    length = response.headers.get("Content-Length")
    total = have + int(length) if length else 0
    block = response.read(_BLOCK)
    if not have:
        _refuse_page(url, response.headers.get_content_type(), block)
    done = have
    while block:
        out.write(block)
        done += len(block)
        if progress is not None:
            progress(done, total)
        block = response.read(_BLOCK)
    if total and done != total:
        raise DataError(f"{url} broke off after {done} of {total} bytes; run again to go on from there")


def _continue(url: str, part: Path, state: Path, timeout: float, progress: Progress | None) -> None:
    validator = _validator(state, url)
    have = part.stat().st_size if part.is_file() and validator else 0
    with urllib.request.urlopen(_request(url, have, validator), timeout=timeout) as response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        found = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        state.write_text(json.dumps({"url": url, "validator": "" if found.startswith("W/") else found}))
        with part.open("ab" if resumed else "wb") as out:
            _receive(response, url, out, have if resumed else 0, progress=progress)
            out.flush()
            os.fsync(out.fileno())


def fetch(
    url: str, target: Path, digest: str | None = None, progress: Progress | None = None, timeout: float = 60.0
) -> Path:
    """Download ``url`` to ``target``, which appears only when complete and correct; a complete one stays.

    A broken download waits beside it as ``.part``; the next call goes on if the server says the file is the same.

    Args:
        url: http or https.
        target: file to write; its folder is made.
        digest: ``"sha256:..."`` or ``"md5:..."``, hexadecimal; None checks the length only.
        progress: called with (bytes done, bytes in all or 0 if unknown).
        timeout: seconds without an answer.

    Raises:
        ConfigError: the address is not http or https.
        DataError: an error status, a web page, a broken connection, a wrong checksum, or a failed write.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(f"a download address starts with https:// or http://, got {url!r}; copy the file by hand")
    if target.is_file() and (digest is None or _matches(target, digest)):
        return target
    part, state = target.with_name(target.name + ".part"), target.with_name(target.name + ".part.json")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _continue(url, part, state, timeout, progress=progress)
        if digest is not None and not _matches(part, digest):
            part.unlink()
            raise DataError(f"{url} does not have the expected checksum {digest}; it changed or was damaged, try again")
        part.replace(target)
        state.unlink(missing_ok=True)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and part.is_file():  # at least as long as the file: start over
            part.unlink()
            return fetch(url, target, digest, progress, timeout=timeout)
        raise DataError(f"{url} answered {error.code} {error.reason}; check the address or fetch it by hand") from error
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"cannot fetch {url} to {target}: {error}; run again to go on") from error
    return target


def _matches(path: Path, digest: str) -> bool:
    algorithm, _, wanted = digest.partition(":")
    return checksum(path, algorithm) == wanted.lower()
