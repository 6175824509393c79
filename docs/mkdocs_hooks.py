"""Hooks of MkDocs: pages of the repository's root join the site, and links out of ``docs/`` lead to them or to the repository."""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
FROM_ROOT = {"README.md": "index.md"} | {
    f"{name}.md": f"{name.lower()}.md" for name in ("CONTRIBUTING", "SECURITY", "CHANGELOG")
}
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the root."""
    for source, page in FROM_ROOT.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=relinked(text, ROOT, config.extra["social"][0]["link"])))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Bend the links of a page that lead out of ``docs/``."""
    if page.file.generated_by:
        return markdown
    return relinked(markdown, Path(page.file.abs_src_path).parent, config.extra["social"][0]["link"])


def relinked(markdown: str, folder: Path, repository: str) -> str:
    """The text of a page of ``folder`` as a page of the site; FileNotFoundError for a link that leads to nothing."""
    docs = ROOT.resolve() / "docs"
    home = docs if folder == ROOT else folder.resolve()

    def bend(found: re.Match[str]) -> str:
        target = (folder / found[1]).resolve(strict=True)
        path = target.relative_to(ROOT.resolve()).as_posix()
        inside = docs in target.parents and target.suffix != ".py"
        if path in FROM_ROOT or inside:
            return f"]({os.path.relpath(docs / FROM_ROOT[path] if path in FROM_ROOT else target, home)}"
        return f"]({repository}/blob/main/{path}"

    return LINK.sub(bend, markdown)
