"""What a check is, and the tree of files that it looks at."""
import dataclasses
import os
import pathlib
import re
import subprocess
from typing import Callable


@dataclasses.dataclass
class Check:
    name: str
    says: str  # what holds when it passes
    find: Callable  # (Tree) -> list of problems
    sound: dict  # planted tree without the violation: path -> text
    broken: list  # of (path -> text laid over it, part of the problem that must then be found)


class Tree:
    """The files of a folder that are, or are about to be, under version control."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.warnings = []
        self._text = {}
        self.files = sorted(self._list())

    def _list(self):
        if (self.root / ".git").exists():
            out = subprocess.run(
                ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                cwd=self.root, capture_output=True, check=True, text=True,
            ).stdout
            names = set(out.split("\0")) - {""}
        else:
            names = set()
            for folder, subfolders, files in os.walk(self.root):
                subfolders[:] = [name for name in subfolders if name not in ("build", "node_modules")]
                names.update(os.path.relpath(os.path.join(folder, name), self.root) for name in files)
        return [name for name in names if (self.root / name).is_file()]

    def matching(self, pattern):
        """Files whose path matches the whole regular expression."""
        compiled = re.compile(pattern)
        return [name for name in self.files if compiled.fullmatch(name)]

    def text(self, name):
        if name not in self._text:
            self._text[name] = (self.root / name).read_text(encoding="utf-8", errors="replace")
        return self._text[name]

    def warn(self, text):
        self.warnings.append(text)


TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def without_comments_and_strings(text):
    """C text with comments, strings and characters blanked, its lines kept."""
    def blank(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token[0] * 2
        return "\n" * token.count("\n") or " "
    return TOKEN.sub(blank, text)
