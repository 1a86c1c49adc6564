/** A child of the benchmark: so many pages that read what the server tells, and show nothing. Prints how long a look is once all have one. */
const [url = "", count = ""] = process.argv.slice(2);

const lengths = await Promise.all(Array.from({ length: Number(count) }, () => firstLook()));
console.log(Math.max(...lengths));

/** Resolves with the first; goes on until the process is ended. */
async function firstLook(): Promise<number> {
  const reply = await fetch(`${url}/status/events`);
  if (!reply.ok || reply.body === null) throw new Error(`the stream: ${reply.status}`);
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the stream ended");
    text += value;
    const from = text.indexOf("event: status\n");
    const to = text.indexOf("\n\n", from);
    if (from === -1 || to === -1) continue;
    void drain(reader);
    return to - from;
  }
}

async function drain(reader: ReadableStreamDefaultReader<string>): Promise<void> {
  while (!(await reader.read()).done);
}
