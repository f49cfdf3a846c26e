"""
What runs where: which tests, and in which ways.

A test marked `safety` runs in two ways, once under each integrity; the number of workers goes round, so that
neighbours (and the parameters of one test) have different ones.  RETENTION_WAYS=all runs each test in all six ways;
RETENTION_WORKERS and RETENTION_INTEGRITY narrow the choice.

Sanitizers watch every test function, but not each with all of its parameters, and safety tests in one way.  A mark says
where they watch more (sanitize_every) or nothing (unsanitized).  RETENTION_REST=1 leaves out of a plain run what the
sanitizers watch: both runs together are every test in every way of a plain run, and none twice.
"""

import os
from collections import namedtuple

from support.harness import BUILD, LIMITS

ALL = os.environ.get("RETENTION_WAYS") == "all"
SANITIZED = "sanitize" in str(BUILD)
REST = os.environ.get("RETENTION_REST") == "1" and not SANITIZED
WORKERS = (1, 2, 4)
# Of the parameters of one test, sanitizers watch each so many-th set.  Elsewhere the parameters are what C code parses.
SANITIZE_EVERY = {"batch": 4, "job": 6, "journal": 6, "plan": 6, "shapes": 6}


class Way(namedtuple("Way", "workers integrity")):
    def __str__(self):
        return f"{self.workers}-{self.integrity}"


def possible(definition):
    """The ways that are open to a test: its mark may say safety(workers=(2, 4)) or safety(integrity="triggers")."""
    mark = definition.get_closest_marker("safety").kwargs
    integrities = [mark["integrity"]] if "integrity" in mark else ["triggers", "set"]
    if definition.get_closest_marker("rests_on_triggers"):
        integrities = ["triggers"]
    return [Way(workers, integrity) for integrity in integrities for workers in mark.get("workers", WORKERS)
            if LIMITS.get("workers", workers) == workers and LIMITS.get("integrity", integrity) == integrity]


def chosen(ways, number, once=False, by_set_with=None):
    """
    Those in which the test of that number runs: one under each integrity, or just one.  by_set_with=4 marks the tests
    that matter most of all: foreign keys are asked by set then, and four workers are in each other's way.  The first is
    the one that sanitizers watch.
    """
    if ALL:
        return ways
    turn = number + number // len(WORKERS)  # parameters often come in threes
    found = []
    for n, integrity in enumerate(dict.fromkeys(way.integrity for way in ways)):
        those = [way for way in ways if way.integrity == integrity]
        if integrity == "set" and Way(by_set_with, integrity) in those:
            those = [Way(by_set_with, integrity)]
        found.append(those[(turn + n) % len(those)])
    found = found[number % len(found):] + found[:number % len(found)] if found else []
    return found[:1] if once else found


def is_watched(item, number):
    """Whether sanitizers watch this set of parameters, which is the test's number-th."""
    mark = item.get_closest_marker("sanitize_every")
    every = mark.args[0] if mark else SANITIZE_EVERY.get(item.path.parent.name, 1)
    return not item.get_closest_marker("unsanitized") and number % every == 0


class Numbers(dict):
    """Numbers things of a kind in the order in which they are met first."""

    def of(self, kind, thing):
        kind = self.setdefault(kind, {})
        return kind.setdefault(thing, len(kind))


def select(items):
    """The items that run, and those that are left out: each safety test was collected in all its ways."""
    numbers, run, left_out = Numbers(), [], []
    for item in items:
        mark = item.get_closest_marker("safety")
        spec = getattr(item, "callspec", None)
        way = spec.params.get("way") if mark and spec else None
        # By its name: pytest counts a parameter's index on from one way to the next.
        parameters = spec.id.replace(str(way), "", 1) if spec else ""
        test = (item.originalname, parameters)
        in_file, in_function = numbers.of(item.path, test), numbers.of((item.path, item.originalname), parameters)
        runs, watched = True, is_watched(item, in_function)
        if isinstance(way, Way):  # or it has none under these limits, and is skipped
            those = chosen(possible(item), in_file, mark.kwargs.get("once"), mark.kwargs.get("by_set_with"))
            runs, watched = way in those, watched and way in (those if ALL else those[:1])
        if SANITIZED or REST:
            runs = runs and watched == SANITIZED
        (run if runs else left_out).append(item)
    return run, left_out
