"""Counts the words of a text: `{"text": "one two"}` gives `{"words":2}`."""

import json

import wit_world
from componentize_py_types import Err
from wit_world.imports.types import Failure_Usage, ToolDescription

# What the arguments look like, as a JSON Schema for the model.
PARAMETERS = {
    "type": "object",
    "properties": {"text": {"type": "string", "description": "The text"}},
    "required": ["text"],
    "additionalProperties": False,
}


class WitWorld(wit_world.WitWorld):
    def describe(self) -> ToolDescription:
        return ToolDescription(
            name="{{name}}",
            description="Counts the words of a text.",
            parameters=json.dumps(PARAMETERS),
        )

    async def call(self, arguments: str) -> str:
        try:
            return answer(arguments)
        except ValueError as e:
            # The words are for the model to read.
            raise Err(Failure_Usage(str(e))) from e


def answer(arguments: str) -> str:
    found = json.loads(arguments)
    text = found.get("text") if isinstance(found, dict) else None
    if not isinstance(text, str):
        raise ValueError('the arguments are one object with the text: {"text": "one two"}')
    return json.dumps({"words": len(text.split())}, separators=(",", ":"))
