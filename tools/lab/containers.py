"""What the oci driver leaves on a machine when its agent does not get to clean up: found here, and taken down."""

import glob
import hashlib
import os
import shutil
import subprocess

DATA_MOUNT = "/var/lib/ridge-node"


def _mountinfo(pid):
    try:
        with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as file:
            return [line.split() for line in file]
    except OSError:
        return []


def data_of(pid):
    """The directory that a node in a container keeps its data in, as its file system names it; None for others."""
    for fields in _mountinfo(pid):
        if fields[4] == DATA_MOUNT:
            return fields[3] + "/"
    return None


def mounts_below(path):
    return [fields[4] for fields in _mountinfo("self") if fields[4].startswith(path + "/")]


def cgroups(path, devices):
    """Control groups of containers of these devices below path, whether their directories are still there or not.

    The driver names a group ridge-<digest of the container's directory>-<chain>."""
    found = []
    for group in glob.glob("/sys/fs/cgroup/ridge-*") + glob.glob("/sys/fs/cgroup/*/ridge-*"):
        _, digest, chain = os.path.basename(group).split("-", 2)
        states = (os.path.join(path, "devices", name, "chains", chain, "container") for name in devices)
        if any(hashlib.sha256(state.encode()).hexdigest()[:16] == digest for state in states):
            found.append(group)
    return found


def clear(path, devices):
    """Deletes containers, unmounts their file systems, removes their control groups; their processes have ended."""
    runtime = shutil.which("runc") or shutil.which("crun")
    for state in glob.glob(os.path.join(path, "devices", "*", "oci", "run", "*")):
        if runtime:
            command = [runtime, "--root", os.path.dirname(state), "delete", "--force", os.path.basename(state)]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    for place in sorted(mounts_below(path), reverse=True):
        subprocess.run(["umount", place], check=False)
    for group in cgroups(path, devices):
        try:
            os.rmdir(group)
        except OSError:
            pass
