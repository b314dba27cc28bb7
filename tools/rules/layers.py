"""Layers: includes and link dependencies point strictly downward."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from .tree import Check, without_comments_and_strings

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def read_layers(tree):
    table = {}
    for line in tree.text("cmake/layers.txt").splitlines():
        match = re.fullmatch(r"(\d+) ([a-z0-9_]+)", line)
        if match:
            table[match.group(2)] = int(match.group(1))
    return table


def check_include(tree, layers, owner, name, path):
    """A problem with `#include path` in file `name` of library `owner` (or of "apps"), or None."""
    if path.startswith("ridge/"):
        parts = path.split("/")
        if len(parts) == 2 and f"include/{path}" in tree.files:  # libridge, which stands on library client
            return None if owner == "client" or layers[owner] > layers["client"] else f"is libridge's, on layer {layers['client']}: {owner} is layer {layers[owner]}"
        if len(parts) == 2:  # ridge/test.h
            return None if "/test/" in name or name.startswith("tests/") else "is for tests only"
        lib = parts[1]
        if lib not in layers:
            return f"'{lib}' is not in cmake/layers.txt"
        if f"libs/{lib}/include/{path}" not in tree.files:
            return f"library {lib} has no such public header"
        if lib != owner and layers[lib] >= layers[owner]:
            return f"upward: {owner} is layer {layers[owner]}, {lib} is layer {layers[lib]}"
        return None
    return None


def check_private(tree, name, path):
    """A problem with a quoted include that is not ours to give: it must be a file of the same library or program."""
    home = "sim" if name.startswith("sim/") else "/".join(name.split("/")[:2])
    folder = os.path.dirname(name)
    for place in (folder, home, f"{home}/src", f"{home}/test", f"{home}/fuzz"):
        target = os.path.normpath(f"{place}/{path}")
        if target in tree.files:
            return None if target.startswith(f"{home}/") else f"reaches out of {home}: use public headers"
    return f"is no file of {home}: use <> for system headers, public headers for libraries"


def find_includes(tree):
    problems = []
    layers = read_layers(tree)
    sources = tree.matching(r"(libs|apps|sim)/.*\.[ch]")
    if not sources:
        return ["no C file found under libs/, apps/ and sim/"]
    for name in sources:
        owner = name.split("/")[1] if name.startswith("libs/") else "apps"
        if owner not in layers:
            problems.append(f"{name}: library '{owner}' is not in cmake/layers.txt")
            continue
        for quote, path in INCLUDE.findall(tree.text(name)):
            problem = check_include(tree, layers, owner, name, path)
            if not problem and quote == '"' and not path.startswith("ridge/"):
                problem = check_private(tree, name, path)
            if problem:
                problems.append(f"{name}: #include {quote}{path}: {problem}")
    return problems


def find_links(tree):
    problems = []
    layers = read_layers(tree)
    for name in tree.matching(r"libs/[^/]+/CMakeLists\.txt"):
        owner = name.split("/")[1]
        text = re.sub(r"#[^\n]*", "", tree.text(name))
        if not re.search(rf"ridge_library\(\s*{owner}\b", text):
            problems.append(f"{name}: does not declare ridge_library({owner} ...)")
        if "ridge_" in re.sub(r"ridge_library\([^)]*\)", "", text).replace(f"ridge_{owner}", ""):
            problems.append(f"{name}: links or names a Ridge target outside ridge_library's DEPS")
        for dep in re.search(r"DEPS((?:\s+[a-z0-9_]+)*)", text + " DEPS").group(1).split():
            if layers.get(dep, 99) >= layers.get(owner, -1):
                problems.append(f"{name}: upward: {owner} may not depend on {dep}")
    return problems


REACHES = re.compile(r'^\s*#\s*include\s*[<"](ridge/(?:platform|agent|registry|container)/\S+|ridge/net/(?:mqtt|broker|tunnel|http_client|stream)\.h)[>"]', re.M)
CALLS = re.compile(r"\brdg_(?:cloud_(?:call|fetch|client_new)|platform_\w+)\(")
PATHS = re.compile(r'"/(?:devices|commands|rollouts|device-tokens|device-requests|telemetry|certificates|ca)\b[^"]*"')


def find_platform(tree):
    """The chain service reaches devices by the platform's documented interface, in one file, and by nothing else."""
    problems = []
    sources = tree.matching(r"libs/baas/(src|include)/.*\.[ch]")
    if not sources:
        return ["no C file found under libs/baas"]
    for name in sources:
        text = tree.text(name)
        problems += [f"{name}: #include {found}: devices are reached through ridge/client" for found in REACHES.findall(text)]
        if name == "libs/baas/src/remote.c":
            problems += [f"{name}: {found}: a function of ridge/client has it" for found in PATHS.findall(text)]
        elif found := CALLS.search(re.sub(r"/\*.*?\*/", "", text, flags=re.S)):
            problems.append(f"{name}: {found.group()}…): the platform is asked in remote.c alone")
    return problems


def find_cmake(tree):
    """Configuring a tree with an upward dependency must fail; the same without it must not."""
    problems = []
    for planted in (False, True):
        with tempfile.TemporaryDirectory(prefix="ridge-layers-") as folder:
            root = pathlib.Path(folder)
            shutil.copy(tree.root / "CMakeLists.txt", root)
            shutil.copytree(tree.root / "cmake", root / "cmake")
            for lib, deps in (("base", ""), ("codec", "DEPS ledger" if planted else "DEPS base")):
                (root / "libs" / lib / "src").mkdir(parents=True)
                (root / "libs" / lib / "src" / "x.c").write_text("int x;\n")
                (root / "libs" / lib / "CMakeLists.txt").write_text(f"ridge_library({lib} {deps})\n")
            done = subprocess.run(
                ["cmake", "-S", folder, "-B", f"{folder}/build", "-DRIDGE_TESTS=OFF", "-G", "Ninja"],
                capture_output=True, text=True, check=False)
        refused = done.returncode != 0 and "layer violation: codec (layer 1)" in done.stderr
        if planted and not refused:
            problems.append("cmake accepts a library of layer 1 that depends on one of layer 3")
        if not planted and done.returncode != 0:
            problems.append(f"cmake refuses a tree without a violation: {done.stderr[-400:]}")
    return problems


def find_tests(tree):
    problems = []
    for name in tree.matching(r"libs/[^/]+/CMakeLists\.txt"):
        lib = name.split("/")[1]
        tests = [f for f in tree.matching(rf"libs/{lib}/test/.*\.c") if "TEST(" in without_comments_and_strings(tree.text(f))]
        if not tests:
            problems.append(f"libs/{lib}: has no test in libs/{lib}/test")
    return problems


TABLE = "0 base\n1 codec\n3 net\n4 client\n6 apps\n"
SOUND = {
    "cmake/layers.txt": TABLE,
    "libs/base/include/ridge/base/a.h": "/* a */\n",
    "libs/net/include/ridge/net/n.h": "/* n */\n",
    "include/ridge/key.h": "",
    "libs/client/src/k.c": "#include <ridge/key.h>\n",
    "libs/net/src/private.h": "",
    "libs/net/src/n.c": '#include "ridge/net/n.h"\n#include "private.h"\n',
    "libs/codec/src/c.c": '#include <stdio.h>\n#include "ridge/base/a.h"\n',
    "libs/codec/CMakeLists.txt": "ridge_library(codec DEPS base PKGS x)\n",
    "libs/codec/test/c.c": "TEST(a) {}\n",
    "libs/codec/fuzz/c.c": '#include "../test/c.c"\n',
    "apps/cli/cli.h": "",
    "sim/world.h": "",
    "sim/world.c": '#include "world.h"\n#include "ridge/base/a.h"\n',
    "apps/cli/test/t.c": '#include "cli.h"\n',
}
CMAKE_BLIND = """cmake_minimum_required(VERSION 3.25)
project(x LANGUAGES C)
"""
CMAKE_SEEING = CMAKE_BLIND + """
file(STRINGS libs/codec/CMakeLists.txt line)
if(line MATCHES ledger)
  message(FATAL_ERROR "layer violation: codec (layer 1)")
endif()
"""
CHECKS = [
    Check("includes", "no library includes one of its own layer or above, nor another's private header",
          find_includes, SOUND,
          [({"libs/codec/src/up.c": '#include "ridge/net/n.h"\n'}, "upward: codec"),
           ({"libs/codec/src/up.c": '#include <ridge/net/n.h>\n'}, "upward: codec"),
           ({"libs/net/src/up.c": '#include <ridge/key.h>\n'}, "is libridge's"),
           ({"libs/codec/src/peek.c": '#include "private.h"\n'}, "is no file of libs/codec"),
           ({"libs/codec/src/peek.c": '#include "../../net/src/private.h"\n'}, "reaches out of libs/codec"),
           ({"apps/cli/main.c": '#include "private.h"\n'}, "is no file of apps/cli"),
           ({"sim/peek.c": '#include "../libs/net/src/private.h"\n'}, "reaches out of sim"),
           ({"libs/rogue/src/r.c": "int x;\n"}, "'rogue' is not in cmake/layers.txt")]),
    Check("links", "no library links one of its own layer or above", find_links, SOUND,
          [({"libs/codec/CMakeLists.txt": "ridge_library(codec DEPS base net)\n"}, "may not depend on net"),
           ({"libs/codec/CMakeLists.txt": "ridge_library(codec)\ntarget_link_libraries(x ridge_net)\n"}, "outside")]),
    Check("platform", "the chain service reaches devices by the platform's interface alone", find_platform,
          {"libs/baas/src/remote.c": '#include "ridge/client/platform.h"\nint x = rdg_platform_command(c);\n',
           "libs/baas/src/b.c": '#include "internal.h"\n/* rdg_platform_command() */\n'},
          [({"libs/baas/src/b.c": '#include "ridge/platform/platform.h"\n'}, "through ridge/client"),
           ({"libs/baas/src/b.c": '#include "ridge/net/mqtt.h"\n'}, "through ridge/client"),
           ({"libs/baas/src/b.c": "int x = rdg_platform_command(c);\n"}, "in remote.c alone"),
           ({"libs/baas/src/b.c": "int x = rdg_cloud_call(c);\n"}, "in remote.c alone"),
           ({"libs/baas/src/remote.c": 'char *p = "/devices/x/commands";\n'}, "a function of ridge/client")]),
    Check("cmake", "the build itself refuses an upward dependency", find_cmake,
          {"CMakeLists.txt": CMAKE_SEEING, "cmake/layers.txt": TABLE},
          [({"CMakeLists.txt": CMAKE_BLIND}, "cmake accepts")]),
    Check("tested", "every library has tests", find_tests, SOUND,
          [({"libs/codec/test/c.c": "/* TEST( */\n"}, "has no test")]),
]
