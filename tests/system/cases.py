"""A small runner for whole-system tests: named cases, a filter, and the closing line that ./test reads.

A case is a function marked with @case. It succeeds by returning, is skipped by raising Skip, and fails by raising
anything else. Usage of a suite: SUITE [--list] [WORD]...; a case runs when one of the words is part of its name.
"""

import sys
import time
import traceback

_cases = []


class Skip(Exception):
    """The machine lacks what the case needs; the text says what."""


def case(function):
    _cases.append(function)
    return function


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def equal(got, want, what):
    check(got == want, f"{what}: {got!r}, not {want!r}")


def _run(function):
    begin = time.monotonic()
    try:
        function()
        word, why = "ok", ""
    except Skip as skip:
        word, why = "skipped:", f": {skip}"
    except (AssertionError, Exception) as error:  # whatever it is, the other cases run
        word, why = "FAIL", f": {error}"
        if not isinstance(error, AssertionError):
            traceback.print_exc(file=sys.stdout)
    print(f"{word:4} {function.__name__}{why} ({time.monotonic() - begin:.1f} s)", flush=True)
    return word


def main(at_end=lambda: None):
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    chosen = [f for f in _cases if not words or any(word in f.__name__ for word in words)]
    if "--list" in sys.argv[1:]:
        print("\n".join(f.__name__ for f in chosen))
        return 0
    try:
        results = [_run(function) for function in chosen]
    finally:
        at_end()
    skipped = results.count("skipped:")
    print(f"{results.count('ok')} passed, {results.count('FAIL')} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if "FAIL" in results or not chosen else 0
