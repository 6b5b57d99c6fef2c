// Counts the words of a text: `{"text": "one two"}` gives `{"words":2}`.

// What the arguments look like, as a JSON Schema for the model.
const PARAMETERS = {
  type: "object",
  properties: { text: { type: "string", description: "The text" } },
  required: ["text"],
  additionalProperties: false,
};

export function describe() {
  return {
    name: "{{name}}",
    description: "Counts the words of a text.",
    parameters: JSON.stringify(PARAMETERS),
  };
}

export function call(argumentsText) {
  let text;
  try {
    text = JSON.parse(argumentsText)?.text;
  } catch (e) {
    throw wrong(`the arguments are no JSON: ${e.message}`);
  }
  if (typeof text !== "string") {
    throw wrong('the arguments are one object with the text: {"text": "one two"}');
  }
  return JSON.stringify({ words: text.split(/\s+/).filter(Boolean).length });
}

/** The `failure` of the contract that says what is wrong, for the model to read. */
function wrong(words) {
  return { tag: "usage", val: words };
}
