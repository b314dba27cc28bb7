"""Documents: twins agree, links lead somewhere, packages are explained, nothing names the maker's machine."""
import json
import re

from .tree import Check

HEADING = re.compile(r"^(#+) ", re.M)
FENCE = re.compile(r"^```", re.M)


def outline(text):
    outside = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return [len(level) for level in HEADING.findall(outside)], len(FENCE.findall(text)) // 2


def find_twins(tree):
    problems = []
    for name in tree.matching(r".*\.zh-CN\.md"):
        twin = name.replace(".zh-CN.md", ".md")
        if twin not in tree.files:
            problems.append(f"{name}: {twin} is missing")
            continue
        for what, here, there in zip(("headings", "code blocks"), outline(tree.text(name)), outline(tree.text(twin))):
            if here != there:
                problems.append(f"{name}: {what} {here}, but {twin} has {there}")
    if "README.md" in tree.files and "README.zh-CN.md" not in tree.files:
        problems.append("README.zh-CN.md is missing")
    return problems


def find_links(tree):
    problems = []
    for name in tree.matching(r".*\.md"):
        text = re.sub(r"^```.*?^```|`[^`\n]*`", "", tree.text(name), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path = target.split("#")[0]
            if not path or re.match(r"[a-z]+:", path):
                continue
            if not (tree.root / name).parent.joinpath(path).exists():
                problems.append(f"{name}: link to {target}, which does not exist")
    return problems


def find_packages(tree):
    listed = {line.split()[1] for line in tree.text("tools/packages.txt").splitlines()
              if line.strip() and not line.startswith("#")}
    explained = set(re.findall(r"^\| `([a-z0-9.+-]+)`", tree.text("docs/dependencies.md"), re.M))
    problems = [f"docs/dependencies.md: does not explain {name} of tools/packages.txt" for name in sorted(listed - explained)]
    problems += [f"tools/packages.txt: lacks {name} of docs/dependencies.md" for name in sorted(explained - listed)]
    return problems if listed else ["tools/packages.txt names no package"]


# Absolute paths that mean something on one machine only, and lock files that name a mirror.
MACHINE = re.compile(r"(?<![\w.<>/}$-])/(?:" + "|".join(("wo" + "rk", "ro" + "ot", "ho" + "me/[a-z]+", "Us" + "ers/[a-z]+")) + r")/")


def find_machine(tree):
    problems = []
    for name in tree.matching(r"(?!LICENSE$).*"):
        if name.endswith("package-lock.json"):
            packages = json.loads(tree.text(name)).get("packages", {})
            for package, entry in packages.items():
                if "resolved" in entry:
                    problems.append(f"{name}: {package} names the host it came from: npm's omit-lockfile-registry-resolved")
            continue
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            if MACHINE.search(line):
                problems.append(f"{name}:{number}: names a path of one machine: {line.strip()[:80]}")
    return problems


TABLE = "# Dependencies\n\n| package | why |\n|---|---|\n| `cmake` | builds |\n"
CHECKS = [
    Check("twins", "a page and its Chinese twin have the same headings and code blocks", find_twins,
          {"README.md": "# a\n\n```\n# x\n```\n", "README.zh-CN.md": "# b\n\n```\nx\n```\n"},
          [({"README.zh-CN.md": "# b\n\n## c\n\n```\nx\n```\n"}, "headings"),
           ({"README.zh-CN.md": "# b\n\nx\n"}, "code blocks")]),
    Check("doc-links", "links between documents lead somewhere", find_links,
          {"docs/a.md": "[b](b.md#x) [c](https://example.org)\n", "docs/b.md": "b\n"}, 
          [({"docs/a.md": "[b](c.md)\n"}, "c.md")]),
    Check("packages", "every package is explained, and every explained one is installed", find_packages,
          {"tools/packages.txt": "build cmake the build\n", "docs/dependencies.md": TABLE},
          [({"tools/packages.txt": "build cmake the build\nbuild zlib1g-dev why\n"}, "does not explain zlib1g-dev")]),
    Check("machine", "no file names a path of one machine or a private package host", find_machine,
          {"a.md": "see /etc/hosts and docs/" + "work/x\n"}, [({"a.md": "see /" + "work/x/y\n"}, "a.md:1")]),
]
