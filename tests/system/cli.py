"""The command line as an operator meets it: help, completion, tables, JSON, and errors with their exit statuses."""

import glob
import http.server
import json
import os
import re
import subprocess
import sys
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "lab"))
os.environ.setdefault("RIDGE_BIN", os.path.join(ROOT, "build", "dev", "bin"))

import lab as labs  # noqa: E402
from cases import case, check, equal, main  # noqa: E402

USAGE, NOT_FOUND, FORBIDDEN, UNREACHABLE, CONFLICT = 2, 3, 4, 5, 6
shared = labs.Lab()


def cloud():
    if not shared.cloud:
        shared.start_cloud()
    return shared.cloud


def ridge(*args, home=True, **environment):
    """(exit status, standard output, standard error)"""
    env = {k: v for k, v in os.environ.items() if not k.startswith("RIDGE_")}
    if home:
        env["RIDGE_HOME"] = cloud().dir
    env.update(environment)
    done = subprocess.run([shared.binary("ridge"), *args], env=env, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def commands():
    """(noun, verb) of every command that the help names."""
    lines = ridge("--help", home=False)[1].splitlines()
    return [tuple(line.split()[:2]) for line in lines if line.startswith("  ") and not line.strip().startswith("--")]


@case
def help_names_every_command_and_each_has_its_own():
    status, out, _ = ridge("--help", home=False)
    equal(status, 0, "exit status")
    for wanted in ("device list", "device token", "chain create", "chain status", "chain list", "chain destroy",
                   "contract deploy", "contract send", "contract call", "contract list", "contract upgrade",
                   "contract migrate", "contract freeze", "contract unfreeze", "contract revoke", "contract show",
                   "contract register", "contract owner", "contract deployers", "contract policy", "contract digest", "contract approve",
                   "contract events", "block list", "block show",
                   "tx show"):  # fmt: skip
        check(wanted in out, f"the help does not name '{wanted}'")
    for noun, verb in commands():
        status, out, _ = ridge(noun, verb, "--help", home=False)
        equal(status, 0, f"{noun} {verb} --help")
        check(f"Usage: ridge {noun} {verb}" in out and "--json" in out, f"{noun} {verb} --help says {out!r}")


@case
def every_command_that_the_documents_name_exists():
    known, wrong = set(commands()), []
    documents = [os.path.join(ROOT, name) for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    documents += sorted(glob.glob(os.path.join(ROOT, "docs", "*.md")) + glob.glob(os.path.join(ROOT, "sdk", "*", "README.md")))
    for path in documents:
        with open(path, encoding="utf-8") as file:
            for noun, verbs in re.findall(r"\bridge ([a-z]+) ([a-z-]+(?:\\?\|[a-z-]+)*)", file.read()):
                wrong += [f"{os.path.relpath(path, ROOT)}: ridge {noun} {verb}" for verb in re.split(r"\\?\|", verbs) if (noun, verb) not in known]
    equal(wrong, [], "commands that are named and do not exist")


@case
def what_is_no_command_or_option_is_a_usage_error_that_says_where_to_look():
    for args in (("chain", "crate"), ("nothing", "list"), ("chain", "list", "--nope"), ("chain", "status"),
                 ("block", "show", "x"), ("chain", "list", "too", "many"), ("device", "token", "--count")):  # fmt: skip
        status, _, err = ridge(*args, home=False)
        equal(status, USAGE, f"ridge {' '.join(args)}: {err}")
        check("ridge" in err, f"ridge {' '.join(args)} says {err!r}")
    equal(ridge(home=False)[0], USAGE, "ridge without arguments")


@case
def completion_is_a_script_that_bash_takes_and_that_completes():
    status, script, _ = ridge("completion", "bash", home=False)
    equal(status, 0, "exit status")
    probe = script + '\nCOMP_WORDS=(ridge chain cr); COMP_CWORD=2; _ridge; printf "%s\\n" "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash", "-c", probe], capture_output=True, text=True, check=False)
    equal((done.returncode, done.stdout.split()), (0, ["create"]), done.stderr)
    probe = script + '\nCOMP_WORDS=(ridge chain destroy --dis); COMP_CWORD=3; _ridge; printf "%s\\n" "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash", "-c", probe], capture_output=True, text=True, check=False)
    equal(done.stdout.split(), ["--discard"], "an option is completed")


@case
def without_a_token_it_says_how_to_give_one():
    status, _, err = ridge("chain", "list", home=False)
    equal(status, FORBIDDEN, "exit status")
    check("--token-file" in err and "admin.token" in err, err)
    status, _, err = ridge("chain", "list", home=False, RIDGE_URL=cloud().url, RIDGE_TOKEN="wrong")
    equal(status, FORBIDDEN, f"a wrong token: {err}")
    check("trace" in err, f"an error of the cloud names its trace: {err}")


@case
def a_cloud_that_is_not_there_is_named():
    status, _, err = ridge("chain", "list", home=False, RIDGE_URL="http://127.0.0.1:9", RIDGE_TOKEN="x")
    equal(status, UNREACHABLE, "exit status")
    check("127.0.0.1:9" in err, err)
    status, _, err = ridge("chain", "list", "--home", "/nonexistent", home=False)
    check(status != 0 and "/nonexistent" in err, err)


@case
def what_does_not_exist_is_named_with_its_exit_status():
    for args in (("chain", "status", "none"), ("device", "show", "none"), ("contract", "list", "none"),
                 ("block", "list", "none"), ("tx", "show", "none", "0x" + 64 * "0"), ("chain", "destroy", "none")):  # fmt: skip
        status, _, err = ridge(*args)
        equal(status, NOT_FOUND, f"ridge {' '.join(args)}: {err}")
        check("none" in err, f"ridge {' '.join(args)} does not name it: {err}")


@case
def a_name_that_could_leave_its_place_in_a_path_is_refused_before_anything_is_sent():
    for name in ("../devices", "a/b", "a?x=1", "", "a b"):
        status, _, err = ridge("chain", "status", name)
        equal(status, 1, f"{name!r}: {err}")
        check("cannot be the name" in err, err)


def consensus_of(sync):
    """What `ridge chain consensus c` prints when the cloud relays this state of a node."""
    answer = {"protocol": "pbft", "epoch": 0, "view": 3, "leader": "d1", "quorum": 3, "height": 40, "checkpoint_height": 39,
              "evidence_count": 0, "validators": [], "blocks": [], "view_changes": [], "evidence": [], "pending": None, "sync": sync}  # fmt: skip

    class Cloud(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/api/v1/chains/c/consensus"
            body = json.dumps(answer if found else {"error": {"code": "NOT_FOUND", "message": self.path}}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cloud) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        status, out, err = ridge("chain", "consensus", "c", home=False, RIDGE_URL=f"http://127.0.0.1:{server.server_port}", RIDGE_TOKEN="t")
        server.shutdown()
    equal(status, 0, err)
    return out


@case
def a_node_that_catches_up_says_how_far_it_is():
    at = {"from": 40, "height": 40, "headers": 900, "target": 1000, "snapshot": 0, "chunks": 0, "chunks_total": 0, "base_height": 0}

    def line(out):
        return next((text.split(None, 2)[2] for text in out.splitlines() if text.startswith("Catching up")), None)

    equal(line(consensus_of({**at, "phase": "idle"})), "-", "a node that has caught up")
    equal(line(consensus_of({**at, "phase": "headers"})), "headers, height 40 of 1000, headers to 900", "headers")
    equal(line(consensus_of({**at, "phase": "bodies"})), "bodies, height 40 of 1000, headers to 900", "blocks")
    snapshot = {**at, "phase": "snapshot", "snapshot": 960, "chunks": 7, "chunks_total": 31}
    equal(line(consensus_of(snapshot)), "snapshot, height 40 of 1000, headers to 900, chunk 7 of 31 of the snapshot at 960", "a snapshot")
    out = consensus_of({**at, "phase": "idle", "base_height": 960})
    check(any(text.startswith("Ledger on snapshot at") and text.split()[-1] == "960" for text in out.splitlines()), out)


@case
def tokens_are_printed_one_a_line_and_as_json():
    status, out, _ = ridge("device", "token", "--count", "3")
    equal((status, len(set(out.split()))), (0, 3), out)
    status, out, _ = ridge("device", "token", "--json")
    equal((status, len(json.loads(out)["tokens"])), (0, 1), out)
    for flag in ("--expires", "--ttl"):
        status, _, err = ridge("device", "token", flag, "soon")
        check(status != 0 and flag in err, err)


@case
def empty_lists_are_a_heading_and_an_empty_array():
    status, out, _ = ridge("chain", "list")
    equal((status, len(out.splitlines())), (0, 1), out)
    check(out.startswith("NAME"), out)
    equal(json.loads(ridge("chain", "list", "--json")[1]), {"chains": []}, "as JSON")


@case
def limits_of_a_tenant_are_set_shown_and_refused_by_name():
    equal(ridge("tenant", "new", "limited")[0], 0, "tenant new")
    status, out, _ = ridge("tenant", "limit", "limited", "--devices", "5", "--chains", "0")
    equal(status, 0, "tenant limit")
    check("0 of 5" in out and "0 of 0" in out, out)
    shown = json.loads(ridge("tenant", "show", "limited", "--json")[1])
    equal(shown["limits"], {"devices": 5, "chains": 0, "rollouts": None}, "limits")
    equal(shown["used"], {"devices": 0, "chains": 0, "rollouts": 0}, "used")
    listed = json.loads(ridge("tenant", "list", "--json")[1])["tenants"]
    check(shown in listed, f"{shown} is not in {listed}")
    check("0 of 5" in ridge("tenant", "list")[1], "the table shows no limit")
    equal(ridge("tenant", "limit", "limited", "--devices", "none")[0], 0, "no limit")
    equal(json.loads(ridge("tenant", "show", "limited", "--json")[1])["limits"]["devices"], None, "no limit")
    for flags in ([], ["--devices", "-1"], ["--devices", "many"], ["--chains", "1000001"]):
        status, _, err = ridge("tenant", "limit", "limited", *flags)
        check(status in (1, USAGE), f"{flags}: {status}: {err}")
        check("devices" in err or "chains" in err, err)
    equal(ridge("tenant", "show", "nobody")[0], NOT_FOUND, "tenant show")


@case
def creation_refuses_bad_requests_by_name():
    for args, words in (
        (("c1", "--devices", "a,b,c,d"), ("a",)),
        (("c1", "--devices", ""), ("--devices",)),
        (("c1",), ("--devices",)),
        (("Upper", "--devices", "a,b,c,d"), ("Upper",)),
        (("c1", "--devices", "a,b,c,d", "--params", "{"), ("--params",)),
        (("c1", "--devices", "a,b,c,d", "--consensus", "poet"), ("poet",)),
    ):
        status, _, err = ridge("chain", "create", *args)
        check(status != 0 and all(word in err for word in words), f"{args}: {status}: {err}")


if __name__ == "__main__":
    sys.exit(main(shared.stop))
