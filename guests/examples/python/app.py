"""The scenario `fixture`, in Python: runs one fixture and looks at everything the contract
promises about a generation. guests/scenarios/fixture is the same in Rust.
"""

from typing import Any

import files
import watch
import wit_world
from componentize_py_types import Err
from wit_world.imports import journal, reply, types
from wit_world.imports.cortex import Inference, Session
from wit_world.imports.scenarios import Check, Observation, TestCase

# Events a read; the host has no more of them at once.
BATCH = 256


class WitWorld(wit_world.WitWorld):
    """What the world `scenario` exports."""

    async def run_case(self, test_case: TestCase) -> Observation:
        """Runs one case."""
        try:
            return await run(test_case)
        except Err as e:
            raise Err(types.Failure_Host(e.value))


async def run(case: TestCase) -> Observation:
    """Runs one case; what the host refuses is raised as it comes."""
    seen = await observe(case)
    seen.checks.append(files.answer_reads_back(seen.answer))
    seen.checks.append(files.no_escape())

    held = sum(check.fault is None for check in seen.checks)
    note = f"{case.name}: {held} of {len(seen.checks)} checks held"
    journal.append(journal.Level.INFO, note)
    return observation(seen)


async def observe(case: TestCase) -> watch.Seen:
    """Asks each question when the one before it has been answered."""
    asked = asked_of(case.config)
    whole = None
    with await Session.open(case.model) as session:
        for turns in watch.questions(case.turns, lambda turn: turn.role == types.Role.USER):
            with await session.infer(turns, case.config) as inference:
                seen = await answer(inference, asked)
            whole = seen if whole is None else watch.then(whole, seen)
    return whole


async def answer(inference: Inference, asked: watch.Asked) -> watch.Seen:
    """Forwards what comes of one generation, and watches it."""
    looking = watch.Watch()
    with inference.events() as events:
        while batch := await events.read(BATCH):
            fragments = []
            for event in batch:
                looking.see(*told(event))
                match event:
                    case types.InferenceEvent_Content(text):
                        fragments.append(reply.Fragment_Content(text))
                    case types.InferenceEvent_Thought(thought):
                        fragments.append(reply.Fragment_Thought(thought))
            if fragments:
                reply.emit(fragments)

        with inference.events() as again:
            rest = await again.read(1)
    second = f"it gave {told(rest[0])[0]}" if rest else None
    seen = looking.finish(asked)
    seen.checks.append(watch.Check("a second stream is at its end", second))
    return seen


def asked_of(config: list[types.Setting]) -> watch.Asked:
    """Of a setting given twice the last one counts."""
    asked = watch.Asked()
    for setting in config:
        match setting:
            case types.Setting_MaxTokens(most):
                asked.max_tokens = most
            case types.Setting_Logprobs(count):
                asked.logprobs = count
    return asked


def told(event: types.InferenceEvent) -> tuple[str, Any]:
    """An event's name in the contract, and what it carries."""
    match event:
        case types.InferenceEvent_ProcessStart():
            return watch.PROCESS_START, None
        case types.InferenceEvent_Thought(types.ThoughtEvent_Start()):
            return watch.THOUGHT_START, None
        case types.InferenceEvent_Thought(types.ThoughtEvent_Delta(text)):
            return watch.THOUGHT_DELTA, text
        case types.InferenceEvent_Thought(types.ThoughtEvent_Stop()):
            return watch.THOUGHT_STOP, None
        case types.InferenceEvent_Content(text):
            return watch.CONTENT, text
        case types.InferenceEvent_ToolCall(call):
            return watch.TOOL_CALL, call
        case types.InferenceEvent_Logprobs(logprobs):
            return watch.LOGPROBS, logprobs
        case types.InferenceEvent_Complete(completion):
            return watch.COMPLETE, completion
    raise TypeError(f"no event of the contract: {event!r}")


def observation(seen: watch.Seen) -> Observation:
    """What was seen, as the contract has it."""
    broke_off = types.FinishReason_Failed(types.EngineError.BACKEND_FAILED)
    return Observation(
        answer=seen.answer,
        thoughts=seen.thoughts,
        calls=seen.calls,
        finish=broke_off if seen.finish is None else seen.finish,
        usage=types.Usage(**seen.usage),
        checks=[
            Check(check.name, check.fault is None, check.fault or "") for check in seen.checks
        ],
        earlier=seen.earlier,
    )
