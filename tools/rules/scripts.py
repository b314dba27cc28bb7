"""Shell scripts."""
import re
import subprocess

from .tree import Check


def find_shell(tree):
    scripts = [name for name in tree.files
               if name.endswith(".sh") or re.match(r"#!/(usr/)?bin/(env )?(ba)?sh\b", tree.text(name)[:32])]
    if not scripts:
        return ["no shell script found"]
    done = subprocess.run(["shellcheck", "-S", "warning", "-f", "gcc", *scripts], cwd=tree.root, capture_output=True,
                          text=True, check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line]
    return lines if done.returncode != 0 else []


CHECKS = [
    Check("shell", "shellcheck finds nothing", find_shell, {"a": "#!/bin/sh\necho \"$1\"\n"},
          [({"a": "#!/bin/sh\ncd \"$1\"\nrm -rf x\n"}, "a:2")]),
]
