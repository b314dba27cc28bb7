"""Public headers: each compiles alone, as C and as C++, and says in its comment what it is."""
import concurrent.futures
import os
import re
import subprocess
import tempfile

from .tree import Check

PUBLIC = r"(libs/[^/]+/include|include|tests/kit/include)/ridge/.*\.h"


def compile_alone(tree, includes, name):
    include = name.split("include/", 1)[1]
    problems = []
    for compiler, standard, ending in (("gcc", "c17", ".c"), ("g++", "c++17", ".cc")):
        with tempfile.NamedTemporaryFile("w", suffix=ending) as source:
            source.write(f'#include "{include}"\n#include "{include}"\n')
            source.flush()
            done = subprocess.run(
                [compiler, f"-std={standard}", "-fsyntax-only", "-Wall", "-Wextra", "-Wundef", "-Werror",
                 *includes, source.name], cwd=tree.root, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[:200])
            problems.append(f"{name}: not by itself as {standard}: {first}")
    return problems


def package_flags(tree):
    """Include paths of the packages that libraries declare as PUBLIC_PKGS."""
    packages = set()
    for name in tree.matching(r"libs/[^/]+/CMakeLists\.txt"):
        found = re.search(r"PUBLIC_PKGS((?:\s+[a-z0-9_.-]+)+)", tree.text(name))
        packages.update(found.group(1).split() if found else [])
    if not packages:
        return []
    done = subprocess.run(["pkg-config", "--cflags", *sorted(packages)], capture_output=True, text=True, check=True)
    return done.stdout.split()


def find_alone(tree):
    headers = tree.matching(PUBLIC)
    if not headers:
        return ["no public header found"]
    includes = [f"-I{folder}" for folder in sorted({name.split("include/", 1)[0] + "include" for name in headers})]
    includes += package_flags(tree)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda name: compile_alone(tree, includes, name), headers)
    return [problem for result in results for problem in result]


def find_comment(tree):
    problems = []
    for name in tree.matching(PUBLIC):
        text = tree.text(name)
        if not re.match(r"/\*.{40,}?\*/", text, re.S):
            problems.append(f"{name}: does not start with a comment that says what it is for")
        guard = re.search(r"^#ifndef (\w+)\n#define (\w+)$", text, re.M)
        if not guard or guard.group(1) != guard.group(2):
            problems.append(f"{name}: has no include guard")
    return problems


SOUND_HEADER = """/* Counts things. Not thread-safe. Returns what it counted, never more. */
#ifndef RIDGE_BASE_A_H
#define RIDGE_BASE_A_H
#include <stddef.h>
size_t rdg_a(void);
#endif
"""
PATH = "libs/base/include/ridge/base/a.h"
CHECKS = [
    Check("headers", "every public header compiles alone, twice, as C17 and C++17", find_alone, {PATH: SOUND_HEADER},
          [({PATH: SOUND_HEADER.replace("#include <stddef.h>\n", "")}, "not by itself as c17"),
           ({PATH: SOUND_HEADER.replace("rdg_a", "template")}, "not by itself as c++17")]),
    Check("contract", "every public header starts with its contract and has a guard", find_comment,
          {PATH: SOUND_HEADER},
          [({PATH: SOUND_HEADER.split("\n", 1)[1]}, "does not start with a comment"),
           ({PATH: SOUND_HEADER.replace("define RIDGE_BASE_A_H", "define RIDGE_BASE_B_H")}, "has no include guard")]),
]
