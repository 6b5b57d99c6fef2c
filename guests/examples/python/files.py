"""The scratch directory works, and nothing beyond it does."""

from watch import Check

ANSWER = "/scratch/answer.md"


def answer_reads_back(answer: str) -> Check:
    """Leaves the answer in the scratch directory and reads it again."""
    # As bytes: a text file would change how lines end.
    said = answer.encode()
    try:
        with open(ANSWER, "wb") as file:
            file.write(said)
        with open(ANSWER, "rb") as file:
            back = file.read()
    except OSError as e:
        return Check("answer file reads back", f"{ANSWER}: {e}")
    fault = None if back == said else f"{len(back)} bytes of {len(said)}"
    return Check("answer file reads back", fault)


def no_escape() -> Check:
    """Tries a path upwards and an absolute one, to read and to write."""
    for path in ("/scratch/../outside", "/etc/passwd"):
        for mode, done in (("rb", "read"), ("ab", "written")):
            try:
                open(path, mode).close()
            except OSError:
                continue
            return Check("no escape", f"{path} could be {done}")
    return Check("no escape", None)
