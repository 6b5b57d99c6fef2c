"""The rules every generation's events follow.

Knows nothing of the bindings, so that it can be tested without a component: an event is
its kind, as the contract names it, and what it carries.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

PROCESS_START = "process-start"
THOUGHT_START = "thought start"
THOUGHT_DELTA = "thought delta"
THOUGHT_STOP = "thought stop"
CONTENT = "content"
TOOL_CALL = "tool-call"
LOGPROBS = "logprobs"
COMPLETE = "complete"

INSIDE_A_THOUGHT = {THOUGHT_START, THOUGHT_DELTA, THOUGHT_STOP, LOGPROBS}
COUNTS = (
    ("prompt_tokens", 32),
    ("cached_tokens", 32),
    ("completion_tokens", 32),
    ("thought_tokens", 32),
    ("prefill_us", 64),
    ("decode_us", 64),
)


@dataclass
class Asked:
    """What a case sets of what is watched here. What it leaves to the host is not known."""

    max_tokens: int | None = None
    logprobs: int | None = None


@dataclass
class Check:
    """Something that was looked at, and the fault that was found, if any."""

    name: str
    fault: str | None


@dataclass
class Seen:
    """What there is to report of one answer, or of all so far."""

    answer: str
    thoughts: str
    calls: list[Any]
    # None where the stream broke off.
    finish: Any
    # By the names of COUNTS.
    usage: dict[str, int]
    checks: list[Check]
    earlier: list[str] = field(default_factory=list)


class Watch:
    """What was seen so far of one generation, and the first fault against each rule."""

    def __init__(self) -> None:
        self.seen = 0
        self.thinking = False
        self.answer: list[str] = []
        self.thoughts: list[str] = []
        self.calls: list[Any] = []
        self.ids: set[str] = set()
        self.completion: Any = None
        self.faults: dict[str, str] = {}
        self.logprobs = 0
        self.most = 0

    def see(self, kind: str, value: Any = None) -> None:
        """Looks at the next event."""
        at = self.seen
        self.seen += 1

        def fault(rule: str, what: str) -> None:
            self.faults.setdefault(rule, f"event {at}: {what}")

        if (at == 0) != (kind == PROCESS_START):
            fault("start", kind)
        if self.completion is not None:
            fault("last", f"{kind} after complete")
        if self.thinking and kind not in INSIDE_A_THOUGHT:
            fault("brackets", f"{kind} inside a thought")

        if kind == THOUGHT_START:
            if self.thinking:
                fault("brackets", "a thought inside a thought")
            self.thinking = True
        elif kind == THOUGHT_DELTA:
            if not self.thinking:
                fault("brackets", "a delta outside a thought")
            if value == "":
                fault("empty", "an empty thought delta")
            self.thoughts.append(value)
        elif kind == THOUGHT_STOP:
            if not self.thinking:
                fault("brackets", "a stop without a start")
            self.thinking = False
        elif kind == CONTENT:
            if value == "":
                fault("empty", "an empty content delta")
            self.answer.append(value)
        elif kind == TOOL_CALL:
            if value.id == "":
                fault("malformed", "a call without an id")
            elif value.id in self.ids:
                fault("malformed", "a call with the id of another")
            self.ids.add(value.id)
            self.calls.append(value)
        elif kind == LOGPROBS:
            self.logprobs += 1
            self.most = max(self.most, len(value.top))
            what = unlikely(value)
            if what is not None:
                fault("logprobs", what)
        elif kind == COMPLETE and self.completion is None:
            self.completion = value

    def finish(self, asked: Asked) -> Seen:
        """What there is to report once the stream has ended."""
        faults = self.faults
        if self.seen == 0:
            faults.setdefault("start", "no event at all")
        if self.completion is None:
            faults.setdefault("last", "it never came")
        # A stream that breaks off reports no usage.
        finish = None
        usage = {name: 0 for name, _ in COUNTS}
        if self.completion is not None:
            finish = self.completion.finish
            usage = {name: getattr(self.completion.usage, name) for name, _ in COUNTS}

        checks = [
            Check("process-start first and once", faults.get("start")),
            Check("complete last and once", faults.get("last")),
            Check("thoughts bracketed", faults.get("brackets")),
            Check("no empty delta", faults.get("empty")),
            Check("calls well formed", faults.get("malformed")),
            Check("usage adds up", usage_fault(usage)),
        ]
        if asked.logprobs is not None:
            fault = self.logprobs_fault(asked.logprobs, usage)
            checks.append(Check("logprobs as asked", fault))
        if asked.max_tokens is not None:
            fault = None
            if usage["completion_tokens"] > asked.max_tokens:
                fault = f"{usage['completion_tokens']} tokens, {asked.max_tokens} allowed"
            checks.append(Check("within max-tokens", fault))
        return Seen(
            answer="".join(self.answer),
            thoughts="".join(self.thoughts),
            calls=self.calls,
            finish=finish,
            usage=usage,
            checks=checks,
        )

    def logprobs_fault(self, asked: int, usage: dict[str, int]) -> str | None:
        """What is wrong with the `logprobs` events together; else with the first bad one."""
        if asked == 0 and self.logprobs > 0:
            return f"{self.logprobs} events, none was asked for"
        if self.most > asked:
            return f"{self.most} tokens in one event, {asked} asked for"
        if self.logprobs > usage["completion_tokens"]:
            return f"{self.logprobs} events for {usage['completion_tokens']} tokens"
        return self.faults.get("logprobs")


def usage_fault(usage: dict[str, int]) -> str | None:
    """What cannot be in the usage of one generation."""
    thought, generated = usage["thought_tokens"], usage["completion_tokens"]
    if thought > generated:
        return f"{thought} thought tokens among {generated} generated"
    cached, prompt = usage["cached_tokens"], usage["prompt_tokens"]
    if cached > prompt:
        return f"{cached} tokens cached of a prompt of {prompt}"
    return None


def unlikely(logprobs: Any) -> str | None:
    """What cannot be in the event of one token."""
    top = [token.logprob for token in logprobs.top]
    # Asked this way round, because a NaN is in no range.
    if not all(logprob <= 0.0 for logprob in [logprobs.chosen.logprob, *top]):
        return "a probability over one, or none"
    if any(first < second for first, second in zip(top, top[1:])):
        return "the likeliest is not first"
    return None


def then(before: Seen, after: Seen) -> Seen:
    """What there is to report of an answer and the one that came after it."""
    usage = {
        # The contract's numbers end somewhere; these do not.
        name: min(before.usage[name] + after.usage[name], (1 << bits) - 1)
        for name, bits in COUNTS
    }
    # The first fault against a rule is the one that is told.
    checks = [
        second if first.fault is None else first
        for first, second in zip(before.checks, after.checks)
    ]
    earlier = [*before.earlier, before.answer]
    return replace(after, usage=usage, checks=checks, earlier=earlier)


def questions(turns: list[Any], is_user: Callable[[Any], bool]) -> list[list[Any]]:
    """The turns of a case, a list for each time the model is asked.

    Each ends with a user turn; what comes after the last one is asked by itself. Of no
    turns at all the host itself says what is wrong, so they are asked too.
    """
    asked: list[list[Any]] = [[]]
    for turn in turns:
        asked[-1].append(turn)
        if is_user(turn):
            asked.append([])
    if len(asked) > 1 and not asked[-1]:
        asked.pop()
    return asked
