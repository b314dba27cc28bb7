"""`ridge key` and `ridge cert`: files that the openssl command reads and writes, secrets that come by file, descriptor,
terminal or credential, and what is refused."""

import base64
import json
import os
import pathlib
import pty
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "lab"))
os.environ.setdefault("RIDGE_BIN", os.path.join(ROOT, "build", "dev", "bin"))

import lab as labs  # noqa: E402
from cases import case, check, equal, main  # noqa: E402

FAILED, USAGE, NOT_FOUND, FORBIDDEN, CONFLICT = 1, 2, 3, 4, 6
PASS, ID = "correct horse battery", "distid:1234567812345678"
RIDGE = labs.Lab().binary("ridge")
top = pathlib.Path(tempfile.mkdtemp(prefix="ridge-cli-keys-"))


def run(words, folder=top, **more):
    done = subprocess.run([str(w) for w in words], cwd=folder, capture_output=True, text=True, timeout=60, check=False,
                          start_new_session=True, stdin=subprocess.DEVNULL if "input" not in more else None, **more)  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def ridge(*args, folder=top, **environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith("RIDGE_") and k != "CREDENTIALS_DIRECTORY"}
    return run([RIDGE, *args], folder, env={**env, **environment})


def good(*args, **more):
    status, out, err = ridge(*args, **more)
    equal(status, 0, f"ridge {' '.join(map(str, args))}: {err}")
    return out


def refused(status, word, *args, **more):
    got, out, err = ridge(*args, **more)
    equal(got, status, f"ridge {' '.join(map(str, args))}: {out}{err}")
    check(word in err, f"ridge {' '.join(map(str, args))} does not say '{word}': {err}")


def openssl(*args, folder=top):
    status, out, err = run(["openssl", *args], folder)
    equal(status, 0, f"openssl {' '.join(map(str, args))}: {err}")
    return out


def folder():
    """A fresh one with a passphrase file."""
    new = pathlib.Path(tempfile.mkdtemp(dir=top))
    secret(new / "pw", PASS + "\n")
    return new


def secret(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return path


def public(path, *more, **rest):
    return json.loads(good("key", "show", path, "--json", *more, **rest))["public_key"]


@case
def a_new_key_is_sealed_private_and_never_overwritten():
    d = folder()
    about = json.loads(good("key", "new", "a.key", "--passphrase-file", "pw", "--json", folder=d))
    equal((about["sealed_by"], len(about["public_key"]), len(about["address"])), ("passphrase", 128, 42), "what it tells")
    equal((d / "a.key").stat().st_mode & 0o7777, 0o600, "mode of the key file")
    check("RIDGE SEALED SM2 KEY" in (d / "a.key").read_text(), "it is sealed")
    equal(public("a.key", folder=d), about["public_key"], "shown without a secret")
    good("key", "show", "a.key", "--check", "--passphrase-file", "pw", folder=d)
    secret(d / "wrong", "incorrect horse\n")
    refused(FORBIDDEN, "wrong passphrase", "key", "show", "a.key", "--check", "--passphrase-file", "wrong", folder=d)
    before = (d / "a.key").read_text()
    refused(CONFLICT, "is there already", "key", "new", "a.key", "--passphrase-file", "pw", folder=d)
    equal((d / "a.key").read_text(), before, "the old key")
    secret(d / "short", "seven77\n")
    refused(FAILED, "8 to", "key", "new", "b.key", "--passphrase-file", "short", folder=d)
    check(not (d / "b.key").exists(), "nothing was written")


@case
def files_that_others_can_use_are_refused_with_the_remedy():
    d = folder()
    good("key", "new", "a.key", "--plain", folder=d)
    for name, words in (("a.key", ("key", "show", "a.key")), ("pw", ("key", "new", "b.key", "--passphrase-file", "pw"))):
        (d / name).chmod(0o640)
        refused(FORBIDDEN, f"chmod 600 {name}", *words, folder=d)
        (d / name).chmod(0o600)


@case
def a_passphrase_is_no_argument():
    d = folder()
    refused(USAGE, "unknown option --passphrase", "key", "new", "a.key", "--passphrase", PASS, folder=d)
    refused(FORBIDDEN, "--passphrase-file FILE", "key", "new", "a.key", folder=d)
    check(not (d / "a.key").exists(), "nothing was written")


@case
def a_passphrase_comes_from_a_descriptor():
    d = folder()
    reader, writer = os.pipe()
    os.write(writer, PASS.encode())
    os.close(writer)
    status, _, err = run([RIDGE, "key", "new", "a.key", "--passphrase-fd", str(reader)], d, pass_fds=[reader])
    equal(status, 0, err)
    good("key", "show", "a.key", "--check", "--passphrase-file", "pw", folder=d)


def at_terminal(answers, *args, folder):
    """Runs ridge with a terminal of its own; answers are typed when it asks. (exit status, what the terminal showed)"""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execv(RIDGE, [RIDGE, *args])
    shown, asked, end = b"", 0, time.monotonic() + 30
    while time.monotonic() < end:
        try:
            part = os.read(fd, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
        if asked < len(answers) and shown.count(b": ") > asked:
            os.write(fd, answers[asked])
            asked += 1
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    return status, shown.decode()


@case
def at_a_terminal_it_asks_twice_without_echo():
    d = folder()
    words = PASS.encode()
    status, shown = at_terminal([words + b"x\x7f\n", b"wrong\x15" + words + b"\r"], "key", "new", "a.key", folder=d)
    equal(status, 0, shown)
    check(PASS not in shown and "horse" not in shown and "wrong" not in shown, f"the passphrase was echoed: {shown!r}")
    good("key", "show", "a.key", "--check", "--passphrase-file", "pw", folder=d)
    status, shown = at_terminal([words + b"\n"], "key", "show", "a.key", "--check", folder=d)
    equal(status, 0, shown)
    status, shown = at_terminal([words + b"\n", b"something else\n"], "key", "new", "b.key", folder=d)
    check(status == FAILED and "not the same" in shown, shown)
    status, shown = at_terminal([b"half a \x03"], "key", "new", "b.key", folder=d)
    check(status == FAILED and "cancelled" in shown, shown)
    check(not (d / "b.key").exists(), "nothing was written")


@case
def openssl_reads_what_is_exported_and_its_keys_are_imported():
    d = folder()
    good("key", "new", "a.key", "--passphrase-file", "pw", folder=d)
    mine = ("--passphrase-file", "pw")
    good("key", "export", "a.key", "plain.pem", "--pkcs8", "plain", *mine, folder=d)
    good("key", "export", "a.key", "aes.pem", *mine, "--new-passphrase-file", "pw", folder=d)
    good("key", "export", "a.key", "sm4.pem", "--pkcs8", "sm4", *mine, "--new-passphrase-file", "pw", folder=d)
    pub = good("key", "export", "a.key", "-", "--public", *mine, folder=d)
    equal(openssl("pkey", "-in", "plain.pem", "-pubout", folder=d), pub, "the public key of the plain export")
    equal(openssl("pkey", "-in", "aes.pem", "-passin", "file:pw", "-pubout", folder=d), pub, "and of the encrypted one")
    equal(public("sm4.pem", *mine, folder=d), public("a.key", folder=d), "sm4, which openssl 3.0 cannot read")
    equal((d / "plain.pem").stat().st_mode & 0o7777, 0o600, "mode of the export")
    openssl("pkcs8", "-topk8", "-v2", "sm4-cbc", "-in", "plain.pem", "-out", "theirs.pem", "-passout", "file:pw", folder=d)
    (d / "theirs.pem").chmod(0o600)
    good("key", "import", "theirs.pem", "b.key", *mine, "--new-passphrase-file", "pw", folder=d)
    equal(public("b.key", "--check", *mine, folder=d), public("a.key", folder=d), "the key that came back")
    refused(FAILED, "not to standard output", "key", "export", "a.key", "-", *mine, folder=d)
    refused(CONFLICT, "is there already", "key", "export", "a.key", "aes.pem", *mine, folder=d)
    refused(FAILED, "aes, sm4 or plain", "key", "export", "a.key", "x.pem", "--pkcs8", "des", *mine, folder=d)


@case
def signatures_pass_between_openssl_and_ridge():
    d = folder()
    (d / "message").write_bytes(os.urandom(200000))
    good("key", "new", "a.key", "--plain", folder=d)
    good("key", "export", "a.key", "a.pub", "--public", folder=d)
    for user in ("1234567812345678", "操作员"):
        good("key", "sign", "a.key", "message", "--id", user, "--form", "der", "--out", "mine.sig", folder=d)
        openssl("dgst", "-sm3", "-sigopt", f"distid:{user}", "-verify", "a.pub", "-signature", "mine.sig", "message", folder=d)
        openssl("dgst", "-sm3", "-sigopt", f"distid:{user}", "-sign", "a.key", "-out", "theirs.sig", "message", folder=d)
        good("key", "verify", "a.pub", "message", "theirs.sig", "--id", user, folder=d)
    refused(FAILED, "is not valid", "key", "verify", "a.pub", "message", "theirs.sig", folder=d)  # another user id
    for form in ("hex", "base64", "raw"):
        good("key", "sign", "a.key", "message", "--form", form, "--out", form, folder=d)
        good("key", "verify", "a.key", "message", form, folder=d)
    good("key", "verify", public("a.key", folder=d), "message", (d / "hex").read_text().strip(), folder=d)
    about = json.loads(good("key", "sign", "a.key", "message", "--json", folder=d))
    status, out, err = run([RIDGE, "key", "sign", "a.key", "--digest", about["digest"]], d)
    equal(status, 0, err)
    good("key", "verify", "a.key", "message", out.strip(), folder=d)
    (d / "message").write_bytes(b"another")
    status, out, _ = ridge("key", "verify", "a.pub", "message", "raw", "--json", folder=d)
    equal((status, json.loads(out)["valid"]), (FAILED, False), "as JSON")
    refused(FAILED, "neither a file", "key", "verify", "a.pub", "message", "no signature", folder=d)
    refused(FAILED, "leave --id", "key", "sign", "a.key", "--digest", about["digest"], "--id", "x", folder=d)
    refused(FAILED, "64 hexadecimal", "key", "sign", "a.key", "--digest", "message", folder=d)


@case
def a_key_under_a_credential_opens_where_the_credential_is():
    d = folder()
    (d / "credentials").mkdir()
    secret(d / "credentials" / "ridge-node", openssl("rand", "-hex", "32"))
    here = {"CREDENTIALS_DIRECTORY": str(d / "credentials")}
    good("key", "new", "a.key", "--credential", "ridge-node", folder=d, **here)
    about = json.loads(good("key", "show", "a.key", "--json", folder=d))
    equal((about["sealed_by"], about["credential"]), ("credential", "ridge-node"), "what it tells")
    good("key", "show", "a.key", "--check", folder=d, **here)
    good("key", "show", "a.key", "--check", "--credential-file", "credentials/ridge-node", folder=d)
    refused(NOT_FOUND, "LoadCredentialEncrypted", "key", "show", "a.key", "--check", folder=d)
    secret(d / "credentials" / "ridge-node", openssl("rand", "-hex", "32"))
    refused(FORBIDDEN, "another credential", "key", "show", "a.key", "--check", folder=d, **here)
    secret(d / "weak", "password")
    refused(FAILED, "openssl rand -hex 32", "key", "new", "b.key", "--credential", "x", "--credential-file", "weak", folder=d)


@case
def an_enveloped_key_comes_back_to_its_sign_key_alone():
    d = folder()
    for name in ("sign", "enc", "other"):
        good("key", "new", f"{name}.key", "--plain", folder=d)
        good("key", "export", f"{name}.key", f"{name}.pub", "--public", folder=d)
    good("key", "export", "enc.key", "envelope", "--enveloped-for", "sign.pub", folder=d)
    good("key", "import", "envelope", "back.key", "--enveloped", "sign.key", "--for", "enc.pub", "--new-passphrase-file", "pw",
         folder=d)  # fmt: skip
    equal(public("back.key", folder=d), public("enc.key", folder=d), "the key")
    out = ("--new-plain",)
    refused(FAILED, "another sign key", "key", "import", "envelope", "x", "--enveloped", "other.key", *out, folder=d)
    refused(FAILED, "another public key", "key", "import", "envelope", "x", "--enveloped", "sign.key", "--for", "other.pub", *out,
            folder=d)  # fmt: skip
    text = (d / "envelope").read_text()
    pem = "-----BEGIN ENVELOPED KEY-----\n" + "\n".join(text[i : i + 64] for i in range(0, len(text), 64)) + "-----END ENVELOPED KEY-----\n"
    (d / "pem").write_text(pem)
    good("key", "import", "pem", "pem.key", "--enveloped", "sign.key", *out, folder=d)
    (d / "der").write_bytes(subprocess.run(["openssl", "base64", "-d", "-A"], input=text.strip().encode(), capture_output=True, check=True).stdout)
    good("key", "import", "der", "der.key", "--enveloped", "sign.key", *out, folder=d)
    for i in range(500):  # one in 50 ends with what a text would have stripped off
        good("key", "export", "enc.key", f"envelope-{i}", "--enveloped-for", "sign.pub", folder=d)
        der = base64.b64decode((d / f"envelope-{i}").read_text())
        if der[-1] in b" \t\r\n\0":
            break
    (d / "blank").write_bytes(der)
    good("key", "import", "blank", "blank.key", "--enveloped", "sign.key", *out, folder=d)
    (d / "hex").write_text((d / "der").read_bytes().hex() + "\n")
    good("key", "import", "hex", "hex.key", "--enveloped", "sign.key", *out, folder=d)
    (d / "cut").write_bytes((d / "der").read_bytes()[:-1])
    refused(FAILED, "enveloped key", "key", "import", "cut", "x", "--enveloped", "sign.key", *out, folder=d)
    check(not (d / "x").exists(), "nothing was written")


def authority(d):
    """Root, issuing CA, a leaf, a list without it and one with it: all made by openssl."""
    sm = ("-sm3", "-sigopt", ID)
    for name in ("root", "ca", "leaf"):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", f"{name}.key", folder=d)
    openssl("req", "-x509", "-new", "-key", "root.key", *sm, "-subj", "/CN=Root", "-days", "30", "-out", "root.crt", "-addext",
            "keyUsage=critical,keyCertSign,cRLSign", folder=d)  # fmt: skip
    extensions = {
        "ca": ("/C=CN/O=Grid/CN=CA", "root", "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n"),
        "leaf": ("/C=CN/O=Grid, East 电网/CN=node\x1b[31m", "ca",
                 "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nsubjectAltName=DNS:node-1,IP:10.0.0.1\n"),
    }  # fmt: skip
    for name, (subject, issuer, text) in extensions.items():
        (d / f"{name}.ext").write_text(text)
        openssl("req", "-new", "-utf8", "-key", f"{name}.key", *sm, "-subj", subject, "-out", f"{name}.csr", folder=d)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.crt", "-CAkey", f"{issuer}.key", *sm, "-vfyopt", ID,
                "-extfile", f"{name}.ext", "-days", "10", "-set_serial", "0x1234", "-out", f"{name}.crt", folder=d)  # fmt: skip
    (d / "index.txt").write_text("")
    (d / "crlnumber").write_text("01\n")
    (d / "ca.cnf").write_text(
        "[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_crl_days=5\ndefault_md=sm3\n"
        "certificate=ca.crt\nprivate_key=ca.key\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid:always\n"
    )
    openssl("ca", "-config", "ca.cnf", "-gencrl", "-sigopt", ID, "-out", "empty.crl", folder=d)
    openssl("ca", "-config", "ca.cnf", "-revoke", "leaf.crt", folder=d)
    openssl("ca", "-config", "ca.cnf", "-gencrl", "-sigopt", ID, "-out", "revoked.crl", folder=d)


@case
def a_certificate_is_shown_with_every_field():
    d = folder()
    authority(d)
    leaf = json.loads(good("cert", "show", "leaf.crt", "--json", folder=d))["certificates"][0]
    wanted = {
        "subject": "CN=node\\1B[31m,O=Grid\\, East 电网,C=CN", "issuer": "CN=CA,O=Grid,C=CN", "serial": "1234", "version": 3,
        "names": ["DNS:node-1", "IP:10.0.0.1"], "usages": ["digitalSignature"], "ca": False, "self_issued": False,
        "public_key": public("leaf.key", folder=d),
    }  # fmt: skip
    equal({k: leaf[k] for k in wanted}, wanted, "the fields")
    der = run(["openssl", "x509", "-in", "leaf.crt", "-outform", "DER", "-out", "leaf.der"], d)
    equal(der[0], 0, der[2])
    equal(leaf["fingerprint_sm3"], openssl("dgst", "-sm3", "-r", "leaf.der", folder=d).split()[0], "the fingerprint")
    text = good("cert", "show", "leaf.der", folder=d)
    check("\x1b" not in text and "Subject" in text, f"a name drives the terminal: {text!r}")
    (d / "chain").write_text((d / "ca.crt").read_text() + (d / "root.crt").read_text())
    chain = json.loads(good("cert", "show", "chain", "--json", folder=d))["certificates"]
    equal([(c["subject"], c["ca"], c.get("path_length")) for c in chain], [("CN=CA,O=Grid,C=CN", True, 0), ("CN=Root", True, None)], "two")
    good("cert", "show", "chain", folder=d)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "rsa.key", "-subj", "/CN=x", "-out", "rsa.crt", folder=d)
    refused(FAILED, "not of an SM2 key", "cert", "show", "rsa.crt", folder=d)


@case
def a_certificate_is_verified_or_refused_with_the_reason():
    d = folder()
    authority(d)
    base = ("cert", "verify", "leaf.crt", "--root", "root.crt", "--chain", "ca.crt")
    good(*base, folder=d)
    good(*base, "--use", "sign", "--name", "node-1", "--crl", "empty.crl", folder=d)
    good("cert", "verify", "ca.crt", "--root", "root.crt", "--use", "ca", folder=d)
    (d / "both").write_text((d / "leaf.crt").read_text() + (d / "ca.crt").read_text())
    good("cert", "verify", "both", "--root", "root.crt", folder=d)
    refused(NOT_FOUND, "issuer", "cert", "verify", "leaf.crt", "--root", "root.crt", folder=d)
    refused(FAILED, "--root FILE", "cert", "verify", "leaf.crt", folder=d)
    refused(FORBIDDEN, "does not allow encryption", *base, "--use", "encrypt", folder=d)
    refused(FORBIDDEN, "is no CA", *base, "--use", "ca", folder=d)
    refused(FORBIDDEN, "node-2", *base, "--name", "node-2", folder=d)
    refused(FAILED, "expired", *base, "--at", "2099-01-01T00:00:00Z", folder=d)
    refused(FAILED, "not yet valid", *base, "--at", "1000000000", folder=d)
    refused(FAILED, "--at", *base, "--at", "tomorrow", folder=d)
    refused(FAILED, "--use", *base, "--use", "all", folder=d)
    refused(FORBIDDEN, "revoked", *base, "--crl", "revoked.crl", folder=d)
    check("\x1b" not in ridge(*base, "--crl", "revoked.crl", folder=d)[2], "a name drives the terminal")
    status, out, _ = ridge(*base, "--crl", "revoked.crl", "--json", folder=d)
    equal((status, json.loads(out)["verified"], json.loads(out)["code"]), (FORBIDDEN, False, "FORBIDDEN"), "as JSON")
    other = folder()
    authority(other)
    shutil.copy(other / "empty.crl", d / "foreign.crl")
    shutil.copy(other / "root.crt", d / "foreign.crt")
    refused(FAILED, "none of the CAs", *base, "--crl", "foreign.crl", folder=d)
    check(ridge("cert", "verify", "leaf.crt", "--root", "foreign.crt", "--chain", "ca.crt", folder=d)[0] != 0, "a foreign root")


@case
def completion_knows_the_nouns():
    script = good("completion", "bash")
    for line, wanted in (("ridge key ", {"new", "show", "import", "export", "sign", "verify"}), ("ridge cert ", {"list", "revoke", "show", "verify"})):
        words = line.split(" ")
        probe = f"{script}\nCOMP_WORDS=({line} ''); COMP_CWORD={len(words) - 1}; _ridge; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
        done = subprocess.run(["bash", "-c", probe], capture_output=True, text=True, check=False)
        equal(set(done.stdout.split()), wanted, line)


if __name__ == "__main__":
    sys.exit(main(lambda: shutil.rmtree(top, ignore_errors=True)))
