"""C code: layout, sizes, and what it may not call."""
import concurrent.futures
import fnmatch
import os
import re
import subprocess

from .tree import Check, without_comments_and_strings

FILE_WARN, FILE_FAIL = 800, 1500
FUNCTION_WARN, FUNCTION_FAIL = 70, 120


def find_format(tree):
    files = tree.matching(r".*\.[ch]")
    if not files:
        return ["no C file found"]

    def run(batch):
        done = subprocess.run(["clang-format", "--dry-run", "-Werror", "--style=file", *batch], cwd=tree.root,
                              capture_output=True, text=True, check=False)
        places = re.findall(r"^([^:\n]+):\d+:\d+: error", done.stderr, re.M)
        if done.returncode != 0 and not places:
            return [done.stderr.strip()[:400]]
        return sorted(set(places))

    batches = [files[i::8] for i in range(8) if files[i::8]]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        bad = sorted(name for result in pool.map(run, batches) for name in result)
    return [f"{name}: clang-format -i {name}" for name in bad]


def functions(text):
    """(line, length) of each function body: a brace at depth 0 behind a parameter list."""
    text = without_comments_and_strings(text)
    text = re.sub(r'extern\s+""\s*\{', "", text)
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.M)
    depth, head_start, line, opened = 0, 0, 1, None
    for at, char in enumerate(text):
        if char == "\n":
            line += 1
        elif char == "{":
            if depth == 0:
                head = text[head_start:at]
                opened = line if re.search(r"\)\s*$", head) and "=" not in head else None
            depth += 1
        elif char == "}":
            depth = max(depth - 1, 0)
            if depth == 0:
                if opened is not None:
                    yield opened, line - opened + 1
                opened, head_start = None, at + 1
        elif char == ";" and depth == 0:
            head_start = at + 1


def find_files(tree):
    problems = []
    for name in tree.matching(r".*\.([ch]|py|sh|js|mjs|ts|vue|sol|cmake)"):
        lines = tree.text(name).count("\n")
        if lines > FILE_FAIL:
            problems.append(f"{name}: {lines} lines, more than {FILE_FAIL}: split it")
        elif lines > FILE_WARN:
            tree.warn(f"{name}: {lines} lines, past {FILE_WARN}")
    return problems


def find_functions(tree):
    problems = []
    for name in tree.matching(r".*\.[ch]"):
        for line, length in functions(tree.text(name)):
            if length > FUNCTION_FAIL:
                problems.append(f"{name}:{line}: function of {length} lines, more than {FUNCTION_FAIL}")
            elif length > FUNCTION_WARN:
                tree.warn(f"{name}:{line}: function of {length} lines, past {FUNCTION_WARN}")
    return problems


def read_rules(file_name):
    """Rules of a file beside this one: (regular expression, where, except, why)."""
    path = os.path.join(os.path.dirname(__file__), file_name)
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                pattern, where, but, why = (part.strip() for part in line.split(" :: "))
                yield re.compile(pattern), where.split(), [] if but == "-" else but.split(), why


def find_said(tree, file_name):
    problems = []
    rules = list(read_rules(file_name))
    for name in tree.matching(r".*\.[ch]"):
        mine = [(pattern, why) for pattern, where, but, why in rules
                if any(fnmatch.fnmatch(name, glob) for glob in where)
                and not any(fnmatch.fnmatch(name, glob) for glob in but)]
        original = tree.text(name).splitlines()
        for number, line in enumerate(without_comments_and_strings(tree.text(name)).splitlines(), 1):
            for pattern, why in mine:
                if pattern.search(line):
                    problems.append(f"{name}:{number}: {original[number - 1].strip()[:60]}: {why}")
    return problems


def find_forbidden(tree):
    return find_said(tree, "forbidden.txt")


def find_impure(tree):
    return find_said(tree, "pure.txt")


def find_visibility(tree):
    text = tree.text("CMakeLists.txt") if "CMakeLists.txt" in tree.files else ""
    wanted = ("set(CMAKE_C_VISIBILITY_PRESET hidden)", "-Werror", "-Wconversion")
    return [f"CMakeLists.txt: does not set {want}" for want in wanted if want not in text]


LONG = "int f(void) {\n" + "    g();\n" * 130 + "}\n"
WIDE = "int x;\n" * (FILE_FAIL + 1)
STYLE = {".clang-format": "BasedOnStyle: LLVM\nIndentWidth: 4\n"}
CMAKE = "set(CMAKE_C_VISIBILITY_PRESET hidden)\nadd(-Werror -Wconversion)\n"
CHECKS = [
    Check("format", "every C file is laid out by clang-format", find_format, {**STYLE, "a.c": "int x;\n"},
          [({"a.c": "int  x ;\n"}, "a.c: clang-format")]),
    Check("files", f"no file is longer than {FILE_FAIL} lines", find_files, {"a.c": "int x;\n"},
          [({"a.c": WIDE}, "split it")]),
    Check("functions", f"no function is longer than {FUNCTION_FAIL} lines", find_functions,
          {"a.c": 'extern "C" {\nstruct s {\n' + "    int x;\n" * 130 + "};\n}\n"},
          [({"a.c": LONG}, "a.c:1: function of 132")]),
    Check("forbidden", "nothing in tools/rules/forbidden.txt is called", find_forbidden,
          {"libs/net/src/a.c": '/* malloc(1) */\nchar *s = "free(x)";\nvoid f(void) { rdg_free(s); }\n'},
          [({"libs/net/src/a.c": "void *f(void) { return malloc(1); }\n"}, "a.c:1:"),
           ({"libs/net/src/a.c": "#include <assert.h>\n"}, "RDG_ASSERT")]),
    Check("pure", "cores touch no clock, socket, file or thread (tools/rules/pure.txt)", find_impure,
          {"libs/consensus/src/a.c": "#include <string.h>\n"},
          [({"libs/consensus/src/a.c": "#include <time.h>\n"}, "a.c:1:")]),
    Check("visibility", "symbols are hidden by default and warnings are errors", find_visibility,
          {"CMakeLists.txt": CMAKE}, [({"CMakeLists.txt": CMAKE.replace("hidden", "default")}, "VISIBILITY_PRESET")]),
]
