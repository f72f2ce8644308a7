"""What a page of the documentation tells its reader to do: its blocks, the files it names, its commands in order."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("cineaffect", "make", "pip", "python", "docker", "export", "crontab", "deploy/")
_FILE_NAME = re.compile(r"`([\w.-]+\.(?:yaml|csv|py))`:$")


@dataclass(frozen=True)
class Block:
    """An indented or fenced block.

    Attributes:
        section: the heading it stands under.
        name: the file that it is, where the sentence before it ends with "`NAME`:"; else empty.
        text: without its indentation.
    """

    section: str
    name: str
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """Its commands in order, as a shell divides them; none where it is no block of commands."""
        if self.name or not self.text.startswith(PROGRAMS):
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page in their order; a sentence or a heading ends an indented one."""
    blocks: list[Block] = []
    section, sentence, gathered, fenced = "", "", [], False

    def end() -> None:
        text = "\n".join(gathered).strip("\n")
        if text:
            named = _FILE_NAME.search(sentence)
            blocks.append(Block(section, named[1] if named else "", text + "\n"))
        gathered.clear()

    before = ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            end()
            fenced = not fenced
        elif fenced:
            gathered.append(line)
        elif line.startswith("    ") and (gathered or not before.strip()):
            gathered.append(line[4:])
        elif not line.strip() and gathered:
            # A blank line ends a block of commands or a file; code has its own within fences or goes on indented.
            gathered.append("")
        else:
            end()
            if line.startswith("#"):
                section = line.lstrip("# ")
            if line.strip():
                sentence = line
        before = line
    end()
    return blocks
