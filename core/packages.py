"""Optional packages: asked for where they are used, missing in one line that says how to install them."""

from __future__ import annotations

from importlib.util import find_spec

from .errors import MissingPackageError


def require(*packages: str, extra: str = "deploy", need: str = "deployment") -> None:
    """Check that every package is installed; the error names the first that is not, with the pip line.

    Args:
        packages: names of top-level modules.
        extra: the extra of this package that brings them.
        need: what needs them.

    Raises:
        MissingPackageError: one of them cannot be imported.
    """
    for package in packages:
        if find_spec(package) is None:
            raise MissingPackageError(f"{need} needs {package}, which is not installed: pip install 'quantdg[{extra}]'")
