"""Optional packages: asked for where they are used, missing in one line that says how to install them."""

from __future__ import annotations

from importlib.util import find_spec

from .errors import MissingPackageError


def require(*packages: str, extra: str = "deploy") -> None:
    """Raise MissingPackageError, with the pip line, for the first package that is not installed.

    Args:
        packages: top-level modules; extra: of this package that brings them.
    """
    for package in packages:
        if find_spec(package) is None:
            raise MissingPackageError(
                f"deployment needs {package}, which is not installed: pip install 'quantdg[{extra}]'"
            )
