"""The same sequences of events give the same report as in Rust; see ../README.md."""

import json
import unittest
from pathlib import Path
from types import SimpleNamespace

import watch

SEQUENCES = json.loads(Path(__file__).parent.with_name("sequences.json").read_text("utf-8"))


def likely(value):
    # JSON has no word for what is no number, or not finite.
    return SimpleNamespace(logprob=float(value))


def carried(kind, value):
    """What an event carries, as the bindings would have it."""
    match kind:
        case watch.TOOL_CALL:
            return SimpleNamespace(**value)
        case watch.LOGPROBS:
            top = [likely(token) for token in value["top"]]
            return SimpleNamespace(chosen=likely(value["chosen"]), top=top)
        case watch.COMPLETE:
            return SimpleNamespace(usage=SimpleNamespace(**usage(value)), finish=value["finish"])
    return value


def usage(value):
    names = [name for name, _ in watch.COUNTS]
    return dict(zip(names, map(int, value["usage"]), strict=True))


def watched(answer, asked):
    looking = watch.Watch()
    for kind, *value in answer:
        looking.see(kind, carried(kind, *value) if value else None)
    return looking.finish(asked)


def check_names(asked):
    names = [
        "process-start first and once",
        "complete last and once",
        "thoughts bracketed",
        "no empty delta",
        "calls well formed",
        "usage adds up",
    ]
    if asked.logprobs is not None:
        names.append("logprobs as asked")
    if asked.max_tokens is not None:
        names.append("within max-tokens")
    return names


class Sequences(unittest.TestCase):
    def test_each_gives_the_report_that_rust_gives(self):
        for case in SEQUENCES:
            with self.subTest(case["name"]):
                asked = watch.Asked(case["asked"].get("max-tokens"), case["asked"].get("logprobs"))
                whole = None
                for answer in case["answers"]:
                    seen = watched(answer, asked)
                    whole = seen if whole is None else watch.then(whole, seen)
                calls = [f"{call.id} {call.name} {call.arguments}" for call in whole.calls]
                self.assertEqual(
                    case["seen"],
                    {
                        "answer": whole.answer,
                        "thoughts": whole.thoughts,
                        "calls": calls,
                        "finish": whole.finish or "failed",
                        "usage": case["seen"]["usage"],
                        "earlier": whole.earlier,
                    },
                )
                self.assertEqual(usage(case["seen"]), whole.usage)
                self.assertEqual(check_names(asked), [check.name for check in whole.checks])
                faults = {check.name: check.fault for check in whole.checks if check.fault}
                self.assertEqual(case["faults"], faults)


class Questions(unittest.TestCase):
    def test_each_ends_with_a_user_turn_where_there_is_one(self):
        for turns, expected in [
            ("", [""]),
            ("u", ["u"]),
            ("su", ["su"]),
            ("suu", ["su", "u"]),
            ("suau", ["su", "au"]),
            ("sus", ["su", "s"]),
            ("s", ["s"]),
        ]:
            with self.subTest(turns):
                asked = watch.questions(list(turns), lambda turn: turn == "u")
                self.assertEqual(expected, ["".join(question) for question in asked])


if __name__ == "__main__":
    unittest.main()
