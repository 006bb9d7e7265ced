"""Read the pages of the documentation: code blocks, command lines, links."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
OUTSIDE = [
    ROOT / name
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "benchmarks/README.md")
]
"""Pages that are no part of the site."""
PAGES = sorted([*OUTSIDE, *(ROOT / "docs").rglob("*.md")])
HISTORY = ROOT / "docs" / "history"
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE
)
INLINE = re.compile(r"`(clearair [^`\n]+)`")
STARTS = re.compile(r"(?:^|[\s'/])clearair\s+(.*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    page: str
    info: str
    code: str

    @property
    def language(self) -> str:
        """Return the first word after the fence, or nothing."""
        return (self.info.split() or [""])[0]


def current_pages() -> list[Path]:
    """Return the pages that describe the present, so all but the history."""
    return [page for page in PAGES if HISTORY not in page.parents]


def blocks() -> list[Block]:
    """Return every fenced block of the current pages."""
    return [
        Block(str(page.relative_to(ROOT)), match["info"].strip(), match["code"])
        for page in current_pages()
        for match in FENCE.finditer(page.read_text())
    ]


def command_lines(*, mentions: bool = True) -> list[tuple[str, tuple[str, ...]]]:
    """Return each `clearair` command line, as its page and the words after `clearair`.

    Command lines come from code blocks, with `mentions` also from the text around them.
    """
    found = [
        (block.page, words)
        for block in blocks()
        if block.language in ("", "sh")
        for line in block.code.replace("\\\n", " ").splitlines()
        for words in _commands(line)
    ]
    for page in current_pages() if mentions else []:
        text = FENCE.sub("", page.read_text())
        found += [
            (str(page.relative_to(ROOT)), words) for each in INLINE.findall(text) for words in _commands(each)
        ]
    return sorted(set(found))


def _commands(line: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command in a line of a shell; of `bash -c`, those inside the quotes."""
    quoted = re.search(r"bash -c '(.*)'", line)
    for part in re.split(r"&&|;|\s\|\s", quoted[1] if quoted else line):
        match = STARTS.search(part)
        if match and not match[1].startswith(":"):
            words = shlex.split(match[1], comments=True)
            cut = next((index for index, word in enumerate(words) if word.startswith((">", "<"))), len(words))
            yield tuple(words[:cut])
