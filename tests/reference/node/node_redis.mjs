// What node-redis sees of a server, in the protocol that `where.protocol` names.

import { readFileSync } from "node:fs";
import { createClient, RESP_TYPES } from "redis";
import { play, refusal, where } from "./scenarios.mjs";

function socketOptions() {
  if (where.path) return { path: where.path };
  const tls = where.ca ? { tls: true, ca: readFileSync(where.ca) } : {};
  return { host: where.host, port: where.port, ...tls };
}

async function connect() {
  const { protocol, password } = where;
  const client = createClient({ socket: socketOptions(), RESP: protocol, password, name: "node" });
  client.on("error", (error) => {
    throw error;
  });
  return client.connect();
}

const scenarios = {
  async values(client) {
    return [
      await client.set("k", "v"),
      await client.get("k"),
      await client.get("nothing"),
      await client.set("k", "w", { condition: "NX" }),
      await client.mSet({ a: "1", b: "2" }),
      await client.mGet(["a", "b", "nothing"]),
      await client.exists(["a", "a", "nothing"]),
      await client.incr("a"),
      await client.incrBy("a", 40),
      await client.del(["a", "nothing"]),
      await client.append("k", "☂"),
      await client.strLen("k"),
      await client.getDel("k"),
      await client.setNX("b", "3"),
      await client.type("b"),
      await client.ttl("b"),
      await client.dbSize(),
      await client.ping(),
    ];
  },

  async bytes(client) {
    const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const large = Buffer.concat(Array(4096).fill(every)); // 1 MiB
    await client.set(every, large);
    const back = await client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }).get(every);
    return [back.length, back.equals(large)];
  },

  async pipelined(client) {
    const asked = [];
    for (let number = 0; number < 1000; number++) {
      asked.push(client.set(`key:${number}`, `${number}`), client.get(`key:${number}`));
    }
    const answers = await Promise.all(asked);
    const wrong = answers.filter((answer, index) => answer !== (index % 2 ? `${(index - 1) / 2}` : "OK"));
    return [answers.length, wrong, await client.dbSize()];
  },

  async transactions(client) {
    await client.set("text", "x");
    const failed = await client.multi().set("a", "1").incr("text").set("b", "2").exec().catch((error) => error);
    return [
      await client.multi().set("n", "1").incr("n").get("n").exec(),
      await client.multi().set("n", "5").incr("n").execAsPipeline(),
      [failed.constructor.name, failed.errorIndexes, await client.mGet(["a", "b"])],
      await refusal(client.multi().set("c", "1").addCommand(["NONSENSE"]).exec()),
      await client.get("c"),
    ];
  },

  async watched(client) {
    const other = await connect();
    await client.watch("k");
    await other.set("k", "other");
    const disturbed = await refusal(client.multi().set("k", "mine").exec());
    await client.watch("k");
    const undisturbed = await client.multi().set("k", "mine").exec();
    await other.close();
    return [disturbed, undisturbed, await client.get("k")];
  },

  async walk(client) {
    for (let number = 0; number < 300; number++) await client.set(`key:${number}`, "");
    const keys = [];
    for await (const page of client.scanIterator({ COUNT: 70 })) keys.push(...page);
    const matching = [];
    for await (const page of client.scanIterator({ MATCH: "key:29*" })) matching.push(...page);
    return [keys.length, new Set(keys).size, matching.sort()];
  },

  async errors(client) {
    await client.set("text", "x");
    return [
      await refusal(client.lPush("list", "1")),
      await refusal(client.incr("text")),
      await refusal(client.set("k", "v", { EX: 10 })),
      await client.ping(),
    ];
  },

  async about(client) {
    const get = (await client.commandInfo(["get"]))[0];
    const me = await client.clientInfo();
    return [
      await client.clientGetName(),
      [me.name, me.libName],
      await client.configGet("databases"),
      (await client.info("keyspace")).split("\r\n").slice(0, 3),
      [get.name, get.arity, get.firstKeyIndex, [...get.flags].sort()],
      (await client.commandCount()) > 60,
      await client.sendCommand(["KVS.SCAN", "", "", "LIMIT", "1"]),
    ];
  },
};

await play(connect, (client) => client.flushAll(), (client) => client.close(), scenarios);
