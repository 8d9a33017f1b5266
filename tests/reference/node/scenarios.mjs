// Runs the scenarios of a client one after the other, each on an empty store, and prints what each saw as one line of JSON.
//
// Usage, by what calls play(): node CLIENT.mjs '{"host": "127.0.0.1", "port": 4000, ...}'

export const where = JSON.parse(process.argv[2]);

/** Return the error that a promise fails with, as its kind and its text; or say that it did not fail. */
export async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return [error.constructor.name, error.message];
  }
  return "not refused";
}

/** Make a client, give it to each scenario, and print what these return. */
export async function play(connect, empty, close, scenarios) {
  const seen = {};
  for (const [name, scenario] of Object.entries(scenarios)) {
    const client = await connect();
    await empty(client);
    seen[name] = await scenario(client);
    await close(client);
  }
  // ioredis has a timer of two seconds left, although it hung up; nobody has to wait for that.
  process.stdout.write(JSON.stringify(seen), () => process.exit(0));
}
