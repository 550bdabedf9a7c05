// Server-sent events out of a streaming response. EventSource can't send a token.

// Gives what each piece of the stream holds, as a list of {event, id, data}, until it ends.
// `heard` is called for every piece, whatever is in it.
export async function* eventsIn(response, heard) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      if (blocks.length) yield blocks.map(parse).filter((one) => one.data instanceof Object);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parse(block) {
  const found = { event: "message" };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) found[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, "");
  }
  if (found.data !== undefined) found.data = JSON.parse(found.data);
  if (found.id !== undefined) found.id = Number(found.id);
  return found;
}
