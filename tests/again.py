# SPDX-License-Identifier: MIT
"""A second look at tests that failed beside others.

On a machine that is crowded a test may fail of that alone. So the few that failed run once more,
with nothing beside them; what fails then, too, has failed. Each is named, with what it said the
first time above, so that one that needs this often is found. When many fail it is not the crowd."""

MOST = 4


def run_again(tests, words, run_alone):
    """words: [(word, name)] of tests [(name, function)]; run_alone(tests) gives the same for some.
    Returns them with the second words in the place of the first."""
    failed = {name for word, name in words if word == "FAIL"}
    if not failed or len(failed) > MOST:
        return words
    print("again, alone: %s" % " ".join(sorted(failed)), flush=True)
    second = dict((name, word) for word, name in
                  run_alone([t for t in tests if t[0] in failed]))
    return [(second.get(name, word) if word == "FAIL" else word, name) for word, name in words]
