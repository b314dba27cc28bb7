"""ridge contract new, build and test: projects on the developer's machine, and what is said when something is wrong with one."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("RIDGE_BIN", os.path.join(ROOT, "build", "dev", "bin"))

from cases import case, check, equal, main  # noqa: E402

FAILED, NOT_FOUND, UNREACHABLE, CONFLICT = 1, 3, 5, 6
scratch = tempfile.mkdtemp(prefix="ridge-contract-dev-")
projects = os.path.join(scratch, "projects")  # their compiler is in the folder above them, as in a repository of several
lonely = tempfile.mkdtemp(prefix="ridge-contract-lonely-")


def ridge(*args, **environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith("RIDGE_")}
    env.update(environment)
    done = subprocess.run([os.path.join(BIN, "ridge"), *args], env=env, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout, done.stderr


def project(name, template="metering"):
    path = os.path.join(projects, name)
    status, _, said = ridge("contract", "new", path, "--template", template)
    equal(status, 0, said)
    return path


def write(path, name, text):
    with open(os.path.join(path, name), "w", encoding="utf-8") as file:
        file.write(text)


def examples(template, count):
    path = project(f"example-{template}", template)
    status, out, said = ridge("contract", "test", path, "--json")
    equal(status, 0, said + out)
    report = json.loads(out)
    equal((report["passed"], report["failed"]), (count, 0), template)
    check(all(t["gas"] > 21000 for c in report["contracts"] for t in c["tests"]), "each test has its gas")


@case
def the_metering_example_passes_its_tests():
    examples("metering", 4)


@case
def the_identity_example_passes_its_tests():
    examples("identity", 5)


@case
def the_traceability_example_passes_its_tests():
    examples("traceability", 4)


@case
def the_access_example_passes_its_tests():
    examples("access", 3)


@case
def a_build_writes_artefacts_that_deploy_takes():
    path = project("build")
    status, out, said = ridge("contract", "build", path, "--json")
    equal(status, 0, said)
    rows = {row["name"]: row for row in json.loads(out)["contracts"]}
    check("Settlement" in rows and rows["Settlement"]["bytes"] > 1000, "the contract and its size are told")
    with open(os.path.join(path, rows["Settlement"]["artifact"]), encoding="utf-8") as file:
        artefact = json.load(file)
    check(artefact["bytecode"].startswith("0x60") and any(e.get("name") == "settle" for e in artefact["abi"]), "ABI and bytecode")


FAILING = """// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;
contract BrokenTest {
    error Low(uint256 level);
    uint256 private v;
    function setUp() external { v = 1; }
    function testChange() external { v = 2; require(v == 2); }
    function testOthersAreNotSeen() external view { require(v == 1, "another test's change is seen"); }
    function testReason() external pure { require(false, "not today"); }
    function testCustom() external pure { revert Low(7); }
    function testPanic() external view { uint256 zero = v - 1; v / zero; }
    function testEndless() external { while (true) v++; }
    function helper() external pure { revert("is no test"); }
    function testWithArguments(uint256 x) external pure { require(x == 0); }
}
"""


@case
def failures_are_told_with_their_reasons_and_tests_do_not_see_each_other():
    path = project("failing")
    write(path, "test/Broken.t.sol", FAILING)
    status, out, said = ridge("contract", "test", path, "--json", "--match", "Broken")
    equal(status, FAILED, said)
    check("4 of 6 tests failed" in said, said)
    report = json.loads(out)
    tests = {t["name"]: t for t in report["contracts"][0]["tests"]}
    equal(sorted(name for name, t in tests.items() if t["passed"]), ["testChange", "testOthersAreNotSeen"], "passed")
    equal(tests["testReason"]["reason"], "not today", "reason")
    equal(tests["testCustom"]["reason"], 'Low{"level":7}', "custom error")
    check("division by zero" in tests["testPanic"]["reason"], tests["testPanic"]["reason"])
    equal(tests["testEndless"]["reason"], "out_of_gas", "endless loop")


@case
def a_constructor_that_fails_fails_every_test():
    path = project("constructor")
    write(path, "test/New.t.sol", """pragma solidity ^0.8.20;
contract NewTest { constructor() { require(false, "no such feeder"); } function testA() external {} }
""")
    status, out, _ = ridge("contract", "test", path, "--json", "--match", "NewTest")
    equal(status, FAILED, "status")
    equal(json.loads(out)["contracts"][0]["tests"][0]["reason"], "constructor or setUp: no such feeder", "reason")


@case
def what_solc_refuses_is_shown_with_its_place():
    path = project("syntax")
    write(path, "contracts/Bad.sol", "pragma solidity ^0.8.20;\ncontract Bad { function f() external { uint256 x = ; } }\n")
    status, _, said = ridge("contract", "build", path)
    equal(status, FAILED, "status")
    check("contracts/Bad.sol:2:" in said and "do not compile: 1 error" in said, said)
    write(path, "contracts/Bad.sol", 'pragma solidity ^0.8.20;\nimport "@none/x.sol";\n')
    status, _, said = ridge("contract", "build", path)
    check(status == FAILED and "npm install it" in said, said)


@case
def what_is_missing_is_named_with_the_remedy():
    empty = os.path.join(projects, "empty")
    os.makedirs(empty)
    status, _, said = ridge("contract", "build", empty)
    check(status == NOT_FOUND and "ridge contract new" in said, said)
    path = project("untested")
    shutil.rmtree(os.path.join(path, "test"))
    status, _, said = ridge("contract", "test", path)
    check(status == NOT_FOUND and "test/*.t.sol" in said, said)
    status, _, said = ridge("contract", "new", path)
    check(status == CONFLICT and "is there already" in said, said)
    status, _, said = ridge("contract", "new", os.path.join(projects, "x"), "--template", "y")
    check(status == NOT_FOUND and "there are metering, identity, traceability, access" in said, said)
    alone = os.path.join(lonely, "alone")
    equal(ridge("contract", "new", alone)[0], 0, "a project without a compiler")
    status, _, said = ridge("contract", "build", alone, PATH="/nonexistent")
    check(status == FAILED and "npm install --save-dev solc" in said, said)


def source(path, *args, **environment):
    """What is said of a file that is to be deployed: it is compiled before anybody is asked."""
    return ridge("contract", "deploy", "none", "none", "--source", path, *args, RIDGE_URL="http://127.0.0.1:1", RIDGE_TOKEN="none", **environment)


TWO = """pragma solidity ^0.8.20;
import "../lib/Shared.sol";
import "@shapes/Shape.sol";
contract First is Shape { function f() external pure returns (uint256) { return Shared.one(); } }
contract Second { }
interface Third { }
"""


@case
def one_file_is_compiled_as_its_project_would():
    path = project("source")
    os.makedirs(os.path.join(path, "lib"))
    os.makedirs(os.path.join(path, "node_modules", "@shapes"))
    write(path, "lib/Shared.sol", "pragma solidity ^0.8.20;\nlibrary Shared { function one() internal pure returns (uint256) { return 1; } }\n")
    write(path, "node_modules/@shapes/Shape.sol", "pragma solidity ^0.8.20;\nabstract contract Shape { }\n")
    write(path, "contracts/Two.sol", TWO)
    file = os.path.join(path, "contracts", "Two.sol")
    status, _, said = source(file)
    check(status == FAILED and "has 2 contracts (First, Second): choose one with --contract NAME" in said, said)
    status, _, said = source(file, "--contract", "Fourth")
    check(status == NOT_FOUND and "has no contract 'Fourth': it has First, Second" in said, said)
    status, _, said = source(file, "--contract", "First")
    check(status == UNREACHABLE and "127.0.0.1:1" in said, f"compiled, then the cloud is asked: {said}")
    status, _, said = source(os.path.join(path, "contracts", "None.sol"))
    check(status == NOT_FOUND and "None.sol: there is no such file" in said, said)


@case
def the_compiler_may_be_a_program_on_the_path_and_is_named_when_it_is_nowhere():
    file = os.path.join(lonely, "Alone.sol")
    write(lonely, "Alone.sol", "pragma solidity ^0.8.20;\ncontract Alone { }\n")
    status, _, said = source(file, PATH="/nonexistent")
    check(status == FAILED and "neither node_modules/solc" in said and "npm install --save-dev solc" in said, said)
    programs = os.path.join(ROOT, "contracts", "node_modules", ".bin")  # as `npm install -g solc` leaves solcjs
    status, _, said = source(file, PATH=programs + os.pathsep + os.environ["PATH"])
    check(status == UNREACHABLE, f"with solcjs on the path: {said}")
    status, _, said = source(file, PATH=programs)
    check(status == FAILED and "needs the program node" in said, said)


def clean():
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(lonely, ignore_errors=True)


if __name__ == "__main__":
    os.makedirs(projects)
    os.symlink(os.path.join(ROOT, "contracts", "node_modules"), os.path.join(scratch, "node_modules"))
    sys.exit(main(clean))
